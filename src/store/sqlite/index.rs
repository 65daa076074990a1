//! What makes committed messages findable: large sorted batches, off the way of a send.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rusqlite::params;
use rustc_hash::FxHashMap;

use super::{
    ops::{InboxCursor, NameId, Passed, Row},
    postings::{self, List},
    syncer::Trim,
};
use crate::store::MessageId;

/// What the index holds of one inbox: the row of `inboxes`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Indexed {
    pub(super) upto: u64,
    pub(super) taken: u64,
    pub(super) received: u64,
    pub(super) last: u64,
}

/// A cursor that is committed and not in the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfolded {
    pub(super) passed: Passed,
    pub(super) taken: u64,
}

impl Unfolded {
    pub(super) fn new(user: NameId, cursor: InboxCursor, at: crate::protocol::Timestamp) -> Self {
        Unfolded { passed: Passed { user, upto: cursor.upto, at }, taken: cursor.taken }
    }
}

/// A batch on its way into the index. It is written in steps, one with each commit, so that none takes long; until the last
/// one is synced, nobody looks at what it has written. What a crash leaves of it is written again, and the same.
pub(super) struct Indexing {
    /// Numbers of messages by the lists that they belong to, sorted, so that neighbours go to the same pages.
    lists: Vec<(List, Vec<MessageId>)>,
    /// The keys of messages, sorted.
    keys: Vec<(NameId, Arc<str>, MessageId)>,
    /// Places of cursors, sorted.
    passed: Vec<Passed>,
    /// The rows of `inboxes` that change: with the last step, all at once.
    changed: BTreeMap<NameId, Indexed>,
    /// The last message; nothing if there are only cursors.
    upto: Option<MessageId>,
    /// The number of the last cursor.
    folded: i64,
    written: Written,
}

/// How far a batch was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    lists: usize,
    keys: usize,
    passed: usize,
    /// The batch is in the index.
    pub(super) is_whole: bool,
}

impl Indexing {
    /// These messages, in the order of their numbers, and these cursors, up to number `folded`.
    pub(super) fn new<'a>(
        inboxes: &HashMap<NameId, Indexed>,
        rows: impl Iterator<Item = &'a Row>,
        cursors: impl Iterator<Item = Unfolded> + Clone,
        folded: i64,
    ) -> Self {
        // The numbers of names are our own: nobody can choose them so that they collide.
        let mut lists: FxHashMap<List, Vec<MessageId>> = FxHashMap::default();
        let (mut keys, mut upto) = (Vec::new(), None);
        for row in rows {
            lists.entry(List::to(row.recipient)).or_default().push(row.id);
            if !row.to_room {
                lists.entry(List::between(row.sender, row.recipient)).or_default().push(row.id);
            }
            keys.extend(row.key.clone().map(|key| (row.sender, key, row.id)));
            upto = Some(row.id);
        }
        let mut lists: Vec<_> = lists.into_iter().collect();
        lists.sort_unstable_by_key(|(list, _)| *list);
        keys.sort_unstable();
        let changed = fold(inboxes, &lists, cursors.clone());
        let mut passed: Vec<_> = cursors.map(|cursor| cursor.passed).collect();
        passed.sort_unstable_by_key(|passed| (passed.user, passed.upto));
        Indexing { lists, keys, passed, changed, upto, folded, written: Written::default() }
    }

    /// Writes at most so many rows more, and what makes the batch whole if these are the last.
    pub(super) fn write(
        &self,
        transaction: &rusqlite::Transaction<'_>,
        mut most: usize,
    ) -> rusqlite::Result<Written> {
        let mut written = self.written;
        let mut partner =
            transaction.prepare_cached("INSERT OR IGNORE INTO partners VALUES (?1, ?2), (?2, ?1)")?;
        for (list, ids) in next(&self.lists, &mut written.lists, &mut most) {
            postings::append(transaction, *list, ids)?;
            if let Some((one, other)) = list.pair() {
                partner.execute([one, other])?;
            }
        }
        let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3)")?;
        for (sender, key, id) in next(&self.keys, &mut written.keys, &mut most) {
            insert.execute(params![sender.0, key, id.0.cast_signed()])?;
        }
        let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO passed VALUES (?1, ?2, ?3)")?;
        for Passed { user, upto, at } in next(&self.passed, &mut written.passed, &mut most) {
            insert.execute(params![user.0, upto.0.cast_signed(), at.0])?;
        }
        let all = (self.lists.len(), self.keys.len(), self.passed.len());
        if (written.lists, written.keys, written.passed) == all {
            self.write_end(transaction)?;
            written.is_whole = true;
        }
        Ok(written)
    }

    fn write_end(&self, transaction: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        let mut replace =
            transaction.prepare_cached("INSERT OR REPLACE INTO inboxes VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (user, inbox) in &self.changed {
            let row = [
                i64::from(user.0),
                inbox.upto.cast_signed(),
                inbox.taken.cast_signed(),
                inbox.received.cast_signed(),
                inbox.last.cast_signed(),
            ];
            replace.execute(row)?;
        }
        let indexed = self.upto.map(|id| id.0.cast_signed());
        transaction
            .prepare_cached("UPDATE state SET indexed = coalesce(?1, indexed), folded = ?2")?
            .execute(params![indexed, self.folded])?;
        Ok(())
    }

    /// A step was committed.
    pub(super) fn committed(&mut self, written: Written) {
        self.written = written;
    }

    /// What the whole batch changes: of the rows of `inboxes`, and for the tail.
    pub(super) fn end(self) -> (BTreeMap<NameId, Indexed>, Trim) {
        (self.changed, Trim { upto: self.upto.unwrap_or(MessageId(0)), folded: self.passed.len() })
    }
}

/// The next of `all` after the first `done`, at most so many; they are counted as done.
fn next<'a, T>(all: &'a [T], done: &mut usize, most: &mut usize) -> &'a [T] {
    let begin = *done;
    let count = (all.len() - begin).min(*most);
    *done += count;
    *most -= count;
    &all[begin..begin + count]
}

/// The rows of `inboxes` that change when these messages are indexed and these cursors folded in.
fn fold(
    inboxes: &HashMap<NameId, Indexed>,
    lists: &[(List, Vec<MessageId>)],
    cursors: impl Iterator<Item = Unfolded>,
) -> BTreeMap<NameId, Indexed> {
    let mut changed = BTreeMap::new();
    let current = |id: NameId| inboxes.get(&id).copied().unwrap_or_default();
    for (list, ids) in lists {
        if let (Some(recipient), Some(last)) = (list.recipient(), ids.last()) {
            let inbox = changed.entry(recipient).or_insert_with(|| current(recipient));
            inbox.received += ids.len() as u64;
            inbox.last = last.0;
        }
    }
    for Unfolded { passed, taken } in cursors {
        let inbox = changed.entry(passed.user).or_insert_with(|| current(passed.user));
        (inbox.upto, inbox.taken) = (passed.upto.0, taken);
    }
    changed
}
