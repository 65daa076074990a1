//! Posting lists: the numbers of the messages of each inbox, room and conversation.
//!
//! Those up to `state.merged` are in [`blocks`], sorted by list. Those after it are in [`runs`], one for each batch, each
//! sorted by list: a batch is written in one piece, wherever its lists are in the blocks. Now and then all runs are
//! [merged](super::merge) into the blocks.

use std::ops::ControlFlow;

use rusqlite::Connection;

use super::{blocks, ops::NameId, runs};
use crate::store::MessageId;

/// `other` of what was sent to one.
const SENT: i64 = -1;

/// `other` of a list of names: the least there is.
pub(super) const PARTNERS: i64 = -2;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct List {
    pub(super) one: i64,
    pub(super) other: i64,
}

impl List {
    /// What was sent to a user or a room.
    pub(super) fn to(recipient: NameId) -> Self {
        List { one: i64::from(recipient.0), other: SENT }
    }

    /// What two users sent to each other.
    pub(super) fn between(a: NameId, b: NameId) -> Self {
        List { one: i64::from(a.min(b).0), other: i64::from(a.max(b).0) }
    }

    /// With whom a user has exchanged messages: [`Partner`]s. In runs only; after a merge they are in `partners`.
    pub(super) fn partners(user: NameId) -> Self {
        List { one: i64::from(user.0), other: PARTNERS }
    }

    /// The users of a conversation; `None` if it is none.
    pub(super) fn pair(self) -> Option<(NameId, NameId)> {
        (self.other >= 0).then_some((name(self.one), name(self.other)))
    }

    /// To whom its messages were sent; `None` if it is another list.
    pub(super) fn recipient(self) -> Option<NameId> {
        (self.other == SENT).then_some(name(self.one))
    }

    /// Whose partners it has; `None` if it is another list.
    pub(super) fn partners_of(self) -> Option<NameId> {
        (self.other == PARTNERS).then_some(name(self.one))
    }
}

/// A name in a list of partners, where numbers begin with 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partner(pub(super) NameId);

impl From<u64> for Partner {
    fn from(number: u64) -> Self {
        Partner(NameId(u32::try_from(number.wrapping_sub(1)).unwrap_or(u32::MAX)))
    }
}

impl From<Partner> for u64 {
    fn from(partner: Partner) -> Self {
        u64::from(partner.0.0) + 1
    }
}

fn name(number: i64) -> NameId {
    NameId(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The last message that is in the blocks.
pub(super) fn merged(connection: &Connection) -> rusqlite::Result<MessageId> {
    let mut select = connection.prepare_cached("SELECT merged FROM state")?;
    select.query_row([], |row| row.get(0)).map(|id: i64| MessageId(id.cast_unsigned()))
}

/// Visits the numbers of a list after one, in order, until told to stop. To be called in a transaction.
pub(super) fn scan(
    connection: &Connection,
    list: List,
    after: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let merged = merged(connection)?;
    if after < merged {
        let mut over = false;
        let scanned = blocks::scan(connection, list, after, |id| {
            over = id > merged;
            if over { Ok(ControlFlow::Break(())) } else { visit(id) }
        })?;
        if scanned.is_break() && !over {
            return Ok(());
        }
    }
    for run in runs::after(connection, after.max(merged))? {
        for id in runs::find(connection, run, list)? {
            if id > after && visit(id)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Visits the numbers of a list before one, the greatest first, until told to stop. To be called in a transaction.
pub(super) fn scan_back(
    connection: &Connection,
    list: List,
    before: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let merged = merged(connection)?;
    if before.0 > merged.0 + 1 {
        let runs = runs::after(connection, merged)?;
        // A run has what comes after the one before it.
        let begins = std::iter::once(merged).chain(runs.iter().copied());
        let until = begins.take_while(|begin| begin.0 + 1 < before.0).count();
        for run in runs.into_iter().take(until).rev() {
            for id in runs::find(connection, run, list)?.into_iter().rev() {
                if id < before && visit(id)?.is_break() {
                    return Ok(());
                }
            }
        }
    }
    blocks::scan_back(connection, list, before.min(MessageId(merged.0 + 1)), visit)
}

/// With whom the user has exchanged messages. To be called in a transaction.
pub(super) fn partners(connection: &Connection, user: NameId) -> rusqlite::Result<Vec<NameId>> {
    let mut select = connection.prepare_cached("SELECT other FROM partners WHERE user = ?1")?;
    let mut all =
        select.query_map([user.0], |row| row.get(0).map(NameId))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for run in runs::after(connection, merged(connection)?)? {
        let lately = runs::find(connection, run, List::partners(user))?;
        all.extend(lately.into_iter().map(|number| Partner::from(number.0).0));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
