//! What must survive: messages, how far each inbox was read, sessions. Who may do what is not known here.
//!
//! [`Store`] is the contract that every store keeps; [`Sqlite`] is on disk, [`Memory`] is not.

mod durability;
mod memory;
mod sqlite;

use std::{future::Future, pin::Pin};

pub use durability::{Durability, Fate, Position};
pub use memory::Memory;
pub use sqlite::{
    BackupError, Durable, OpenError, Options, Report, SCHEMA_VERSION, Sqlite, backup, check, database,
};

use crate::protocol::{Refusal, Timestamp, TokenDigest, UserName};

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
    /// The recipient's user name. That there is such a user is the caller's to know.
    pub to: &'a UserName,
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
    /// The recipient's user name.
    pub to: UserName,
    /// The text.
    pub text: std::sync::Arc<str>,
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

/// The front of an inbox.
pub struct Page {
    /// The oldest messages, oldest first.
    pub messages: Vec<Message>,
    /// What must be durable before anybody may be told of them, or of their absence.
    pub position: Position,
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

    /// At most `limit` messages at the front of the user's inbox. They stay there.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if they cannot be read.
    fn inbox<'a>(&'a self, user: &'a UserName, limit: usize) -> BoxFuture<'a, Result<Page, Refusal>>;

    /// Takes the messages up to and including `upto` out of the user's inbox; there are `taken` of them.
    fn acknowledge(&self, user: &UserName, upto: MessageId, taken: usize, at: Timestamp) -> Position;

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
    fn durability(&self) -> &Durability;

    /// How the store is called at start, and what it promises: one line.
    fn describe(&self) -> String;

    /// Writes everything that is queued, and ends. Blocks.
    fn close(&self);
}
