//! A checksum over everything in a message's row, so that a flipped bit is told and not delivered.

use super::state::NameId;
use crate::{protocol::Timestamp, store::MessageId};

/// CRC-32 of the row's other columns; the key last, after a byte that says whether there is one.
pub(super) fn checksum(
    id: MessageId,
    at: Timestamp,
    sender: NameId,
    recipient: NameId,
    text: &str,
    key: Option<&str>,
) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.0.to_le_bytes());
    crc.update(&at.0.to_le_bytes());
    crc.update(&sender.0.to_le_bytes());
    crc.update(&recipient.0.to_le_bytes());
    crc.update(&(text.len() as u64).to_le_bytes());
    crc.update(text.as_bytes());
    crc.update(&[u8::from(key.is_some())]);
    crc.update(key.unwrap_or_default().as_bytes());
    crc.finalize()
}
