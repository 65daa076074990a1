//! Retention: removes old messages in small steps between commits, but none that is still in an inbox.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Shared, blocks,
    list::List,
    postings,
    reader::{COLUMNS, StoredRow},
};
use crate::{
    model::{MessageId, Timestamp, UserName},
    store::front::{ops::NameId, rooms::Span},
};

/// Most messages, and most cursor steps, that one step looks at: it takes one or two milliseconds.
const STEP: u32 = 500;

/// Pause between two steps, so that sends have the disk most of the time.
const PAUSE: Duration = Duration::from_millis(20);

/// Time from the end of one pass over the old messages to the beginning of the next.
const REST: Duration = Duration::from_hours(1);

/// Schedule of the passes, and the progress of the current one.
pub(super) struct Retention {
    keep: Duration,
    next: Instant,
    pass: Option<Pass>,
}

/// One pass over the old messages.
struct Pass {
    /// Messages from before this time are removed.
    before: Timestamp,
    /// The last message that was looked at.
    seen: MessageId,
    pruned: usize,
}

/// Result of one step.
pub(super) enum Step {
    /// The index is being merged first; nothing was removed yet.
    Waiting,
    /// Messages up to `seen` were looked at, and `pruned` of them were removed.
    Pruned { seen: MessageId, pruned: usize, last: bool },
}

impl Retention {
    pub(super) fn new(keep: Duration) -> Self {
        Retention { keep, next: Instant::now(), pass: None }
    }

    /// The time at which the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Whether the next step begins a pass. All old messages must be in the blocks of the index by then.
    pub(super) fn begins(&self) -> bool {
        self.pass.is_none()
    }

    /// Whether any old message is not in the blocks yet.
    pub(super) fn needs_merge(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let merged = postings::merged(connection)?;
        let mut first =
            connection.prepare_cached("SELECT at FROM messages WHERE id > ?1 ORDER BY id LIMIT 1")?;
        let first = first.query_row([merged.0.cast_signed()], |row| row.get::<_, i64>(0)).optional()?;
        Ok(first.is_some_and(|at| at < self.start().0))
    }

    /// The time before which a pass that begins now removes messages.
    fn start(&self) -> Timestamp {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        Timestamp(Timestamp::from(SystemTime::now()).0.saturating_sub(keep))
    }

    /// Runs one step in a transaction. `read_upto` returns the last acknowledged message of an inbox.
    ///
    /// Messages after `merged` and cursor steps after `folded` are left alone.
    pub(super) fn step(
        &mut self,
        transaction: &Transaction<'_>,
        shared: &Shared,
        read_upto: impl Fn(NameId) -> MessageId,
        merged: MessageId,
        folded: i64,
    ) -> rusqlite::Result<Step> {
        let start = self.start();
        let pass = self.pass.get_or_insert(Pass { before: start, seen: MessageId(0), pruned: 0 });
        let old = old_messages(transaction, pass.before, pass.seen, merged)?;
        let seen = old.last().map_or(pass.seen, |message| message.id);
        let last = old.len() < STEP as usize;
        let mut readers = ReadPositions { shared, read_upto, rooms: HashMap::new() };
        let mut gone = old;
        gone.retain(|message| !readers.wait_for(message));
        let mut lists: BTreeMap<List, Vec<MessageId>> = BTreeMap::new();
        for message in &gone {
            lists.entry(List::to(message.recipient)).or_default().push(message.id);
            if readers.room(message.recipient).is_none() {
                lists.entry(List::between(message.sender, message.recipient)).or_default().push(message.id);
            }
            transaction
                .prepare_cached("DELETE FROM messages WHERE id = ?1")?
                .execute([message.id.0.cast_signed()])?;
            if let Some(key) = &message.key {
                transaction
                    .prepare_cached("DELETE FROM keys WHERE sender = ?1 AND key = ?2 AND id = ?3")?
                    .execute(params![message.sender.0, key, message.id.0.cast_signed()])?;
            }
        }
        for (list, ids) in lists {
            blocks::remove(transaction, list, &ids)?;
        }
        let cursors = forget_cursors(transaction, pass.before, folded)?;
        Ok(Step::Pruned { seen, pruned: gone.len(), last: last && cursors < STEP as usize })
    }

    /// Records that a step was committed, and schedules the next one.
    pub(super) fn stepped(&mut self, step: &Step) {
        self.next = Instant::now() + PAUSE;
        let (Step::Pruned { seen, pruned, last }, Some(pass)) = (step, &mut self.pass) else {
            return;
        };
        pass.seen = *seen;
        pass.pruned += pruned;
        if *last {
            if pass.pruned > 0 {
                tracing::info!(messages = pass.pruned, "old messages were removed");
            }
            self.rest();
        }
    }

    /// Ends the pass and schedules the next one.
    pub(super) fn rest(&mut self) {
        self.pass = None;
        self.next = Instant::now() + REST;
    }
}

/// Removes the cursor steps from before a time, at most [`STEP`] of them. Returns how many were removed.
///
/// The messages that they passed are at least as old, so they are removed as well, except for those that were sent to a room
/// and are still in another user's inbox.
fn forget_cursors(transaction: &Transaction<'_>, before: Timestamp, folded: i64) -> rusqlite::Result<usize> {
    let mut select = transaction
        .prepare_cached("SELECT seq, user, upto FROM cursors WHERE seq <= ?1 ORDER BY seq LIMIT ?2")?;
    let mut old = transaction.prepare_cached("DELETE FROM cursors WHERE seq = ?1 AND at < ?2")?;
    let mut passed = transaction.prepare_cached("DELETE FROM passed WHERE user = ?1 AND upto = ?2")?;
    let found = select.query_map(params![folded, STEP], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?))
    })?;
    let mut gone = 0;
    for row in found.collect::<Result<Vec<_>, _>>()? {
        let (seq, user, upto) = row;
        // Steps are in the order of time, so the first younger one is the end.
        if old.execute(params![seq, before.0])? == 0 {
            break;
        }
        passed.execute(params![user, upto])?;
        gone += 1;
    }
    Ok(gone)
}

/// How far the recipients of old messages have read.
struct ReadPositions<'a, F> {
    shared: &'a Shared,
    /// Returns the last acknowledged message of an inbox.
    read_upto: F,
    /// For each room its stays, with how far each of those users has read; `None` for a user.
    rooms: HashMap<NameId, Option<Vec<Reader>>>,
}

/// A user's stay in a room, and the last message that the user has acknowledged.
struct Reader {
    user: Option<NameId>,
    stay: Span,
    upto: MessageId,
}

impl<F: Fn(NameId) -> MessageId> ReadPositions<'_, F> {
    fn room(&mut self, recipient: NameId) -> Option<&[Reader]> {
        let ReadPositions { shared, read_upto, rooms } = self;
        let stays = rooms.entry(recipient).or_insert_with(|| {
            let front = &shared.lock().front;
            let all = front.rooms.all_stays(front.name(recipient)?.room()?);
            let reader = |(user, stay): (&UserName, Span)| {
                let user = front.name_id(user);
                Reader { user, stay, upto: user.map_or(MessageId(0), &*read_upto) }
            };
            Some(all.map(reader).collect())
        });
        stays.as_deref()
    }

    /// Whether the message is still in an inbox.
    fn wait_for(&mut self, message: &StoredRow) -> bool {
        let waits = |reader: &Reader| {
            reader.user != Some(message.sender)
                && message.id > reader.upto
                && reader.stay.contains(message.id)
        };
        match self.room(message.recipient) {
            Some(readers) => readers.iter().any(waits),
            None => message.id > (self.read_upto)(message.recipient),
        }
    }
}

/// Returns at most [`STEP`] messages from before a time, with numbers after `after` and up to `upto`.
///
/// Times grow with numbers, so the first younger message is the end.
fn old_messages(
    connection: &Connection,
    before: Timestamp,
    after: MessageId,
    upto: MessageId,
) -> rusqlite::Result<Vec<StoredRow>> {
    let sql =
        format!("SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![after.0.cast_signed(), upto.0.cast_signed(), STEP])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        // A message is not removed because of a flipped bit in its time.
        let row = StoredRow::read(row)?;
        if row.at >= before {
            break;
        }
        old.push(row);
    }
    Ok(old)
}
