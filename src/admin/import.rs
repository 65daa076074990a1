//! `chat-server user import`: adds all users in a CSV file, or none.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
};

use csv::{ErrorKind, ReaderBuilder, StringRecord, WriterBuilder};
use thiserror::Error;
use zeroize::Zeroizing;

use super::user::{Candidate, PICKED_UP, UserError, all_users, decision_to_add};
use crate::{
    config::{Files, MaxHash},
    model::{Secret, UserName},
    users::{
        self, Decision, PasswordHash, Users,
        edit::{self, NewUser},
        password_policy,
    },
};

/// Why nobody was imported. The users file is unchanged, except with [`ImportError::Unprinted`].
#[derive(Debug, Error)]
pub enum ImportError {
    /// The users file or the store.
    #[error(transparent)]
    User(#[from] UserError),
    /// The CSV file cannot be read.
    #[error("{}: {cause}\n  remedy: name a CSV file, or - for standard input", path.display())]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A line of the CSV file is wrong.
    #[error("{file}:{line}: {problem}\n  nobody was added")]
    Line {
        /// As it was given.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The users were added, but their generated passwords were not printed.
    #[error(
        "all were added, but their new passwords could not be printed: {0}\n  remedy: give each another with: chat-server user passwd NAME"
    )]
    Unprinted(io::Error),
    /// The output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The columns of the header line, in any order.
const COLUMNS: [&str; 4] = ["username", "name", "country", "password"];

/// The alphabet of generated passwords, without characters that look alike. 16 of 32 are 80 bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The length of a generated password.
const GENERATED_LENGTH: usize = 16;

/// A user to add, whose password is not hashed yet.
struct Row {
    username: UserName,
    name: String,
    country: String,
    password: Proof,
    decision: Option<Decision>,
}

/// The password of a row.
enum Proof {
    /// The row has a hash.
    Hash(String),
    /// The row has a password in clear.
    Given(Secret),
    /// The row has none: this one was generated, and is printed.
    Generated(Secret),
}

/// Adds all users of a CSV file and prints the generated passwords.
///
/// The CSV reader's own buffers are not wiped: the program ends right after.
pub(super) fn import(files: &Files, max_hash: MaxHash, csv: &Path) -> Result<(), ImportError> {
    let unreadable = |cause| ImportError::Unreadable { path: csv.to_owned(), cause };
    let text = Zeroizing::new(read(csv).map_err(unreadable)?);
    let users = all_users(&files.users)?;
    // A spreadsheet may begin its file with a mark that it is UTF-8.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let rows = Import { files, max_hash, users: &users, csv, text }.rows()?;
    let people = hash_all(&rows);
    edit::add(&files.users, &people).map_err(UserError::from)?;
    print_generated(&rows).map_err(ImportError::Unprinted)?;
    // On standard error, because the passwords go to standard output.
    let count = people.len();
    Ok(writeln!(io::stderr(), "{}: {count} users were added; {PICKED_UP}", files.users.display())?)
}

fn read(csv: &Path) -> io::Result<Vec<u8>> {
    if csv != Path::new("-") {
        return fs::read(csv);
    }
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

/// What each row is checked against.
struct Import<'a> {
    files: &'a Files,
    max_hash: MaxHash,
    users: &'a Users,
    csv: &'a Path,
    text: &'a [u8],
}

impl Import<'_> {
    fn rows(&self) -> Result<Vec<Row>, ImportError> {
        let mut reader = ReaderBuilder::new().from_reader(self.text);
        let header = reader.headers().map_err(|error| self.unreadable(&error))?.clone();
        let place = |column| header.iter().position(|name| name.trim() == column);
        let places = COLUMNS.map(place);
        let [Some(username), Some(name), Some(country), Some(password)] = places else {
            return Err(self.wrong(1, "the first line has to be: username,name,country,password"));
        };
        if header.len() != COLUMNS.len() {
            return Err(self.wrong(1, "there are other columns than username,name,country,password"));
        }
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| self.unreadable(&error))?;
            let line = self.line(record.position());
            let in_order = [username, name, country, password].map(|place| &record[place]);
            let row = self.row(in_order).map_err(|problem| self.wrong(line, &problem.to_string()))?;
            if !seen.insert(row.username.clone()) {
                return Err(self.wrong(line, &format!("{} is there twice", row.username)));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn row(&self, [username, name, country, password]: [&str; 4]) -> Result<Row, UserError> {
        let name = if name.is_empty() { username } else { name };
        let candidate = Candidate { username, name, country };
        let username = candidate.check(self.users, &self.files.users)?;
        let decision = decision_to_add(self.files, self.users, &username, None)?;
        let password = if password.is_empty() {
            Proof::Generated(generate())
        } else if password.starts_with("$argon2id$") {
            let hash = PasswordHash::parse(password);
            let hash = hash.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if !hash.cost().is_within(self.max_hash) {
                return Err(UserError::Dear {
                    username,
                    max: self.max_hash,
                    remedy: hash.cost().allowed_by(),
                });
            }
            Proof::Hash(hash.as_str().to_owned())
        } else {
            let password = Secret::new(password.to_owned());
            password_policy::check(&username, &password)?;
            Proof::Given(password)
        };
        Ok(Row { username, name: name.to_owned(), country: country.to_owned(), password, decision })
    }

    fn wrong(&self, line: u64, problem: &str) -> ImportError {
        let file = self.csv.display().to_string();
        ImportError::Line { file, line, problem: problem.to_owned() }
    }

    /// The number of a record's first line. The reader's position includes the blank lines before the record.
    fn line(&self, position: Option<&csv::Position>) -> u64 {
        let at = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        let at = at.min(self.text.len());
        let blank = self.text[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        1 + memchr::memchr_iter(b'\n', &self.text[..at + blank]).count() as u64
    }

    /// The CSV reader's error, without any content of the file: it may be a password.
    fn unreadable(&self, error: &csv::Error) -> ImportError {
        let line = self.line(error.position());
        match error.kind() {
            ErrorKind::UnequalLengths { .. } => self.wrong(
                line,
                "not as many fields as in the first line; a field with a comma in it stands in quotes",
            ),
            ErrorKind::Utf8 { .. } => self.wrong(line, "this is not UTF-8; save the file as that"),
            _ => self.wrong(line, "this is not CSV"),
        }
    }
}

/// A random password.
fn generate() -> Secret {
    let mut bytes = Zeroizing::new([0; GENERATED_LENGTH]);
    // As for tokens and salts: there is nothing safe to do without randomness.
    getrandom::fill(&mut *bytes).expect("the system's randomness");
    Secret::new(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

/// Hashes the rows on all processors and keeps their order. Each hash takes tens of milliseconds.
fn hash_all(rows: &[Row]) -> Vec<NewUser> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = rows.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let shares: Vec<_> = rows
            .chunks(share)
            .map(|share| scope.spawn(|| share.iter().map(hashed).collect::<Vec<_>>()))
            .collect();
        shares.into_iter().flat_map(|share| share.join().expect("hashing does not panic")).collect()
    })
}

fn hashed(row: &Row) -> NewUser {
    let hash = match &row.password {
        Proof::Hash(hash) => hash.clone(),
        Proof::Given(password) | Proof::Generated(password) => users::hash(password).as_str().to_owned(),
    };
    NewUser {
        username: row.username.clone(),
        name: row.name.clone(),
        country: row.country.clone(),
        hash,
        decision: row.decision,
    }
}

/// Prints the generated passwords, as CSV.
fn print_generated(rows: &[Row]) -> io::Result<()> {
    let mut out = WriterBuilder::new().from_writer(io::stdout().lock());
    for row in rows {
        if let Proof::Generated(password) = &row.password {
            out.write_record(&StringRecord::from(vec![&*row.username, password.reveal()]))?;
        }
    }
    out.flush()
}
