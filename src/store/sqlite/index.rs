//! What makes committed messages findable: written in large sorted batches, off the way of a send.

use std::collections::{BTreeMap, HashMap};

use rusqlite::params;
use rustc_hash::FxHashMap;

use super::{
    ops::{InboxCursor, NameId, Passed, Row},
    postings::{self, List},
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

/// Numbers of messages by the lists that they belong to, sorted.
pub(super) struct Lists(Vec<(List, Vec<MessageId>)>);

impl Lists {
    /// What these messages, in the order of their numbers, add to each list.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        // The numbers of names are our own: nobody can choose them so that they collide.
        let mut lists: FxHashMap<List, Vec<MessageId>> = FxHashMap::default();
        for row in rows {
            lists.entry(List::to(row.recipient)).or_default().push(row.id);
            if !row.to_room {
                lists.entry(List::between(row.sender, row.recipient)).or_default().push(row.id);
            }
        }
        let mut lists: Vec<_> = lists.into_iter().collect();
        lists.sort_unstable_by_key(|(list, _)| *list);
        Lists(lists)
    }
}

/// The rows of `inboxes` that change when these messages are indexed and these cursors folded in.
pub(super) fn fold(
    inboxes: &HashMap<NameId, Indexed>,
    lists: &Lists,
    cursors: impl Iterator<Item = Unfolded>,
) -> BTreeMap<NameId, Indexed> {
    let mut changed = BTreeMap::new();
    let current = |id: NameId| inboxes.get(&id).copied().unwrap_or_default();
    for (list, ids) in &lists.0 {
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

/// Writes what makes messages findable, sorted, so that neighbours go to the same pages.
pub(super) fn write_index<'a>(
    transaction: &rusqlite::Transaction<'_>,
    rows: impl Iterator<Item = &'a Row>,
    lists: &Lists,
    cursors: impl Iterator<Item = Unfolded>,
    changed: &BTreeMap<NameId, Indexed>,
    indexed: Option<MessageId>,
    folded: i64,
) -> rusqlite::Result<()> {
    let mut partner =
        transaction.prepare_cached("INSERT OR IGNORE INTO partners VALUES (?1, ?2), (?2, ?1)")?;
    for (list, ids) in &lists.0 {
        postings::append(transaction, *list, ids)?;
        if let Some((one, other)) = list.pair() {
            partner.execute([one, other])?;
        }
    }
    let mut keys: Vec<_> = rows.filter_map(|row| Some((row.sender, row.key.as_deref()?, row.id))).collect();
    keys.sort_unstable();
    let mut insert = transaction.prepare_cached("INSERT INTO keys VALUES (?1, ?2, ?3)")?;
    for (sender, key, id) in keys {
        insert.execute(params![sender.0, key, id.0.cast_signed()])?;
    }
    let mut passed: Vec<_> = cursors.map(|cursor| cursor.passed).collect();
    passed.sort_unstable_by_key(|passed| (passed.user, passed.upto));
    let mut insert = transaction.prepare_cached("INSERT INTO passed VALUES (?1, ?2, ?3)")?;
    for Passed { user, upto, at } in passed {
        insert.execute(params![user.0, upto.0.cast_signed(), at.0])?;
    }
    let mut replace =
        transaction.prepare_cached("INSERT OR REPLACE INTO inboxes VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (user, inbox) in changed {
        let row = [
            i64::from(user.0),
            inbox.upto.cast_signed(),
            inbox.taken.cast_signed(),
            inbox.received.cast_signed(),
            inbox.last.cast_signed(),
        ];
        replace.execute(row)?;
    }
    let indexed = indexed.map(|id| id.0.cast_signed());
    transaction
        .prepare_cached("UPDATE state SET indexed = coalesce(?1, indexed), folded = ?2")?
        .execute(params![indexed, folded])?;
    Ok(())
}
