//! Messages on their way: one after the other, each until the server has it or refuses it.

use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

use crate::{
    client::{Client, ClientError},
    protocol::objects::SentReply,
};

/// Most messages that wait to be sent.
const MOST: usize = 1000;

/// A message that was typed.
pub(super) struct Draft {
    /// The client that has the session.
    pub(super) client: Client,
    pub(super) to: String,
    pub(super) text: String,
}

/// What became of a message.
pub(super) struct Sent {
    pub(super) to: String,
    pub(super) text: String,
    pub(super) outcome: Result<SentReply, ClientError>,
}

/// Where messages are put.
pub(super) struct Outbox {
    drafts: mpsc::Sender<Draft>,
    sent: mpsc::Receiver<Sent>,
    /// Number of messages that were put, and of which nothing is known yet.
    waiting: usize,
}

impl Outbox {
    pub(super) fn start() -> Self {
        let (drafts, mut queue) = mpsc::channel::<Draft>(MOST);
        let (told, sent) = mpsc::channel(MOST);
        tokio::spawn(async move {
            while let Some(Draft { client, to, text }) = queue.recv().await {
                let outcome = send(&client, &to, &text).await;
                if told.send(Sent { to, text, outcome }).await.is_err() {
                    break;
                }
            }
        });
        Outbox { drafts, sent, waiting: 0 }
    }

    /// Puts a message. Gives it back if too many wait.
    pub(super) fn put(&mut self, draft: Draft) -> Result<(), Draft> {
        self.drafts.try_send(draft).map_err(TrySendError::into_inner)?;
        self.waiting += 1;
        Ok(())
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The next message of which something is known.
    pub(super) async fn next(&mut self) -> Sent {
        match self.sent.recv().await {
            Some(sent) => {
                self.waiting -= 1;
                sent
            }
            None => std::future::pending().await,
        }
    }
}

/// Sends a message until there is an answer. The key is the same at each try, so it is stored once.
async fn send(client: &Client, to: &str, text: &str) -> Result<SentReply, ClientError> {
    let key = Uuid::new_v4().to_string();
    loop {
        match client.send(to, text).key(&key).await {
            Err(ClientError::TimedOut(_)) => {}
            outcome => return outcome,
        }
    }
}
