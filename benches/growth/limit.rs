//! What this machine could do at most: servers that do one thing only, and SQLite without a server. Each is a process.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use rusqlite::{Connection, Transaction};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
    sync::oneshot,
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
    /// Answers each line when it is synced in a file.
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
    let file = match kind {
        Kind::Null => None,
        _ => Some(File::create(folder.join("log"))?),
    };
    let log = file.map(Log::new);
    let shared = Arc::new(Shared { log, others: (kind == Kind::FanOut).then(Mutex::default) });
    Builder::new_multi_thread().enable_all().build()?.block_on(serve(&shared))
}

struct Shared {
    log: Option<Log>,
    others: Option<Mutex<Vec<Arc<OwnedWriteHalf>>>>,
}

async fn serve(shared: &Arc<Shared>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "limit listens on {}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &shared).await {
                writeln!(io::stderr(), "limit: {error}").ok();
            }
        });
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> Result<()> {
    let (reader, writer) = stream.into_split();
    if let Some(others) = &shared.others {
        let writer = Arc::new(writer);
        others.lock().expect("nobody panics").push(writer.clone());
        return tell_others(reader, &writer, shared).await;
    }
    let (mut reader, mut writer) = (reader, writer);
    let mut input = Vec::with_capacity(64 * 1024);
    while reader.read_buf(&mut input).await? > 0 {
        let lines = memchr::memchr_iter(b'\n', &input).count();
        if let Some(log) = &shared.log {
            log.append(&input).await?;
        }
        input.clear();
        writer.write_all(&SENT.repeat(lines)).await?;
    }
    Ok(())
}

/// One line at a time: synced, answered, and written to all other connections as an event.
async fn tell_others(mut reader: OwnedReadHalf, own: &Arc<OwnedWriteHalf>, shared: &Shared) -> Result<()> {
    let mut input = Vec::with_capacity(64 * 1024);
    while reader.read_buf(&mut input).await? > 0 {
        if !input.ends_with(b"\n") {
            continue;
        }
        if let Some(log) = &shared.log {
            log.append(&input).await?;
        }
        let line = String::from_utf8_lossy(&input);
        let text = line.trim_end().splitn(3, ' ').last().unwrap_or_default();
        let event = format!(
            "{{\"event\": \"message\", \"id\": 1, \"at\": \"2026-01-01T00:00:00.000Z\", \"from\": \"u0\", \
             \"to\": \"#room\", \"msg_from\": \"u0\", \"msg_to\": \"#room\", \"msg\": \"{text}\"}}\r\n\r\n"
        );
        let others = shared.others.iter().flat_map(|others| others.lock().expect("nobody panics").clone());
        for other in others {
            let bytes = if Arc::ptr_eq(&other, own) { SENT } else { event.as_bytes() };
            if other.try_write(bytes)? < bytes.len() {
                return Err("a watcher does not read".into());
            }
        }
        input.clear();
    }
    Ok(())
}

/// More than there are connections: nobody waits for a place.
const QUEUE: usize = 64 * 1024;

/// One thread appends what has come from all connections, and syncs it once for all.
struct Log {
    queue: mpsc::SyncSender<(Vec<u8>, oneshot::Sender<()>)>,
}

impl Log {
    fn new(mut file: File) -> Self {
        let (queue, queued) = mpsc::sync_channel::<(Vec<u8>, oneshot::Sender<()>)>(QUEUE);
        thread::spawn(move || {
            let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
            while let Ok(first) = queued.recv() {
                for (part, done) in std::iter::once(first).chain(queued.try_iter()) {
                    bytes.extend(part);
                    waiting.push(done);
                }
                file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk works");
                bytes.clear();
                for done in waiting.drain(..) {
                    done.send(()).ok();
                }
            }
        });
        Log { queue }
    }

    async fn append(&self, bytes: &[u8]) -> Result<()> {
        let (done, synced) = oneshot::channel();
        self.queue.send((bytes.to_vec(), done))?;
        Ok(synced.await?)
    }
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
