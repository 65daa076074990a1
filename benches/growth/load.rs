//! A closed loop: each connection has so many requests under way, and sends the next when one is answered.

use std::{cell::RefCell, collections::VecDeque, io::Write, net::SocketAddr, rc::Rc, time::Instant};

use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use crate::{
    bench::{Bench, Result, WARM_UP, float},
    wire::{SENT, Wire, closed, open_all, take_sent},
};

/// The text of each message, of 100 bytes.
pub(crate) const TEXT: &str =
    "a message of one hundred bytes, as people write them, with nothing special in it at all, and an end.";

/// What was measured.
pub(crate) struct Measured {
    /// Replies per second.
    pub(crate) rate: f64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    /// A percentile in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        percentile_ms(&self.latency, percentile)
    }
}

pub(crate) fn percentile_ms(latency: &Histogram<u64>, percentile: f64) -> f64 {
    float(latency.value_at_percentile(percentile)) / 1e6
}

/// Of up to a minute, to three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1000, 100_000_000_000, 3)?)
}

/// To whom messages go.
#[derive(Clone)]
pub(crate) enum To {
    /// To each of so many users, one after the other.
    Users(u64),
    /// To one user or room, with the time when it was due, in nanoseconds after this.
    Stamped(&'static str, Instant),
    /// To one room.
    Room(&'static str),
}

/// The requests of one connection.
pub(crate) struct Requests {
    to: To,
    next: u64,
}

impl Requests {
    pub(crate) fn new(to: To, connection: u64) -> Self {
        // Connections begin far from each other.
        Requests { to, next: connection * 104_729 }
    }

    /// Writes the next one.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, due: Instant) {
        let written = match self.to {
            To::Users(users) => {
                self.next += 7919;
                writeln!(out, "send u{} {TEXT}", self.next % users)
            }
            To::Stamped(to, epoch) => {
                let stamp = due.saturating_duration_since(epoch).as_nanos();
                writeln!(out, "send {to} {stamp:020} {}", &TEXT[21..])
            }
            To::Room(room) => writeln!(out, "send {room} {TEXT}"),
        };
        written.expect("memory takes it");
    }
}

/// What counts, and when.
struct Tally {
    from: Instant,
    until: Instant,
    latency: RefCell<Histogram<u64>>,
}

impl Tally {
    /// So many replies have come.
    fn count(&self, due: &mut VecDeque<Instant>, replies: usize, now: Instant) -> Result<()> {
        if replies > due.len() {
            return Err("more replies than requests".into());
        }
        let counts = (self.from..self.until).contains(&now);
        let mut latency = self.latency.borrow_mut();
        for due in due.drain(..replies).filter(|_| counts) {
            latency.saturating_record(u64::try_from((now - due).as_nanos())?);
        }
        Ok(())
    }
}

/// How a server is loaded.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// Requests under way on each.
    pub(crate) pipeline: usize,
    /// Connections log in as u0, u1 and so on up to so many; nobody does at a limit.
    pub(crate) log_in: Option<u64>,
    pub(crate) to: To,
}

impl Load {
    /// 50 connections with 16 requests under way on each, between so many users.
    pub(crate) fn usual(users: u64) -> Self {
        Load { connections: 50, pipeline: 16, log_in: Some(users), to: To::Users(users) }
    }

    /// The same for a limit, where nobody logs in.
    pub(crate) fn at_limit(&self) -> Self {
        Load { log_in: None, ..self.clone() }
    }

    /// Opens connections and loads the server.
    pub(crate) fn run(&self, bench: &Bench, address: SocketAddr) -> Result<Measured> {
        let wires = bench.run("connecting", open_all(address, self.connections, self.log_in))?;
        self.run_on(bench, wires)
    }

    /// The same on connections that are open.
    pub(crate) fn run_on(&self, bench: &Bench, wires: Vec<Wire>) -> Result<Measured> {
        let from = Instant::now() + WARM_UP;
        let tally = Rc::new(Tally { from, until: from + bench.time, latency: RefCell::new(histogram()?) });
        bench.run("sends", async {
            let mut driving = JoinSet::new();
            for (wire, connection) in wires.into_iter().zip(0..) {
                let requests = Requests::new(self.to.clone(), connection);
                driving.spawn_local(drive(wire, requests, self.pipeline, tally.clone()));
            }
            while let Some(ended) = driving.join_next().await {
                ended??;
            }
            Ok(())
        })?;
        let latency = tally.latency.replace(histogram()?);
        if latency.is_empty() {
            return Err("no reply came in the time of the measurement".into());
        }
        Ok(Measured { rate: float(latency.len()) / bench.time.as_secs_f64(), latency })
    }
}

async fn drive(wire: Wire, mut requests: Requests, pipeline: usize, tally: Rc<Tally>) -> Result<()> {
    let (mut stream, mut input) = wire.into_parts();
    // One read takes all that there may be: otherwise the replies trickle in, and so do the next requests.
    input.reserve(pipeline * SENT.len() + 1024);
    let (mut due, mut out, mut now) = (VecDeque::new(), Vec::new(), Instant::now());
    loop {
        while due.len() < pipeline && now < tally.until {
            requests.write(&mut out, now);
            due.push_back(now);
        }
        if due.is_empty() {
            return Ok(());
        }
        stream.write_all(&out).await?;
        out.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Err(closed(&input));
        }
        now = Instant::now();
        let replies = take_sent(&mut input)?;
        tally.count(&mut due, replies, now)?;
    }
}
