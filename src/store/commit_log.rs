//! The commit log's progress: which positions are durable, and the tasks that wait for one.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::model::{Outcome, Position, Refusal};

/// State of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// All its writes are durable.
    Durable,
    /// Some of its writes are neither durable nor failed yet.
    Open,
    /// A write has failed: every reply that depends on the position must be replaced by this refusal.
    Failed(Refusal),
}

/// Most ranges of failed places that are remembered. A full disk adds one whenever a write is refused after one that found
/// space; beyond the limit the oldest are forgotten.
const MAX_FAILED: usize = 64 * 1024;

/// Progress of a log. One writer reports it, any number of tasks wait.
///
/// The writer counts the places of the log from 1, one for each write, and settles them in order.
#[derive(Default)]
pub struct CommitLog {
    /// Every place up to this one is durable or failed.
    settled: AtomicU64,
    /// The last place that failed. Later places are looked up without the lock.
    last_failed: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Sorted and disjoint; adjacent ranges with the same cause are one range.
    failed: VecDeque<FailedRange>,
    /// Last place of the last failed range that was forgotten. It is unknown whether a place up to it has failed.
    forgotten: u64,
    waiting: BinaryHeap<Waiting>,
}

/// Failed places: those after `after`, up to and including `upto`.
struct FailedRange {
    after: u64,
    upto: u64,
    cause: Refusal,
}

impl Inner {
    fn add_failed(&mut self, range: FailedRange) {
        match self.failed.back_mut() {
            Some(last) if last.upto == range.after && last.cause == range.cause => last.upto = range.upto,
            _ => self.failed.push_back(range),
        }
        if self.failed.len() > MAX_FAILED
            && let Some(oldest) = self.failed.pop_front()
        {
            self.forgotten = oldest.upto;
        }
    }

    /// State of the settled places from `from` up to and including `upto`.
    fn settlement(&self, (from, upto): (u64, u64)) -> Settlement {
        if from <= self.forgotten {
            return Settlement::Failed(Refusal::Uncertain);
        }
        let range = self.failed.get(self.failed.partition_point(|range| range.upto < from));
        let range = range.filter(|range| range.after < upto);
        range.map_or(Settlement::Durable, |range| Settlement::Failed(range.cause))
    }
}

impl CommitLog {
    /// State of a position.
    #[inline]
    #[must_use]
    pub fn settlement(&self, position: Position) -> Settlement {
        if self.is_open(position) {
            return Settlement::Open;
        }
        // `last_failed` is stored before `settled`: a thread that sees a place settled sees whether it has failed.
        if position == Position::START || position.first() > self.last_failed.load(Ordering::Acquire) {
            return Settlement::Durable;
        }
        self.settlement_of_old(position)
    }

    /// State of a settled position that begins before the last failed place.
    fn settlement_of_old(&self, position: Position) -> Settlement {
        let inner = self.lock();
        let settlements = position.ranges().map(|range| inner.settlement(range));
        settlements
            .into_iter()
            .find(|settlement| *settlement != Settlement::Durable)
            .unwrap_or(Settlement::Durable)
    }

    /// The position of a state whose latest change has this position: [`Position::START`] once it is settled.
    ///
    /// To be called while the state is locked. A failed change is undone before its failure is reported, so whatever is in the
    /// state and settled is durable. Without this, states would keep positions for ever, and no failure could be forgotten.
    pub fn unsettled(&self, position: Position) -> Position {
        if self.is_open(position) { position } else { Position::START }
    }

    /// Ready as soon as `position` is durable or has failed; until then the task is woken when that happens.
    ///
    /// Each call that returns `Pending` stores one waker, so call it once for each position.
    pub fn poll_settled(&self, position: Position, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        // Asked under the lock, or a report between the question and the registration would be missed.
        if self.is_open(position) {
            inner.waiting.push(Waiting(Reverse(position.last()), cx.waker().clone()));
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Waits until `position` is durable or has failed.
    ///
    /// # Errors
    /// The refusal that it failed with.
    pub async fn settled(&self, position: Position) -> Result<(), Refusal> {
        let mut left: Option<Waker> = None;
        poll_fn(|cx| match self.settlement(position) {
            Settlement::Durable | Settlement::Failed(_) => Poll::Ready(()),
            // Polled because something else woke the task: the waker that was left is good.
            Settlement::Open if left.as_ref().is_some_and(|left| left.will_wake(cx.waker())) => Poll::Pending,
            Settlement::Open => {
                left = Some(cx.waker().clone());
                self.poll_settled(position, cx)
            }
        })
        .await;
        self.result(position)
    }

    /// Waits until a value may be told, and returns it.
    ///
    /// # Errors
    /// The refusal that the value is, or that its position failed with.
    pub async fn durable<T>(&self, outcome: Outcome<T>) -> Result<T, Refusal> {
        self.settled(outcome.position()).await?;
        outcome.open_at_gate().0
    }

    /// Returns a value that may be told now.
    ///
    /// # Errors
    /// The refusal that the value is, that its position failed with, or [`Refusal::Internal`] if it is not settled.
    pub fn durable_now<T>(&self, outcome: Outcome<T>) -> Result<T, Refusal> {
        match self.settlement(outcome.position()) {
            Settlement::Durable => outcome.open_at_gate().0,
            Settlement::Failed(refusal) => Err(refusal),
            Settlement::Open => Err(Refusal::Internal),
        }
    }

    /// Result of a position that is settled.
    fn result(&self, position: Position) -> Result<(), Refusal> {
        match self.settlement(position) {
            Settlement::Failed(refusal) => Err(refusal),
            Settlement::Durable | Settlement::Open => Ok(()),
        }
    }

    /// Number of stored wakers.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Calls `done` when `position` is settled: at once if it is, otherwise on the thread that reports it. `done` must return
    /// soon.
    pub fn when_settled(
        self: &Arc<Self>,
        position: Position,
        done: impl FnOnce(Result<(), Refusal>) + Send + 'static,
    ) {
        let call = Arc::new(Call { done: Mutex::new(Some(Box::new(done))), log: self.clone(), position });
        let waker = Waker::from(call.clone());
        if self.poll_settled(position, &mut Context::from_waker(&waker)).is_ready() {
            call.wake();
        }
    }

    /// Reports that every place up to `place` that has not failed is durable.
    pub fn advance(&self, place: u64) {
        self.settle(place, None);
    }

    /// Reports that every place up to `place` that is not durable yet has failed.
    pub fn fail(&self, place: u64, cause: Refusal) {
        self.settle(place, Some(cause));
    }

    fn settle(&self, place: u64, cause: Option<Refusal>) {
        let mut inner = self.lock();
        let after = self.settled.load(Ordering::Acquire);
        if place <= after {
            return;
        }
        if let Some(cause) = cause {
            inner.add_failed(FailedRange { after, upto: place, cause });
            self.last_failed.store(place, Ordering::Release);
        }
        self.settled.store(place, Ordering::Release);
        let mut woken = Vec::new();
        while inner.waiting.peek().is_some_and(|waiting| waiting.0.0 <= place) {
            woken.extend(inner.waiting.pop().map(|waiting| waiting.1));
        }
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    fn is_open(&self, position: Position) -> bool {
        position.last() > self.settled.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it is held")
    }
}

/// A call to make when a position is settled.
struct Call {
    done: Mutex<Option<OnSettled>>,
    log: Arc<CommitLog>,
    position: Position,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let done = self.done.lock().expect("nothing panics while it is held").take();
        if let Some(done) = done {
            done(self.log.result(self.position));
        }
    }
}

type OnSettled = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// A task that waits for a place. The heap returns the lowest place first.
struct Waiting(Reverse<u64>, Waker);

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests;
