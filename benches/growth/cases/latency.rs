//! Percentiles: of durable sends at half of the rate that is reached, and of pushes to who watches, beside idle others.

use super::{at_half, load_limit};
use crate::{
    bench::{Bench, Result, SOON},
    deliveries::{Deliveries, watch, watchers},
    grid::Grid,
    limit::Kind,
    load::{Load, Measured, To, percentile_ms},
    open_loop::open_loop,
    plot::{Line, Panel, X, Y},
    process::{self, Kept, Process, chat_server, write_users},
    wire::{Wire, open_all},
};

const USERS: u64 = 1000;

/// Connections that are logged in and do nothing.
const IDLE: usize = 10_000;

/// Pushes a second.
const PUSHES: f64 = 1000.0;

const RATE: &str = "reached, sends/s";
const PERCENTILES: [&str; 4] = ["p50, ms", "p90, ms", "p99, ms", "p99.9, ms"];
const OF_LIMIT: [&str; 3] = ["of the limit's p50", "of the limit's p99", "of the limit's p99.9"];

const PUSH_ROWS: [&str; 6] = [
    "memory",
    "memory, 10,000 idle",
    "limit: null server, a round trip",
    "durable",
    "durable, 10,000 idle",
    "limit: bare fsync, a round trip",
];

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    bench.need_connections(IDLE.try_into()?)?;
    let columns: Vec<_> = [RATE].into_iter().chain(PERCENTILES).chain(OF_LIMIT).collect();
    let rows = ["limit: bare fsync", "chat-server"].map(str::to_owned);
    let mut sends = Grid::new("durable sends at half of the reached rate", rows, &columns);
    let mut pushes = Grid::new("pushes, 1,000 a second", PUSH_ROWS.map(str::to_owned), &columns[1..]);
    for round in 0..bench.rounds {
        bench.say(&format!("latency: round {round}, sends"));
        send_round(bench, &mut sends)?;
        push_round(bench, round, &mut pushes)?;
    }
    let marks = [(2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1000.0, "99.9 %")];
    let x = X { label: "percentile", marks: marks.map(|(at, name)| (at, name.to_owned())).into() };
    let places = marks.map(|(at, _)| at);
    let points = |grid: &Grid, row| grid.across(row, &PERCENTILES, &places);
    let push_line = |row: usize| {
        let line = if PUSH_ROWS[row].starts_with("limit") { Line::limit } else { Line::ours };
        line(PUSH_ROWS[row].replace(", a round trip", ""), points(&pushes, row))
    };
    let panels = [
        Panel {
            title: "Durable sends at half of the reached rate, 50 connections, one under way on each; counted from when they were due",
            x: x.clone(),
            y: Y::Log("ms"),
            lines: vec![
                Line::ours("chat-server", points(&sends, 1)),
                Line::limit("limit: bare fsync", points(&sends, 0)),
            ],
        },
        Panel {
            title: "From when a send was due until its recipient has it, 1,000 a second",
            x,
            y: Y::Log("ms"),
            lines: (0..PUSH_ROWS.len()).map(push_line).collect(),
        },
    ];
    bench.report("latency", "Latency", &[&sends, &pushes], &panels)
}

/// Percentiles of a row, and its ratios to the limit's row if that is another one.
fn add(grid: &mut Grid, row: usize, values: [f64; 4], limit: usize) -> Result<()> {
    for (column, value) in PERCENTILES.into_iter().zip(values) {
        grid.add(row, column, value);
    }
    if row != limit {
        for (ratio, of) in OF_LIMIT.into_iter().zip([0, 2, 3]) {
            let limit = grid.last(limit, PERCENTILES[of]).ok_or("the limit comes first")?;
            grid.add(row, ratio, values[of] / limit);
        }
    }
    Ok(())
}

fn percentiles(measured: &Measured) -> [f64; 4] {
    [50.0, 90.0, 99.0, 99.9].map(|percentile| measured.ms(percentile))
}

fn send_round(bench: &Bench, grid: &mut Grid) -> Result<()> {
    // One under way on each: what paces the sends writes each by itself, and has to keep up with the limit, too.
    let load = Load { pipeline: 1, ..Load::usual(USERS) };
    let reached = load_limit(bench, Kind::Fsync, &load)?.rate;
    let folder = tempfile::tempdir()?;
    let limit = process::limit(Kind::Fsync, folder.path())?;
    let measured = at_half(bench, limit.address, &load.at_limit(), reached)?;
    limit.kill()?;
    grid.add(0, RATE, reached);
    add(grid, 0, percentiles(&measured), 0)?;

    let server = start(folder.path(), Kept::Durable)?;
    let reached = load.run(bench, server.address)?.rate;
    let measured = at_half(bench, server.address, &load, reached)?;
    server.stop()?;
    grid.add(1, RATE, reached);
    add(grid, 1, percentiles(&measured), 0)
}

fn start(folder: &std::path::Path, kept: Kept) -> Result<Process> {
    let users = folder.join("users.toml");
    write_users(&users, USERS)?;
    chat_server(&users, &folder.join("data"), kept)
}

fn push_round(bench: &Bench, round: usize, grid: &mut Grid) -> Result<()> {
    for (first, kept, kind) in [(0, Kept::Memory, Kind::Null), (3, Kept::Durable, Kind::Fsync)] {
        bench.say(&format!("latency: round {round}, {}", PUSH_ROWS[first]));
        let folder = tempfile::tempdir()?;
        let limit = process::limit(kind, folder.path())?;
        let to = To::Users(USERS);
        let (measured, _) = bench.run("limit of pushes", async {
            let wires = open_all(limit.address, 1, None).await?;
            open_loop(wires, PUSHES, to, bench.time).await
        })?;
        limit.kill()?;
        add(grid, first + 2, percentiles(&measured), first + 2)?;
        for (row, idle) in [(first, 0), (first + 1, IDLE)] {
            let folder = tempfile::tempdir()?;
            let server = start(folder.path(), kept)?;
            add(grid, row, push(bench, &server, idle)?, first + 2)?;
            server.stop()?;
        }
    }
    Ok(())
}

/// Percentiles from when a send was due until the watcher has it.
fn push(bench: &Bench, server: &Process, idle: usize) -> Result<[f64; 4]> {
    // The last ones, so that they are neither sender nor watcher.
    let idle = bench.run("idle connections", open_all(server.address, idle, Some(USERS)))?;
    let deliveries = Deliveries::new()?;
    let (mut sender, mut watcher) = bench.run("connecting", async {
        Ok((Wire::open(server.address).await?, Wire::open(server.address).await?))
    })?;
    bench.run("pushes", async {
        sender.log_in(0).await?;
        watcher.log_in(1).await?;
        watch(&mut watcher).await?;
        let mut watching = watchers(vec![watcher], &deliveries);
        let to = To::Stamped("u1", deliveries.epoch);
        let all = async {
            let (_, sent) = open_loop(vec![sender], PUSHES, to, bench.time).await?;
            let arrived = deliveries.reach(sent);
            tokio::time::timeout(SOON, arrived).await.map_err(|_| "a push did not arrive")?;
            Ok(())
        };
        tokio::select! {
            done = all => done,
            Some(ended) = watching.join_next() => ended?,
        }
    })?;
    drop(idle);
    let latency = deliveries.latency.borrow();
    Ok([50.0, 90.0, 99.0, 99.9].map(|percentile| percentile_ms(&latency, percentile)))
}
