//! With what is stored: durable sends, start, memory.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result},
    fill::{copy, fill},
    grid::Grid,
    limit::Kind,
    load::Load,
    plot::{Line, Panel, Y},
    process::{Kept, chat_server, write_users},
};

const STORED: [u64; 4] = [0, 100_000, 1_000_000, 10_000_000];

/// A store of more than this is not copied for each round, but used again.
const COPIED: u64 = 1_000_000;

const USERS: u64 = 100;

const SENDS: &str = "sends/s";
const LIMIT: &str = "bare fsync, sends/s";
const OF_LIMIT: &str = "of bare fsync";
const OF_EMPTY: &str = "of empty";
const P99: &str = "p99, ms";
const START: &str = "first reply, ms";
const START_KILLED: &str = "after kill -9, ms";
const RSS: &str = "RSS, MiB";
const RSS_KILLED: &str = "RSS after kill -9, MiB";

/// A server with so much stored.
struct Stored {
    total: u64,
    data: PathBuf,
}

pub(crate) fn measure(bench: &Bench, most: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let users = folder.path().join("users.toml");
    write_users(&users, USERS)?;
    let totals: Vec<_> = STORED.into_iter().filter(|total| *total <= most).collect();
    let mut stores = Vec::new();
    for total in totals.iter().copied() {
        bench.say(&format!("stored: filling with {total}"));
        let data = folder.path().join(total.to_string());
        fill(&data, total, USERS)?;
        stores.push(Stored { total, data });
    }
    let (mut x, mut places, names) = axis("messages stored before", &totals);
    // There is no 0 on a logarithmic axis.
    (places[0], x.marks[0].0) = (10_000.0, 10_000.0);
    let columns = [SENDS, LIMIT, OF_LIMIT, OF_EMPTY, P99, START, START_KILLED, RSS, RSS_KILLED];
    let mut grid = Grid::new("stored", names, &columns);
    for round in 0..bench.rounds {
        for (row, stored) in stores.iter().enumerate() {
            bench.say(&format!("stored: round {round}, {}", stored.total));
            stored.measure(bench, &users, row, &mut grid)?;
        }
    }
    let points = |column| grid.points(column, &places);
    let panel = |title, y, lines| Panel { title, x: x.clone(), y, lines };
    let panels = [
        panel(
            "Durable sends, 50 connections with 16 under way each",
            Y::Linear("sends/s"),
            vec![Line::ours("chat-server", points(SENDS)), Line::limit("limit: bare fsync", points(LIMIT))],
        ),
        panel(
            "From exec to the first reply",
            Y::Linear("ms"),
            vec![
                Line::ours("after a clean end", points(START)),
                Line::ours("after kill -9", points(START_KILLED)),
            ],
        ),
        panel(
            "Resident memory after the start",
            Y::Linear("MiB"),
            vec![
                Line::ours("after a clean end", points(RSS)),
                Line::ours("after kill -9", points(RSS_KILLED)),
            ],
        ),
    ];
    bench.report("stored", "What is stored", &[&grid], &panels)
}

impl Stored {
    fn measure(&self, bench: &Bench, users: &Path, row: usize, grid: &mut Grid) -> Result<()> {
        let load = Load::usual(USERS);
        let limit = load_limit(bench, Kind::Fsync, &load)?;
        let (data, _copy) = self.folder()?;
        let server = chat_server(users, &data, Kept::Durable)?;
        grid.add(row, START, server.first_reply(bench)?);
        grid.add(row, RSS, server.rss()?);
        let sends = load.run(bench, server.address)?;
        server.kill()?;
        let server = chat_server(users, &data, Kept::Durable)?;
        grid.add(row, START_KILLED, server.first_reply(bench)?);
        grid.add(row, RSS_KILLED, server.rss()?);
        server.stop()?;
        grid.add(row, SENDS, sends.rate);
        grid.add(row, LIMIT, limit.rate);
        grid.add(row, OF_LIMIT, sends.rate / limit.rate);
        grid.add(row, P99, sends.ms(99.0));
        let empty = grid.last(0, SENDS).ok_or("the empty one comes first")?;
        grid.add(row, OF_EMPTY, sends.rate / empty);
        Ok(())
    }

    /// A copy for one round, or the store itself.
    fn folder(&self) -> Result<(PathBuf, Option<TempDir>)> {
        if self.total > COPIED {
            return Ok((self.data.clone(), None));
        }
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        copy(&self.data, &data)?;
        Ok((data, Some(folder)))
    }
}
