//! Tests.

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
    let log = CommitLog::default();
    assert_eq!(log.settlement(Position::START), Settlement::Durable);
    assert_eq!(log.settlement(Position::at(1)), Settlement::Open);
}

#[test]
fn a_failure_takes_what_was_open_and_nothing_else() {
    let log = CommitLog::default();
    log.advance(3);
    log.fail(5, Refusal::Storage);
    log.fail(6, Refusal::Storage);
    log.advance(8);
    log.fail(9, Refusal::Uncertain);
    let all: Vec<_> = (3..=10).map(|p| log.settlement(Position::at(p))).collect();
    let (full, broken) = (Settlement::Failed(Refusal::Storage), Settlement::Failed(Refusal::Uncertain));
    assert_eq!(
        all,
        [
            Settlement::Durable,
            full,
            full,
            full,
            Settlement::Durable,
            Settlement::Durable,
            broken,
            Settlement::Open
        ]
    );
    log.advance(2);
    assert_eq!(log.settlement(Position::at(9)), broken, "a report about the past changes nothing");
}

#[test]
fn a_position_fails_with_any_of_its_writes_and_no_other() {
    let log = CommitLog::default();
    log.advance(3);
    log.fail(4, Refusal::Storage);
    log.advance(9);
    let full = Settlement::Failed(Refusal::Storage);
    let both = |a, b| Position::at(a).and(Position::at(b));
    assert_eq!(log.settlement(both(4, 9)), full, "an earlier write that it depends on has failed");
    assert_eq!(log.settlement(both(2, 4)), full);
    assert_eq!(
        log.settlement(both(2, 9)),
        Settlement::Durable,
        "the failed write between is not one of them"
    );
    assert_eq!(log.settlement(both(3, 4).and(Position::at(5))), full);
    assert_eq!(log.settlement(both(9, 10)), Settlement::Open);
}

#[test]
fn failures_among_successes_are_found_fast_and_forgotten_at_last() {
    let log = CommitLog::default();
    let count = 2 * MAX_FAILED as u64 + 100;
    for at in 0..count {
        log.fail(2 * at + 1, Refusal::Storage);
        log.advance(2 * at + 2);
    }
    assert_eq!(log.lock().failed.len(), MAX_FAILED);
    let last = 2 * count;
    let began = std::time::Instant::now();
    for back in (0..2 * MAX_FAILED as u64).step_by(2) {
        assert_eq!(log.settlement(Position::at(last - back)), Settlement::Durable);
        assert_eq!(log.settlement(Position::at(last - back - 1)), Settlement::Failed(Refusal::Storage));
    }
    // A walk through all ranges for each takes minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(
        log.settlement(Position::at(1)),
        Settlement::Failed(Refusal::Uncertain),
        "nobody is told that it is durable"
    );
    assert_eq!(
        (log.settlement(Position::START), log.unsettled(Position::at(2))),
        (Settlement::Durable, Position::START)
    );
    assert_eq!(log.unsettled(Position::at(last + 1)), Position::at(last + 1));
}

#[test]
fn what_is_to_be_done_when_settled_is_done_once() {
    let log = Arc::new(CommitLog::default());
    let done = Arc::new(Mutex::new(Vec::new()));
    let when = |position| {
        let done = done.clone();
        log.when_settled(Position::at(position), move |result| {
            done.lock().expect("no panics").push((position, result));
        });
    };
    let take = || std::mem::take(&mut *done.lock().expect("no panics"));
    when(0);
    assert_eq!(take(), [(0, Ok(()))]);
    when(1);
    when(2);
    assert_eq!(take(), []);
    log.advance(1);
    assert_eq!(take(), [(1, Ok(()))]);
    log.fail(2, Refusal::Storage);
    log.advance(3);
    assert_eq!(take(), [(2, Err(Refusal::Storage))]);
}

#[test]
fn each_waits_for_its_own_position() {
    let log = CommitLog::default();
    let (early, late) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let poll = |position, count: &Arc<Count>| {
        log.poll_settled(Position::at(position), &mut Context::from_waker(&Waker::from(count.clone())))
    };
    assert!(poll(5, &late).is_pending());
    assert!(poll(2, &early).is_pending());
    log.advance(2);
    let woken = || (early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed));
    assert_eq!(woken(), (1, 0));
    assert!(poll(2, &early).is_ready());
    log.fail(7, Refusal::Storage);
    assert_eq!(woken(), (1, 1));
}
