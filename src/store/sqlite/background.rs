//! A background thread that works for the writer, one job at a time.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread::{self, JoinHandle},
};

/// A background thread and its current job, of type `J`. The writer asks for the result, of type `D`, when it needs it.
///
/// Dropping it waits for the current job and ends the thread.
pub(super) struct Background<J, D> {
    begin: Option<SyncSender<J>>,
    done: Receiver<D>,
    is_under_way: bool,
    thread: Option<JoinHandle<()>>,
}

const LASTS: &str = "the thread lasts as long as this";

impl<J: Send + 'static, D: Send + 'static> Background<J, D> {
    pub(super) fn start(name: &str, mut work: impl FnMut(J) -> D + Send + 'static) -> io::Result<Self> {
        let (begin, jobs) = sync_channel(1);
        let (report, done) = sync_channel(1);
        let run = move || {
            for job in jobs {
                if report.send(work(job)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Background { begin: Some(begin), done, is_under_way: false, thread: Some(thread) })
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Starts a job. No other may be under way.
    pub(super) fn begin(&mut self, job: J) {
        debug_assert!(!self.is_under_way);
        self.begin.as_ref().expect(LASTS).send(job).expect(LASTS);
        self.is_under_way = true;
    }

    /// Returns the result of the job that was under way; `None` if there was none or it is still running.
    pub(super) fn try_finish(&mut self) -> Option<D> {
        if !self.is_under_way {
            return None;
        }
        match self.done.try_recv() {
            Ok(done) => {
                self.is_under_way = false;
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("{LASTS}"),
        }
    }

    /// Waits for the job that is under way and returns its result; `None` if there is none.
    pub(super) fn finish(&mut self) -> Option<D> {
        std::mem::take(&mut self.is_under_way).then(|| self.done.recv().expect(LASTS))
    }
}

impl<J, D> Drop for Background<J, D> {
    fn drop(&mut self) {
        self.begin = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of the store panicked");
        }
    }
}
