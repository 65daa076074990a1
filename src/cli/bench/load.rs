//! The sends of a run. A closed loop sends as soon as one is answered; with a rate, each message is due at a time of its own, and its
//! latency counts from there, however late it was sent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{sync::Semaphore, task::JoinSet};

use super::ledger::{Answer, Ledger, Texts};
use crate::{
    client::{Client, ClientError},
    config::{BenchArgs, BenchTo},
};

/// Default of `--duration`.
const DURATION: Duration = Duration::from_secs(10);

/// Longest latency that is told apart, in nanoseconds: a day.
const LONGEST: u64 = 24 * 60 * 60 * 1_000_000_000;

/// A run, as all tasks share it.
pub(super) struct Run {
    pub(super) texts: Texts,
    /// To whom the messages are sent: the user.
    pub(super) user: String,
    pub(super) is_live: bool,
    pub(super) began: Instant,
    /// The time to send, if it is limited.
    pub(super) duration: Option<Duration>,
    /// Number of messages, if it is limited.
    pub(super) messages: Option<u64>,
    rate: Option<u64>,
    next: AtomicU64,
    answered: AtomicU64,
    /// With a rate: messages that are due and not taken.
    due: Semaphore,
    is_stopped: AtomicBool,
    state: Mutex<State>,
}

/// What was measured so far.
pub(super) struct State {
    pub(super) ledger: Ledger,
    /// In nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// How often the server has refused something, by code.
    pub(super) limits: BTreeMap<String, u64>,
    /// Why the run cannot go on.
    pub(super) fatal: Option<ClientError>,
    /// When the last OK was received.
    pub(super) last_answer: Option<Instant>,
    /// When the last message arrived.
    pub(super) last_arrival: Option<Instant>,
    /// How often the connection that watches was made again.
    pub(super) reconnections: u64,
}

/// A message to send.
struct Ticket {
    number: u64,
    due: Instant,
}

impl Run {
    /// A run that begins now.
    pub(super) fn begin(args: &BenchArgs, user: String, limits: BTreeMap<String, u64>) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let latency = Histogram::new_with_max(LONGEST, 3).expect("3 digits are possible");
        let state = State {
            ledger: Ledger::default(),
            latency,
            limits,
            fatal: None,
            last_answer: None,
            last_arrival: None,
            reconnections: 0,
        };
        let duration = if args.messages.is_none() { args.duration.or(Some(DURATION)) } else { None };
        Run {
            texts: Texts::new(&id[..8], args.size),
            user,
            is_live: args.to == BenchTo::Live,
            began: Instant::now(),
            duration,
            messages: args.messages,
            rate: args.rate,
            next: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            due: Semaphore::new(0),
            is_stopped: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Number of sends that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends nothing more.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.due.close();
    }

    /// Whether it was stopped before its end.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.is_stopped() || self.duration.is_some_and(|duration| self.began.elapsed() >= duration)
    }

    /// Number of messages that were due, if there is a rate and the run was not stopped.
    pub(super) fn count_due(&self) -> Option<u64> {
        let rate = self.rate.filter(|_| !self.is_stopped())?;
        match self.duration {
            Some(duration) => u64::try_from(duration.as_nanos() * u128::from(rate) / NANOS).ok(),
            None => self.messages,
        }
    }

    /// The next message, when it is due; `None` at the end.
    async fn next(&self) -> Option<Ticket> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.messages.is_some_and(|messages| number >= messages) {
            return None;
        }
        let due = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                self.due.acquire().await.ok()?.forget();
                self.began + due_after(number, rate)
            }
        };
        (!self.is_over()).then_some(Ticket { number, due })
    }

    /// Notes the answer to a send.
    fn note(&self, ticket: &Ticket, answered: Result<(), ClientError>) {
        let now = Instant::now();
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        let answer = match answered {
            Ok(()) => {
                state.last_answer = Some(now);
                if !self.is_live {
                    state.record(now.saturating_duration_since(ticket.due));
                }
                Answer::Acknowledged
            }
            Err(error) => {
                let answer = answer_of(&error);
                match error.code() {
                    Some(code) if code != "not_authorized" => state.count_limit(code),
                    _ => {
                        state.fatal.get_or_insert(error);
                        self.stop();
                    }
                }
                answer
            }
        };
        state.ledger.answer(ticket.number, answer);
    }
}

const NANOS: u128 = 1_000_000_000;

/// When a message is due, from the beginning of the run on.
fn due_after(number: u64, rate: u64) -> Duration {
    let nanos = u128::from(number) * NANOS / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What an error says about the message.
fn answer_of(error: &ClientError) -> Answer {
    match error.code() {
        // The storage has failed on the way.
        Some("uncertain") | None => Answer::Nothing,
        Some(_) => Answer::Refused,
    }
}

impl State {
    /// Records a latency.
    pub(super) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanos.max(1));
    }

    pub(super) fn count_limit(&mut self, code: &str) {
        *self.limits.entry(code.to_owned()).or_default() += 1;
    }
}

/// Sends the messages of a run, with so many in flight on each connection, and waits for the answers.
pub(super) async fn send_all(run: &Arc<Run>, clients: &[Client], pipeline: usize) {
    if let Some(rate) = run.rate {
        let run = run.clone();
        // The clock of the runtime is too coarse.
        thread::spawn(move || pace(&run, rate));
    }
    let mut slots = JoinSet::new();
    // In turn, so that all connections begin at once.
    for _ in 0..pipeline {
        for client in clients {
            slots.spawn(fill_slot(run.clone(), client.clone()));
        }
    }
    slots.join_all().await;
}

/// Sends one message after the other.
async fn fill_slot(run: Arc<Run>, client: Client) {
    while let Some(ticket) = run.next().await {
        let text = run.texts.message(ticket.number, ticket.due.saturating_duration_since(run.began));
        // It may arrive before its OK.
        run.state().ledger.answer(ticket.number, Answer::Nothing);
        let sent = client.send(&run.user, &text).await;
        run.note(&ticket, sent.map(drop));
    }
}

/// Counts messages as due when it is time.
fn pace(run: &Run, rate: u64) {
    let most = run.messages.unwrap_or(u64::MAX);
    let mut counted = 0;
    while counted < most && !run.is_over() {
        let elapsed = run.began.elapsed();
        let due = elapsed.as_nanos() * u128::from(rate) / NANOS + 1;
        let due = u64::try_from(due).unwrap_or(u64::MAX).min(most);
        if due > counted {
            run.due.add_permits(usize::try_from(due - counted).unwrap_or(0));
            counted = due;
        } else {
            let left = run.duration.map_or(Duration::MAX, |duration| duration.saturating_sub(elapsed));
            thread::sleep(due_after(counted, rate).saturating_sub(elapsed).min(left));
        }
    }
    if run.is_over() {
        // Those that still wait for a message end.
        run.due.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_even_times() {
        assert_eq!(due_after(0, 3), Duration::ZERO);
        assert_eq!(due_after(1, 1000), Duration::from_millis(1));
        assert_eq!(due_after(30_000_000_000, 3), Duration::from_secs(10_000_000_000));
    }

    #[tokio::test]
    async fn latency_counts_from_when_a_message_was_due() {
        let args = BenchArgs {
            clients: 1,
            pipeline: 1,
            size: 100,
            duration: None,
            messages: Some(3),
            rate: Some(1000),
            to: BenchTo::Inbox,
            plot: None,
            verify: false,
        };
        let mut run = Run::begin(&args, "messi".to_owned(), BTreeMap::new());
        // The only slot was held up for a second.
        run.began = Instant::now().checked_sub(Duration::from_secs(1)).expect("the clock runs for a second");
        pace(&run, 1000);
        for _ in 0..3 {
            let ticket = run.next().await.expect("due");
            run.note(&ticket, Ok(()));
        }
        assert!(run.next().await.is_none());
        let state = run.state();
        assert_eq!(state.latency.len(), 3);
        assert!(state.latency.min() > 990_000_000, "{}", state.latency.min());
    }
}
