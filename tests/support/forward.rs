//! Stores that are others but for a few methods.

/// Methods of `Store` as the field `inner` has them.
macro_rules! forward {
    ($inner:tt: $($method:ident),* $(,)?) => { $( crate::support::forward::forward!(@ $inner $method); )* };
    (@ $inner:tt append) => {
        fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> { self.$inner.append(message) }
    };
    (@ $inner:tt find_repeated) => {
        fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
            self.$inner.find_repeated(message)
        }
    };
    (@ $inner:tt acknowledge) => {
        fn acknowledge(&self, user: &UserName, upto: MessageId, direct: usize, at: Timestamp) -> Position {
            self.$inner.acknowledge(user, upto, direct, at)
        }
    };
    (@ $inner:tt sessions) => {
        fn open_session(&self, session: SessionRecord) -> Position { self.$inner.open_session(session) }
        fn touch_session(&self, digest: &TokenDigest, used: Timestamp) { self.$inner.touch_session(digest, used); }
        fn end_session(&self, digest: &TokenDigest) -> Position { self.$inner.end_session(digest) }
        fn sessions(&self) -> Vec<SessionRecord> { self.$inner.sessions() }
    };
    (@ $inner:tt inbox) => {
        fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
            self.$inner.inbox(user, after, limit)
        }
    };
    (@ $inner:tt reads) => {
        fn history<'a>(
            &'a self, user: &'a UserName, with: &'a Recipient, before: Option<MessageId>, limit: usize,
        ) -> BoxFuture<'a, Result<Page, Refusal>> { self.$inner.history(user, with, before, limit) }
        fn message(&self, id: MessageId) -> BoxFuture<'_, Result<(Option<Message>, Position), Refusal>> {
            self.$inner.message(id)
        }
        fn cursor(&self, user: &UserName) -> Cursor { self.$inner.cursor(user) }
        fn acknowledged_at<'a>(
            &'a self, user: &'a UserName, id: MessageId,
        ) -> BoxFuture<'a, Result<Option<Timestamp>, Refusal>> { self.$inner.acknowledged_at(user, id) }
        fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
            self.$inner.acquaintances(user)
        }
    };
    (@ $inner:tt rooms) => {
        fn join(&self, user: &UserName, room: &RoomName) -> Position { self.$inner.join(user, room) }
        fn leave(&self, user: &UserName, room: &RoomName) -> Position { self.$inner.leave(user, room) }
        fn membership(&self, user: &UserName, room: &RoomName) -> (Membership, Position) {
            self.$inner.membership(user, room)
        }
        fn count_rooms(&self, user: &UserName) -> usize { self.$inner.count_rooms(user) }
        fn rooms(&self, user: &UserName) -> (Vec<RoomEntry>, Position) { self.$inner.rooms(user) }
        fn members(&self, room: &RoomName, at: Option<MessageId>) -> (Vec<UserName>, Position) {
            self.$inner.members(room, at)
        }
    };
    (@ $inner:tt subscribe) => {
        fn subscribe(&self, listener: std::sync::Arc<dyn Listener>) { self.$inner.subscribe(listener); }
    };
    (@ $inner:tt durability) => {
        fn durability(&self) -> &std::sync::Arc<Durability> { self.$inner.durability() }
    };
    (@ $inner:tt congestion) => {
        fn congestion(&self) -> Option<Position> { self.$inner.congestion() }
    };
    (@ $inner:tt facts) => {
        fn promise(&self) -> &'static str { self.$inner.promise() }
        fn inbox_limit(&self) -> usize { self.$inner.inbox_limit() }
        fn describe(&self) -> String { format!("not {}", self.$inner.describe()) }
        fn close(&self) { self.$inner.close(); }
    };
}

pub(crate) use forward;
