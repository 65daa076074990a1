//! The stores that tests run on, one after the other.

use std::{path::Path, sync::Arc};

use chat_service::{
    model::{
        MaybeReady, MessageId, NewMessage, Outcome, Page, Recipient, Refusal, RoomName, Stored, Timestamp,
        UserName,
    },
    store::{Acknowledged, Durable, Membership, Memory, Options, Sqlite, Store},
};
use tempfile::TempDir;

use super::{
    reordering::Reordering,
    shared::{Shared, two_handles},
};

pub(crate) const USERS: [&str; 3] = ["messi", "henderson", "lineker"];

pub(crate) fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

pub(crate) fn to(text: &str) -> Recipient {
    Recipient::parse(text).expect("a name")
}

pub(crate) fn room(text: &str) -> RoomName {
    RoomName::parse(text).expect("a name")
}

pub(crate) fn numbers(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.id.0).collect()
}

/// A store to test, which may be opened again.
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) store: Arc<dyn Store>,
    folder: Option<TempDir>,
    limit: usize,
    index_batch: usize,
}

fn sqlite(folder: &Path, limit: usize, index_batch: usize) -> Arc<dyn Store> {
    // Batches, steps and runs are small or few, so that many reads happen in the middle of a batch or a merge.
    let (index_step, index_runs) = if index_batch < 10 { (1, 3) } else { (128, 64) };
    let options = Options {
        inbox_limit: limit,
        durable: Durable::Os,
        index_batch,
        index_step,
        index_runs,
        reserve: 0,
        ..Options::default()
    };
    Arc::new(Sqlite::open(folder, &options).expect("a store"))
}

impl Subject {
    /// Returns a subject whose store does not survive a close.
    pub(crate) fn over(kind: &'static str, store: Arc<dyn Store>) -> Subject {
        Subject { kind, store, folder: None, limit: 0, index_batch: 0 }
    }

    /// Returns every store, empty.
    pub(crate) fn all(limit: usize) -> Vec<Subject> {
        let durable = |kind, index_batch| {
            let folder = tempfile::tempdir().expect("a folder");
            let store = sqlite(&folder.path().join("data"), limit, index_batch);
            Subject { kind, store, folder: Some(folder), limit, index_batch }
        };
        vec![
            Subject::over("memory", Arc::new(Memory::new(limit))),
            Subject::over("reordering", Reordering::new(limit)),
            Subject::over("two handles on one log", Shared::new(two_handles(limit))),
            durable("sqlite", Options::default().index_batch),
            // With small batches, most of what is read has been indexed.
            durable("sqlite that indexes at once", 3),
        ]
    }

    /// Closes and opens the store again; returns `false` if it would not survive that.
    pub(crate) fn reopen(&mut self) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        self.store.close();
        self.store = Arc::new(Memory::new(0));
        self.store = sqlite(&folder.path().join("data"), self.limit, self.index_batch);
        true
    }

    /// Appends a message, and waits until the outcome is known and settled.
    pub(crate) async fn append(
        &self,
        from: &str,
        to: &str,
        text: &str,
        key: Option<&str>,
    ) -> Result<Stored, Refusal> {
        let (from, to) = (name(from), self::to(to));
        let message = NewMessage { from: &from, to: &to, text, key, at: Timestamp(1000) };
        self.settle(self.store.append(message)).await
    }

    pub(crate) async fn settle<T: Send>(&self, outcome: MaybeReady<'_, Outcome<T>>) -> Result<T, Refusal> {
        self.store.log().durable(outcome.await).await
    }

    pub(crate) async fn page(&self, user: &str, after: u64, limit: usize) -> Page {
        self.settle(self.store.inbox(&name(user), MessageId(after), limit)).await.expect("readable")
    }

    pub(crate) async fn inbox(&self, user: &str, limit: usize) -> Vec<(u64, String)> {
        let page = self.page(user, 0, limit).await;
        page.messages.iter().map(|message| (message.id.0, message.text.to_string())).collect()
    }

    /// Acknowledges up to a message; returns whether that has moved the cursor.
    pub(crate) async fn acknowledge(&self, user: &str, upto: u64, at: i64) -> bool {
        let (user, upto, at) = (name(user), MessageId(upto), Timestamp(at));
        let from = *self.store.cursor(&user).peek();
        let acknowledged = self.settle(self.store.acknowledge(&user, from, upto, at)).await;
        let Acknowledged { moved, cursor } = acknowledged.expect("stored");
        assert_eq!(cursor, if moved { upto } else { from }, "{}", self.kind);
        moved
    }

    /// Acknowledges a page of at most `limit` messages; returns their texts.
    pub(crate) async fn take(&self, user: &str, limit: usize) -> Vec<String> {
        let page = self.inbox(user, limit).await;
        if let Some((last, _)) = page.last() {
            assert!(self.acknowledge(user, *last, 2000).await, "{}", self.kind);
        }
        page.into_iter().map(|(_, text)| text).collect()
    }

    pub(crate) async fn join(&self, user: &str, room: &str) {
        self.settle(self.store.join(&name(user), &self::room(room))).await.expect("stored");
    }

    pub(crate) async fn leave(&self, user: &str, room: &str) {
        self.settle(self.store.leave(&name(user), &self::room(room))).await.expect("stored");
    }

    pub(crate) fn membership(&self, user: &str, room: &str) -> Membership {
        *self.store.membership(&name(user), &self::room(room)).peek()
    }

    /// Returns the numbers of a page of history, and whether there are older ones.
    pub(crate) async fn history(
        &self,
        user: &str,
        with: &str,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<u64>, bool) {
        let (user, with) = (name(user), to(with));
        let page = self.settle(self.store.history(&user, &with, before.map(MessageId), limit)).await;
        let page = page.expect("readable");
        (numbers(&page), page.more)
    }

    pub(crate) async fn send(&self, from: &str, to: &str) -> u64 {
        self.append(from, to, "text", None).await.expect("stored").id.0
    }

    pub(crate) async fn waiting(&self, user: &str) -> Vec<u64> {
        self.inbox(user, 1000).await.into_iter().map(|(id, _)| id).collect()
    }
}
