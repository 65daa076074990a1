//! With the number of users: durable sends to all of them, start, memory.

use std::path::Path;

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result},
    grid::Grid,
    limit::Kind,
    load::Load,
    plot::{Line, Panel, Y},
    process::{Kept, chat_server, write_users},
};

const USERS: [u64; 3] = [10, 1000, 100_000];

const SENDS: &str = "sends/s";
const LIMIT: &str = "bare fsync, sends/s";
const OF_LIMIT: &str = "of bare fsync";
const OF_FEW: &str = "of 10 users";
const P99: &str = "p99, ms";
const START: &str = "first reply, ms";
const RSS: &str = "RSS, MiB";
const RSS_LOADED: &str = "RSS after the load, MiB";

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |users: u64| folder.path().join(format!("{users}.toml"));
    for users in USERS {
        write_users(&file(users), users)?;
    }
    let (x, places, names) = axis("users in the file", &USERS);
    let mut grid = Grid::new("users", names, &[SENDS, LIMIT, OF_LIMIT, OF_FEW, P99, START, RSS, RSS_LOADED]);
    for round in 0..bench.rounds {
        for (row, users) in USERS.into_iter().enumerate() {
            bench.say(&format!("users: round {round}, {users}"));
            one(bench, &file(users), users, row, &mut grid)?;
        }
    }
    let points = |column| grid.points(column, &places);
    let panel = |title, y, lines| Panel { title, x: x.clone(), y, lines };
    let panels = [
        panel(
            "Durable sends spread over all users, 50 connections with 16 under way each",
            Y::Linear("sends/s"),
            vec![Line::ours("chat-server", points(SENDS)), Line::limit("limit: bare fsync", points(LIMIT))],
        ),
        panel(
            "From exec to the first reply",
            Y::Linear("ms"),
            vec![Line::ours("chat-server", points(START))],
        ),
        panel(
            "Resident memory",
            Y::Linear("MiB"),
            vec![
                Line::ours("after the start", points(RSS)),
                Line::ours("after the load", points(RSS_LOADED)),
            ],
        ),
    ];
    bench.report("users", "Users", &[&grid], &panels)
}

fn one(bench: &Bench, file: &Path, users: u64, row: usize, grid: &mut Grid) -> Result<()> {
    let load = Load::usual(users);
    let limit = load_limit(bench, Kind::Fsync, &load)?;
    let folder = tempfile::tempdir()?;
    let server = chat_server(file, &folder.path().join("data"), Kept::Durable)?;
    grid.add(row, START, server.first_reply(bench)?);
    grid.add(row, RSS, server.rss()?);
    let sends = load.run(bench, server.address)?;
    grid.add(row, RSS_LOADED, server.rss()?);
    server.stop()?;
    grid.add(row, SENDS, sends.rate);
    grid.add(row, LIMIT, limit.rate);
    grid.add(row, OF_LIMIT, sends.rate / limit.rate);
    grid.add(row, P99, sends.ms(99.0));
    let few = grid.last(0, SENDS).ok_or("the fewest come first")?;
    grid.add(row, OF_FEW, sends.rate / few);
    Ok(())
}
