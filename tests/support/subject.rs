//! The stores that tests are run on, one after the other.

use std::{path::Path, sync::Arc};

use chat_service::{
    protocol::{Recipient, Refusal, RoomName, Timestamp, UserName},
    store::{Durable, Memory, MessageId, NewMessage, Options, Outcome, Page, Receipt, Sqlite, Store, Stored},
};
use tempfile::TempDir;

use super::reordering::Reordering;

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

/// A store, and the way to open it again.
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) store: Arc<dyn Store>,
    folder: Option<TempDir>,
    limit: usize,
    index_batch: usize,
}

fn sqlite(folder: &Path, limit: usize, index_batch: usize) -> Arc<dyn Store> {
    // Small batches in small steps, and few runs, so that much is read in the midst of one, or of a merge.
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
    /// Every store, empty.
    pub(crate) fn all(limit: usize) -> Vec<Subject> {
        let volatile = |kind, store| Subject { kind, store, folder: None, limit, index_batch: 0 };
        let durable = |kind, index_batch| {
            let folder = tempfile::tempdir().expect("a folder");
            let store = sqlite(&folder.path().join("data"), limit, index_batch);
            Subject { kind, store, folder: Some(folder), limit, index_batch }
        };
        vec![
            volatile("memory", Arc::new(Memory::new(limit))),
            volatile("reordering", Reordering::new(limit)),
            durable("sqlite", Options::default().index_batch),
            // So that most of what is read has been indexed.
            durable("sqlite that indexes at once", 3),
        ]
    }

    /// Closes and opens it, if it survives that.
    pub(crate) fn reopen(&mut self) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        self.store.close();
        self.store = Arc::new(Memory::new(0));
        self.store = sqlite(&folder.path().join("data"), self.limit, self.index_batch);
        true
    }

    /// Appends, and waits until the outcome is known and settled.
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

    pub(crate) async fn settle<T>(&self, receipt: Receipt<T>) -> Result<T, Refusal> {
        let Outcome { result, position } = match receipt {
            Receipt::Known(outcome) => outcome,
            Receipt::Late(outcome) => outcome.await,
        };
        self.store.durability().settled(position).await?;
        result
    }

    pub(crate) async fn inbox(&self, user: &str, limit: usize) -> Vec<(u64, String)> {
        let user = name(user);
        let page = self.store.inbox(&user, MessageId(0), limit).await.expect("readable");
        self.store.durability().settled(page.position).await.expect("durable");
        page.messages.iter().map(|message| (message.id.0, message.text.to_string())).collect()
    }

    /// Takes out what a page of that limit shows.
    pub(crate) async fn take(&self, user: &str, limit: usize) -> Vec<String> {
        let page = self.inbox(user, limit).await;
        if let Some((last, _)) = page.last() {
            let _ = self.store.acknowledge(&name(user), MessageId(*last), page.len(), Timestamp(2000));
        }
        page.into_iter().map(|(_, text)| text).collect()
    }

    /// The numbers of a page of history, and whether there are older ones.
    pub(crate) async fn history(
        &self,
        user: &str,
        with: &str,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<u64>, bool) {
        let (user, with) = (name(user), to(with));
        let page = self.store.history(&user, &with, before.map(MessageId), limit).await.expect("readable");
        self.store.durability().settled(page.position).await.expect("durable");
        (numbers(&page), page.more)
    }

    pub(crate) async fn send(&self, from: &str, to: &str) -> u64 {
        self.append(from, to, "text", None).await.expect("stored").id.0
    }

    pub(crate) async fn waiting(&self, user: &str) -> Vec<u64> {
        self.inbox(user, 1000).await.into_iter().map(|(id, _)| id).collect()
    }
}
