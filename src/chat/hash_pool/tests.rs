//! Tests.

use std::{
    pin::pin,
    sync::mpsc::{SyncSender, sync_channel},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::*;

/// A pool of one thread, and what it counts.
struct Setup {
    pool: Arc<HashPool>,
    counts: Arc<Counts>,
}

impl Setup {
    fn new(most: usize) -> Self {
        let pool = Arc::new(HashPool::with_threads(1, most, true));
        Setup { pool, counts: Arc::default() }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.pool.run((Class::Other, "ann"), &self.counts, || Ok(()), work).await
    }

    /// Keeps the thread busy until the sender is dropped.
    async fn block(&self) -> SyncSender<()> {
        let (begun, begins) = oneshot::channel();
        let (sender, receiver) = sync_channel::<()>(0);
        let (pool, counts) = (self.pool.clone(), self.counts.clone());
        tokio::spawn(async move {
            let work = move |_: &mut Memory| {
                begun.send(()).ok();
                receiver.recv().ok();
            };
            pool.run((Class::Other, "ann"), &counts, || Ok(()), work).await
        });
        begins.await.expect("it begins");
        sender
    }

    fn waiting(&self) -> usize {
        self.pool.shared.lock().jobs.len()
    }
}

#[tokio::test]
async fn the_threads_have_a_low_priority_and_others_keep_theirs() {
    let priority = || rustix::process::getpriority_process(None).ok();
    let before = priority();
    assert_eq!(Setup::new(1).run(move |_| priority()).await, Ok(Some(NICE)));
    assert_eq!(priority(), before);
}

#[tokio::test]
async fn a_panic_is_answered_and_the_thread_goes_on() {
    let setup = Setup::new(1);
    assert_eq!(setup.run(|_| panic!("in the work")).await, Err::<(), _>(Refusal::Internal));
    let thread = |_: &mut Memory| thread::current().id();
    let first = setup.run(thread).await.expect("done");
    assert_eq!(setup.run(thread).await, Ok(first));
}

#[tokio::test]
async fn a_full_queue_refuses_and_is_counted() {
    let setup = Setup::new(2);
    let blocked = setup.block().await;
    let (pool, counts) = (setup.pool.clone(), setup.counts.clone());
    let second =
        tokio::spawn(async move { pool.run((Class::Other, "ann"), &counts, || Ok(()), |_| 2).await });
    while setup.waiting() == 0 {
        task::yield_now().await;
    }
    let third = tokio::time::timeout(Duration::from_secs(10), setup.run(|_| 3)).await;
    assert_eq!(third, Ok(Err(Refusal::RateLimited { retry_after: 1 })));
    assert_eq!(setup.counts.of(Limit::LoginQueue), 1);
    drop(blocked);
    assert_eq!(second.await.expect("no panic"), Ok(2));
    assert_eq!(setup.run(|_| 4).await, Ok(4));
}

#[tokio::test]
async fn a_caller_that_goes_away_in_the_queue_leaves_its_place() {
    let setup = Setup::new(2);
    let blocked = setup.block().await;
    let held = Arc::new(());
    let holds = held.clone();
    let mut waits = Box::pin(setup.run(move |_| drop(holds)));
    let waited = tokio::time::timeout(Duration::from_millis(1), &mut waits).await;
    assert!(waited.is_err() && setup.waiting() == 1);
    drop(waits);
    assert_eq!((setup.waiting(), Arc::strong_count(&held)), (0, 1), "the work is gone, and was not done");
    drop(blocked);
    assert_eq!(setup.run(|_| 1).await, Ok(1));
}

#[tokio::test]
async fn what_earlier_work_has_changed_is_seen() {
    let setup = Setup::new(3);
    let open = Arc::new(Mutex::new(true));
    let (is_open, close) = (open.clone(), open.clone());
    let blocked = setup.block().await;
    let first = setup.run(move |_| *close.lock().expect("unpoisoned") = false);
    let may_go_on = move || {
        let open = *is_open.lock().expect("unpoisoned");
        if open { Ok(()) } else { Err(Refusal::RateLimited { retry_after: 60 }) }
    };
    let second = setup.pool.run((Class::Other, "ann"), &setup.counts, may_go_on, |_| ());
    let unblock = async { drop(blocked) };
    let (first, second, ()) = tokio::join!(first, second, unblock);
    assert_eq!((first, second), (Ok(()), Err(Refusal::RateLimited { retry_after: 60 })));
}

#[tokio::test]
async fn one_job_of_an_account_is_done_before_the_many_of_another() {
    let setup = Setup::new(100);
    let blocked = setup.block().await;
    let done = Arc::<Mutex<Vec<&str>>>::default();
    let job = |account: &'static str| {
        let done = done.clone();
        let work = move |_: &mut Memory| done.lock().expect("unpoisoned").push(account);
        setup.pool.run((Class::Other, account), &setup.counts, || Ok(()), work)
    };
    let many: Vec<_> = (0..50).map(|_| Box::pin(job("bob"))).collect();
    let mut all: Vec<_> = many.into_iter().chain([Box::pin(job("cat"))]).collect();
    for waits in &mut all {
        assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err());
    }
    assert_eq!(setup.waiting(), 51);
    drop(blocked);
    for done in all {
        assert_eq!(done.await, Ok(()));
    }
    assert_eq!(done.lock().expect("unpoisoned").iter().position(|account| *account == "cat"), Some(1));
}

#[tokio::test]
async fn known_accounts_have_the_first_turns_and_the_last_places() {
    let setup = Setup::new(20);
    let blocked = setup.block().await;
    let done = Arc::<Mutex<Vec<Class>>>::default();
    let job = |class: Class, account: &str| {
        let done = done.clone();
        let work = move |_: &mut Memory| done.lock().expect("unpoisoned").push(class);
        let account = account.to_owned();
        let setup = &setup;
        Box::pin(async move { setup.pool.run((class, &account), &setup.counts, || Ok(()), work).await })
    };
    // One runs, and the last two places are kept.
    let mut all: Vec<_> = (0..17).map(|number| job(Class::Other, &format!("guess{number}"))).collect();
    for waits in &mut all {
        assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err());
    }
    let refused = tokio::time::timeout(Duration::ZERO, job(Class::Other, "messi")).await;
    assert_eq!(refused, Ok(Err(Refusal::RateLimited { retry_after: 1 })));
    let mut known = job(Class::Known, "messi");
    assert!(tokio::time::timeout(Duration::ZERO, &mut known).await.is_err());
    drop(blocked);
    for done in all.into_iter().chain([known]) {
        assert_eq!(done.await, Ok(()));
    }
    assert_eq!(done.lock().expect("unpoisoned")[0], Class::Known);
}

#[tokio::test]
async fn the_threads_end_with_the_pool() {
    let Setup { pool, .. } = Setup::new(1);
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    assert_eq!(shared.strong_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_simulated_clock_stands_still_while_a_password_is_hashed() {
    let setup = Setup::new(1);
    let began = tokio::time::Instant::now();
    let slow = setup.run(|_| thread::sleep(Duration::from_millis(50)));
    let slow = tokio::time::timeout(Duration::from_hours(1), slow).await;
    assert_eq!((slow, began.elapsed()), (Ok(Ok(())), Duration::ZERO));
}

#[test]
fn a_job_needs_nothing_of_the_runtime() {
    let (pool, counts) = (HashPool::with_threads(1, 1, false), Counts::default());
    let mut job = pin!(pool.run((Class::Other, "ann"), &counts, || Ok(()), |_| 1));
    let done = loop {
        if let Poll::Ready(done) = job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break done;
        }
        thread::yield_now();
    };
    assert_eq!(done, Ok(1));
}

#[tokio::test]
async fn a_job_may_hold_the_last_handle_to_the_pool() {
    let setup = Setup::new(1);
    let (ended, end) = oneshot::channel();
    let (go, gone) = sync_channel::<()>(0);
    let (pool, counts) = (setup.pool.clone(), setup.counts.clone());
    let task = tokio::spawn(async move {
        let own = pool.clone();
        let work = move |_: &mut Memory| {
            gone.recv().ok();
            drop(own);
            ended.send(()).ok();
        };
        pool.run((Class::Other, "ann"), &counts, || Ok(()), work).await
    });
    while setup.pool.shared.lock().running == 0 {
        task::yield_now().await;
    }
    task.abort();
    task.await.expect_err("aborted");
    drop((setup, go));
    end.await.expect("dropped without waiting for itself");
}
