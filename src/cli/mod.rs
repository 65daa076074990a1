//! The client, for people and for scripts: a prompt on a terminal, plain lines in a pipe, and commands of a shell.

mod bench;
mod exit;
mod explain;
mod once;
mod pipe;
mod profile;
mod reach;
mod stdout;
mod table;
mod terminal;
mod trust;
mod visible;

use std::io::{self, IsTerminal, Write};

use clap::CommandFactory;
use tokio::runtime::{Builder, Runtime};

pub use self::exit::Exit;
use self::{exit::Failure, reach::Target, stdout::Stdout, visible::visible};
use crate::config::{ClientArgs, ClientCommand};

/// Runs the client.
#[must_use]
pub fn run(args: &ClientArgs) -> Exit {
    run_all(args).unwrap_or_else(|Failure { exit, told }| {
        if !told.is_empty() {
            complain(&told);
        }
        exit
    })
}

fn run_all(args: &ClientArgs) -> Result<Exit, Failure> {
    let ClientArgs { reach, face, command } = args;
    if let Some(command) = command {
        if face.raw || face.classic || face.no_ack {
            let told = "--raw, --classic and --no-ack are for the client without a command\n  remedy: --json, or --keep";
            return Err(Failure::new(Exit::Usage, told));
        }
        return match command {
            ClientCommand::Manual(command) => print(&command.text(ClientArgs::command())),
            command => once::run(reach, command),
        };
    }
    if !face.raw && !face.classic && io::stdin().is_terminal() && io::stdout().is_terminal() {
        let runtime = runtime()?;
        let exit = terminal::run(&runtime, reach, face);
        runtime.shutdown_background();
        return exit;
    }
    let target = Target::named(reach)?;
    let mut options = target.options(reach, false)?;
    if reach.timeout.is_none() {
        // As scripts know it: whoever wants a limit runs it under `timeout`.
        options.timeout = FOR_EVER;
    }
    let runtime = runtime()?;
    let exit = runtime.block_on(pipe::run(&options, face));
    // Standard input may still be waited for.
    runtime.shutdown_background();
    Ok(exit)
}

/// Most bytes of a line that a terminal takes without an editor; it drops the others.
const TERMINAL_LINE: usize = 4095;

/// A hundred years: adding it to a time does not overflow.
const FOR_EVER: std::time::Duration = std::time::Duration::from_hours(100 * 365 * 24);

/// A runtime with a thread of its own for the connection, which goes on while this thread writes or waits.
fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|error| Failure::new(Exit::Refused, format!("cannot start: {error}")))
}

/// Prints a text. A program that has read enough and went away is no error.
fn print(text: &str) -> Result<Exit, Failure> {
    let mut stdout = Stdout::open();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Refused, format!("cannot write: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}

fn complain(what: &str) {
    writeln!(io::stderr(), "chat-client: {what}").ok();
}
