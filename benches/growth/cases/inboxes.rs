//! With the messages that wait in an inbox: fetching some, sending one more, taking all.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result, ms},
    grid::Grid,
    limit::Kind,
    load::{Load, TEXT, To, histogram, percentile_ms},
    plot::{Line, Panel, Y},
    process::{Kept, chat_server, write_users},
    wire::Wire,
};

const WAITING: [u64; 3] = [1, 1000, 10_000];

/// An inbox is taken so many times in a round.
const TIMES: usize = 5;

const NULL: &str = "null server p50, ms";
const FSYNC: &str = "bare fsync p50, ms";
const FETCH: [&str; 3] = ["fetch 50 p50, ms", "fetch 50 p99, ms", "of null server: fetch"];
const SEND: [&str; 3] = ["send p50, ms", "send p99, ms", "of null server: send"];
const OF_FSYNC: &str = "of bare fsync: send";
const TAKE: &str = "taking all, ms";
const OF_TAKE: &str = "of null server: taking all";

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let (x, places, names) = axis("messages that wait in the inbox", &WAITING);
    let columns = [&FETCH[..], &SEND, &[OF_FSYNC, TAKE, OF_TAKE, NULL, FSYNC]].concat();
    let mut grid = Grid::new("waiting", names, &columns);
    for round in 0..bench.rounds {
        for (row, waiting) in WAITING.into_iter().enumerate() {
            bench.say(&format!("inboxes: round {round}, {waiting}"));
            one(bench, waiting, row, &mut grid)?;
        }
    }
    let points = |column| grid.points(column, &places);
    let panel = |title, lines| Panel { title, x: x.clone(), y: Y::Log("ms"), lines };
    let null = || Line::limit("limit: null server, p50", points(NULL));
    let panels = [
        panel(
            "fetch 50, one request at a time",
            vec![Line::ours("p50", points(FETCH[0])), Line::ours("p99", points(FETCH[1])), null()],
        ),
        panel(
            "A durable send into the inbox, one at a time",
            vec![
                Line::ours("p50", points(SEND[0])),
                Line::ours("p99", points(SEND[1])),
                Line::limit("limit: bare fsync, p50", points(FSYNC)),
            ],
        ),
        panel("Taking all by inbox, 1,000 at a time", vec![Line::ours("chat-server", points(TAKE)), null()]),
    ];
    bench.report("inboxes", "Inboxes", &[&grid], &panels)
}

fn one(bench: &Bench, waiting: u64, row: usize, grid: &mut Grid) -> Result<()> {
    let alone = Load { connections: 1, pipeline: 1, log_in: None, to: To::Users(1) };
    let null = load_limit(bench, Kind::Null, &alone)?.ms(50.0);
    let fsync = load_limit(bench, Kind::Fsync, &alone)?.ms(50.0);
    grid.add(row, NULL, null);
    grid.add(row, FSYNC, fsync);
    let folder = tempfile::tempdir()?;
    let users = folder.path().join("users.toml");
    write_users(&users, 2)?;
    let server = chat_server(&users, &folder.path().join("data"), Kept::Durable)?;
    let mut inbox = bench.run("filling", async {
        let (mut reader, mut sender) = (Wire::open(server.address).await?, Wire::open(server.address).await?);
        sender.log_in(0).await?;
        reader.log_in(1).await?;
        sender.send_many("u1", waiting).await?;
        Ok(Inbox { reader, sender, waiting, acked: 0 })
    })?;
    let fetch = bench.run("fetch", inbox.fetch(bench))?;
    let send = bench.run("send", inbox.send(bench))?;
    for (columns, latency) in [(FETCH, fetch), (SEND, send)] {
        let p50 = percentile_ms(&latency, 50.0);
        grid.add(row, columns[0], p50);
        grid.add(row, columns[1], percentile_ms(&latency, 99.0));
        grid.add(row, columns[2], p50 / null);
        if columns == SEND {
            grid.add(row, OF_FSYNC, p50 / fsync);
        }
    }
    for _ in 0..TIMES {
        let time = bench.run("inbox", inbox.take())?;
        grid.add(row, TAKE, time);
        grid.add(row, OF_TAKE, time / null);
    }
    server.stop()
}

/// An inbox in which so many messages wait, in a store where there is nothing else.
struct Inbox {
    reader: Wire,
    sender: Wire,
    waiting: u64,
    acked: u64,
}

impl Inbox {
    async fn fetch(&mut self, bench: &Bench) -> Result<Histogram<u64>> {
        let mut latency = histogram()?;
        let began = Instant::now();
        while began.elapsed() < bench.time {
            let asked = Instant::now();
            let reply = self.reader.expect("fetch 50", "messages").await?;
            latency.saturating_record(u64::try_from(asked.elapsed().as_nanos())?);
            let got = reply.matches("\"msg_from\"").count();
            if u64::try_from(got)? != self.waiting.min(50) {
                return Err(format!("{got} messages, of {} that wait", self.waiting).into());
            }
        }
        Ok(latency)
    }

    /// After each send the oldest message leaves the inbox, so that as many wait as before.
    async fn send(&mut self, bench: &Bench) -> Result<Histogram<u64>> {
        let mut latency = histogram()?;
        let line = format!("send u1 {TEXT}");
        let began = Instant::now();
        while began.elapsed() < bench.time {
            let asked = Instant::now();
            self.sender.expect(&line, "Message Sent").await?;
            latency.saturating_record(u64::try_from(asked.elapsed().as_nanos())?);
            self.acked += 1;
            self.reader.expect(&format!("ack {}", self.acked), "\"acked\": 1").await?;
        }
        Ok(latency)
    }

    /// Milliseconds until all were taken; then as many wait again.
    async fn take(&mut self) -> Result<f64> {
        let (mut taken, began) = (0, Instant::now());
        while taken < self.waiting {
            let reply = self.reader.expect("inbox", "messages").await?;
            let got = u64::try_from(reply.matches("\"msg_from\"").count())?;
            if got == 0 {
                return Err(format!("{taken} messages, of {} that wait", self.waiting).into());
            }
            taken += got;
        }
        let time = began.elapsed();
        self.sender.send_many("u1", self.waiting).await?;
        Ok(ms(time))
    }
}
