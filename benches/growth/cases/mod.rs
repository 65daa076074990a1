//! The cases, a file each.

pub(crate) mod connections;
pub(crate) mod inboxes;
pub(crate) mod latency;
pub(crate) mod rooms;
pub(crate) mod sqlite;
pub(crate) mod stored;
pub(crate) mod users;

use std::net::SocketAddr;

use crate::{
    bench::{Bench, Result, float},
    grid::grouped,
    limit,
    load::{Load, Measured},
    open_loop::open_loop,
    plot::X,
    process,
    wire::open_all,
};

/// Its numbers as an axis and as names of rows.
fn axis(label: &'static str, numbers: &[u64]) -> (X, Vec<f64>, Vec<String>) {
    let names: Vec<_> = numbers.iter().map(|number| grouped(&number.to_string())).collect();
    let places: Vec<_> = numbers.iter().map(|number| float(*number)).collect();
    let marks = places.iter().copied().zip(names.iter().cloned()).collect();
    (X { label, marks }, places, names)
}

/// Loads one of the limits, in a process of its own.
fn load_limit(bench: &Bench, kind: limit::Kind, load: &Load) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let limit = process::limit(kind, folder.path())?;
    let measured = load.at_limit().run(bench, limit.address)?;
    limit.kill()?;
    Ok(measured)
}

/// Loads a server at half of the rate that it has reached, whatever it does.
fn at_half(bench: &Bench, address: SocketAddr, load: &Load, reached: f64) -> Result<Measured> {
    let wires = bench.run("connecting", open_all(address, load.connections, load.log_in))?;
    let paced = open_loop(wires, reached / 2.0, load.to.clone(), bench.time);
    Ok(bench.run("open loop", paced)?.0)
}
