//! Posting lists: the numbers of the messages of each inbox, room and conversation.
//!
//! Numbers up to `state.merged` are in [`blocks`], one table sorted by list. Later ones are in [`runs`], one for each batch,
//! each sorted by list: a batch is written in one piece, wherever its lists are in the blocks. From time to time all runs
//! are [merged](super::merge) into the blocks.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row as SqlRow};

use super::{
    blocks,
    list::{List, Partner},
    row_crc, runs,
};
use crate::{model::MessageId, store::front::ops::NameId};

/// Returns `state.merged`: the last message that is in the blocks.
pub(super) fn merged(connection: &Connection) -> rusqlite::Result<MessageId> {
    let sql = "SELECT merged, crc = row_crc(indexed, folded, merged) FROM state";
    connection.prepare_cached(sql)?.query_row([], |row| {
        row_crc::verify(row, 1, "state")?;
        Ok(MessageId(row.get::<_, i64>(0)?.cast_unsigned()))
    })
}

/// Visits the numbers of a list that are greater than `after`, ascending, until `visit` breaks.
///
/// To be called in a transaction, because it reads several tables.
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

/// Visits the numbers of a list that are less than `before`, descending, until `visit` breaks.
///
/// To be called in a transaction, because it reads several tables.
pub(super) fn scan_back(
    connection: &Connection,
    list: List,
    before: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let merged = merged(connection)?;
    if before.0 > merged.0 + 1 {
        let runs = runs::after(connection, merged)?;
        // A run has the numbers after the last one of the run before it.
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

/// Returns the users with whom `user` has exchanged indexed messages. To be called in a transaction.
pub(super) fn partners(connection: &Connection, user: NameId) -> rusqlite::Result<Vec<NameId>> {
    let mut select = connection
        .prepare_cached("SELECT other, crc = row_crc(user, other) FROM partners WHERE user = ?1")?;
    let partner = |row: &SqlRow<'_>| {
        row_crc::verify(row, 1, "partners")?;
        row.get(0).map(NameId)
    };
    let mut all = select.query_map([user.0], partner)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for run in runs::after(connection, merged(connection)?)? {
        let lately = runs::find(connection, run, List::partners(user))?;
        all.extend(lately.into_iter().map(|number| Partner::from(number.0).0));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
