//! What SQLite could do with nothing around it, by rows in a transaction, beside a server with as many sends under way.

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result},
    grid::Grid,
    limit::Kind,
    load::Load,
    plot::{Line, Panel, Y},
    process::{Kept, chat_server, sqlite_rows, write_users},
};

/// Rows in a transaction.
const ROWS: [u64; 4] = [16, 200, 2000, 12_800];

/// Connections, and sends under way on each.
const LOADS: [(usize, usize); 4] = [(16, 1), (50, 4), (50, 40), (50, 256)];

const USERS: u64 = 1000;

const SQLITE: &str = "SQLite, rows/s";
const SENDS: &str = "chat-server, sends/s";
const OF_SQLITE: &str = "of SQLite";
const FSYNC: &str = "bare fsync, sends/s";
const OF_FSYNC: &str = "of bare fsync";

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    let (x, places, names) = axis("rows in a transaction; sends under way", &ROWS);
    let mut grid = Grid::new("rows or sends", names, &[SENDS, SQLITE, OF_SQLITE, FSYNC, OF_FSYNC]);
    for round in 0..bench.rounds {
        for (row, rows) in ROWS.into_iter().enumerate() {
            bench.say(&format!("sqlite: round {round}, {rows}"));
            one(bench, row, rows, &mut grid)?;
        }
    }
    let points = |column| grid.points(column, &places);
    let panels = [Panel {
        title: "Messages on the disk",
        x,
        y: Y::Linear("messages/s"),
        lines: vec![
            Line::ours("chat-server", points(SENDS)),
            Line::limit("limit: SQLite alone", points(SQLITE)),
            Line::limit("limit: bare fsync", points(FSYNC)),
        ],
    }];
    bench.report("sqlite", "SQLite alone", &[&grid], &panels)
}

fn one(bench: &Bench, row: usize, rows: u64, grid: &mut Grid) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sqlite = sqlite_rows(bench, folder.path(), rows.try_into()?)?;
    let (connections, pipeline) = LOADS[row];
    let load = Load { connections, pipeline, ..Load::usual(USERS) };
    let fsync = load_limit(bench, Kind::Fsync, &load)?.rate;
    let users = folder.path().join("users.toml");
    write_users(&users, USERS)?;
    let server = chat_server(&users, &folder.path().join("data"), Kept::Durable)?;
    let sends = load.run(bench, server.address)?.rate;
    server.stop()?;
    for (column, value) in [
        (SENDS, sends),
        (SQLITE, sqlite),
        (OF_SQLITE, sends / sqlite),
        (FSYNC, fsync),
        (OF_FSYNC, sends / fsync),
    ] {
        grid.add(row, column, value);
    }
    Ok(())
}
