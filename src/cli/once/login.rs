//! Logging in and out, and passwords. A password is never an argument, because the list of processes shows arguments.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{
    super::{Exit, complain, exit::Failure, reach::read_secret},
    Context,
};
use crate::{client::Client, config::SessionChoice};

/// A login that begins.
pub(super) struct Login {
    user: String,
    password: String,
}

impl Login {
    pub(super) fn begin(context: &Context<'_>, user: &str) -> Result<Self, Failure> {
        let password = match &context.reach.password_file {
            Some(file) => read_secret(file)?,
            None => ask(&format!("Password of {user}: "))?,
        };
        Ok(Login { user: user.to_owned(), password })
    }

    /// Logs in, and keeps the login. An earlier login of the profile ends.
    pub(super) async fn run(self, context: &Context<'_>) -> Result<Exit, Failure> {
        let Login { user, password } = self;
        let client = context.connect(None).await?;
        let token = client.auth(&user, &password).await?;
        let identity = &context.identity;
        let kept = identity.profile.save(&identity.target.login(context.reach, &user, &token));
        if let Err(failure) = kept {
            // A session that nobody can use.
            client.logout(None).await.ok();
            return Err(failure);
        }
        if let Some(earlier) = identity.token.filter(|_| identity.is_of_login) {
            let ended = context.connect(Some(earlier)).await;
            if let Ok(client) = ended {
                // It may have ended before.
                client.logout(None).await.ok();
            }
        }
        if !identity.is_of_login {
            complain("this login is kept, and CHAT_TOKEN or --token-file is used instead of it");
        }
        if io::stderr().is_terminal() {
            let server = client.server();
            writeln!(io::stderr(), "{user} is logged in at {server}").ok();
        }
        Ok(Exit::Done)
    }
}

/// Ends sessions.
pub(super) async fn logout(
    context: &Context<'_>,
    client: &Client,
    session: Option<SessionChoice>,
) -> Result<Exit, Failure> {
    match session {
        Some(SessionChoice::Number(number)) => client.logout(Some(number)).await?,
        Some(SessionChoice::All) => client.logout_all().await?,
        None => match client.logout(None).await {
            // It has ended before.
            Err(error) if error.code() == Some("not_authorized") => {}
            ended => ended?,
        },
    }
    if context.identity.is_of_login && !matches!(session, Some(SessionChoice::Number(_))) {
        context.identity.profile.forget()?;
    }
    Ok(Exit::Done)
}

/// The old and the new password: asked for, or two lines of standard input.
pub(super) fn read_passwords() -> Result<(String, String), Failure> {
    let read = |prompt| {
        ask(prompt).map_err(|Failure { exit, told }| match exit {
            Exit::Usage => {
                Failure::new(exit, "standard input has two lines: the old password and the new one")
            }
            _ => Failure { exit, told },
        })
    };
    let (old, new) = (read("Old password: ")?, read("New password: ")?);
    if io::stdin().is_terminal() && ask("New password again: ")? != new {
        return Err(Failure::new(Exit::Refused, "the new passwords are not the same: nothing was changed"));
    }
    Ok((old, new))
}

/// A secret: hidden on a terminal, otherwise a line of standard input.
fn ask(prompt: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Refused, format!("cannot read the password: {error}"));
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).map_err(failed);
    }
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).map_err(failed)? == 0 {
        let told =
            "standard input has no password\n  remedy: a line of standard input, or --password-file FILE";
        return Err(Failure::new(Exit::Usage, told));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
