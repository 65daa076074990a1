//! What makes committed messages findable: written in large sorted batches, off the way of a send.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rusqlite::params;

use super::{
    postings,
    state::{InboxCursor, NameId, Row},
};
use crate::store::MessageId;

/// What the index holds of one inbox: the row of `inboxes`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Indexed {
    pub(super) upto: u64,
    pub(super) taken: u64,
    pub(super) received: u64,
}

/// The rows of `inboxes` that change when these messages are indexed and these cursors folded in.
pub(super) fn fold<'a>(
    inboxes: &HashMap<NameId, Indexed>,
    rows: impl Iterator<Item = &'a Arc<Row>>,
    cursors: impl Iterator<Item = (NameId, InboxCursor)>,
) -> BTreeMap<NameId, Indexed> {
    let mut changed = BTreeMap::new();
    let current = |id: NameId| inboxes.get(&id).copied().unwrap_or_default();
    for row in rows {
        changed.entry(row.recipient).or_insert_with(|| current(row.recipient)).received += 1;
    }
    for (user, cursor) in cursors {
        let inbox = changed.entry(user).or_insert_with(|| current(user));
        (inbox.upto, inbox.taken) = (cursor.upto.0, cursor.taken);
    }
    changed
}

/// Writes what makes messages findable, sorted, so that neighbours go to the same pages.
pub(super) fn write_index<'a>(
    transaction: &rusqlite::Transaction<'_>,
    rows: impl Iterator<Item = &'a Arc<Row>> + Clone,
    changed: &BTreeMap<NameId, Indexed>,
    indexed: Option<MessageId>,
    folded: i64,
) -> rusqlite::Result<()> {
    let mut lists: BTreeMap<NameId, Vec<MessageId>> = BTreeMap::new();
    for row in rows.clone() {
        lists.entry(row.recipient).or_default().push(row.id);
    }
    for (recipient, ids) in lists {
        postings::append(transaction, recipient, &ids)?;
    }
    let mut keys: Vec<_> = rows.filter_map(|row| Some((row.sender, row.key.as_deref()?, row.id))).collect();
    keys.sort_unstable();
    let mut insert = transaction.prepare_cached("INSERT INTO keys VALUES (?1, ?2, ?3)")?;
    for (sender, key, id) in keys {
        insert.execute(params![sender.0, key, id.0.cast_signed()])?;
    }
    let mut replace = transaction.prepare_cached("INSERT OR REPLACE INTO inboxes VALUES (?1, ?2, ?3, ?4)")?;
    for (user, inbox) in changed {
        let row = [
            i64::from(user.0),
            inbox.upto.cast_signed(),
            inbox.taken.cast_signed(),
            inbox.received.cast_signed(),
        ];
        replace.execute(row)?;
    }
    let indexed = indexed.map(|id| id.0.cast_signed());
    transaction
        .prepare_cached("UPDATE state SET indexed = coalesce(?1, indexed), folded = ?2")?
        .execute(params![indexed, folded])?;
    Ok(())
}
