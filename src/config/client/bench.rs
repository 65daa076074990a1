//! The settings of `chat-client bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser, value_parser};

use super::duration;

/// Arguments of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Connections that send, each in your session
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub clients: usize,
    /// Sends in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub pipeline: usize,
    /// Length of each text
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = RangedU64ValueParser::<usize>::new().range(64..=8192))]
    pub size: usize,
    /// How long to send [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "messages")]
    pub duration: Option<Duration>,
    /// How many messages to send
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 32))]
    pub messages: Option<u64>,
    /// Messages a second, on all connections together; the latency of each counts from when it was due [default: as many as the server takes]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,
    /// What is measured
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = BenchTo::Live)]
    pub to: BenchTo,
    /// Draw the latency by percentile into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Account for every message, also when the server is killed and started again; exit with 1 if one is lost or comes twice
    #[arg(long)]
    pub verify: bool,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchTo {
    /// From each send until the message arrives at another connection, which watches
    Live,
    /// From each send until its OK; afterwards the messages are taken out of the inbox
    Inbox,
}

impl BenchTo {
    /// Its value on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BenchTo::Live => "live",
            BenchTo::Inbox => "inbox",
        }
    }
}
