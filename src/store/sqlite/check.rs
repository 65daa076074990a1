//! `chat-server check`: verifies the structure of a database, every checksum, and that its tables agree with each other.

mod ends;
mod index;
mod loss;

use std::{collections::HashMap, path::Path};

use rusqlite::{Connection, Row, Transaction};

use self::ends::Ends;
use super::{
    OpenError,
    marks::Marks,
    postings,
    reader::{COLUMNS, StoredRow},
    row_crc, schema,
};
use crate::{model::Recipient, store::front::ops::NameId};

/// Most problems that a report lists; further ones are only counted.
const MAX_LISTED: usize = 100;

/// Result of a check: what is in the database, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of stored messages.
    pub messages: u64,
    /// Number of those that were sent to a user and are still in that user's inbox.
    pub waiting: u64,
    /// Number of rooms.
    pub rooms: usize,
    /// Number of users whose name the store has, because they have sent or received a message, joined a room or logged in.
    pub users: usize,
    /// Number of sessions.
    pub sessions: u64,
    /// Number of messages that do not match their checksums.
    pub damaged_messages: u64,
    /// The first hundred problems, one line each.
    pub problems: Vec<String>,
    /// Number of further problems.
    pub more_problems: u64,
}

impl Report {
    fn problem(&mut self, what: String) {
        if self.problems.len() < MAX_LISTED {
            self.problems.push(what);
        } else {
            self.more_problems += 1;
        }
    }
}

/// What the tables say about the messages to one user or room.
#[derive(Default, Clone)]
struct Tally {
    is_room: bool,
    upto: u64,
    taken: u64,
    received: u64,
    /// Rows of `messages` up to `state.indexed`.
    indexed: u64,
    /// Rows of `messages` after `state.indexed`.
    unindexed: u64,
    /// Entries in the recipient's posting list.
    entries: u64,
    /// Entries in the posting lists of conversations.
    conversed: u64,
    /// Messages after the cursor: entries in the posting list, and rows that are not indexed.
    waiting: u64,
}

/// Checks the database at `path`: reads all of it in one read transaction, so a server may be using it.
///
/// # Errors
/// If there is no database of this program's version at `path`. Damage to its contents is no error: it is in the report.
pub fn check(path: &Path) -> Result<Report, OpenError> {
    let mut connection = schema::open_to_inspect(path)?;
    if schema::version(&connection)? < schema::VERSION {
        return Err(OpenError::Older);
    }
    let transaction = connection.transaction()?;
    let mut report = inspect(&transaction);
    if let Some(marks) = path.parent().and_then(Marks::read) {
        loss::compare(&transaction, &marks, &mut report);
    }
    Ok(report)
}

/// Verifies at start that the tables agree with each other, so that no message gets into a list where it does not belong. A message
/// that does not match its checksum is no reason not to start: it is never delivered.
///
/// # Errors
/// [`OpenError::Corrupt`] with the first problem.
pub(super) fn verify_lists(connection: &mut Connection) -> Result<(), OpenError> {
    let report = inspect(&connection.transaction()?);
    if report.damaged_messages > 0 {
        tracing::error!(
            messages = report.damaged_messages,
            "some messages are damaged, and are not delivered: run `chat-server check`"
        );
    }
    let others = report.problems.len() as u64 + report.more_problems - report.damaged_messages;
    let first = report.problems.into_iter().find(|problem| !problem.ends_with(DAMAGED_MESSAGE));
    if others == 0 { Ok(()) } else { Err(OpenError::Corrupt(first.unwrap_or_default())) }
}

/// End of a problem that concerns one message alone.
const DAMAGED_MESSAGE: &str = "does not match its checksum";

/// Reads everything, and compares it.
fn inspect(transaction: &Transaction<'_>) -> Report {
    let mut report = Report::default();
    let parts: [(&str, Part<'_>); 10] = [
        ("the structure", Check::structure),
        ("names", Check::names),
        ("messages", Check::messages),
        ("the index's blocks", Check::blocks),
        ("the index's runs", Check::runs),
        ("rooms", Check::rooms),
        ("keys", Check::keys),
        ("sessions", Check::sessions),
        ("users", Check::people),
        ("read markers", Check::markers),
    ];
    let mut check =
        Check { transaction, indexed: 0, merged: 0, folded: 0, names: Vec::new(), ends: Ends::default() };
    for (what, part) in parts {
        if let Err(error) = part(&mut check, &mut report) {
            report.problem(format!("{what} cannot be read: {error}"));
        }
    }
    check.checksums(&mut report);
    check.inboxes(&mut report);
    report.users = check.names.iter().filter(|name| !name.is_room).count();
    report.rooms = check.names.len() - report.users;
    report.waiting = check.names.iter().filter(|name| !name.is_room).map(|inbox| inbox.waiting).sum();
    report
}

type Part<'a> = fn(&mut Check<'a>, &mut Report) -> rusqlite::Result<()>;

struct Check<'a> {
    transaction: &'a Transaction<'a>,
    indexed: u64,
    merged: u64,
    folded: i64,
    /// One tally for each name; the index is the name's number.
    names: Vec<Tally>,
    ends: Ends,
}

impl Check<'_> {
    fn structure(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare("PRAGMA integrity_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let said: String = row.get(0)?;
            if said != "ok" {
                report.problem(format!("structure: {said}"));
            }
        }
        let (indexed, folded): (i64, i64) =
            self.transaction
                .query_row("SELECT indexed, folded FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        (self.indexed, self.folded) = (indexed.cast_unsigned(), folded);
        self.merged = postings::merged(self.transaction)?.0;
        if self.merged > self.indexed {
            report.problem(format!("message {} is merged but not indexed", self.merged));
        }
        Ok(())
    }

    fn checksums(&self, report: &mut Report) {
        for (table, columns) in row_crc::TABLES {
            let sql = format!("SELECT count(*) FROM {table} WHERE crc IS NOT row_crc({columns})");
            match self.transaction.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
                Ok(0) => {}
                Ok(wrong) => report.problem(format!("{wrong} rows of {table} do not match their checksums")),
                Err(error) => report.problem(format!("{table} cannot be read: {error}")),
            }
        }
    }

    fn names(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare("SELECT id, name FROM names ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, name): (i64, String) = (row.get(0)?, row.get(1)?);
            let parsed = Recipient::parse(&name);
            if parsed.is_none() {
                report.problem(format!("name {id} is not a valid name: {name:?}"));
            }
            if usize::try_from(id) != Ok(self.names.len()) {
                report.problem(format!("name {id} is where name {} should be", self.names.len()));
            }
            let is_room = parsed.is_some_and(|name| name.room().is_some());
            self.names.push(Tally { is_room, ..Tally::default() });
        }
        Ok(())
    }

    fn user(&mut self, id: NameId, what: &str, report: &mut Report) -> Option<&mut Tally> {
        let found = self.names.get_mut(id.index());
        if found.is_none() {
            report.problem(format!("{what} belongs to name {}, which does not exist", id.0));
        }
        found
    }

    fn messages(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let cursors = self.cursors(report)?;
        let mut statement =
            self.transaction.prepare(&format!("SELECT {COLUMNS} FROM messages m ORDER BY m.id"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.messages += 1;
            let row = match StoredRow::read(row) {
                Ok(row) => row,
                Err(error) => {
                    report.problem(error.to_string());
                    report.damaged_messages += 1;
                    // What the lists have of it is compared with what the row says, which need not be what is damaged.
                    self.count_damaged(row, &cursors);
                    continue;
                }
            };
            self.ends.put(row.id, (row.sender, row.recipient));
            let indexed = row.id.0 <= self.indexed;
            let what = format!("message {}", row.id.0);
            self.user(row.sender, &what, report);
            let Some(inbox) = self.user(row.recipient, &what, report) else {
                continue;
            };
            if indexed {
                inbox.indexed += 1;
            } else {
                inbox.unindexed += 1;
                let upto = cursors.get(&row.recipient).copied().unwrap_or_default();
                inbox.waiting += u64::from(row.id.0 > upto);
            }
        }
        Ok(())
    }

    /// Counts a damaged message where its row says.
    fn count_damaged(&mut self, row: &Row<'_>, cursors: &HashMap<NameId, u64>) {
        let (Ok(id), Ok(recipient)) = (row.get::<_, i64>(0).map(i64::cast_unsigned), row.get(3).map(NameId))
        else {
            return;
        };
        if let Some(inbox) = self.names.get_mut(recipient.index()) {
            let upto = cursors.get(&recipient).copied().unwrap_or_default();
            if id <= self.indexed {
                inbox.indexed += 1;
            } else {
                inbox.unindexed += 1;
                inbox.waiting += u64::from(id > upto);
            }
        }
    }

    /// Reads the cursors into the tallies, and reports those that move back.
    ///
    /// Returns the last acknowledged message of each inbox.
    fn cursors(&mut self, report: &mut Report) -> rusqlite::Result<HashMap<NameId, u64>> {
        let mut statement = self.transaction.prepare(
            "SELECT user, upto, taken, received, -1 FROM inboxes \
             UNION ALL SELECT * FROM (SELECT user, upto, taken, NULL, seq FROM cursors WHERE seq > ?1 ORDER BY seq)",
        )?;
        let mut rows = statement.query([self.folded])?;
        while let Some(row) = rows.next()? {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let (user, upto, taken) = (NameId(row.get(0)?), number(1)?, number(2)?);
            let received: Option<i64> = row.get(3)?;
            let Some(inbox) = self.user(user, "a cursor", report) else {
                continue;
            };
            let back = upto < inbox.upto || taken < inbox.taken;
            (inbox.upto, inbox.taken) = (upto, taken);
            inbox.received = received.map_or(inbox.received, i64::cast_unsigned);
            if back {
                report.problem(format!("a cursor of name {} moves back", user.0));
            }
        }
        let all = self.names.iter().zip(0..);
        Ok(all.map(|(inbox, id)| (NameId(id), inbox.upto)).collect())
    }

    /// Compares what the other parts have counted for each inbox.
    fn inboxes(&self, report: &mut Report) {
        for (inbox, id) in self.names.iter().zip(0_u32..) {
            if inbox.entries != inbox.indexed {
                report.problem(format!(
                    "the index of name {id} has {} messages, but the table has {}",
                    inbox.entries, inbox.indexed
                ));
            }
            if inbox.is_room {
                continue;
            }
            if inbox.conversed != inbox.indexed {
                report.problem(format!(
                    "the conversations of name {id} have {} messages, but the table has {}",
                    inbox.conversed, inbox.indexed
                ));
            }
            let due = (inbox.received + inbox.unindexed).checked_sub(inbox.taken);
            if due != Some(inbox.waiting) {
                report.problem(format!(
                    "{} messages wait for name {id}, but {} were received and {} acknowledged",
                    inbox.waiting,
                    inbox.received + inbox.unindexed,
                    inbox.taken
                ));
            }
        }
    }

    fn rooms(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self
            .transaction
            .prepare("SELECT room, user, began, until FROM stays ORDER BY room, user, began")?;
        let mut rows = statement.query([])?;
        let mut last: Option<(NameId, NameId, Option<i64>)> = None;
        while let Some(row) = rows.next()? {
            let (room, user) = (NameId(row.get(0)?), NameId(row.get(1)?));
            let (began, until): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
            if self.user(room, "a stay", report).is_some_and(|room| !room.is_room)
                || self.user(user, "a stay", report).is_some_and(|user| user.is_room)
            {
                report.problem(format!(
                    "there is a stay of name {} in name {}, which are not a user and a room",
                    user.0, room.0
                ));
            }
            let overlaps = last.is_some_and(|(r, u, until)| {
                (r, u) == (room, user) && until.is_none_or(|until| until > began)
            });
            if overlaps || until.is_some_and(|until| until < began) {
                report.problem(format!(
                    "the stays of name {} in name {} overlap or end before they begin",
                    user.0, room.0
                ));
            }
            last = Some((room, user, until));
        }
        Ok(())
    }

    fn keys(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let wrong = "SELECT k.id FROM keys k LEFT JOIN messages m ON m.id = k.id \
                     WHERE m.id IS NULL OR m.sender <> k.sender OR m.key IS NOT k.key";
        // A new owner of a name may use a key of the previous owner again: the last message has it.
        let missing = "SELECT m.id FROM messages m LEFT JOIN keys k ON k.sender = m.sender AND k.key = m.key \
                       WHERE m.key IS NOT NULL AND m.id <= ?1 AND (k.id IS NULL OR k.id < m.id)";
        for (sql, parameter) in [(wrong, None), (missing, Some(self.indexed.cast_signed()))] {
            let mut statement = self.transaction.prepare(sql)?;
            let mut rows = match parameter {
                None => statement.query([])?,
                Some(parameter) => statement.query([parameter])?,
            };
            while let Some(row) = rows.next()? {
                report.problem(format!("the key of message {} is missing or wrong", row.get::<_, i64>(0)?));
            }
        }
        Ok(())
    }

    fn people(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        for table in ["people", "trusted"] {
            let mut statement = self.transaction.prepare(&format!("SELECT user FROM {table}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let user = NameId(row.get(0)?);
                if self.user(user, "what is noted of a user", report).is_some_and(|user| user.is_room) {
                    report.problem(format!("name {} is a room, but noted as a user", user.0));
                }
            }
        }
        Ok(())
    }

    fn markers(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare("SELECT user, other FROM markers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let user = NameId(row.get(0)?);
            self.user(NameId(row.get(1)?), "a read marker", report);
            if self.user(user, "a read marker", report).is_some_and(|user| user.is_room) {
                report.problem(format!("name {} is a room, but has a read marker", user.0));
            }
        }
        Ok(())
    }

    fn sessions(&mut self, report: &mut Report) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare("SELECT user, length(digest) FROM sessions")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.sessions += 1;
            self.user(NameId(row.get(0)?), "a session", report);
            if row.get::<_, i64>(1)? != 32 {
                report.problem("the digest of a session does not have 32 bytes".to_owned());
            }
        }
        Ok(())
    }
}
