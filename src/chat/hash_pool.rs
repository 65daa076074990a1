//! The threads that hash passwords: a few, of low priority, each with memory of its own, fed by one bounded queue in which
//! accounts take turns.
//!
//! A hash is slow on purpose, so it never runs on a thread of the runtime, and never on all cores at once. This module does not know
//! what is hashed.

use std::{
    io,
    num::NonZero,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use tokio::{sync::oneshot, task};

use super::{
    Counts, Limit,
    fair_queue::{Class, Turn, TwoClasses},
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

/// Of this many places in the queue, one is kept for known accounts.
const KEPT: usize = 10;

/// Hashes passwords on all cores but one. Its threads end when it is dropped.
pub(super) struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The system's error if it gave fewer threads than were wanted.
    refused: Option<io::Error>,
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
    jobs: TwoClasses<Job>,
    /// Number of jobs that have begun.
    running: usize,
    /// Most jobs, waiting and running.
    most: usize,
    /// Whether the runtime's clock may be simulated: see [`Shared::hold_clock`].
    holds_clock: bool,
    /// Whether a task waits for the pool to be idle.
    clock_held: bool,
    closed: bool,
}

/// A caller's place in the queue. Dropping it before the job has begun removes the job.
struct Place<'a> {
    shared: &'a Shared,
    class: Class,
    turn: Turn,
}

impl HashPool {
    /// A pool for at most `most` jobs, waiting and running. `holds_clock` says whether the runtime's clock may be simulated.
    pub(super) fn new(most: usize, holds_clock: bool) -> Self {
        Self::with_threads(spare_cores(), most, holds_clock)
    }

    fn with_threads(wanted: usize, most: usize, holds_clock: bool) -> Self {
        let queue = Queue {
            jobs: TwoClasses::default(),
            running: 0,
            most,
            holds_clock,
            clock_held: false,
            closed: false,
        };
        let shared =
            Arc::new(Shared { queue: Mutex::new(queue), work: Condvar::new(), idle: Condvar::new() });
        let (mut threads, mut refused) = (Vec::new(), None);
        while threads.len() < wanted && refused.is_none() {
            let shared = shared.clone();
            match thread::Builder::new().name("hash".into()).spawn(move || work(&shared)) {
                Ok(thread) => threads.push(thread),
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = &refused
            && !threads.is_empty()
        {
            tracing::warn!(
                %error, wanted, threads = threads.len(),
                "the system gives fewer threads to hash passwords on: many logins at once take longer; remedy: allow this user \
                 more processes and threads (ulimit -u, TasksMax=)"
            );
        }
        HashPool { shared, threads, refused }
    }

    /// The system's error if it gave no thread, so that no job is ever done.
    pub(super) fn lacks_thread(&self) -> Option<&io::Error> {
        self.refused.as_ref().filter(|_| self.threads.is_empty())
    }

    /// Runs `work` of an account on a thread of the pool, when its turn comes. `may_go_on` is called right before, because earlier
    /// jobs may have changed its result. Work that has begun goes on if the caller goes away.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if the queue is full, the refusal of `may_go_on`, or [`Refusal::Internal`] if the work
    /// panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        (class, account): (Class, &str),
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
        let Some(_place) = self.shared.push(class, account, Box::new(job)) else {
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

    /// Puts a job of an account into the queue; `None` if the queue is full. Its last places are for known accounts.
    fn push(self: &Arc<Self>, class: Class, account: &str, job: Job) -> Option<Place<'_>> {
        let mut queue = self.lock();
        let kept = if class == Class::Known { 0 } else { queue.most / KEPT };
        if queue.jobs.len() + queue.running >= queue.most - kept {
            return None;
        }
        let turn = queue.jobs.push(class, account, job);
        self.hold_clock(&mut queue);
        drop(queue);
        self.work.notify_one();
        Some(Place { shared: self, class, turn })
    }

    /// Keeps one blocking task waiting until the pool is idle. Tokio's simulated clock stands still while a blocking task
    /// runs, and would otherwise jump to the next deadline, because it does not see the threads of the pool work. A clock that is
    /// not simulated needs none of that, and the system may have no thread left for it.
    fn hold_clock(self: &Arc<Self>, queue: &mut Queue) {
        if queue.holds_clock && !queue.clock_held {
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
        let job = queue.jobs.remove(self.class, self.turn);
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
mod tests;
