//! Commands of a shell: each does one thing, and its exit status tells how it went.

mod login;
pub(super) mod output;
mod receive;
mod send;
pub(super) mod show;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use self::{login::Login, output::Output, receive::Receiving};
use super::{
    Exit, bench, complain,
    exit::{self, Failure},
    explain,
    reach::{Identity, TIMEOUT, device, read_secret},
    runtime,
};
use crate::{
    client::{Client, ClientError, Options},
    config::{ClientCommand, Reach},
    model::Token,
};

/// Runs one command.
pub(super) fn run(reach: &Reach, command: &ClientCommand) -> Result<Exit, Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(run_command(reach, command));
    // Standard input may still be waited for.
    runtime.shutdown_background();
    done
}

/// Time between two tries to connect.
const AGAIN: Duration = Duration::from_millis(500);

/// Shortest time from a renewal of the session to the next one.
const RENEWAL: Duration = Duration::from_mins(1);

/// What every command needs.
pub(super) struct Context<'a> {
    pub(super) reach: &'a Reach,
    identity: Identity,
    pub(super) output: Output,
    /// The command waits for something, and `--timeout` says how long: not for the connection and each reply.
    waits: bool,
    /// It waits for messages.
    receives: bool,
    /// When the time of a command is over that waits.
    end: Option<Instant>,
}

fn too_late() -> Failure {
    Failure::new(Exit::TimedOut, "the server has not answered in time")
}

async fn run_command(reach: &Reach, command: &ClientCommand) -> Result<Exit, Failure> {
    let identity = match command {
        ClientCommand::Login { .. } => Identity::replace(reach)?,
        _ => Identity::find(reach)?,
    };
    let receives = matches!(command, ClientCommand::Listen(_) | ClientCommand::Wait(_));
    let waits = receives || matches!(command, ClientCommand::Send(args) if args.wait.is_some());
    let end = reach.timeout.filter(|_| waits).map(|limit| Instant::now() + limit);
    let mut context = Context { reach, identity, output: Output::new(reach.json), waits, receives, end };
    match command {
        ClientCommand::Login { user } => return Login::begin(&context, user)?.run(&context).await,
        ClientCommand::Logout { session: None } if context.identity.token.is_none() => return Ok(Exit::Done),
        _ => {}
    }
    // Read before anything is asked of the server: what cannot be read is not sent.
    let mut work = Work::prepare(command)?;
    let connecting = async {
        match context.identity.token {
            Some(token) => Ok((context.connect(Some(token)).await?, false)),
            None => Ok((context.renew().await?, true)),
        }
    };
    let (mut client, is_renewed) = match context.end {
        None => connecting.await?,
        Some(end) => {
            let late = Failure { exit: Exit::Lost, ..too_late() };
            timeout_at(end, connecting).await.unwrap_or(Err(late))?
        }
    };
    let mut renewed = is_renewed.then(Instant::now);
    loop {
        match work.run(&mut context, &client, command).await {
            // A session that was renewed and has ended at once ends again.
            Err(failure)
                if failure.exit == Exit::NotLoggedIn
                    && context.can_renew()
                    && renewed.is_none_or(|at| at.elapsed() > RENEWAL) =>
            {
                client = context.renew().await?;
                renewed = Some(Instant::now());
            }
            done => return done.map_err(|failure| context.explain_end(failure)),
        }
    }
}

impl Context<'_> {
    /// Connects, with a token or without one. Whoever waits for messages waits for the server, too, in the time that there is.
    async fn connect(&self, token: Option<Token>) -> Result<Client, Failure> {
        let mut told = false;
        loop {
            match (Client::connect(self.options(token)?).await, self.end.filter(|_| self.receives)) {
                (Err(error @ ClientError::Unreachable { .. }), Some(end)) if Instant::now() + AGAIN < end => {
                    if !std::mem::replace(&mut told, true) {
                        complain(&format!("{error}; trying again"));
                    }
                    sleep(AGAIN).await;
                }
                (connected, _) => return Ok(connected?),
            }
        }
    }

    /// How the server is reached.
    pub(super) fn options(&self, token: Option<Token>) -> Result<Options, Failure> {
        let mut options = self.identity.target.options(self.reach, true)?;
        if self.waits {
            options.timeout = TIMEOUT;
        }
        options.token = token;
        options.device = Some(device(self.reach));
        Ok(options)
    }

    /// Says which session has ended.
    fn explain_end(&self, failure: Failure) -> Failure {
        if failure.exit != Exit::NotLoggedIn {
            return failure;
        }
        let told = if self.identity.is_of_login {
            format!("your session has ended\n  remedy: {}", self.identity.profile.remedy())
        } else {
            "the token of CHAT_TOKEN or --token-file is that of no session here (not_authorized)\n  \
             remedy: another token, or none, to use the login"
                .to_owned()
        };
        Failure { told, ..failure }
    }

    /// Whether there is the password of a login.
    fn can_renew(&self) -> bool {
        self.reach.password_file.is_some() && self.identity.target.login.is_some()
    }

    /// Logs in with the password of a file.
    async fn renew(&self) -> Result<Client, Failure> {
        let Identity { target, profile, .. } = &self.identity;
        let (Some(file), Some(login)) = (&self.reach.password_file, &target.login) else {
            return Err(not_logged_in(&self.identity));
        };
        let client = self.connect(None).await?;
        let token = client.auth(&login.user, &read_secret(file)?).await?;
        profile.save(&target.login(self.reach, &login.user, &token))?;
        Ok(client)
    }
}

fn not_logged_in(identity: &Identity) -> Failure {
    let remedy = identity.profile.remedy();
    let told = match &identity.target.login {
        // There is a login, and it is for other servers.
        None if identity.target.has_login_elsewhere => {
            format!(
                "not logged in at this server\n  remedy: {remedy}, with the same --host, and a --profile of its own"
            )
        }
        _ => format!("not logged in\n  remedy: {remedy}"),
    };
    Failure::new(Exit::NotLoggedIn, told)
}

/// What a command does, and how far it is.
enum Work {
    Send(send::Sending),
    Receive(Receiving),
    Passwd { old: String, new: String },
    Ask,
}

impl Work {
    fn prepare(command: &ClientCommand) -> Result<Self, Failure> {
        Ok(match command {
            ClientCommand::Send(args) => Work::Send(send::Sending::prepare(args)?),
            ClientCommand::Inbox { take, .. } => Work::Receive(Receiving::inbox(*take)),
            ClientCommand::Listen(args) => Work::Receive(Receiving::listen(args)),
            ClientCommand::Wait(args) => Work::Receive(Receiving::wait(args)),
            ClientCommand::Passwd => {
                let (old, new) = login::read_passwords()?;
                Work::Passwd { old, new }
            }
            _ => Work::Ask,
        })
    }

    async fn run(
        &mut self,
        context: &mut Context<'_>,
        client: &Client,
        command: &ClientCommand,
    ) -> Result<Exit, Failure> {
        match self {
            Work::Send(sending) => sending.run(context, client).await,
            Work::Receive(receiving) => match command {
                ClientCommand::Inbox { fail_empty, .. } => {
                    receiving.take_inbox(context, client, *fail_empty).await
                }
                _ => receiving.run(context, client).await,
            },
            Work::Passwd { old, new } => Ok(client.passwd(old, new).await.map(|()| Exit::Done)?),
            Work::Ask => match command {
                ClientCommand::Bench(args) => bench::run(context, client, args).await,
                ClientCommand::Logout { session } => login::logout(context, client, *session).await,
                _ => show::ask(&mut context.output, client, command).await,
            },
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let told = match &error {
            // At a prompt and in a shell, nobody writes tokens.
            ClientError::Refused(refused) => explain::refusal(refused, None).replace(" [token]", ""),
            ClientError::TooLong { got, limit } => {
                let (got, limit) = (*got as u64, *limit as u64);
                format!("too long: {} of {} bytes", explain::grouped(got), explain::grouped(limit))
            }
            other => other.to_string(),
        };
        let told = match error.code() {
            Some(code) => format!("{told} ({code})"),
            None => told,
        };
        Failure::new(exit::of(&error), told)
    }
}
