//! Marks: how much the store held, in a small file beside the database.
//!
//! A write-ahead log that was cut, or a database that was replaced, looks sound by itself. The marks tell. They are written at most
//! once a second, after what they tell of is durable, and are not synced: what they say is a lower bound. A start on less is
//! refused.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use super::{OpenError, Options};
use crate::{
    files,
    model::{ClockTrust, Moment, Timestamp, Uptime, whole_ms},
};

/// Least time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// Time after which the time is noted, even if nothing was written.
pub(super) const NOTE_TIME: Duration = Duration::from_mins(1);

/// Size in bytes of one of the two slots of the file, which are written in turn: a write that is cut leaves the other one.
const SLOT: usize = 512;

/// What the store held, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    /// The random number in the database's table `file`.
    pub(super) file: [u8; 16],
    /// Whether what is told of was synced.
    pub(super) is_synced: bool,
    /// The number of the last message.
    pub(super) messages: u64,
    /// The greatest message number that was ever assigned. It is not assigned again, even if that message is lost.
    pub(super) assigned: u64,
    /// The number of the last row of `cursors`.
    pub(super) cursors: u64,
    /// Number of rows of `stays`.
    pub(super) stays: u64,
    /// Number of rows of `names`.
    pub(super) names: u64,
    /// The last time at which the store was open.
    pub(super) seen: Timestamp,
}

impl Marks {
    /// Reads the marks of a data folder; `None` if there are none that can be believed.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let mut text = Vec::new();
        File::open(path(folder)).ok()?.take(2 * SLOT as u64).read_to_end(&mut text).ok()?;
        Some(latest(&text)?.1)
    }

    /// What a database lacks that has `found`; `None` if it lacks nothing.
    pub(super) fn lack(&self, found: &Marks) -> Option<String> {
        let all = [
            ("messages", self.messages, found.messages),
            ("acknowledgements", self.cursors, found.cursors),
            ("stays in rooms", self.stays, found.stays),
            ("names", self.names, found.names),
        ];
        let (what, was, is) = all.into_iter().find(|(_, was, is)| is < was)?;
        Some(format!("it has {what} up to number {is}, but there were some up to number {was}"))
    }

    /// Verifies that a database has at least this much.
    ///
    /// # Errors
    /// [`OpenError::Lost`] if it has less, and the loss is not accepted.
    pub(super) fn verify(&self, found: &Marks, database: &Path, options: &Options) -> Result<(), OpenError> {
        // What was not synced may be lost.
        let counts = self.is_synced && found.is_synced;
        match self.lack(found).filter(|_| counts) {
            None => Ok(()),
            Some(lack) if options.accept_loss => {
                tracing::warn!(lack, "a loss is accepted");
                Ok(())
            }
            Some(lack) => Err(OpenError::Lost { path: database.to_owned(), lack }),
        }
    }

    fn line(&self, serial: u64) -> String {
        let Marks { file, is_synced, messages, assigned, cursors, stays, names, seen } = self;
        let file = u128::from_be_bytes(*file);
        let is_synced = u8::from(*is_synced);
        format!("{serial} {file:032x} {is_synced} {messages} {assigned} {cursors} {stays} {names} {}", seen.0)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("marks")
}

/// The slot that was written last, and its serial number.
fn latest(slots: &[u8]) -> Option<(u64, Marks)> {
    slots.chunks_exact(SLOT).filter_map(parse).max_by_key(|(serial, _)| *serial)
}

/// Reads a slot: a line, a space, and the line's checksum.
fn parse(slot: &[u8]) -> Option<(u64, Marks)> {
    let text = std::str::from_utf8(slot).ok()?.trim_end();
    let (line, crc) = text.rsplit_once(' ')?;
    if crc.parse() != Ok(crc32fast::hash(line.as_bytes())) {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let [serial, file, is_synced, messages, assigned, cursors, stays, names, seen] = words[..] else {
        return None;
    };
    let marks = Marks {
        file: u128::from_str_radix(file, 16).ok()?.to_be_bytes(),
        is_synced: is_synced == "1",
        messages: messages.parse().ok()?,
        assigned: assigned.parse().ok()?,
        cursors: cursors.parse().ok()?,
        stays: stays.parse().ok()?,
        names: names.parse().ok()?,
        seen: Timestamp(seen.parse().ok()?),
    };
    Some((serial.parse().ok()?, marks))
}

/// The marks of an open store.
pub(super) struct MarksFile(Mutex<State>);

struct State {
    file: Option<File>,
    serial: u64,
    written: Option<Instant>,
    marks: Marks,
    began: Instant,
    clock: ClockTrust,
}

impl MarksFile {
    /// Opens the marks of a data folder, whose database has `marks` now. `seen` is the last time at which the store was open.
    ///
    /// Without a file that can be written there are no marks.
    pub(super) fn open(folder: &Path, marks: Marks, seen: Option<Timestamp>) -> Self {
        let file = files::open_own(&path(folder)).inspect_err(|error| {
            tracing::warn!(%error, "the marks of the store cannot be written: a loss would not be noticed");
        });
        let mut before = Vec::new();
        let read = file.as_ref().map(|file| file.take(2 * SLOT as u64).read_to_end(&mut before));
        let serial = read.ok().and_then(|_| latest(&before)).map_or(0, |(serial, _)| serial);
        let now = Moment { at: Timestamp::from(SystemTime::now()), uptime: Uptime(0) };
        let clock = ClockTrust::new(seen, now);
        if let Some(seen) = seen.filter(|_| !clock.is_believed()) {
            warn_of_clock(now.at, seen);
        }
        let seen = seen.unwrap_or(now.at);
        let marks = Marks { seen, ..marks };
        MarksFile(Mutex::new(State {
            file: file.ok(),
            serial,
            written: None,
            marks,
            began: Instant::now(),
            clock,
        }))
    }

    /// Notes what has become durable: the last message, if there was one, a number of cursor steps, and the numbers of stays and
    /// names, if those are known.
    pub(super) fn advance(&self, message: Option<u64>, cursors: u64, others: Option<(u64, u64)>) {
        let mut state = self.lock();
        state.marks.messages = state.marks.messages.max(message.unwrap_or(0));
        state.marks.assigned = state.marks.assigned.max(state.marks.messages);
        state.marks.cursors += cursors;
        if let Some((stays, names)) = others {
            (state.marks.stays, state.marks.names) = (stays, names);
        }
        if state.written.is_none_or(|at| at.elapsed() >= PAUSE) {
            state.write();
        }
    }

    /// Writes the marks, with the time.
    pub(super) fn write(&self) {
        self.lock().write();
    }

    /// Whether the clock is believed: old messages are not removed otherwise.
    pub(super) fn believes_clock(&self) -> bool {
        self.lock().observe().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl State {
    /// The time, if the clock is believed.
    fn observe(&mut self) -> Option<Timestamp> {
        let uptime = Uptime(whole_ms(self.began.elapsed()));
        let now = Moment { at: Timestamp::from(SystemTime::now()), uptime };
        let was_believed = self.clock.is_believed();
        let is_believed = self.clock.observe(now);
        if was_believed && !is_believed {
            warn_of_clock(now.at, self.marks.seen);
        }
        is_believed.then_some(now.at)
    }

    fn write(&mut self) {
        // A time that is not believed would be believed at the next start.
        if let Some(now) = self.observe() {
            self.marks.seen = now;
        }
        self.serial += 1;
        let line = self.marks.line(self.serial);
        let mut slot = format!("{line} {}", crc32fast::hash(line.as_bytes())).into_bytes();
        slot.resize(SLOT - 1, b' ');
        slot.push(b'\n');
        let place = (self.serial % 2) * SLOT as u64;
        if let Some(file) = &self.file {
            // Without it, the marks are older: a lower bound still.
            file.write_all_at(&slot, place).ok();
        }
        self.written = Some(Instant::now());
    }
}

fn warn_of_clock(now: Timestamp, seen: Timestamp) {
    tracing::warn!(
        %now, %seen,
        "the clock is more than a day ahead of the last time that the store has seen: expired sessions are refused but kept, and \
         no old messages are removed, until the server has run for 24 hours; remedy: set the clock right, or restart with --trust-clock"
    );
}

/// Since this version, a database has a table `file`.
const HAS_NUMBER: i64 = 4;

/// The random number in the database's table `file`, according to the database alone, without its write-ahead log; `None` if it
/// should have one that cannot be read.
fn number_without_log(database: &Path) -> rusqlite::Result<Option<[u8; 16]>> {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt};
    let absolute = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            byte => write!(uri, "%{byte:02x}").expect("a string takes all"),
        }
    }
    uri.push_str("?immutable=1");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY
        | rusqlite::OpenFlags::SQLITE_OPEN_URI
        | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(uri, flags)?;
    // A checkpoint writes the first page first, which has the number of pages. If the process died in the middle, the file is shorter
    // than that. SQLite then reads nothing of it without its log, except with this.
    connection.pragma_update(None, "writable_schema", true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match connection.query_row("SELECT id FROM file", [], |row| row.get(0)) {
        Err(_) if version >= HAS_NUMBER => Ok(None),
        number => number.map(Some),
    }
}

/// Refuses a write-ahead log that another database has left beside this one: SQLite would mix them.
///
/// # Errors
/// [`OpenError::ForeignLog`].
pub(super) fn refuse_foreign_log(database: &Path, log: &Path, marks: &Marks) -> Result<(), OpenError> {
    let has_log = std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    // What was not synced may be anything after a power cut.
    if !marks.is_synced || !has_log {
        return Ok(());
    }
    match number_without_log(database) {
        Ok(Some(number)) if number == marks.file => Ok(()),
        // A power cut has torn a page that a checkpoint was writing. The log has all of it.
        Ok(None) => Ok(()),
        _ => Err(OpenError::ForeignLog { path: log.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written_and_a_cut_write_leaves_those_before() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Marks::read(folder.path()), None);
        let first = Marks {
            file: [9; 16],
            is_synced: true,
            messages: 7,
            cursors: 3,
            stays: 2,
            names: 4,
            ..Marks::default()
        };
        let file = MarksFile::open(folder.path(), first, None);
        file.write();
        assert!(file.believes_clock());
        let read = Marks::read(folder.path()).expect("marks");
        assert_eq!(Marks { seen: Timestamp(0), ..read }, first);
        assert!(read.seen > Timestamp(0));
        // The first of these is written at once, the others within the same second are not.
        for id in [8, 9, 10] {
            file.lock().written = (id == 9).then(Instant::now);
            file.advance(Some(id), 1, None);
        }
        let last = Marks::read(folder.path()).expect("marks");
        assert_eq!((last.messages, last.cursors, last.stays), (10, 6, 2));
        // The last write was cut.
        let raw = files::open_own(&path(folder.path())).expect("the file");
        raw.write_all_at(b"\0\0\0\0", (file.lock().serial % 2) * SLOT as u64).expect("written");
        assert_eq!(Marks::read(folder.path()).expect("marks").messages, 8);
        // The first write after a start counts, whatever the clock says and however much there was before.
        file.lock().serial = u64::MAX / 2;
        file.write();
        MarksFile::open(folder.path(), first, None).write();
        assert_eq!(Marks::read(folder.path()).expect("marks").messages, 7);
        let now = Marks { messages: 9, cursors: 5, ..first };
        assert!(last.lack(&now).expect("less").contains("messages up to number 9"), "{last:?}");
        assert_eq!(first.lack(&now), None);
    }

    /// As it is when the process died in the middle of a checkpoint.
    #[test]
    fn a_checkpoint_that_was_cut_makes_no_other_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, log) = (folder.path().join("chat.db"), folder.path().join("chat.db-wal"));
        drop(super::super::schema::open(&database, super::super::Durable::Fsync).expect("made"));
        let own = Marks {
            file: number_without_log(&database).expect("read").expect("a number"),
            is_synced: true,
            ..Marks::default()
        };
        std::fs::write(&log, "not empty").expect("written");
        let file = File::options().read(true).write(true).open(&database).expect("there");
        // The number of pages, in the first page.
        file.write_all_at(&10_000_u32.to_be_bytes(), 28).expect("written");
        assert!(refuse_foreign_log(&database, &log, &own).is_ok());
        assert!(refuse_foreign_log(&database, &log, &Marks { file: [1; 16], ..own }).is_err());
        // The second half of the first page.
        file.write_all_at(&[0; 4096], 4096).expect("written");
        assert!(refuse_foreign_log(&database, &log, &own).is_ok());
    }
}
