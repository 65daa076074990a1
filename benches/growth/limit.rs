//! What this machine could do at most: servers that do one thing only, and SQLite without a server. Each is a process.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use rusqlite::{Connection, Transaction};
use tokio::{
    io::AsyncReadExt,
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
};

use crate::{
    bench::{Result, float},
    load::TEXT,
    wire::SENT,
};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Answers each line.
    Null,
    /// Answers each line when it is synced in a file, many lines by one sync.
    Fsync,
    /// The same, and then writes it to all other connections.
    FanOut,
    /// No server: inserts rows into an SQLite database.
    Sqlite,
}

impl Kind {
    /// As it is said in an argument.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Fsync => "fsync",
            Kind::FanOut => "fan-out",
            Kind::Sqlite => "sqlite",
        }
    }
}

/// Is that limit until it is killed, or for so long.
pub(crate) fn run(kind: Kind, folder: &Path, rows: usize, secs: f64) -> Result<()> {
    if kind == Kind::Sqlite {
        return insert_rows(folder, rows, Duration::try_from_secs_f64(secs)?);
    }
    let others = Arc::new(Mutex::default());
    let log = match kind {
        Kind::Null => None,
        _ => {
            Some(write_log(File::create(folder.join("log"))?, (kind == Kind::FanOut).then(|| others.clone())))
        }
    };
    Builder::new_multi_thread().enable_all().build()?.block_on(serve(log, others))
}

/// Where to write to each connection.
type Connections = Arc<Mutex<Vec<Arc<OwnedWriteHalf>>>>;

/// What a connection has sent.
type Sent = (Vec<u8>, Arc<OwnedWriteHalf>);

/// More than there are connections: nobody waits for a place.
const QUEUE: usize = 64 * 1024;

async fn serve(log: Option<SyncSender<Sent>>, connections: Connections) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "limit listens on {}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let writer = Arc::new(writer);
        connections.lock().expect("nobody panics").push(writer.clone());
        tokio::spawn(converse(reader, writer, log.clone()));
    }
}

async fn converse(mut reader: OwnedReadHalf, writer: Arc<OwnedWriteHalf>, log: Option<SyncSender<Sent>>) {
    let mut input = Vec::with_capacity(64 * 1024);
    while reader.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
        match &log {
            None => answer(&writer, &input),
            Some(log) => log.send((input.clone(), writer.clone())).expect("the thread runs"),
        }
        input.clear();
    }
}

/// Nobody else is told of this: whoever is answered it is among those who are told of what comes.
pub(crate) const PING: &[u8] = b"ping";

/// One thread appends what has come from all connections, syncs it once for all, and answers. If there are others, each
/// has to be told of it.
fn write_log(mut file: File, others: Option<Connections>) -> SyncSender<Sent> {
    let (queue, queued) = sync_channel::<Sent>(QUEUE);
    thread::spawn(move || {
        let (mut bytes, mut parts) = (Vec::new(), Vec::new());
        while let Ok(first) = queued.recv() {
            for part in std::iter::once(first).chain(queued.try_iter()) {
                bytes.extend(&part.0);
                parts.push(part);
            }
            if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
                give_up(&error.to_string());
            }
            bytes.clear();
            for (part, from) in parts.drain(..) {
                answer(&from, &part);
                if let Some(others) = others.as_ref().filter(|_| !part.starts_with(PING)) {
                    tell(&others.lock().expect("nobody panics"), &from, &part);
                }
            }
        }
    });
    queue
}

fn answer(writer: &OwnedWriteHalf, lines: &[u8]) {
    write(writer, &SENT.repeat(memchr::memchr_iter(b'\n', lines).count()));
}

/// Writes a line to all others, as an event.
fn tell(connections: &[Arc<OwnedWriteHalf>], from: &Arc<OwnedWriteHalf>, line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let text = line.trim_end().splitn(3, ' ').last().unwrap_or_default();
    let event = format!(
        "{{\"event\": \"message\", \"id\": 1, \"at\": \"2026-01-01T00:00:00.000Z\", \"from\": \"u0\", \
         \"to\": \"#room\", \"msg_from\": \"u0\", \"msg_to\": \"#room\", \"msg\": \"{text}\"}}\r\n\r\n"
    );
    for other in connections.iter().filter(|other| !Arc::ptr_eq(other, from)) {
        write(other, event.as_bytes());
    }
}

/// Everybody reads what they are sent, so there is room for it.
fn write(writer: &OwnedWriteHalf, bytes: &[u8]) {
    match writer.try_write(bytes) {
        Ok(written) if written == bytes.len() => {}
        Ok(_) => give_up("a client does not read"),
        Err(error) => give_up(&error.to_string()),
    }
}

/// The clients see that their connections end.
fn give_up(reason: &str) -> ! {
    writeln!(io::stderr(), "limit: {reason}").ok();
    std::process::exit(1)
}

/// So many rows are inserted by one statement.
const AT_ONCE: usize = 32;

/// Inserts rows as the store has them, and tells how many it were in a second.
fn insert_rows(folder: &Path, rows: usize, time: Duration) -> Result<()> {
    let mut connection = Connection::open(folder.join("limit.db"))?;
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE messages (
            id INTEGER PRIMARY KEY, at INTEGER NOT NULL, sender INTEGER NOT NULL, recipient INTEGER NOT NULL,
            text TEXT NOT NULL, key TEXT, crc INTEGER NOT NULL)",
    )?;
    let began = Instant::now();
    let mut id = 0;
    let inserts = [AT_ONCE, rows % AT_ONCE].map(|rows| {
        format!("INSERT INTO messages VALUES {}", ["(?, ?, ?, ?, ?, ?, ?)"].repeat(rows).join(", "))
    });
    while began.elapsed() < time {
        let transaction = connection.transaction()?;
        for _ in 0..rows / AT_ONCE {
            insert(&transaction, &inserts[0], AT_ONCE, &mut id)?;
        }
        if !rows.is_multiple_of(AT_ONCE) {
            insert(&transaction, &inserts[1], rows % AT_ONCE, &mut id)?;
        }
        transaction.commit()?;
    }
    let rate = float(id.try_into()?) / began.elapsed().as_secs_f64();
    Ok(writeln!(io::stdout(), "{rate}")?)
}

fn insert(transaction: &Transaction<'_>, sql: &str, rows: usize, id: &mut i64) -> Result<()> {
    let mut insert = transaction.prepare_cached(sql)?;
    for row in 0..rows {
        *id += 1;
        let at = row * 7;
        insert.raw_bind_parameter(at + 1, *id)?;
        insert.raw_bind_parameter(at + 2, 1_750_000_000_000_i64)?;
        insert.raw_bind_parameter(at + 3, *id % 50)?;
        insert.raw_bind_parameter(at + 4, *id * 7919 % 1000)?;
        insert.raw_bind_parameter(at + 5, TEXT)?;
        insert.raw_bind_parameter(at + 6, None::<&str>)?;
        insert.raw_bind_parameter(at + 7, *id * 1_000_003 % 0xffff_ffff)?;
    }
    Ok(insert.raw_execute().map(drop)?)
}
