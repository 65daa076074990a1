//! With the members of a room: deliveries to those who watch, and sends to a room where nobody does.

use std::time::Instant;

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result, SOON, WARM_UP, float},
    deliveries::{Deliveries, watch, watchers},
    grid::Grid,
    limit::Kind,
    load::{Load, Requests, To, percentile_ms},
    plot::{Line, Panel, Y},
    process::{self, Kept, Process, chat_server, write_users},
    wire::{Wire, open_all},
};

const MEMBERS: [u64; 2] = [10, 1000];

const ROOM: &str = "#room";

const LIVE: [&str; 3] = ["deliveries/s", "delivery p50, ms", "delivery p99, ms"];
const LIMIT: [&str; 3] = ["bare fan-out, deliveries/s", "bare fan-out p50, ms", "bare fan-out p99, ms"];
const OF_LIMIT: [&str; 3] = ["of bare fan-out", "of its p50", "of its p99"];
const SENDS: &str = "sends/s, nobody watches";
const FSYNC: &str = "bare fsync, sends/s";
const OF_FSYNC: &str = "of bare fsync";

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let (x, places, names) = axis("members of the room", &MEMBERS);
    let columns = [&LIVE[..], &LIMIT, &OF_LIMIT, &[SENDS, FSYNC, OF_FSYNC]].concat();
    let mut grid = Grid::new("members", names, &columns);
    for round in 0..bench.rounds {
        for (row, members) in MEMBERS.into_iter().enumerate() {
            bench.say(&format!("rooms: round {round}, {members}"));
            live(bench, members, row, &mut grid)?;
            unwatched(bench, members, row, &mut grid)?;
        }
    }
    let points = |column| grid.points(column, &places);
    let panel = |title, y, lines| Panel { title, x: x.clone(), y, lines };
    let panels = [
        panel(
            "Deliveries to all who watch, the next message when all have the one before",
            Y::Log("deliveries/s"),
            vec![
                Line::ours("chat-server", points(LIVE[0])),
                Line::limit("limit: bare fan-out", points(LIMIT[0])),
            ],
        ),
        panel(
            "From the send until a member has it",
            Y::Log("ms"),
            vec![
                Line::ours("chat-server, p50", points(LIVE[1])),
                Line::ours("chat-server, p99", points(LIVE[2])),
                Line::limit("limit: bare fan-out, p50", points(LIMIT[1])),
                Line::limit("limit: bare fan-out, p99", points(LIMIT[2])),
            ],
        ),
        panel(
            "Durable sends to a room where nobody watches, 50 connections, 16 under way each",
            Y::Linear("sends/s"),
            vec![Line::ours("chat-server", points(SENDS)), Line::limit("limit: bare fsync", points(FSYNC))],
        ),
    ];
    bench.report("rooms", "Rooms", &[&grid], &panels)
}

fn live(bench: &Bench, members: u64, row: usize, grid: &mut Grid) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let count = usize::try_from(members)?;
    let limit = process::limit(Kind::FanOut, folder.path())?;
    let mut wires = bench.run("connecting", open_all(limit.address, count + 1, None))?;
    // A connection that is open need not have been accepted.
    bench.run("accepted", async {
        for wire in &mut wires {
            wire.expect("ping", "Message Sent").await?;
        }
        Ok(())
    })?;
    let sender = wires.pop().ok_or("nobody to send")?;
    let at_limit = deliver(bench, sender, wires).map_err(|error| format!("bare fan-out: {error}"))?;
    limit.kill()?;

    let server = start(folder.path(), members + 1)?;
    let mut wires = bench.run("members", join(&server, members + 1))?;
    let sender = wires.pop().ok_or("nobody to send")?;
    let wires = bench.run("watching", async {
        for wire in &mut wires {
            watch(wire).await?;
        }
        Ok(wires)
    })?;
    let ours = deliver(bench, sender, wires)?;
    server.stop()?;
    for column in 0..3 {
        grid.add(row, LIVE[column], ours[column]);
        grid.add(row, LIMIT[column], at_limit[column]);
        grid.add(row, OF_LIMIT[column], ours[column] / at_limit[column]);
    }
    Ok(())
}

fn unwatched(bench: &Bench, members: u64, row: usize, grid: &mut Grid) -> Result<()> {
    let load = Load { to: To::Room(ROOM), ..Load::usual(members) };
    let limit = load_limit(bench, Kind::Fsync, &load)?;
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), members)?;
    drop(bench.run("members", join(&server, members))?);
    let sends = load.run(bench, server.address)?;
    server.stop()?;
    grid.add(row, SENDS, sends.rate);
    grid.add(row, FSYNC, limit.rate);
    grid.add(row, OF_FSYNC, sends.rate / limit.rate);
    Ok(())
}

fn start(folder: &std::path::Path, users: u64) -> Result<Process> {
    let file = folder.join("users.toml");
    write_users(&file, users)?;
    chat_server(&file, &folder.join("data"), Kept::Durable)
}

/// As many connections as users, all in the room.
async fn join(server: &Process, users: u64) -> Result<Vec<Wire>> {
    let mut wires = open_all(server.address, users.try_into()?, Some(users)).await?;
    for wire in &mut wires {
        wire.expect(&format!("join {ROOM}"), "joined").await?;
    }
    Ok(wires)
}

/// Deliveries a second, and the median and p99 of one.
fn deliver(bench: &Bench, sender: Wire, watching: Vec<Wire>) -> Result<[f64; 3]> {
    let deliveries = Deliveries::new()?;
    let members = u64::try_from(watching.len())?;
    bench.run("deliveries", async {
        let mut watching = watchers(watching, &deliveries);
        tokio::select! {
            done = one_after_the_other(bench, sender, members, &deliveries) => done,
            Some(ended) = watching.join_next() => ended?,
        }
    })?;
    let latency = deliveries.latency.borrow();
    let rate = float(latency.len()) / bench.time.as_secs_f64();
    Ok([rate, percentile_ms(&latency, 50.0), percentile_ms(&latency, 99.0)])
}

async fn one_after_the_other(
    bench: &Bench,
    mut sender: Wire,
    members: u64,
    deliveries: &Deliveries,
) -> Result<()> {
    let mut requests = Requests::new(To::Stamped(ROOM, deliveries.epoch), 0);
    let (mut line, mut expected) = (Vec::new(), 0);
    while deliveries.epoch.elapsed() < WARM_UP + bench.time {
        requests.write(&mut line, Instant::now());
        sender.stream.write_all(&line).await?;
        line.clear();
        sender.sent().await?;
        expected += members;
        let all = deliveries.reach(expected);
        timeout(SOON, all).await.map_err(|_| "a message did not reach all members")?;
    }
    Ok(())
}
