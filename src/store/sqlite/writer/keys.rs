//! Looking up the keys of messages before they are written.

use super::{
    super::{
        error::is_damaged_row,
        queue::{Batch, Queued},
        reader,
    },
    Writer,
};
use crate::{
    model::{At, Position, Refusal, Stored},
    store::front::ops::Op,
};

impl Writer {
    /// Looks up the keys of all keyed messages of a batch, and sends their outcomes. A message with a new key becomes
    /// [`Op::Message`], a duplicate [`Queued::Nothing`].
    pub(super) fn look_up_keys(&mut self, batch: &mut Batch) -> rusqlite::Result<()> {
        for index in 0..batch.ops.len() {
            let (Queued::Keyed(row, _), place) = (&batch.ops[index], batch.place(index)) else {
                continue;
            };
            let key = row.key.as_deref().unwrap_or_default();
            let begin = self.shared.lock().front.begins_after(row.sender);
            let known = match reader::find_key(&self.connection, row.sender, key, begin) {
                Err(error) if is_damaged_row(&error) => {
                    tracing::error!(%error, "the message of a key cannot be read");
                    self.refuse_keyed(&mut batch.ops[index]);
                    continue;
                }
                known => known?,
            };
            let mut state = self.shared.lock();
            // The tail takes precedence: an earlier message of this batch may have confirmed the key since this one was
            // admitted, and only the tail has the position of a message that is in the file but not synced.
            let known = state.front.known(row.sender, key).or(known);
            match known {
                None => state.front.confirm(row),
                Some(_) => state.withdraw(row),
            }
            drop(state);
            let Queued::Keyed(row, resolve) = std::mem::replace(&mut batch.ops[index], Queued::Nothing)
            else {
                continue;
            };
            let outcome = if let Some(known) = known {
                known.outcome(Some(row.recipient), &row.text)
            } else {
                let stored = Stored { id: row.id, at: row.at, duplicate: false };
                batch.ops[index] = Queued::Op(Op::Message(row));
                At::new(Ok(stored), Position::at(place))
            };
            // An error means that the connection is gone: nobody waits for the outcome.
            resolve.send(outcome).ok();
        }
        Ok(())
    }

    /// Refuses a message whose key names a message that cannot be read: whether it is the same one is unknown.
    fn refuse_keyed(&self, queued: &mut Queued) {
        if let Queued::Keyed(row, resolve) = std::mem::replace(queued, Queued::Nothing) {
            self.shared.lock().withdraw(&row);
            // An error means that the connection is gone.
            resolve.send(At::refused(Refusal::Internal)).ok();
        }
    }
}
