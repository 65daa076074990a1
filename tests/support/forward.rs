//! Stores that differ from another one in a few methods.

/// Implements traits of a store by a field: `forward!(Type, field: Cursors, Rooms)`. `forward!(@ field part)` expands to the
/// methods of a part of [`Messages`](chat_service::store::Messages), [`Rooms`](chat_service::store::Rooms) or
/// [`Store`](chat_service::store::Store).
macro_rules! forward {
    ($type:ty, $inner:tt: $($trait:ident),* $(,)?) => {
        $( crate::support::forward::forward!(# $type, $inner, $trait); )*
    };
    (# $type:ty, $inner:tt, Cursors) => {
        impl chat_service::store::Cursors for $type {
            fn acknowledge(
                &self, user: &UserName, from: MessageId, upto: MessageId, at: Timestamp,
            ) -> Receipt<Acknowledged> { self.$inner.acknowledge(user, from, upto, at) }
            fn cursor(&self, user: &UserName) -> At<MessageId> { self.$inner.cursor(user) }
            fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
                self.$inner.acknowledged_at(user, id)
            }
        }
    };
    (@ $inner:tt conversation_reads) => {
        fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>> {
            self.$inner.read_marker(user, with)
        }
        fn conversations<'a>(
            &'a self, user: &'a UserName, limit: usize,
        ) -> Reading<'a, Vec<ConversationEntry>> { self.$inner.conversations(user, limit) }
    };
    (# $type:ty, $inner:tt, Rooms) => {
        impl chat_service::store::Rooms for $type {
            fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> { self.$inner.join(user, room) }
            fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> { self.$inner.leave(user, room) }
            crate::support::forward::forward!(@ $inner room_reads);
        }
    };
    (# $type:ty, $inner:tt, Sessions) => {
        impl chat_service::store::Sessions for $type {
            fn open_session(&self, session: SessionRecord) -> Receipt<()> { self.$inner.open_session(session) }
            fn touch_session(&self, digest: &TokenDigest, used: Timestamp) { self.$inner.touch_session(digest, used); }
            fn label_session(&self, digest: &TokenDigest, device: &str) { self.$inner.label_session(digest, device); }
            fn end_session(&self, digest: &TokenDigest) -> Receipt<()> { self.$inner.end_session(digest) }
            fn sessions(&self) -> Vec<SessionRecord> { self.$inner.sessions() }
        }
    };
    (@ $inner:tt room_reads) => {
        fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
            self.$inner.membership(user, room)
        }
        fn count_rooms(&self, user: &UserName) -> usize { self.$inner.count_rooms(user) }
        fn joined(&self, user: &UserName) -> At<Vec<RoomName>> { self.$inner.joined(user) }
        fn rooms(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> At<Vec<RoomEntry>> {
            self.$inner.rooms(user, after, limit)
        }
        fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
            self.$inner.members(room, at)
        }
    };
    (@ $inner:tt reads) => {
        fn find_by_key(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
            self.$inner.find_by_key(message)
        }
        fn history<'a>(
            &'a self, user: &'a UserName, with: &'a Recipient, before: Option<MessageId>, limit: usize,
        ) -> Reading<'a, Page> { self.$inner.history(user, with, before, limit) }
        fn contacts<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
            self.$inner.contacts(user)
        }
        fn inbox_limit(&self) -> usize { self.$inner.inbox_limit() }
    };
    (@ $inner:tt message) => {
        fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> { self.$inner.message(id) }
    };
    (@ $inner:tt facts) => {
        fn durability_level(&self) -> &'static str { self.$inner.durability_level() }
        fn describe(&self) -> String { format!("not {}", self.$inner.describe()) }
        fn close(&self) { self.$inner.close(); }
    };
}

pub(crate) use forward;
