//! The server: see `chat-server --help`.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use chat_service::{
    admin,
    config::{self, ServerArgs},
    files, server,
};

/// Exit status when the reader of the output is gone: that of a process which the system ends for it.
const READER_GONE: u8 = 141;

fn main() -> ExitCode {
    let args = match config::parse::<ServerArgs>() {
        Ok(args) => args,
        Err(told) => return config::told(&told),
    };
    files::keep_private();
    let done = match &args.command {
        None => server::start(&args).map_err(|error| error.to_string()),
        Some(command) => match admin::run(command) {
            Err(error) if error.is_reader_gone() => return READER_GONE.into(),
            done => done.map_err(|error| error.to_string()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("chat-server: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard error. Waits at most a second for a reader: the exit status must not depend on one.
fn say(text: String) {
    let (done, written) = mpsc::sync_channel(1);
    let text = Arc::new(text);
    let told = text.clone();
    let writer = thread::Builder::new().spawn(move || {
        io::stderr().write_all(told.as_bytes()).ok();
        done.send(()).ok();
    });
    // That there is no thread may be what has to be told.
    if writer.is_err() {
        io::stderr().write_all(text.as_bytes()).ok();
    }
    written.recv_timeout(Duration::from_secs(1)).ok();
}
