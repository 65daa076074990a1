//! Connections that load a server. They know neither what a command means nor what is measured.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::Barrier,
    time::{sleep, timeout},
};

use crate::{
    short_or_long,
    support::{CUT_OFF, SOON},
};

/// Priority of the threads, the lowest there is: the load shares the cores with the server and with the client that is measured.
const NICE: i32 = 19;

/// After this time, a connection that was closed comes again.
const PAUSE: Duration = Duration::from_secs(1);

/// Receive buffer of a connection that reads nothing, in bytes.
const SMALL: u32 = 2048;

/// What one connection of a load does. When it is closed, another one like it comes.
#[derive(Clone)]
pub(super) struct Attacker {
    /// Its address.
    pub(super) from: Ipv4Addr,
    pub(super) habit: Habit,
}

#[derive(Clone)]
pub(super) enum Habit {
    /// Sends these lines again and again, each time when all of them are answered.
    Repeat(String),
    /// Sends these lines and reads whatever comes.
    Listen(String),
    /// Sends these lines and reads nothing, until the server has lost its patience. In the short form, that takes too long: another
    /// connection comes soon.
    Ignore(String),
}

/// Connections at work until this is dropped.
pub(super) struct Load {
    counts: Arc<Counts>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Counts {
    /// Line ends that have come: two for each reply or event.
    line_ends: AtomicUsize,
    connections: AtomicUsize,
}

impl Load {
    /// Opens all connections, and lets them begin at the same time.
    pub(super) fn begin(server: SocketAddr, attackers: Vec<Attacker>) -> Self {
        let lower_priority = || {
            // On Linux, this is the priority of the calling thread.
            rustix::process::setpriority_process(None, NICE).expect("a lower one is always allowed");
        };
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).on_thread_start(lower_priority).enable_all().build();
        let (runtime, counts) = (runtime.expect("a runtime"), Arc::<Counts>::default());
        let all = Arc::new(Barrier::new(attackers.len() + 1));
        for attacker in attackers {
            runtime.spawn(attacker.work(server, all.clone(), counts.clone()));
        }
        runtime.block_on(async { timeout(SOON, all.wait()).await.expect("all connect") });
        Load { counts, _runtime: runtime }
    }

    /// Says what the load has done so far.
    pub(super) fn done(&self) -> String {
        let replies = self.counts.line_ends.load(Relaxed) / 2;
        format!("{} connections, {replies} replies and events", self.counts.connections.load(Relaxed))
    }
}

impl Attacker {
    async fn work(self, server: SocketAddr, all: Arc<Barrier>, counts: Arc<Counts>) {
        let mut stream = self.connect(server).await;
        all.wait().await;
        loop {
            if let Ok(stream) = stream {
                counts.connections.fetch_add(1, Relaxed);
                // However it ends, another one comes.
                self.habit.follow(stream, &counts.line_ends).await.ok();
            }
            sleep(PAUSE).await;
            stream = self.connect(server).await;
        }
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        if matches!(self.habit, Habit::Ignore(_)) {
            socket.set_recv_buffer_size(SMALL)?;
        }
        socket.connect(server).await
    }
}

impl Habit {
    /// Returns when the server closes the connection, or has had the time to do so.
    async fn follow(&self, mut stream: TcpStream, line_ends: &AtomicUsize) -> io::Result<()> {
        let (Habit::Repeat(lines) | Habit::Listen(lines) | Habit::Ignore(lines)) = self;
        stream.write_all(lines.as_bytes()).await?;
        if let Habit::Ignore(_) = self {
            sleep(short_or_long(Duration::from_millis(500), CUT_OFF + PAUSE)).await;
            return Ok(());
        }
        let each = 2 * count_lines(lines.as_bytes());
        let (mut left, mut input) = (each, [0; 4096]);
        loop {
            let read = match stream.read(&mut input).await? {
                0 => return Ok(()),
                length => count_lines(&input[..length]),
            };
            line_ends.fetch_add(read, Relaxed);
            left = left.saturating_sub(read);
            if left == 0 && matches!(self, Habit::Repeat(_)) {
                stream.write_all(lines.as_bytes()).await?;
                left = each;
            }
        }
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}
