//! Forgetting what is old: in small steps between commits, never what still waits in an inbox.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Shared, blocks, list::List, ops::NameId, postings};
use crate::{
    protocol::{Timestamp, UserName},
    store::{MessageId, rooms::Span},
};

/// At most so many messages (and cursors) are looked at in one step: one or two milliseconds.
const STEP: u32 = 500;

/// Steps are at least so far apart: sends have the disk most of the time.
const PAUSE: Duration = Duration::from_millis(20);

/// From the end of one pass over the old messages to the beginning of the next.
const REST: Duration = Duration::from_hours(1);

/// How far a pass has come.
pub(super) struct Retention {
    keep: Duration,
    next: Instant,
    pass: Option<Pass>,
}

/// One pass over the old messages.
struct Pass {
    /// What is older goes.
    before: Timestamp,
    /// Messages up to this one were looked at.
    seen: MessageId,
    pruned: usize,
}

/// One step.
pub(super) enum Step {
    /// Of what must be done before: nothing has left the store yet.
    Waiting,
    /// Messages up to `seen` were looked at, and so many have left the store.
    Pruned { seen: MessageId, pruned: usize, last: bool },
}

impl Retention {
    pub(super) fn new(keep: Duration) -> Self {
        Retention { keep, next: Instant::now(), pass: None }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Whether the next step begins a pass: everything old should be in the blocks of the index then.
    pub(super) fn begins(&self) -> bool {
        self.pass.is_none()
    }

    /// Whether there is anything old that is not.
    pub(super) fn needs_merge(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let merged = postings::merged(connection)?;
        let mut first =
            connection.prepare_cached("SELECT at FROM messages WHERE id > ?1 ORDER BY id LIMIT 1")?;
        let first = first.query_row([merged.0.cast_signed()], |row| row.get::<_, i64>(0)).optional()?;
        Ok(first.is_some_and(|at| at < self.start().0))
    }

    /// What is older goes with a pass that begins now.
    fn start(&self) -> Timestamp {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        Timestamp(Timestamp::from(SystemTime::now()).0.saturating_sub(keep))
    }

    /// One step, as part of a transaction. `read_upto` tells how far an inbox was read; messages after `merged` and
    /// cursors after `folded` are left alone.
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
                    .prepare_cached("DELETE FROM keys WHERE sender = ?1 AND key = ?2")?
                    .execute(params![message.sender.0, key])?;
            }
        }
        for (list, ids) in lists {
            blocks::remove(transaction, list, &ids)?;
        }
        let cursors = forget_cursors(transaction, pass.before, folded)?;
        Ok(Step::Pruned { seen, pruned: gone.len(), last: last && cursors < STEP as usize })
    }

    /// The step was committed.
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

    /// No more steps for a while.
    pub(super) fn rest(&mut self) {
        self.pass = None;
        self.next = Instant::now() + REST;
    }
}

/// Takes cursors from before a time out of the file, a step of them. Returns how many. (Messages that they passed are as
/// old, and gone.)
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
        // They are in the order of time: the first that is younger ends it.
        if old.execute(params![seq, before.0])? == 0 {
            break;
        }
        passed.execute(params![user, upto])?;
        gone += 1;
    }
    Ok(gone)
}

/// Who has read what, of those to whom old messages were sent.
struct ReadPositions<'a, F> {
    shared: &'a Shared,
    /// How far an inbox was read.
    read_upto: F,
    /// For each room all stays in it, and how far each who stayed has read; nothing for a user.
    rooms: HashMap<NameId, Option<Vec<Reader>>>,
}

/// Somebody's stay in a room.
struct Reader {
    user: Option<NameId>,
    stay: Span,
    upto: MessageId,
}

impl<F: Fn(NameId) -> MessageId> ReadPositions<'_, F> {
    fn room(&mut self, recipient: NameId) -> Option<&[Reader]> {
        let ReadPositions { shared, read_upto, rooms } = self;
        let stays = rooms.entry(recipient).or_insert_with(|| {
            let state = shared.lock();
            let all = state.rooms.all_stays(state.name(recipient)?.room()?);
            let reader = |(user, stay): (&UserName, Span)| {
                let user = state.name_id(user);
                Reader { user, stay, upto: user.map_or(MessageId(0), &*read_upto) }
            };
            Some(all.map(reader).collect())
        });
        stays.as_deref()
    }

    /// Whether the message waits in an inbox.
    fn wait_for(&mut self, message: &Old) -> bool {
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

struct Old {
    id: MessageId,
    sender: NameId,
    recipient: NameId,
    key: Option<String>,
}

/// Messages from before a time, after one and up to another. (Times grow with numbers: the first that is younger ends it.)
fn old_messages(
    connection: &Connection,
    before: Timestamp,
    after: MessageId,
    upto: MessageId,
) -> rusqlite::Result<Vec<Old>> {
    let mut select = connection.prepare_cached(
        "SELECT id, at, sender, recipient, key FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = select.query(params![after.0.cast_signed(), upto.0.cast_signed(), STEP])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= before.0 {
            break;
        }
        old.push(Old {
            id: MessageId(row.get::<_, i64>(0)?.cast_unsigned()),
            sender: NameId(row.get(2)?),
            recipient: NameId(row.get(3)?),
            key: row.get(4)?,
        });
    }
    Ok(old)
}
