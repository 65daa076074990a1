//! With the number of connections, each with one request under way: sends, and the memory of one that idles.

use super::{axis, load_limit};
use crate::{
    bench::{Bench, Result, float},
    grid::Grid,
    limit::Kind,
    load::{Load, To},
    plot::{Line, Panel, Y},
    process::{Kept, chat_server, write_users},
    wire::open_all,
};

const CONNECTIONS: [u64; 3] = [10, 1000, 15_000];

/// A user may have 100 sessions.
const USERS: u64 = 1000;

/// The names of columns for one store.
struct Columns {
    kept: Kept,
    limit: Kind,
    sends: &'static str,
    at_limit: &'static str,
    of_limit: &'static str,
    p99: &'static str,
    idle: &'static str,
}

const DURABLE: Columns = Columns {
    kept: Kept::Durable,
    limit: Kind::Fsync,
    sends: "durable, sends/s",
    at_limit: "bare fsync, sends/s",
    of_limit: "of bare fsync",
    p99: "durable p99, ms",
    idle: "idle, durable, KiB",
};

const MEMORY: Columns = Columns {
    kept: Kept::Memory,
    limit: Kind::Null,
    sends: "memory, sends/s",
    at_limit: "null server, sends/s",
    of_limit: "of null server",
    p99: "memory p99, ms",
    idle: "idle, memory, KiB",
};

pub(crate) fn measure(bench: &Bench) -> Result<()> {
    bench.need_connections(CONNECTIONS[2])?;
    let (x, places, names) = axis("connections", &CONNECTIONS);
    let of =
        |columns: &Columns| [columns.sends, columns.at_limit, columns.of_limit, columns.p99, columns.idle];
    let mut grid = Grid::new("connections", names, &[of(&DURABLE), of(&MEMORY)].concat());
    for round in 0..bench.rounds {
        for (row, connections) in CONNECTIONS.into_iter().enumerate() {
            bench.say(&format!("connections: round {round}, {connections}"));
            for columns in [&DURABLE, &MEMORY] {
                one(bench, connections, row, columns, &mut grid)?;
            }
        }
    }
    let points = |column| grid.points(column, &places);
    let panel = |title, y, lines| Panel { title, x: x.clone(), y, lines };
    let panels = [
        panel(
            "Sends, one under way on each connection",
            Y::Linear("sends/s"),
            vec![
                Line::ours("chat-server, durable", points(DURABLE.sends)),
                Line::limit("limit: bare fsync", points(DURABLE.at_limit)),
                Line::ours("chat-server, memory", points(MEMORY.sends)),
                Line::limit("limit: null server", points(MEMORY.at_limit)),
            ],
        ),
        panel(
            "Memory of a connection that is logged in and idles",
            Y::Linear("KiB"),
            vec![Line::ours("durable", points(DURABLE.idle)), Line::ours("memory", points(MEMORY.idle))],
        ),
    ];
    bench.report("connections", "Connections", &[&grid], &panels)
}

fn one(bench: &Bench, connections: u64, row: usize, columns: &Columns, grid: &mut Grid) -> Result<()> {
    let count = usize::try_from(connections)?;
    let load = Load { connections: count, pipeline: 1, log_in: Some(USERS), to: To::Users(USERS) };
    let limit = load_limit(bench, columns.limit, &load)?;
    let folder = tempfile::tempdir()?;
    let users = folder.path().join("users.toml");
    write_users(&users, USERS)?;
    let server = chat_server(&users, &folder.path().join("data"), columns.kept)?;
    server.first_reply(bench)?;
    let before = server.rss()?;
    let wires = bench.run("connecting", open_all(server.address, count, load.log_in))?;
    grid.add(row, columns.idle, (server.rss()? - before) * 1024.0 / float(connections));
    let sends = load.run_on(bench, wires)?;
    server.stop()?;
    grid.add(row, columns.sends, sends.rate);
    grid.add(row, columns.at_limit, limit.rate);
    grid.add(row, columns.of_limit, sends.rate / limit.rate);
    grid.add(row, columns.p99, sends.ms(99.0));
    Ok(())
}
