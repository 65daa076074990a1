//! Sessions at the prompt.

use std::{sync::atomic::Ordering, time::Duration};

use super::{Login, Talk};
use tokio::time::timeout;

use crate::{
    cli::{complain, exit::Failure, once::show, reach::device},
    client::{Client, WatchOptions},
};

/// Time after which it is said that the server is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl Talk {
    /// Takes up the session of an earlier login. Without one, it is seen whether the server is there.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        let mut options = self.identity.target.options(&self.reach, true)?;
        options.token = self.identity.token;
        options.device = Some(device(&self.reach));
        let shown = self.identity.target.shown();
        let reached = async {
            let client = Client::connect(options).await?;
            // A server that hangs accepts connections, too.
            client.ping().await.map(|()| client)
        };
        let mut reached = std::pin::pin!(reached);
        // With TLS, it may be the user who is waited for: whether the server is the right one.
        let patience = if self.identity.target.is_encrypted { Duration::MAX } else { PATIENCE };
        let client = if let Ok(client) = timeout(patience, &mut reached).await {
            client?
        } else {
            complain(&format!("waiting for {shown}"));
            reached.await?
        };
        // From now on, the editor has the terminal.
        self.identity.target.may_ask.store(false, Ordering::Relaxed);
        if self.identity.token.is_none() {
            self.note(&format!("{} is there: auth USER logs in, help lists the commands", client.server()));
            return Ok(());
        }
        match client.whoami().await {
            Ok(who) => self.log_in(client, &who.username).await,
            Err(error) if error.code() == Some("not_authorized") => {
                self.note("your session has ended: auth USER logs in");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Opens a session, and keeps it for later runs.
    pub(super) async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        let mut options = self.identity.target.options(&self.reach, true)?;
        options.device = Some(device(&self.reach));
        let client = Client::connect(options).await?;
        let token = client.auth(user, password).await?;
        let kept = self.identity.profile.save(&self.identity.target.login(&self.reach, user, &token));
        // It was the other user's.
        self.recipient = None;
        self.log_in(client, user).await;
        match kept {
            Ok(()) => self.note("this login is kept: commands in a shell use it, too"),
            Err(Failure { told, .. }) => self.problem(&format!("this login is not kept: {told}")),
        }
        Ok(())
    }

    async fn log_in(&mut self, client: Client, user: &str) {
        self.paint.set_me(user);
        self.note(&format!("you are {user} at {}", client.server()));
        if let Ok(who) = client.who().await {
            for person in &who.users {
                self.presence.know(&person.username, person.connected);
            }
            let users = who.users.into_iter().map(|person| person.username.into_owned()).collect();
            self.lock_names().users = users;
        }
        if let Ok(rooms) = show::all_rooms(&client).await {
            self.lock_names().rooms = rooms.into_iter().map(|room| room.room.into_owned()).collect();
        }
        let conversations = client.conversations(Some(1000)).await.map(|reply| reply.conversations);
        let last = conversations.unwrap_or_default().into_iter().filter_map(|conversation| conversation.last);
        self.known_own = last.map(|message| message.id).max().unwrap_or(0);
        let events = client.watch(WatchOptions { after: None, own: true }).await;
        self.login = Some(Login { client, user: user.to_owned(), events });
    }
}
