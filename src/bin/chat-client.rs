//! The client: see `chat-client --help`.

use std::process::ExitCode;

use chat_service::{
    cli,
    config::{self, ClientArgs},
};
use clap::Parser;

fn main() -> ExitCode {
    match ClientArgs::try_parse() {
        Ok(args) => cli::run(&args).into(),
        Err(told) => config::told(&told),
    }
}
