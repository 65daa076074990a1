//! The connection that watches: it notes what arrives, and takes it out of the inbox. It never acknowledges a message of others, nor
//! those behind it.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::JoinSet, time::sleep};

use super::{
    super::{Exit, exit::Failure},
    ledger::Said,
    load::Run,
};
use crate::{
    client::{Client, ClientError, Event, Events, WatchOptions},
    protocol::objects::{EventObject, MessageObject},
};

/// Most messages that have arrived and are not acknowledged while the run goes on.
const MOST_WAITING: u64 = 1000;

/// While nothing arrives, what has arrived is acknowledged after this time.
const IDLE: Duration = Duration::from_millis(100);

/// Silence after the end of the run, after which nothing more is expected.
const SILENCE: Duration = Duration::from_secs(10);

/// Pause before a request that a limit has refused is repeated.
const AGAIN: Duration = Duration::from_millis(200);

/// How often such a request is repeated.
const TRIES: u32 = 50;

pub(super) struct Receiver {
    client: Client,
    events: Events,
    run: Arc<Run>,
    /// As many are acknowledged at once.
    batch: u64,
    /// The last message that may be taken out of the inbox.
    upto: Option<u64>,
    /// Number of messages since the last acknowledgement.
    waiting: u64,
    /// There is a message of others in the inbox.
    is_blocked: bool,
    /// The acknowledgement that is under way.
    ack: JoinSet<()>,
}

/// The stream of a client that begins to watch.
///
/// # Errors
/// As of every request.
pub(super) async fn watch(client: &Client) -> Result<Events, ClientError> {
    let events = client.watch(WatchOptions::default()).await;
    // Requests are answered in order: after the reply, the server streams.
    client.ping().await?;
    Ok(events)
}

impl Receiver {
    /// A receiver of the messages of a run. The inbox has room for `inbox` messages.
    pub(super) fn new(client: Client, events: Events, run: Arc<Run>, inbox: usize) -> Self {
        let batch = (inbox as u64 / 4).clamp(1, MOST_WAITING);
        let (ack, upto) = (JoinSet::new(), None);
        Receiver { client, events, run, batch, upto, waiting: 0, is_blocked: false, ack }
    }

    /// Takes messages until the last one of the run has arrived, which is sent when `load` is over. Returns whether all messages of
    /// the run have left the inbox.
    ///
    /// # Errors
    /// If the server is lost, or does not stream.
    pub(super) async fn run(mut self, load: oneshot::Receiver<()>) -> Result<bool, Failure> {
        let (client, run) = (self.client.clone(), self.run.clone());
        let mut end = pin!(async move {
            // A load that has ended without a word is over, too.
            load.await.ok();
            let text = run.texts.end();
            // Without it, the end is silence.
            patient(|| client.send(&run.user, &text).key(&text).into_future()).await.ok();
        });
        let mut is_over = false;
        loop {
            let event = if let Some(event) = self.events.try_next() {
                Some(event)
            } else {
                tokio::select! {
                    event = self.events.next() => event,
                    () = &mut end, if !is_over => {
                        is_over = true;
                        continue;
                    }
                    () = sleep(IDLE), if self.waiting > 0 => {
                        self.acknowledge_some(1);
                        continue;
                    }
                    () = sleep(SILENCE), if is_over => break,
                }
            };
            match event {
                Some(Event::Server(EventObject::Message(message))) => {
                    if self.take(&message) {
                        break;
                    }
                }
                Some(Event::Server(EventObject::SessionEnded)) => {
                    return Err(Failure::new(Exit::NotLoggedIn, "the session has ended"));
                }
                Some(Event::Refused(refused)) => return Err(ClientError::Refused(refused).into()),
                Some(Event::Connected) => self.run.state().reconnections += 1,
                Some(_) => {}
                None => return Err(Failure::new(Exit::Lost, "lost the server")),
            }
        }
        self.acknowledge_all().await?;
        Ok(!self.is_blocked)
    }

    /// Notes a message. Returns whether it is the last one of the run.
    fn take(&mut self, message: &MessageObject) -> bool {
        let now = Instant::now();
        let said = self.run.texts.read(&message.msg);
        // Messages of an earlier run that was killed are in the way, too, because the user may want to see them.
        self.is_blocked |= said.is_none();
        if !self.is_blocked {
            self.upto = self.upto.max(Some(message.id));
            self.waiting += 1;
        }
        let is_end = said == Some(Said::End);
        if let Some(said) = said {
            self.note(&said, now);
        }
        self.acknowledge_some(self.batch);
        is_end
    }

    fn note(&self, said: &Said, now: Instant) {
        let mut state = self.run.state();
        match said {
            Said::Message(number, due) => {
                state.last_arrival = Some(now);
                if state.ledger.arrive(*number) && self.run.is_live {
                    state.record(now.duration_since(self.run.began).saturating_sub(*due));
                }
            }
            Said::Damaged => state.ledger.arrive_damaged(),
            Said::End => {}
        }
    }

    /// Acknowledges what has arrived, if these are at least so many messages, and unless an acknowledgement is under way.
    fn acknowledge_some(&mut self, least: u64) {
        while self.ack.try_join_next().is_some() {}
        if let Some(upto) = self.upto
            && self.waiting >= least
            && self.ack.is_empty()
        {
            let client = self.client.clone();
            // If it fails, the next one covers it.
            self.ack.spawn(async move { drop(client.ack(upto).await) });
            self.waiting = 0;
        }
    }

    async fn acknowledge_all(&mut self) -> Result<(), ClientError> {
        while self.ack.join_next().await.is_some() {}
        let Some(upto) = self.upto else { return Ok(()) };
        match patient(|| self.client.ack(upto)).await {
            // Somebody else has removed it.
            Err(error) if error.code() == Some("no_such_message") => Ok(()),
            acknowledged => acknowledged.map(drop),
        }
    }
}

/// Repeats a request while a limit refuses it that may be gone soon.
async fn patient<T, F: Future<Output = Result<T, ClientError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, ClientError> {
    for _ in 0..TRIES {
        match ask().await {
            Err(error) if matches!(error.code(), Some("rate_limited" | "inbox_full" | "unavailable")) => {
                sleep(AGAIN).await;
            }
            done => return done,
        }
    }
    ask().await
}
