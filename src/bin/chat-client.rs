//! The client: see `chat-client --help`.

use std::process::ExitCode;

use chat_service::{
    cli,
    config::{self, ClientArgs},
};

fn main() -> ExitCode {
    match config::parse::<ClientArgs>() {
        Ok(args) => cli::run(&args).into(),
        Err(told) => config::told(&told),
    }
}
