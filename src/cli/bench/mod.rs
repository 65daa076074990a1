//! `bench`: measures a server with messages of the user to the user, and accounts for each of them.

mod ledger;
mod load;
mod plot;
mod progress;
mod receiver;
mod report;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use tokio::{signal, sync::oneshot};

use self::{
    load::Run,
    receiver::Receiver,
    report::{Report, Verdict},
};
use super::{
    Exit, complain,
    exit::{Failure, of},
    once::Context,
};
use crate::{
    client::{Client, ClientError, Events, Options},
    config::{BenchArgs, BenchTo},
};

/// Longest pause between two tries to connect again, with `--verify`.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Measures the server, and prints what was measured.
///
/// # Errors
/// If there is no session, if there are messages in the inbox, or if no connection can be opened.
pub(super) async fn run(
    context: &mut Context<'_>,
    client: &Client,
    args: &BenchArgs,
) -> Result<Exit, Failure> {
    let user = client.whoami().await?.username.into_owned();
    if !client.fetch(Some(1)).await?.messages.is_empty() {
        let told = "there are messages in the inbox: the bench would have to take them out with its own\n  \
                    remedy: chat-client inbox, or a user for the bench";
        return Err(Failure::new(Exit::Refused, told));
    }
    if let Some(file) = &args.plot {
        // What cannot be written is said before minutes were spent.
        fs::File::create(file).map_err(|error| cannot_write(file, &error.to_string()))?;
    }
    let mut options = context.options(client.token())?;
    options.reconnect = args.verify.then_some(LONGEST_PAUSE);
    let receiver = Client::connect(options.clone()).await?;
    let inbox = receiver.hello().await?.limits.inbox;
    // From its first request in the session on, it is a connection of the user: those that send may find no place, but this one has.
    receiver.whoami().await?;
    let opened = Opened::open(&options, args.clients).await?;
    let connected = opened.clients.len();
    // What comes in the meantime waits in the inbox.
    let live = if args.to == BenchTo::Live { Some(receiver::watch(&receiver).await?) } else { None };
    let run = Arc::new(Run::begin(args, user, opened.refused));
    let receiving = Receiving { client: receiver, live, inbox };
    let measured = tokio::select! {
        measured = measure(&run, &opened.clients, args.pipeline, receiving) => measured,
        () = stop_at_interrupt(&run) => {
            let told = "interrupted again: messages of the bench are still in the inbox";
            return Err(Failure::new(Exit::Refused, told));
        }
    };
    let report = Report::new(&run, args, connected);
    report.print(&mut context.output)?;
    if let Some(file) = &args.plot {
        plot::draw(file, &run.state().latency).map_err(|error| cannot_write(file, &error))?;
    }
    judge(&run, &report, args.verify, measured)
}

/// Connections that send.
struct Opened {
    clients: Vec<Client>,
    /// How often the server has refused one, by code.
    refused: BTreeMap<String, u64>,
}

impl Opened {
    /// Opens connections in the session of the options: as many as asked for, or as many as the server takes.
    async fn open(options: &Options, count: usize) -> Result<Self, ClientError> {
        let mut opened = Opened { clients: Vec::new(), refused: BTreeMap::new() };
        let mut last = None;
        for _ in 0..count {
            let client = Client::connect(options.clone()).await?;
            // Not before a request in the session is it a connection of the user.
            match client.whoami().await {
                Ok(_) => opened.clients.push(client),
                Err(error) => match error.code() {
                    Some(code) if code != "not_authorized" => {
                        *opened.refused.entry(code.to_owned()).or_default() += 1;
                        last = Some(error);
                    }
                    _ => return Err(error),
                },
            }
        }
        match last {
            Some(error) if opened.clients.is_empty() => Err(error),
            _ => Ok(opened),
        }
    }
}

/// What receives the messages of a run.
struct Receiving {
    client: Client,
    /// The events, if they are watched from the beginning on.
    live: Option<Events>,
    /// Most messages in the inbox.
    inbox: usize,
}

/// Sends everything and receives everything. Returns whether all messages of the run have left the inbox.
async fn measure(
    run: &Arc<Run>,
    clients: &[Client],
    pipeline: usize,
    receiving: Receiving,
) -> Result<bool, Failure> {
    let Receiving { client, live, inbox } = receiving;
    let (done, over) = oneshot::channel();
    let receiver = |events| Receiver::new(client.clone(), events, run.clone(), inbox).run(over);
    let load = async {
        tokio::select! {
            () = load::send_all(run, clients, pipeline) => {}
            never = progress::show(run) => match never {},
        }
        done.send(()).ok();
    };
    if let Some(events) = live {
        return tokio::join!(receiver(events), load).0;
    }
    load.await;
    receiver(receiver::watch(&client).await?).await
}

/// Ends the sends at Ctrl-C; returns at the second one.
async fn stop_at_interrupt(run: &Run) {
    for _ in 0..2 {
        if signal::ctrl_c().await.is_err() {
            // It cannot be noticed here.
            std::future::pending::<()>().await;
        }
        run.stop();
    }
}

/// The exit status, and what is said about it.
fn judge(
    run: &Run,
    report: &Report,
    is_verified: bool,
    measured: Result<bool, Failure>,
) -> Result<Exit, Failure> {
    let verdict = if is_verified { report.verdict() } else { Verdict::Fair };
    if let Ok(false) = measured {
        complain("a message of others is in the inbox: those of the bench behind it stay there");
    }
    if let Verdict::Broken(told) = verdict {
        return Err(Failure::new(Exit::Refused, told));
    }
    if let Some(error) = run.state().fatal.take() {
        let exit = of(&error);
        return Err(Failure { exit, ..error.into() });
    }
    measured?;
    match report.limits() {
        Some(told) => Err(Failure::new(Exit::Refused, told)),
        None => Ok(Exit::Done),
    }
}

fn cannot_write(file: &Path, error: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{}: {error}", file.display()))
}
