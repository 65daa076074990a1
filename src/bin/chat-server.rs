//! The server: see `chat-server --help`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use chat_service::{admin, config::ServerArgs, server};
use clap::Parser;

fn main() -> ExitCode {
    let args = ServerArgs::parse();
    let done = match &args.command {
        None => server::start(&args).map_err(|error| error.to_string()),
        Some(command) => admin::run(command).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "chat-server: {error}").ok();
            ExitCode::FAILURE
        }
    }
}
