//! The client: see `chat-client --help`.

use std::process::ExitCode;

use chat_service::{client, config::ClientArgs};
use clap::Parser;

fn main() -> ExitCode {
    client::run(&ClientArgs::parse()).into()
}
