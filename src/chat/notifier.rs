//! Notifications for one connection: kept small, and taken when the connection can write.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

use crate::{
    model::{MessageId, Position, Recipient, RoomName, Stored, Timestamp, UserName},
    store::Receipt,
};

/// Most deliveries, and most changes in rooms, that are kept for a connection. Beyond it the peer is a slow consumer.
const MAX_KEPT: usize = 64 * 1024;

/// Notifications for one connection. Messages are not among them, only that there are some.
#[derive(Default)]
pub struct Notifier {
    inner: Mutex<Inner>,
    /// Whether the connection wants to know who joins and leaves rooms.
    wants_rooms: AtomicBool,
    /// Whether the connection wants to know what the user's other connections send.
    wants_own: AtomicBool,
}

/// A message that the connection itself sends, from the request until its number is known.
pub(super) struct Sending(Arc<Notifier>);

impl Sending {
    /// Notes the number of the message as soon as the receipt has it.
    pub(super) fn until_known(self, receipt: Receipt<Stored>) -> Receipt<Stored> {
        receipt.map(move |outcome| {
            if let Ok(Stored { id, duplicate: false, .. }) = *outcome.peek() {
                self.0.lock().put_own(id);
            }
            outcome
        })
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.sending -= 1;
        // Messages of the user may have waited for that.
        inner.pending.messages = true;
        inner.wake();
    }
}

#[derive(Default)]
struct Inner {
    waker: Option<Waker>,
    pending: Pending,
    /// The last message that this connection itself has acknowledged.
    acknowledged: MessageId,
    /// The last message of each conversation to which this connection itself has moved the read marker.
    read: BTreeMap<Recipient, MessageId>,
    /// Messages that this connection itself has sent and that were not looked at yet, ascending.
    own_messages: VecDeque<MessageId>,
    /// Number of messages that it sends, and whose numbers are not known.
    sending: usize,
}

/// Notifications since they were last taken.
#[derive(Default)]
pub struct Pending {
    /// New messages may be available. (Almost always the only field that is set, hence outside the box.)
    pub messages: bool,
    /// The others.
    pub notices: Option<Box<Notices>>,
}

/// Notifications other than new messages.
#[derive(Default)]
pub struct Notices {
    /// Another connection has acknowledged messages of the user, up to this one.
    pub acked: Option<MessageId>,
    /// Messages of the user that their recipients have acknowledged, and when.
    pub delivered: VecDeque<(MessageId, Timestamp)>,
    /// Users whose presence has changed.
    pub presence: BTreeSet<UserName>,
    /// Users who have joined (`true`) or left a room.
    pub rooms: VecDeque<(RoomName, UserName, bool)>,
    /// How far conversations were read: by whom, and with whom each is from the view of this connection's user.
    pub read: BTreeMap<(UserName, Recipient), MessageId>,
    /// Who is typing, and to whom.
    pub typing: BTreeSet<(UserName, Recipient)>,
    /// A session of this connection has ended. The position must be durable before the peer is told.
    pub session_ended: Option<Position>,
    /// A session of this connection has ended because the connection asked for it.
    pub logged_out: bool,
    /// More came than is kept: the peer is a slow consumer.
    pub overflow: bool,
}

impl Notifier {
    /// Takes the notifications. From now on the task of `waker` is woken by the next one.
    pub fn take(&self, waker: &Waker) -> Pending {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        std::mem::take(&mut inner.pending)
    }

    /// From now on the connection is told who joins and leaves the rooms that its user is in.
    pub fn want_rooms(&self) {
        self.wants_rooms.store(true, Ordering::Relaxed);
    }

    /// From now on the connection is told, or not, what the user's other connections send.
    pub(super) fn set_wants_own(&self, wants_own: bool) {
        self.wants_own.store(wants_own, Ordering::Relaxed);
        if !wants_own {
            self.lock().own_messages = VecDeque::new();
        }
    }

    fn wants_own(&self) -> bool {
        self.wants_own.load(Ordering::Relaxed)
    }

    /// Notes that the connection itself sends a message; `None` if that does not matter.
    pub(super) fn sends(self: &Arc<Self>) -> Option<Sending> {
        self.wants_own().then(|| {
            self.lock().sending += 1;
            Sending(self.clone())
        })
    }

    /// Whether it is not known yet which messages of the user the connection itself has sent.
    pub(super) fn is_sending(&self) -> bool {
        self.lock().sending > 0
    }

    /// Whether the connection itself has sent a message.
    pub(super) fn has_sent(&self, id: MessageId) -> bool {
        self.lock().own_messages.binary_search(&id).is_ok()
    }

    /// Forgets which messages the connection itself has sent, up to this one.
    pub(super) fn forget_sent(&self, upto: MessageId) {
        let own = &mut self.lock().own_messages;
        let passed = own.partition_point(|own| *own <= upto);
        own.drain(..passed);
    }

    /// Notifies the connection of messages that its user has sent, if it wants to know.
    pub(super) fn put_own_messages(&self) {
        if self.wants_own() {
            self.put_messages();
        }
    }

    /// Notifies the connection of new messages.
    pub(super) fn put_messages(&self) {
        let mut inner = self.lock();
        inner.pending.messages = true;
        inner.wake();
    }

    /// Adds another notification.
    pub(super) fn put(&self, put: impl FnOnce(&mut Notices)) {
        self.lock().put(put);
    }

    /// Notifies the connection of a cursor, unless the connection has moved it there itself.
    pub(super) fn put_acked(&self, upto: MessageId) {
        let mut inner = self.lock();
        if upto > inner.acknowledged {
            inner.put(|notices| notices.acked = notices.acked.max(Some(upto)));
        }
    }

    /// Notifies the connection that somebody is typing.
    pub(super) fn put_typing(&self, from: &UserName, to: &Recipient) {
        self.put(|notices| {
            notices.typing.insert((from.clone(), to.clone()));
        });
    }

    /// Notes that the connection itself moves a read marker. Returns the last message to which it has moved it before.
    pub(super) fn reads(&self, with: &Recipient, upto: MessageId) -> Option<MessageId> {
        self.lock().read.insert(with.clone(), upto)
    }

    /// Undoes [`reads`](Notifier::reads): the marker was there already, or could not be moved.
    pub(super) fn did_not_read(&self, with: &Recipient, before: Option<MessageId>) {
        let read = &mut self.lock().read;
        match before {
            Some(before) => read.insert(with.clone(), before),
            None => read.remove(with),
        };
    }

    /// Notifies the connection of a read marker of its own user, unless the connection has moved it there itself.
    pub(super) fn put_own_read(&self, by: &UserName, with: &Recipient, upto: MessageId) {
        if self.lock().read.get(with).is_none_or(|own| upto > *own) {
            self.put_read(by, with, upto);
        }
    }

    /// Notifies the connection of a read marker.
    pub(super) fn put_read(&self, by: &UserName, with: &Recipient, upto: MessageId) {
        self.put(|notices| {
            let known = notices.read.entry((by.clone(), with.clone())).or_insert(upto);
            *known = upto.max(*known);
        });
    }

    /// Notifies the connection of a change in a room, if it wants to know.
    pub(super) fn put_room(&self, room: &RoomName, user: &UserName, joined: bool) {
        if self.wants_rooms.load(Ordering::Relaxed) {
            self.put(|notices| notices.rooms.push_back((room.clone(), user.clone(), joined)));
        }
    }

    /// Notes that the connection itself acknowledges messages up to this one. Returns the last one before.
    pub(super) fn acknowledges(&self, upto: MessageId) -> MessageId {
        let mut inner = self.lock();
        let before = inner.acknowledged;
        inner.acknowledged = before.max(upto);
        before
    }

    /// Undoes [`acknowledges`](Notifier::acknowledges): another connection was faster.
    pub(super) fn did_not_acknowledge(&self, before: MessageId) {
        self.lock().acknowledged = before;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it is held")
    }
}

impl Inner {
    /// Notes a message of the connection itself. Its numbers need not come in order.
    fn put_own(&mut self, id: MessageId) {
        let at = self.own_messages.partition_point(|own| *own < id);
        self.own_messages.insert(at, id);
        if self.own_messages.len() > MAX_KEPT {
            self.own_messages = VecDeque::new();
            self.put(|notices| notices.overflow = true);
        }
    }

    fn put(&mut self, put: impl FnOnce(&mut Notices)) {
        let notices = self.pending.notices.get_or_insert_default();
        put(notices);
        if notices.delivered.len() > MAX_KEPT
            || notices.rooms.len() > MAX_KEPT
            || notices.read.len() > MAX_KEPT
            || notices.typing.len() > MAX_KEPT
        {
            notices.delivered = VecDeque::new();
            notices.rooms = VecDeque::new();
            notices.read = BTreeMap::new();
            notices.typing = BTreeSet::new();
            notices.overflow = true;
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
