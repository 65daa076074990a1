//! What must survive: messages, how far each inbox was read, rooms, sessions. This module does not know who may do what.
//!
//! [`Store`] is the contract that every store keeps; [`Sqlite`] is on disk, [`Memory`] is not.

mod commit_log;
mod front;
mod memory;
mod sqlite;

use std::sync::Arc;

pub use commit_log::{CommitLog, Settlement};
pub use front::rooms::{Membership, RoomEntry};
pub use memory::Memory;
pub use sqlite::{
    BackupError, Durable, NameUsage, OpenError, Options, Report, SCHEMA_VERSION, Sqlite, backup, check,
    database, name_usage,
};

use crate::model::{
    At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, NotedPassword, Outcome, Page, Position,
    ReadMarker, Recipient, RoomName, Stored, Timestamp, TokenDigest, UserName,
};

/// What a store returns for a write: its outcome, or a future of it.
pub type Receipt<T> = MaybeReady<'static, Outcome<T>>;

/// What a store returns for a read: the result, or a future of it. The error is
/// [`Refusal::Internal`](crate::model::Refusal::Internal) if it cannot be read.
pub type Reading<'a, T> = MaybeReady<'a, Outcome<T>>;

/// Result of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Whether this acknowledgement has moved the cursor.
    pub moved: bool,
    /// Where the cursor is now.
    pub cursor: MessageId,
}

/// What a store keeps of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// SHA-256 of its token.
    pub digest: TokenDigest,
    /// The user who logged in.
    pub user: UserName,
    /// When it was opened.
    pub created: Timestamp,
    /// When it was last used, to within an hour.
    pub used: Timestamp,
    /// Its number among the user's sessions; 0 if it is from a time when sessions had no numbers.
    pub number: u32,
    /// What the client has called the device; `None` if it has not.
    pub device: Option<Box<str>>,
}

/// What a store keeps of who has a user name.
///
/// A name can pass from one person to another. What the store has of the name up to message `after` belongs to its previous
/// owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRecord {
    /// The name.
    pub user: UserName,
    /// Time of the last decision of the operator about who has the name; the epoch if there was none.
    pub decided: Timestamp,
    /// The last message of the previous owners; 0 if there were none.
    pub after: MessageId,
    /// Since when the name is missing from the users file; `None` if it is not.
    pub absence: Option<Absence>,
    /// The password with which the sessions were opened; `None` if it was not noted.
    pub password: Option<NotedPassword>,
}

impl PersonRecord {
    /// The record of a name of which nothing was noted.
    #[must_use]
    pub fn new(user: UserName) -> Self {
        PersonRecord { user, decided: Timestamp(0), after: MessageId(0), absence: None, password: None }
    }
}

/// The absence of a name from the users file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// When it was noticed or, if the user was removed, the time of that.
    pub since: Timestamp,
    /// Whether the user was removed by `chat-server user remove`. Otherwise the name is just not there.
    pub is_removal: bool,
}

/// A network from which a user has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRecord {
    /// The user.
    pub user: UserName,
    /// A number for the network.
    pub network: u128,
    /// When the user has last logged in from there, to within a day.
    pub at: Timestamp,
}

/// A change that has become durable. Changes are reported in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There are new messages for this user or room. One report may stand for many messages.
    Stored {
        /// The recipient.
        to: Recipient,
    },
    /// This user has sent messages. One report may stand for many of them.
    Sent {
        /// The sender.
        from: UserName,
    },
    /// A cursor has moved: messages have left an inbox.
    Acknowledged {
        /// The user whose inbox it is.
        user: UserName,
        /// The new cursor.
        upto: MessageId,
        /// When it moved.
        at: Timestamp,
        /// Sender and number of each message that has left the inbox and was sent to the user directly, not to a room. Empty
        /// if the observer did not want deliveries when the cursor moved.
        delivered: Arc<[(UserName, MessageId)]>,
    },
    /// A user has joined a room.
    Joined {
        /// The user.
        user: UserName,
        /// The room.
        room: RoomName,
    },
    /// A user has left a room.
    Left {
        /// The user.
        user: UserName,
        /// The room.
        room: RoomName,
    },
    /// A person has read a conversation further.
    Read {
        /// The person.
        user: UserName,
        /// With whom the conversation is, or in which room.
        with: Recipient,
        /// How far it was read.
        marker: ReadMarker,
    },
    /// A session was opened.
    SessionOpened(SessionRecord),
    /// A session has ended.
    SessionEnded(TokenDigest),
}

/// Receives the changes of a store.
pub trait Observer: Send + Sync {
    /// Whether the observer wants [`Change::Stored`] and the deliveries in [`Change::Acknowledged`]. Asked for each commit.
    fn wants_messages(&self) -> bool;

    /// Whether the observer wants [`Change::Sent`], beside messages. Asked for each commit.
    fn wants_sent(&self) -> bool {
        false
    }

    /// Called for each change, in the order of the log. The caller may hold a lock of the store and delay its commits: this must
    /// return soon, and must not call the store.
    fn changed(&self, change: Change);
}

/// Which messages of a user are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those in the inbox.
    Inbox,
    /// Those that have left the inbox, too.
    Received,
    /// Those that the user has sent, too.
    All,
}

/// Messages, and where they are found.
pub trait Messages {
    /// Stores a message at the end of its recipient's inbox.
    ///
    /// Refuses with [`KeyReused`](crate::model::Refusal::KeyReused) if the key belongs to a message with another recipient or
    /// text, and otherwise with [`InboxFull`](crate::model::Refusal::InboxFull). A message that was stored before under the
    /// same key gets the first outcome again.
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored>;

    /// Outcome that [`append`](Messages::append) would have if the message's key was used before; `None` if it was not, or if
    /// there is no key. Stores nothing.
    fn find_by_key(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>>;

    /// Reads the oldest messages of a user's inbox after number `after`, at most `limit`. They stay in the inbox.
    ///
    /// An inbox has, after the user's cursor, the messages to the user and those that others sent to rooms while the user was
    /// in them. A message whose key is still being looked up ends the page.
    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page>;

    /// Reads the oldest messages of a user after number `after`, at most `limit`: those of the inbox and, according to `scope`,
    /// others. For [`Scope::Inbox`] it is the same as [`inbox`](Messages::inbox).
    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page>;

    /// Reads the newest messages of a conversation before number `before`, at most `limit`: between two users, or in a room
    /// while the user was in it.
    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> Reading<'a, Page>;

    /// Reads a message by its number.
    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>>;

    /// Users with whom the user is in a room or has ever exchanged a message, by name.
    fn contacts<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>>;

    /// Most messages that may wait in one inbox, those to rooms not counted.
    fn inbox_limit(&self) -> usize;
}

/// How far each inbox was read.
pub trait Cursors {
    /// Moves the user's cursor from `from` to `upto`, so that the messages up to `upto` leave the inbox.
    ///
    /// Does nothing if the cursor is not at `from`, or not before `upto`: another reader was faster. A cursor stops before a
    /// message whose key is still being looked up.
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged>;

    /// The user's cursor: the last message that has left the inbox; 0 if none has.
    fn cursor(&self, user: &UserName) -> At<MessageId>;

    /// When the user's cursor passed a message; `None` if it has not.
    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>>;
}

/// Result of a move of a read marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Whether this has moved the marker.
    pub moved: bool,
    /// Where the marker is now.
    pub marker: ReadMarker,
}

/// A conversation of a user, as far as it concerns that user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEntry {
    /// With whom it is, or in which room.
    pub with: Recipient,
    /// Its last message; `None` in a room without a message that the user may see.
    pub last: Option<Message>,
    /// Number of messages of others after the read marker: at most [`MAX_UNREAD`].
    pub unread: usize,
    /// The last message that was read; 0 if none was.
    pub read_upto: MessageId,
}

/// Most messages that are counted as unread. The newest [`MAX_LOOKED_AT`] messages of a conversation are looked at for that.
pub const MAX_UNREAD: usize = 100;

/// Most messages of a conversation that are looked at to count the unread ones: its user may have written all of them.
pub const MAX_LOOKED_AT: usize = 1000;

/// Conversations, and how far each person has read them.
pub trait Conversations {
    /// Moves a read marker of the user, unless it is there already or further on.
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked>;

    /// A read marker of the user; `None` if there is none.
    fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>>;

    /// The user's conversations with the newest last messages, at most `limit`, newest first: those with users, and the rooms
    /// that the user is in. Rooms without a message come last, by name.
    fn conversations<'a>(&'a self, user: &'a UserName, limit: usize) -> Reading<'a, Vec<ConversationEntry>>;
}

/// Rooms, and who is in them.
pub trait Rooms {
    /// Puts the user into the room, from the next message on. Creates the room if there is none. Has no effect if the user is
    /// in it.
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()>;

    /// Takes the user out of the room, from the next message on. Has no effect if the user is not in it.
    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()>;

    /// Relation of the user to the room.
    fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership>;

    /// Number of rooms that the user is in.
    fn count_rooms(&self, user: &UserName) -> usize;

    /// The rooms that the user is in, by name.
    fn joined(&self, user: &UserName) -> At<Vec<RoomName>>;

    /// At most `limit` rooms by name, those after `after`, with the user's relation to each.
    fn rooms(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> At<Vec<RoomEntry>>;

    /// Users who are in the room or, with `at`, who were in it when that message was sent; by name.
    fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>>;
}

/// Sessions.
pub trait Sessions {
    /// Stores a session. (If there is no space for it, it counts as stored, and lasts as long as the process.)
    fn open_session(&self, session: SessionRecord) -> Receipt<()>;

    /// Stores when a session was last used. It may be lost.
    fn touch_session(&self, digest: &TokenDigest, used: Timestamp);

    /// Stores what a client has called the device of a session. It may be lost.
    fn label_session(&self, digest: &TokenDigest, device: &str);

    /// Removes a session.
    fn end_session(&self, digest: &TokenDigest) -> Receipt<()>;

    /// The sessions that were stored when the store was opened.
    fn sessions(&self) -> Vec<SessionRecord>;
}

/// Who has each user name.
pub trait People {
    /// The names of all users of whom the store had anything when it was opened, with what was noted of them.
    fn people(&self) -> Vec<PersonRecord>;

    /// Stores who has a name. Keys and rooms of its previous owners are not found by the name any more, and their networks and
    /// read markers are forgotten.
    fn set_person(&self, person: PersonRecord) -> Receipt<()>;

    /// The networks from which users had logged in when the store was opened.
    fn trusted(&self) -> Vec<TrustRecord>;

    /// Stores that a user has logged in from a network. It may be lost. Of each user only the last networks are kept.
    fn trust(&self, record: TrustRecord);

    /// The greatest message number that was ever assigned; 0 if there was none.
    fn last_message(&self) -> MessageId;
}

/// The contract of a store.
///
/// - **Order.** Messages that one caller appends one after the other get growing numbers, and every inbox returns its messages
///   in the order of their numbers.
/// - **No waiting.** No method blocks on a disk, a network or another thread.
/// - **Effect.** A write is visible to every later call of the same handle when its receipt is ready. The position of a value
///   says which writes it depends on.
/// - **Durability.** When [`log`](Store::log) reports a position durable, the writes in it outlive the process, as far as the
///   store promises that at all. When it reports a position failed, the writes that failed have been undone.
/// - **Once.** A key names one message of its sender, whatever happens at the same time.
/// - **Late outcomes.** Any receipt may be [`Late`](MaybeReady::Late), and late ones may resolve in another order than the calls.
/// - **Changes.** The observer learns of every durable change, its own writes included, not before it is durable.
pub trait Store:
    Messages + Cursors + Conversations + Rooms + Sessions + People + Send + Sync + 'static
{
    /// Sets the observer. There is one, and it is set once, before the first write.
    fn subscribe(&self, observer: Arc<dyn Observer>);

    /// Reports which positions are durable.
    fn log(&self) -> &Arc<CommitLog>;

    /// The position that must be settled before more should be asked for; `None` if the queue of writes has room.
    fn backpressure(&self) -> Option<Position>;

    /// What an OK promises: `fsync`, `os` or `none`.
    fn durability_level(&self) -> &'static str;

    /// Describes the store and what it promises, in one line for the banner.
    fn describe(&self) -> String;

    /// The last time at which the store was open before; `None` if that is not known, or does not matter.
    fn seen(&self) -> Option<Timestamp> {
        None
    }

    /// Writes everything that is queued, and closes the store. Blocks.
    fn close(&self);
}
