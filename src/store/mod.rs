//! What must survive: messages, how far each inbox was read, sessions. Who may do what is not known here.
//!
//! [`Store`] is the contract that every store keeps; [`Sqlite`] is on disk, [`Memory`] is not.

mod durability;
mod memory;
mod rooms;
mod sorted;
mod sqlite;

use std::{future::Future, pin::Pin, sync::Arc};

pub use durability::{Durability, Fate, Position};
pub use memory::Memory;
pub use rooms::{Membership, RoomEntry};
pub use sqlite::{
    BackupError, Durable, NameUsage, OpenError, Options, Report, SCHEMA_VERSION, Sqlite, backup, check,
    database, name_usage,
};

use crate::protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName};

/// A future that owns or borrows what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A message's number. Numbers only grow; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// What a store is asked to keep.
#[derive(Clone, Copy)]
pub struct NewMessage<'a> {
    /// The sender's user name.
    pub from: &'a UserName,
    /// For whom. That there is such a user, or that the sender is in that room, is the caller's to know.
    pub to: &'a Recipient,
    /// The text, not empty.
    pub text: &'a str,
    /// The sender's idempotency key: a second message of this sender with it is never stored.
    pub key: Option<&'a str>,
    /// When the server took it.
    pub at: Timestamp,
}

/// A message that is kept.
#[derive(Clone)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// When the server took it.
    pub at: Timestamp,
    /// The sender's user name.
    pub from: UserName,
    /// For whom.
    pub to: Recipient,
    /// The text.
    pub text: Arc<str>,
}

/// That a message is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub id: MessageId,
    /// When the server took it.
    pub at: Timestamp,
    /// It was there already, under the same key and with the same content.
    pub duplicate: bool,
}

/// A part of an inbox or of a conversation.
pub struct Page {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// There are more on that side to which the page was cut.
    pub more: bool,
    /// What must be durable before anybody may be told of them, or of their absence.
    pub position: Position,
}

/// How far an inbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Messages up to this one have left the inbox; 0 if none has.
    pub upto: MessageId,
    /// What must be durable before anybody may be told of it.
    pub position: Position,
}

/// Hears of messages.
pub trait Listener: Send + Sync {
    /// Whether anybody wants to hear of anything. Asked for each commit.
    fn is_listening(&self) -> bool;

    /// Messages for that recipient have become durable. Returns soon: a writer calls it.
    fn stored(&self, to: &Recipient);
}

/// What a store keeps of a session.
#[derive(Debug, Clone)]
pub struct SessionRecord {
    /// SHA-256 of its token.
    pub digest: TokenDigest,
    /// Whose it is.
    pub user: UserName,
    /// When it began.
    pub created: Timestamp,
    /// When it was used last, to within an hour.
    pub used: Timestamp,
    /// Its number among the user's; 0 if it was made before sessions had one.
    pub number: u32,
}

/// The result of a write, and what must be durable before anybody may be told of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<T> {
    /// What became of it, should the position become durable.
    pub result: Result<T, Refusal>,
    /// The position that it rests on.
    pub position: Position,
}

/// What a store gives for a write, at once: the outcome, or the promise of one.
pub enum Receipt<T> {
    /// The outcome is known already.
    Known(Outcome<T>),
    /// It becomes known later.
    Late(BoxFuture<'static, Outcome<T>>),
}

/// What a store gives for a look: what was found, at once if that takes no disk. To be awaited in any case.
pub enum Look<'a, T> {
    /// Known already.
    Found(Result<T, Refusal>),
    /// Being read.
    Reading(BoxFuture<'a, Result<T, Refusal>>),
}

impl<'a, T: Send + 'a> IntoFuture for Look<'a, T> {
    type Output = Result<T, Refusal>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            Look::Found(found) => Box::pin(std::future::ready(found)),
            Look::Reading(found) => found,
        }
    }
}

/// The contract.
///
/// - **Order.** Messages that one caller appends one after the other get growing numbers, and every inbox gives
///   its messages in the order of their numbers.
/// - **At once.** No method waits for a disk, a network or another thread. Writes take effect for every later
///   call in the same moment, durable or not; what rests on them says so by its [`Position`].
/// - **Durability.** When [`durability`](Store::durability) reports a position durable, everything up to it
///   outlives the process, as far as the store promises that at all. When it reports it failed, everything that
///   was not durable by then is as if it had not been asked for.
/// - **Once.** A key names one message of its sender, whatever happens at the same time.
/// - **Late outcomes.** A [`Receipt`] may be [`Late`](Receipt::Late), and late ones may resolve in another order
///   than they were given out.
pub trait Store: Send + Sync + 'static {
    /// Keeps a message and puts it at the end of its recipient's inbox.
    ///
    /// Refuses with [`Refusal::KeyReused`] (the key names a message with another recipient or text), or else
    /// [`Refusal::InboxFull`]; a repeated message with its key is answered as it was the first time.
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored>;

    /// What [`append`](Store::append) would answer if the message's key was used before; `None` if it was not, or
    /// there is no key. Keeps nothing.
    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>>;

    /// At most `limit` messages of the user's inbox after number `after`, the oldest of them. They stay there.
    ///
    /// An inbox has the messages to the user and those that others sent to rooms while the user was in them, after the
    /// user's cursor. (A message whose key may have been used before ends the page until that is known.)
    ///
    /// # Errors
    /// [`Refusal::Internal`] if they cannot be read.
    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page>;

    /// At most `limit` messages of a conversation before number `before`, the newest of them: between two users, or
    /// in a room while the user was in it.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if they cannot be read.
    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Refusal>>;

    /// The message of that number, if there is one, and what must be durable before anybody may be told.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if it cannot be read.
    fn message(&self, id: MessageId) -> BoxFuture<'_, Result<(Option<Message>, Position), Refusal>>;

    /// Takes the messages up to and including `upto` out of the user's inbox; `direct` of them are to the user, not
    /// to a room.
    fn acknowledge(&self, user: &UserName, upto: MessageId, direct: usize, at: Timestamp) -> Position;

    /// How far the user's inbox was read.
    fn cursor(&self, user: &UserName) -> Cursor;

    /// When the user's cursor passed a message, if it has.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if it cannot be read.
    fn acknowledged_at<'a>(
        &'a self,
        user: &'a UserName,
        id: MessageId,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Refusal>>;

    /// The user is in the room from the next message on; makes the room if there is none. Once is as good as twice.
    fn join(&self, user: &UserName, room: &RoomName) -> Position;

    /// The user is not in the room from the next message on.
    fn leave(&self, user: &UserName, room: &RoomName) -> Position;

    /// What the user is to the room, and what must be durable before anybody may be told.
    fn membership(&self, user: &UserName, room: &RoomName) -> (Membership, Position);

    /// How many rooms the user is in.
    fn count_rooms(&self, user: &UserName) -> usize;

    /// All rooms by name, as the user sees them, and what must be durable before that is told.
    fn rooms(&self, user: &UserName) -> (Vec<RoomEntry>, Position);

    /// Who is in the room, or was when that message came, by name; and what must be durable before that is told.
    fn members(&self, room: &RoomName, at: Option<MessageId>) -> (Vec<UserName>, Position);

    /// With whom the user is in a room or has ever exchanged a message, by name.
    fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>>;

    /// From now on `listener` hears of every message that becomes durable. There is one listener, and it is set once.
    fn subscribe(&self, listener: Arc<dyn Listener>);

    /// Keeps a session. (Where there is no space for it, it lasts as long as the process: its position is durable.)
    fn open_session(&self, session: SessionRecord) -> Position;

    /// Keeps when a session was used last.
    fn touch_session(&self, digest: &TokenDigest, used: Timestamp);

    /// Forgets a session.
    fn end_session(&self, digest: &TokenDigest) -> Position;

    /// The sessions that were kept when the store was opened.
    fn sessions(&self) -> Vec<SessionRecord>;

    /// So much waits to be written that no more should be asked for until this position is settled.
    fn congestion(&self) -> Option<Position>;

    /// Which positions are durable.
    fn durability(&self) -> &Arc<Durability>;

    /// What an OK promises: `fsync`, `os` or `none`.
    fn promise(&self) -> &'static str;

    /// How many messages may wait in one inbox, those to rooms not counted.
    fn inbox_limit(&self) -> usize;

    /// How the store is called at start, and what it promises: one line.
    fn describe(&self) -> String;

    /// Writes everything that is queued, and ends. Blocks.
    fn close(&self);
}
