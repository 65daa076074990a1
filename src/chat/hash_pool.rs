//! The threads that hash passwords: a few, of low priority, each with memory of its own, fed by one bounded queue in which
//! accounts take turns.
//!
//! A hash is slow on purpose, so it never runs on a thread of the runtime, and never on all cores at once. This module does not know
//! what is hashed.

use std::{
    num::NonZero,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use tokio::{sync::oneshot, task};

use super::{
    Counts, Limit,
    fair_queue::{FairQueue, Turn},
};
use crate::{model::Refusal, users::Memory};

/// Priority of the threads. At the lowest one, 19, a login beside programs that use all cores takes a second; at this one it takes a
/// tenth, and sends beside many logins are no slower.
const NICE: i32 = 10;

/// Number of cores without one, which is left to other work; at least 1.
#[must_use]
pub fn spare_cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1)
}

/// Hashes passwords on all cores but one. Its threads end when it is dropped.
pub(super) struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Work of a thread with its memory. Returns what sends the answer.
type Job = Box<dyn FnOnce(&mut Memory) -> Answer + Send>;

/// Sends an answer, or drops its sender. Called when the job no longer counts as running, so that a caller that has its answer finds
/// room in the queue.
type Answer = Box<dyn FnOnce() + Send>;

/// State shared by threads and callers.
struct Shared {
    queue: Mutex<Queue>,
    /// A job has come, or the pool has closed.
    work: Condvar,
    /// The last job is done, or the pool has closed.
    idle: Condvar,
}

struct Queue {
    /// Jobs that have not begun. A caller that goes away removes its job.
    jobs: FairQueue<Job>,
    /// Number of jobs that have begun.
    running: usize,
    /// Most jobs, waiting and running.
    most: usize,
    /// Whether a task waits for the pool to be idle: see [`Shared::hold_clock`].
    clock_held: bool,
    closed: bool,
}

/// A caller's place in the queue. Dropping it before the job has begun removes the job.
struct Place<'a> {
    shared: &'a Shared,
    turn: Turn,
}

impl HashPool {
    /// A pool for at most `most` jobs, waiting and running.
    pub(super) fn new(most: usize) -> Self {
        Self::with_threads(spare_cores(), most)
    }

    fn with_threads(threads: usize, most: usize) -> Self {
        let queue = Queue { jobs: FairQueue::default(), running: 0, most, clock_held: false, closed: false };
        let shared =
            Arc::new(Shared { queue: Mutex::new(queue), work: Condvar::new(), idle: Condvar::new() });
        let threads = (0..threads).filter_map(|_| {
            let shared = shared.clone();
            let thread = thread::Builder::new().name("hash".into()).spawn(move || work(&shared));
            thread.inspect_err(|error| tracing::error!(%error, "no thread to hash passwords on")).ok()
        });
        HashPool { threads: threads.collect(), shared }
    }

    /// Runs `work` of an account on a thread of the pool, when its turn comes. `may_go_on` is called right before, because earlier jobs may have
    /// changed its result. Work that has begun goes on if the caller goes away.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if the queue is full, the refusal of `may_go_on`, or [`Refusal::Internal`] if the work
    /// panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        account: &str,
        counts: &Counts,
        may_go_on: impl FnOnce() -> Result<(), Refusal> + Send + 'static,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.threads.is_empty() {
            return Err(Refusal::Internal);
        }
        let (answer, answered) = oneshot::channel();
        let job = move |memory: &mut Memory| -> Answer {
            // The panic hook prints the panic; the caller gets an error.
            let done = panic::catch_unwind(AssertUnwindSafe(|| may_go_on().map(|()| work(memory))));
            if done.is_err() {
                *memory = Memory::default();
            }
            Box::new(move || {
                if let Ok(done) = done {
                    // The caller may have gone away.
                    answer.send(done).ok();
                }
            })
        };
        let Some(_place) = self.shared.push(account, Box::new(job)) else {
            counts.count(Limit::LoginQueue);
            return Err(Refusal::RateLimited { retry_after: 1 });
        };
        // After a panic the sender is dropped.
        answered.await.map_err(|_| Refusal::Internal)?
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.idle.notify_all();
        let current = thread::current().id();
        for thread in self.threads.drain(..) {
            // A job may hold the last handle to the pool's owner, and then drops the pool on its own thread.
            if thread.thread().id() != current {
                thread.join().ok();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it is held")
    }

    /// Puts a job of an account into the queue; `None` if the queue is full.
    fn push(self: &Arc<Self>, account: &str, job: Job) -> Option<Place<'_>> {
        let mut queue = self.lock();
        if queue.jobs.len() + queue.running >= queue.most {
            return None;
        }
        let turn = queue.jobs.push(account, job);
        self.hold_clock(&mut queue);
        drop(queue);
        self.work.notify_one();
        Some(Place { shared: self, turn })
    }

    /// Keeps one blocking task waiting until the pool is idle. Tokio's simulated clock stands still while a blocking task
    /// runs, and would otherwise jump to the next deadline, because it does not see the threads of the pool work.
    fn hold_clock(self: &Arc<Self>, queue: &mut Queue) {
        if !queue.clock_held {
            queue.clock_held = true;
            let shared = self.clone();
            task::spawn_blocking(move || shared.wait_until_idle());
        }
    }

    fn wait_until_idle(&self) {
        let queue = self.lock();
        let busy = |queue: &mut Queue| !queue.closed && !queue.is_idle();
        let mut queue = self.idle.wait_while(queue, busy).expect("nothing panics while it is held");
        queue.clock_held = false;
    }

    /// Waits for the next job; `None` if the pool has closed.
    fn next(&self) -> Option<Job> {
        let waits = |queue: &mut Queue| !queue.closed && queue.jobs.is_empty();
        let mut queue = self.work.wait_while(self.lock(), waits).expect("nothing panics while it is held");
        if queue.closed {
            return None;
        }
        let job = queue.jobs.pop()?;
        queue.running += 1;
        Some(job)
    }

    /// Ends a job. The answer is sent before the lock is released, so that the pool is not idle, and a simulated clock stands still,
    /// until the caller is woken.
    fn finish(&self, answer: Answer) {
        let mut queue = self.lock();
        queue.running -= 1;
        answer();
        self.tell_if_idle(&queue);
    }

    fn tell_if_idle(&self, queue: &Queue) {
        if queue.is_idle() {
            self.idle.notify_all();
        }
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.running == 0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        let job = queue.jobs.remove(self.turn);
        self.shared.tell_if_idle(&queue);
        drop(queue);
        // Dropped after the lock is released.
        drop(job);
    }
}

/// Runs jobs until the pool is closed.
fn work(shared: &Shared) {
    // If the priority cannot be lowered, it stays as it is.
    rustix::process::setpriority_process(None, NICE).ok();
    let mut memory = Memory::default();
    while let Some(job) = shared.next() {
        let answer = job(&mut memory);
        shared.finish(answer);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{SyncSender, sync_channel},
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
            let pool = Arc::new(HashPool::with_threads(1, most));
            Setup { pool, counts: Arc::default() }
        }

        async fn run<T: Send + 'static>(
            &self,
            work: impl FnOnce(&mut Memory) -> T + Send + 'static,
        ) -> Result<T, Refusal> {
            self.pool.run("ann", &self.counts, || Ok(()), work).await
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
                pool.run("ann", &counts, || Ok(()), work).await
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
        let second = tokio::spawn(async move { pool.run("ann", &counts, || Ok(()), |_| 2).await });
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
        let second = setup.pool.run("ann", &setup.counts, may_go_on, |_| ());
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
            setup.pool.run(account, &setup.counts, || Ok(()), work)
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
            pool.run("ann", &counts, || Ok(()), work).await
        });
        while setup.pool.shared.lock().running == 0 {
            task::yield_now().await;
        }
        task.abort();
        task.await.expect_err("aborted");
        drop((setup, go));
        end.await.expect("dropped without waiting for itself");
    }
}
