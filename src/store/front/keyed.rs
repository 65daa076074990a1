//! A stored message that an idempotency key names, and what a repeated send with that key is answered.

use std::sync::Arc;

use super::ops::NameId;
use crate::model::{At, MessageId, Outcome, Position, Refusal, Stored, Timestamp};

/// The message that a sender's idempotency key names, in the tail or in the file.
pub(crate) struct KeyedMessage {
    pub(crate) id: MessageId,
    pub(crate) at: Timestamp,
    pub(crate) recipient: NameId,
    pub(crate) text: Arc<str>,
    /// Position that must be durable before a reply may depend on this message.
    pub(crate) position: Position,
}

impl KeyedMessage {
    /// Outcome of another send with this key: the stored message if recipient and text are the same, else
    /// [`Refusal::KeyReused`].
    pub(crate) fn outcome(&self, recipient: Option<NameId>, text: &str) -> Outcome<Stored> {
        let same = recipient == Some(self.recipient) && *self.text == *text;
        let stored = Stored { id: self.id, at: self.at, duplicate: true };
        At::new(if same { Ok(stored) } else { Err(Refusal::KeyReused) }, self.position)
    }
}
