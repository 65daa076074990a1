//! How cost grows with what is stored, with users, inboxes, connections and rooms.
//!
//! `cargo bench --bench growth -- [CASE ...] [--secs S] [--rounds N] [--out DIR]`
//!
//! It starts the server, loads it over sockets, and measures in the same rounds what this machine could do at most, by servers
//! that do nothing else ([`limit`]). Each case writes a table (`CASE.md`) and a plot (`CASE.svg`); a figure is the median
//! of all rounds. What fails ends the run.

mod bench;
mod cases;
mod deliveries;
mod fill;
mod grid;
mod limit;
mod load;
mod open_loop;
mod plot;
mod process;
mod wire;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, ValueEnum};

use self::bench::{Bench, Result};

/// Shows how cost grows, beside limits that are measured in the same run.
#[derive(Parser)]
#[command(name = "growth")]
struct Args {
    /// What to measure [default: all]
    #[arg(value_enum)]
    cases: Vec<Case>,

    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0)]
    secs: f64,

    /// Rounds; figures are medians over them
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Folder for tables and plots
    #[arg(long, default_value = "docs/performance")]
    out: PathBuf,

    /// Of the case `stored`: no more messages than this
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    most: u64,

    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,

    /// Be one of the limits, not the benchmark.
    #[arg(long, hide = true, value_enum)]
    limit: Option<limit::Kind>,

    /// Rows in a transaction, of the limit that is SQLite.
    #[arg(long, hide = true, default_value_t = 0)]
    rows: usize,

    /// Where a limit has its files.
    #[arg(long, hide = true, default_value = ".")]
    folder: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, ValueEnum)]
enum Case {
    /// Messages that are stored already
    Stored,
    /// Users in the file
    Users,
    /// Messages that wait in an inbox
    Inboxes,
    /// Connections
    Connections,
    /// Members of a room
    Rooms,
    /// Percentiles at half of the reached rate, and of pushes
    Latency,
    /// SQLite with nothing around it
    Sqlite,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "growth: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if let Some(kind) = args.limit {
        return limit::run(kind, &args.folder, args.rows, args.secs);
    }
    let bench = Bench::new(args.secs, args.rounds, args.out.clone())?;
    let cases = if args.cases.is_empty() { Case::value_variants() } else { &args.cases };
    for case in cases {
        match case {
            Case::Stored => cases::stored::measure(&bench, args.most)?,
            Case::Users => cases::users::measure(&bench)?,
            Case::Inboxes => cases::inboxes::measure(&bench)?,
            Case::Connections => cases::connections::measure(&bench)?,
            Case::Rooms => cases::rooms::measure(&bench)?,
            Case::Latency => cases::latency::measure(&bench)?,
            Case::Sqlite => cases::sqlite::measure(&bench)?,
        }
    }
    Ok(())
}
