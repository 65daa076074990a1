//! What a connection is to be told without having asked: kept small, and taken when the connection can write.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard},
    task::Waker,
};

use crate::{
    protocol::{Timestamp, UserName},
    store::{MessageId, Position},
};

/// So many deliveries may wait to be told; a connection that lets more come up reads too slowly.
const MAX_DELIVERED: usize = 64 * 1024;

/// One connection's mailbox. Messages are not in it: only that there are some.
#[derive(Default)]
pub struct Mailbox(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waker: Option<Waker>,
    mail: Mail,
}

/// What has come since it was taken last.
#[derive(Default)]
pub struct Mail {
    /// There may be new messages: that is nearly always all.
    pub news: bool,
    /// What else has come.
    pub notices: Option<Box<Notices>>,
}

/// What is told beside messages.
#[derive(Default)]
pub struct Notices {
    /// Another connection has taken messages out of the inbox, up to this one.
    pub acked: Option<MessageId>,
    /// Messages of this user that have been taken out of their recipients' inboxes, and when.
    pub delivered: VecDeque<(MessageId, Timestamp)>,
    /// Whose presence has changed.
    pub presence: BTreeSet<UserName>,
    /// A session of this connection has ended; what must be durable before it is told.
    pub session_ended: Option<Position>,
    /// A session of this connection has ended because the connection asked for it.
    pub logged_out: bool,
    /// More has come than is kept.
    pub overflow: bool,
}

impl Mailbox {
    /// Takes what has come. From now on the task of `waker` is woken when something comes.
    pub fn take(&self, waker: &Waker) -> Mail {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        std::mem::take(&mut inner.mail)
    }

    /// There may be new messages.
    pub(super) fn put_news(&self) {
        let mut inner = self.lock();
        inner.mail.news = true;
        inner.wake();
    }

    /// Puts something else in.
    pub(super) fn put(&self, put: impl FnOnce(&mut Notices)) {
        let mut inner = self.lock();
        let notices = inner.mail.notices.get_or_insert_default();
        put(notices);
        if notices.delivered.len() > MAX_DELIVERED {
            notices.delivered = VecDeque::new();
            notices.overflow = true;
        }
        inner.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Inner {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
