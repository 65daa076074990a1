//! Forgetting what is old: in small steps between commits, never what still waits in an inbox.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, Transaction, params};

use super::{postings, state::NameId};
use crate::{protocol::Timestamp, store::MessageId};

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

/// What has left the store with one step.
pub(super) struct Step {
    seen: MessageId,
    pruned: usize,
    last: bool,
}

impl Retention {
    pub(super) fn new(keep: Duration) -> Self {
        Retention { keep, next: Instant::now(), pass: None }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Whether the next step begins a pass: everything should be in the index then.
    pub(super) fn begins(&self) -> bool {
        self.pass.is_none()
    }

    /// One step, as part of a transaction. `read_upto` tells how far an inbox was read; messages after `indexed` and
    /// cursors after `folded` are left alone.
    pub(super) fn step(
        &mut self,
        transaction: &Transaction<'_>,
        read_upto: impl Fn(NameId) -> Option<MessageId>,
        indexed: MessageId,
        folded: i64,
    ) -> rusqlite::Result<Step> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let start = || Timestamp(Timestamp::from(SystemTime::now()).0.saturating_sub(keep));
        let pass = self.pass.get_or_insert_with(|| Pass { before: start(), seen: MessageId(0), pruned: 0 });
        let old = old_messages(transaction, pass.before, pass.seen, indexed)?;
        let seen = old.last().map_or(pass.seen, |message| message.id);
        let last = old.len() < STEP as usize;
        let gone: Vec<_> = old
            .into_iter()
            .filter(|message| read_upto(message.recipient).is_some_and(|upto| message.id <= upto))
            .collect();
        let mut lists: BTreeMap<NameId, Vec<MessageId>> = BTreeMap::new();
        for message in &gone {
            lists.entry(message.recipient).or_default().push(message.id);
            transaction
                .prepare_cached("DELETE FROM messages WHERE id = ?1")?
                .execute([message.id.0.cast_signed()])?;
            if let Some(key) = &message.key {
                transaction
                    .prepare_cached("DELETE FROM keys WHERE sender = ?1 AND key = ?2")?
                    .execute(params![message.sender.0, key])?;
            }
        }
        for (recipient, ids) in lists {
            postings::remove(transaction, recipient, &ids)?;
        }
        let cursors = transaction
            .prepare_cached(
                "DELETE FROM cursors WHERE seq IN \
                 (SELECT seq FROM cursors WHERE seq <= ?1 AND at < ?2 ORDER BY seq LIMIT ?3)",
            )?
            .execute(params![folded, pass.before.0, STEP])?;
        Ok(Step { seen, pruned: gone.len(), last: last && cursors < STEP as usize })
    }

    /// The step was committed.
    pub(super) fn stepped(&mut self, step: &Step) {
        let Some(pass) = &mut self.pass else {
            return;
        };
        pass.seen = step.seen;
        pass.pruned += step.pruned;
        self.next = Instant::now() + PAUSE;
        if step.last {
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
