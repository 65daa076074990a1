//! Which positions of a store's log are durable, and who waits to hear of it.

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

use crate::protocol::Refusal;

/// A place in a store's log. Everything up to a durable position is durable, but for what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[must_use = "what rests on it may be told only when it is durable"]
pub struct Position(pub u64);

impl Position {
    /// Before everything: what rests on nothing rests on this, and it is always durable.
    pub const START: Position = Position(0);
}

/// What became of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is durable.
    Durable,
    /// It will become durable, or fail.
    Open,
    /// It was never made durable, and nobody may be told of what rests on it, but this refusal.
    Failed(Refusal),
}

/// The most failed ranges that are remembered. A full disk adds one each time that a write is refused after one that
/// found room; the oldest are forgotten.
const MAX_FAILED: usize = 64 * 1024;

/// How far a log is durable. One writer reports, any number of tasks wait.
#[derive(Default)]
pub struct Durability {
    /// Every position up to this one is durable or failed.
    settled: AtomicU64,
    /// The last position that failed; what comes after it is looked up without the lock.
    last_failed: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Sorted, and none overlaps another; neighbours with one cause are one range.
    failed: VecDeque<FailedRange>,
    /// The end of the last failed range that was forgotten. Whether a position before it failed is not known any more.
    forgotten: Position,
    waiting: BinaryHeap<Waiting>,
}

/// Positions that failed: those after `after`, up to and including `upto`.
struct FailedRange {
    after: Position,
    upto: Position,
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

    fn fate(&self, position: Position) -> Fate {
        if position <= self.forgotten {
            return Fate::Failed(Refusal::Uncertain);
        }
        let range = self.failed.get(self.failed.partition_point(|range| range.upto < position));
        range.filter(|range| range.after < position).map_or(Fate::Durable, |range| Fate::Failed(range.cause))
    }
}

impl Durability {
    /// What became of `position`.
    #[must_use]
    pub fn fate(&self, position: Position) -> Fate {
        if position.0 > self.settled.load(Ordering::Acquire) {
            return Fate::Open;
        }
        // Stored before `settled` is: whoever sees a position settled sees whether it failed.
        if position == Position::START || position.0 > self.last_failed.load(Ordering::Acquire) {
            return Fate::Durable;
        }
        self.lock().fate(position)
    }

    /// The position that a state rests on, if its latest change has this one: [`Position::START`] once that is settled.
    ///
    /// To be called while the state is locked. What failed was taken back from the state before it was reported, so what is in
    /// the state and settled is durable. Without this, states would hold positions for ever, and no failure could be forgotten.
    pub fn unsettled(&self, position: Position) -> Position {
        if self.fate_is_open(position) { position } else { Position::START }
    }

    /// Ready as soon as `position` is durable or has failed; until then the task is woken when it is.
    ///
    /// Each call that is not ready leaves one waker behind: ask once for each position.
    pub fn poll_settled(&self, position: Position, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        // Under the lock, or a report between the question and the registration would be missed.
        if self.fate_is_open(position) {
            inner.waiting.push(Waiting(Reverse(position), cx.waker().clone()));
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
        poll_fn(|cx| match self.fate(position) {
            Fate::Durable | Fate::Failed(_) => Poll::Ready(()),
            // Polled because something else woke the task: the waker that was left is good.
            Fate::Open if left.as_ref().is_some_and(|left| left.will_wake(cx.waker())) => Poll::Pending,
            Fate::Open => {
                left = Some(cx.waker().clone());
                self.poll_settled(position, cx)
            }
        })
        .await;
        self.result(position)
    }

    /// What became of a position that is settled.
    fn result(&self, position: Position) -> Result<(), Refusal> {
        match self.fate(position) {
            Fate::Failed(refusal) => Err(refusal),
            Fate::Durable | Fate::Open => Ok(()),
        }
    }

    /// How many wakers wait for a position.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Calls `done` once `position` is durable, or with the refusal that it failed with: at once if that is known, else on the
    /// thread that reports it. `done` must return soon.
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

    /// Reports that everything up to `position` that has not failed is durable.
    pub fn advance(&self, position: Position) {
        self.settle(position, None);
    }

    /// Reports that everything up to `position` that is not durable yet never will be.
    pub fn fail(&self, position: Position, cause: Refusal) {
        self.settle(position, Some(cause));
    }

    fn settle(&self, position: Position, cause: Option<Refusal>) {
        let mut inner = self.lock();
        let after = Position(self.settled.load(Ordering::Acquire));
        if position <= after {
            return;
        }
        if let Some(cause) = cause {
            inner.add_failed(FailedRange { after, upto: position, cause });
            self.last_failed.store(position.0, Ordering::Release);
        }
        self.settled.store(position.0, Ordering::Release);
        let mut woken = Vec::new();
        while inner.waiting.peek().is_some_and(|waiting| waiting.0.0 <= position) {
            woken.extend(inner.waiting.pop().map(|waiting| waiting.1));
        }
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
    }

    fn fate_is_open(&self, position: Position) -> bool {
        position.0 > self.settled.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it is held")
    }
}

/// What is to be done when a position is settled.
struct Call {
    done: Mutex<Option<OnSettled>>,
    log: Arc<Durability>,
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

/// A task that waits for a position; the heap's greatest is the lowest position.
struct Waiting(Reverse<Position>, Waker);

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
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_start_is_durable_and_what_comes_after_is_open() {
        let log = Durability::default();
        assert_eq!(log.fate(Position::START), Fate::Durable);
        assert_eq!(log.fate(Position(1)), Fate::Open);
    }

    #[test]
    fn a_failure_takes_what_was_open_and_nothing_else() {
        let log = Durability::default();
        log.advance(Position(3));
        log.fail(Position(5), Refusal::Storage);
        log.fail(Position(6), Refusal::Storage);
        log.advance(Position(8));
        log.fail(Position(9), Refusal::Uncertain);
        let fates: Vec<_> = (3..=10).map(|p| log.fate(Position(p))).collect();
        let (full, broken) = (Fate::Failed(Refusal::Storage), Fate::Failed(Refusal::Uncertain));
        assert_eq!(
            fates,
            [Fate::Durable, full, full, full, Fate::Durable, Fate::Durable, broken, Fate::Open]
        );
        log.advance(Position(2));
        assert_eq!(log.fate(Position(9)), broken, "a report about the past changes nothing");
    }

    #[test]
    fn failures_among_successes_are_found_fast_and_forgotten_at_last() {
        let log = Durability::default();
        let count = 2 * MAX_FAILED as u64 + 100;
        for at in 0..count {
            log.fail(Position(2 * at + 1), Refusal::Storage);
            log.advance(Position(2 * at + 2));
        }
        assert_eq!(log.lock().failed.len(), MAX_FAILED);
        let last = 2 * count;
        let began = std::time::Instant::now();
        for back in (0..2 * MAX_FAILED as u64).step_by(2) {
            assert_eq!(log.fate(Position(last - back)), Fate::Durable);
            assert_eq!(log.fate(Position(last - back - 1)), Fate::Failed(Refusal::Storage));
        }
        // A walk through all ranges for each takes minutes.
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(
            log.fate(Position(1)),
            Fate::Failed(Refusal::Uncertain),
            "nobody is told that it is durable"
        );
        assert_eq!((log.fate(Position::START), log.unsettled(Position(2))), (Fate::Durable, Position::START));
        assert_eq!(log.unsettled(Position(last + 1)), Position(last + 1));
    }

    #[test]
    fn what_is_to_be_done_when_settled_is_done_once() {
        let log = Arc::new(Durability::default());
        let done = Arc::new(Mutex::new(Vec::new()));
        let when = |position| {
            let done = done.clone();
            log.when_settled(Position(position), move |result| {
                done.lock().expect("no panics").push((position, result));
            });
        };
        let take = || std::mem::take(&mut *done.lock().expect("no panics"));
        when(0);
        assert_eq!(take(), [(0, Ok(()))]);
        when(1);
        when(2);
        assert_eq!(take(), []);
        log.advance(Position(1));
        assert_eq!(take(), [(1, Ok(()))]);
        log.fail(Position(2), Refusal::Storage);
        log.advance(Position(3));
        assert_eq!(take(), [(2, Err(Refusal::Storage))]);
    }

    #[test]
    fn each_waits_for_its_own_position() {
        let log = Durability::default();
        let (early, late) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let poll = |position, count: &Arc<Count>| {
            log.poll_settled(Position(position), &mut Context::from_waker(&Waker::from(count.clone())))
        };
        assert!(poll(5, &late).is_pending());
        assert!(poll(2, &early).is_pending());
        log.advance(Position(2));
        let woken = || (early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed));
        assert_eq!(woken(), (1, 0));
        assert!(poll(2, &early).is_ready());
        log.fail(Position(7), Refusal::Storage);
        assert_eq!(woken(), (1, 1));
    }
}
