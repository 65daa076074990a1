//! The tie between a connection and a session: who is connected, and which connections are notified.

use std::sync::Arc;

use super::{Chat, Notifier, Session, presence::GRACE};
use crate::model::UserName;

/// Counts a user's connection until it is dropped.
struct ConnectionCount {
    chat: Arc<Chat>,
    user: UserName,
}

impl ConnectionCount {
    fn new(chat: &Arc<Chat>, session: &Session) -> Self {
        let user = session.user().username.clone();
        chat.presences.arrive(&user);
        chat.presence_changed(&user);
        ConnectionCount { chat: chat.clone(), user }
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.chat.miss(self.user.clone());
    }
}

/// A connection that is bound to a session, until it is dropped.
pub struct Binding {
    session: Arc<Session>,
    notifier: Option<Arc<Notifier>>,
    /// Dropped after the session has forgotten the connection.
    _counted: ConnectionCount,
}

impl Binding {
    /// Binds a connection to a session, whose end is put into `notifier`.
    #[must_use]
    pub fn new(chat: &Arc<Chat>, session: Arc<Session>, notifier: Option<Arc<Notifier>>) -> Self {
        session.connect();
        let counted = ConnectionCount::new(chat, &session);
        if let Some(notifier) = &notifier {
            session.add_notifier(notifier);
        }
        Binding { session, notifier, _counted: counted }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Puts the end of the session into `notifier` from now on, if the binding has no other.
    pub fn attach(&mut self, notifier: &Arc<Notifier>) {
        if self.notifier.is_none() {
            self.session.add_notifier(notifier);
            self.notifier = Some(notifier.clone());
        }
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let Some(notifier) = &self.notifier {
            self.session.remove_notifier(notifier);
        }
        self.session.disconnect();
    }
}

/// A connection that watches its user's inbox, until it is dropped.
pub(super) struct Watching {
    session: Arc<Session>,
    notifier: Arc<Notifier>,
    counted: ConnectionCount,
    shows_own: bool,
}

impl Watching {
    /// Puts everything that happens to the session's user into `notifier` from now on; if it `shows_own`, what the user's other
    /// connections send, too.
    pub(super) fn new(
        chat: &Arc<Chat>,
        session: Arc<Session>,
        notifier: Arc<Notifier>,
        shows_own: bool,
    ) -> Self {
        let counted = ConnectionCount::new(chat, &session);
        notifier.set_wants_own(shows_own);
        if shows_own {
            chat.watchers.add_own();
        }
        session.add_notifier(&notifier);
        let user = &session.user().username;
        chat.watchers.add(user, &notifier);
        // After that, or a room that the user joins meanwhile would be missed.
        for room in chat.store.joined(user).peek() {
            chat.watchers.join(user, room);
        }
        Watching { session, notifier, counted, shows_own }
    }

    /// The session in which it watches.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let ConnectionCount { chat, user } = &self.counted;
        chat.watchers.remove(user, &self.notifier);
        if self.shows_own {
            chat.watchers.remove_own();
        }
        self.session.remove_notifier(&self.notifier);
    }
}

impl Chat {
    /// Notifies watchers of a user's presence, if it has changed.
    pub(super) fn presence_changed(self: &Arc<Self>, user: &UserName) {
        let active = self.sessions.is_active(user, self.now());
        if !self.presences.take_change(user, active) || self.watchers.is_empty() {
            return;
        }
        let (chat, user) = (self.clone(), user.clone());
        spawn(async move {
            for other in chat.contacts(&user).await {
                chat.watchers.put(&other, |notices| {
                    notices.presence.insert(user.clone());
                });
            }
        });
    }

    /// Handles the end of a connection. If it was the user's last one, watchers are notified after the grace period.
    fn miss(self: &Arc<Self>, user: UserName) {
        let Some(mut generation) = self.presences.leave(&user, self.now()) else {
            return;
        };
        let chat = self.clone();
        spawn(async move {
            loop {
                tokio::time::sleep(GRACE).await;
                match chat.presences.end_grace(&user, generation) {
                    Some(later) => generation = later,
                    None => break,
                }
            }
            chat.presence_changed(&user);
        });
    }
}

/// Spawns a task, unless the runtime is shutting down.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}
