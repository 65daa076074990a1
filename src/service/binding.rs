//! A connection's part in a session: who is connected, and who is told what.

use std::sync::Arc;

use super::{Mailbox, Service, Session, presence::GRACE};
use crate::protocol::UserName;

/// A user's connection counts as being here, until this is dropped.
struct Arrival {
    service: Arc<Service>,
    user: UserName,
}

impl Arrival {
    fn new(service: &Arc<Service>, session: &Session) -> Self {
        let user = session.user().username.clone();
        service.attendance.arrive(&user);
        service.presence_changed(&user);
        Arrival { service: service.clone(), user }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.service.miss(self.user.clone());
    }
}

/// A connection that is bound to a session, until it is dropped.
pub struct Binding {
    session: Arc<Session>,
    mailbox: Option<Arc<Mailbox>>,
    /// Dropped after the session was told.
    _arrival: Arrival,
}

impl Binding {
    /// Binds a connection to a session; `mailbox` is told when that ends.
    #[must_use]
    pub fn new(service: &Arc<Service>, session: Arc<Session>, mailbox: Option<Arc<Mailbox>>) -> Self {
        session.connect();
        let arrival = Arrival::new(service, &session);
        if let Some(mailbox) = &mailbox {
            session.add_mailbox(mailbox);
        }
        Binding { session, mailbox, _arrival: arrival }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// From now on the mailbox is told when the session ends.
    pub fn attach(&mut self, mailbox: &Arc<Mailbox>) {
        if self.mailbox.is_none() {
            self.session.add_mailbox(mailbox);
            self.mailbox = Some(mailbox.clone());
        }
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let Some(mailbox) = &self.mailbox {
            self.session.remove_mailbox(mailbox);
        }
        self.session.disconnect();
    }
}

/// A connection that watches its user's inbox, until it is dropped.
pub struct Watching {
    session: Arc<Session>,
    mailbox: Arc<Mailbox>,
    arrival: Arrival,
}

impl Watching {
    /// From now on the mailbox is told of everything that happens to the session's user.
    #[must_use]
    pub fn new(service: &Arc<Service>, session: Arc<Session>, mailbox: Arc<Mailbox>) -> Self {
        let arrival = Arrival::new(service, &session);
        session.add_mailbox(&mailbox);
        service.watchers.add(&session.user().username, &mailbox);
        Watching { session, mailbox, arrival }
    }

    /// The session in which it watches.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let Arrival { service, user } = &self.arrival;
        service.watchers.remove(user, &self.mailbox);
        self.session.remove_mailbox(&self.mailbox);
    }
}

impl Service {
    /// Tells watchers of a user's presence, if it has changed.
    pub(super) fn presence_changed(self: &Arc<Self>, user: &UserName) {
        let active = self.sessions.is_active(user, self.now());
        if !self.attendance.is_news(user, active) || self.watchers.is_empty() {
            return;
        }
        let (service, user) = (self.clone(), user.clone());
        spawn(async move {
            for other in service.contacts(&user).await {
                service.watchers.put(&other, None, |notices| {
                    notices.presence.insert(user.clone());
                });
            }
        });
    }

    /// A connection of the user has ended: if it was the last, that is told after a while.
    fn miss(self: &Arc<Self>, user: UserName) {
        let Some(mut arrivals) = self.attendance.leave(&user, self.now()) else {
            return;
        };
        let service = self.clone();
        spawn(async move {
            loop {
                tokio::time::sleep(GRACE).await;
                match service.attendance.end_grace(&user, arrivals) {
                    Some(later) => arrivals = later,
                    None => break,
                }
            }
            service.presence_changed(&user);
        });
    }
}

/// Runs something beside all connections; not while the runtime is being taken down.
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}
