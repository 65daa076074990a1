//! Which positions of a store's log are durable, and who waits to hear of it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::protocol::Refusal;

/// A place in a store's log. Everything up to a durable position is durable, but for what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
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

/// How far a log is durable. One writer reports, any number of tasks wait.
#[derive(Default)]
pub struct Durability {
    /// Every position up to this one is durable or failed.
    settled: AtomicU64,
    any_failed: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Ranges (after, up to) that failed, oldest first; neighbours with one cause are one range.
    failed: Vec<(Position, Position, Refusal)>,
    waiting: BinaryHeap<Waiting>,
}

impl Durability {
    /// What became of `position`.
    #[must_use]
    pub fn fate(&self, position: Position) -> Fate {
        if position.0 > self.settled.load(Ordering::Acquire) {
            return Fate::Open;
        }
        if !self.any_failed.load(Ordering::Acquire) {
            return Fate::Durable;
        }
        let inner = self.lock();
        let cause = inner.failed.iter().rev().find(|(after, upto, _)| *after < position && position <= *upto);
        cause.map_or(Fate::Durable, |&(.., refusal)| Fate::Failed(refusal))
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
        poll_fn(|cx| match self.fate(position) {
            Fate::Open => self.poll_settled(position, cx),
            Fate::Durable | Fate::Failed(_) => Poll::Ready(()),
        })
        .await;
        match self.fate(position) {
            Fate::Failed(refusal) => Err(refusal),
            Fate::Durable | Fate::Open => Ok(()),
        }
    }

    /// Calls `done` when `position` has become durable; drops it if that failed. At once if it is known, else by whoever
    /// reports it: `done` returns soon.
    pub fn when_durable(self: &Arc<Self>, position: Position, done: impl FnOnce() + Send + 'static) {
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
            self.any_failed.store(true, Ordering::Release);
            match inner.failed.last_mut() {
                Some((_, upto, known)) if *upto == after && *known == cause => *upto = position,
                _ => inner.failed.push((after, position, cause)),
            }
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

/// What is to be done when a position is durable.
struct Call {
    done: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    log: Arc<Durability>,
    position: Position,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let done = self.done.lock().expect("nothing panics while it is held").take();
        if let Some(done) = done
            && self.log.fate(self.position) == Fate::Durable
        {
            done();
        }
    }
}

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
    fn what_is_to_be_done_when_durable_is_done_once_or_never() {
        let (log, count) = (Arc::new(Durability::default()), Arc::new(AtomicUsize::new(0)));
        let when = |position| {
            let count = count.clone();
            log.when_durable(Position(position), move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
        };
        when(0);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        when(1);
        when(2);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        log.advance(Position(1));
        assert_eq!(count.load(Ordering::Relaxed), 2);
        log.fail(Position(2), Refusal::Storage);
        assert_eq!(count.load(Ordering::Relaxed), 2);
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
