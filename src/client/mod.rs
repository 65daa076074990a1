//! A client as a library: a handle that is cheap to clone, and a task that has the connection.
//!
//! It speaks dialect 2, in JSON. A connection that is lost is made again: requests that were under way are sent again if that does no
//! harm, as sends with a key do not, and the events go on after the last message that was shown.
//!
//! ```no_run
//! use chat_service::client::{Client, Event, Options, WatchOptions};
//! use chat_service::protocol::objects::EventObject;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(Options::new("127.0.0.1", 8889)).await?;
//! client.auth("messi", "surabaya").await?;
//! let sent = client.send("henderson", "haloo").key("greeting-1").await?;
//! println!("message {} is stored", sent.id);
//!
//! let mut events = client.watch(WatchOptions::default()).await;
//! while let Some(event) = events.next().await {
//!     if let Event::Server(EventObject::Message(message)) = event {
//!         println!("{}: {}", message.from, message.msg);
//!         client.ack(message.id).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connection;
mod error;
mod events;
pub(crate) mod incoming;
pub(crate) mod options;
mod raw;
mod request;
mod send;
mod task;
mod tls;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub use self::{
    error::ClientError,
    events::{Event, Events, WatchOptions},
    options::Options,
    raw::RawClient,
    send::SendRequest,
    tls::{Certificate, Distrust, Judge, Tls, Unvouched},
};
use self::{
    request::{Answer, Request},
    task::{Order, Task},
};
use crate::{
    model::{MAX_LINE, Token},
    protocol::objects::{
        AckReply, AuthReply, ConversationsReply, HelloReply, MembersReply, PageReply, ReadReply, RoomsReply,
        SessionsReply, StatusReply, WhoReply, WhoamiReply,
    },
};

/// What the handles and the task share.
#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// The token that requests are sent with.
    token: Option<Token>,
    /// The server of the connection.
    server: String,
    /// The server has answered on this connection, and is not known to be lost.
    is_there: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it is held")
    }

    fn token(&self) -> Option<Token> {
        self.lock().token
    }

    fn set_token(&self, token: Option<Token>) {
        self.lock().token = token;
    }
}

/// A handle to a connection. When the last clone is dropped, the connection ends; the session does not.
#[derive(Clone)]
pub struct Client {
    options: Arc<Options>,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
}

/// Most requests that wait for the task.
const ORDERS: usize = 256;

/// A page of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryOptions {
    /// Most messages; 50 without.
    pub limit: Option<u64>,
    /// Only messages before this number.
    pub before: Option<u64>,
}

/// Whether a request may be sent twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Harmless,
    Never,
}

impl Client {
    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if none does.
    pub async fn connect(options: Options) -> Result<Self, ClientError> {
        let connection = connection::connect(&options, 0).await?;
        let (orders, queue) = mpsc::channel(ORDERS);
        let shared = Arc::<Shared>::default();
        shared.set_token(options.token);
        connection.server().clone_into(&mut shared.lock().server);
        let options = Arc::new(options);
        tokio::spawn(Task::new(options.clone(), shared.clone(), queue).run(connection));
        Ok(Client { options, shared, orders })
    }

    /// The server of the connection, as `host:port`; without a connection, the last one.
    #[must_use]
    pub fn server(&self) -> String {
        self.shared.lock().server.clone()
    }

    /// Whether the server has answered on this connection, and is not known to be lost. A server that hangs counts as lost when it
    /// has not answered for [`timeout`](Options::timeout).
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.shared.lock().is_there
    }

    /// The token of the session; `None` without one.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.shared.token()
    }

    /// Opens a session. Later requests are made in it.
    ///
    /// # Errors
    /// As of every request; `bad_credentials` if the user or the password is wrong.
    pub async fn auth(&self, username: &str, password: &str) -> Result<Token, ClientError> {
        let fields = [("username", username.into()), ("password", password.into())];
        let reply: AuthReply = self.ask("auth", fields, Repeat::Never).await?;
        let token = Token::parse(&reply.tokenid);
        let token = token.ok_or_else(|| ClientError::Protocol("it sent a token of another form".into()))?;
        self.shared.set_token(Some(token));
        Ok(token)
    }

    /// A message to a user or to a `#room`, which is sent when it is awaited. It is sent again with the same key if the connection is
    /// lost, so it is stored once.
    pub fn send<'a>(&'a self, to: &'a str, text: &'a str) -> SendRequest<'a> {
        SendRequest::new(self, to, text)
    }

    /// The server's name, limits and commands.
    ///
    /// # Errors
    /// As of every request.
    pub async fn hello(&self) -> Result<HelloReply, ClientError> {
        let device = self.options.device.as_deref().map(|device| ("device", device.into()));
        self.ask("hello", [("protocol", 2.into())].into_iter().chain(device), Repeat::Harmless).await
    }

    /// The oldest messages of the inbox, at most `limit`, or 50. They stay there.
    ///
    /// # Errors
    /// As of every request.
    pub async fn fetch(&self, limit: Option<u64>) -> Result<PageReply, ClientError> {
        self.ask("fetch", optional("limit", limit), Repeat::Harmless).await
    }

    /// Takes the messages up to this number out of the inbox.
    ///
    /// # Errors
    /// As of every request; `no_such_message` if it is none of the inbox, now or earlier.
    pub async fn ack(&self, id: u64) -> Result<AckReply, ClientError> {
        self.ask("ack", [("id", id.into())], Repeat::Harmless).await
    }

    /// A page of a conversation with a user, or of a `#room`.
    ///
    /// # Errors
    /// As of every request; `no_such_user`, `no_such_room`, `not_a_member`.
    pub async fn history(&self, with: &str, page: HistoryOptions) -> Result<PageReply, ClientError> {
        let fields = [("with", with.into())].into_iter();
        let fields = fields.chain(optional("limit", page.limit)).chain(optional("before", page.before));
        self.ask("history", fields, Repeat::Harmless).await
    }

    /// How far a message is: stored, acknowledged, read.
    ///
    /// # Errors
    /// As of every request; `no_such_message`.
    pub async fn status(&self, id: u64) -> Result<StatusReply, ClientError> {
        self.ask("status", [("id", id.into())], Repeat::Harmless).await
    }

    /// The user's conversations, newest first, at most `limit`, or 50.
    ///
    /// # Errors
    /// As of every request.
    pub async fn conversations(&self, limit: Option<u64>) -> Result<ConversationsReply, ClientError> {
        self.ask("conversations", optional("limit", limit), Repeat::Harmless).await
    }

    /// Moves the read marker of a conversation to a message.
    ///
    /// # Errors
    /// As of every request; `no_such_message` if it is none of that conversation.
    pub async fn read(&self, with: &str, id: u64) -> Result<ReadReply, ClientError> {
        self.ask("read", [("with", with.into()), ("id", id.into())], Repeat::Harmless).await
    }

    /// Tells those who watch that the user is typing.
    ///
    /// # Errors
    /// As of every request; `no_such_user`, `no_such_room`, `not_a_member`.
    pub async fn typing(&self, to: &str) -> Result<(), ClientError> {
        self.order("typing", [("to", to.into())], Repeat::Harmless).await
    }

    /// Enters a room, and makes it if there is none.
    ///
    /// # Errors
    /// As of every request; `too_many_rooms`.
    pub async fn join(&self, room: &str) -> Result<(), ClientError> {
        self.order("join", [("room", room.into())], Repeat::Harmless).await
    }

    /// Leaves a room.
    ///
    /// # Errors
    /// As of every request; `not_a_member`. If the connection is lost meanwhile, the user may have left.
    pub async fn leave(&self, room: &str) -> Result<(), ClientError> {
        self.order("leave", [("room", room.into())], Repeat::Never).await
    }

    /// At most 1,000 rooms by name, those after the room `after`.
    ///
    /// # Errors
    /// As of every request.
    pub async fn rooms(&self, after: Option<&str>) -> Result<RoomsReply, ClientError> {
        self.ask("rooms", optional("after", after), Repeat::Harmless).await
    }

    /// The members of a room that the user is in.
    ///
    /// # Errors
    /// As of every request; `no_such_room`, `not_a_member`.
    pub async fn members(&self, room: &str) -> Result<MembersReply, ClientError> {
        self.ask("members", [("room", room.into())], Repeat::Harmless).await
    }

    /// All users.
    ///
    /// # Errors
    /// As of every request.
    pub async fn who(&self) -> Result<WhoReply, ClientError> {
        self.ask("who", [], Repeat::Harmless).await
    }

    /// Whose session it is.
    ///
    /// # Errors
    /// As of every request.
    pub async fn whoami(&self) -> Result<WhoamiReply, ClientError> {
        self.ask("whoami", [], Repeat::Harmless).await
    }

    /// The user's sessions.
    ///
    /// # Errors
    /// As of every request.
    pub async fn sessions(&self) -> Result<SessionsReply, ClientError> {
        self.ask("sessions", [], Repeat::Harmless).await
    }

    /// Gives the user another password. The user's other sessions end.
    ///
    /// # Errors
    /// As of every request; `bad_credentials`, `weak_password`. If the connection is lost meanwhile, either may be the password.
    pub async fn passwd(&self, old: &str, new: &str) -> Result<(), ClientError> {
        self.order("passwd", [("old", old.into()), ("new", new.into())], Repeat::Never).await
    }

    /// Ends the session, or the one of that number.
    ///
    /// # Errors
    /// As of every request; `no_such_session`.
    pub async fn logout(&self, session: Option<u32>) -> Result<(), ClientError> {
        let ended = self.order("logout", optional("session", session), Repeat::Never).await;
        if ended.is_ok() && session.is_none() {
            self.shared.set_token(None);
        }
        ended
    }

    /// Ends all sessions of the user.
    ///
    /// # Errors
    /// As of every request.
    pub async fn logout_all(&self) -> Result<(), ClientError> {
        self.order("logout", [("all", true.into())], Repeat::Never).await?;
        self.shared.set_token(None);
        Ok(())
    }

    /// Asks whether the server is there.
    ///
    /// # Errors
    /// As of every request.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.order("ping", [], Repeat::Harmless).await
    }

    /// The events of the session from now on. A client has one such stream: an earlier one ends.
    ///
    /// If the server refuses it, as without a session, the stream ends with [`Event::Refused`].
    pub async fn watch(&self, options: WatchOptions) -> Events {
        let (sender, events) = events::stream();
        // Without a task, the stream has ended.
        self.orders.send(Order::Watch(options, sender)).await.ok();
        events
    }

    /// Makes a request of which only its success matters.
    async fn order(
        &self,
        command: &str,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
        repeat: Repeat,
    ) -> Result<(), ClientError> {
        self.ask::<serde::de::IgnoredAny>(command, fields, repeat).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        command: &str,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
        repeat: Repeat,
    ) -> Result<T, ClientError> {
        let mut all = Map::from_iter([("command".to_owned(), command.into())]);
        all.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let needs_session = !matches!(command, "auth" | "hello" | "help" | "ping");
        let (reply, replied) = oneshot::channel();
        let request = Request {
            fields: all,
            needs_session,
            is_repeatable: repeat == Repeat::Harmless,
            reply: Answer::Caller(reply),
        };
        let mut line = Vec::new();
        request.write(self.shared.token(), &mut line);
        if line.len() > MAX_LINE {
            return Err(ClientError::TooLong { got: line.len(), limit: MAX_LINE });
        }
        let gone = || ClientError::Lost("its runtime has ended".to_owned());
        let asked = async {
            self.orders.send(Order::Ask(request)).await.map_err(|_| gone())?;
            replied.await.map_err(|_| gone())?
        };
        let waited = timeout(self.options.timeout, asked).await;
        let json = waited.unwrap_or(Err(ClientError::TimedOut(self.options.timeout)))?;
        serde_json::from_str(&json).map_err(|_| ClientError::Protocol(json))
    }
}

/// A field that may be left out.
fn optional(name: &'static str, value: Option<impl Into<Value>>) -> Option<(&'static str, Value)> {
    value.map(|value| (name, value.into()))
}
