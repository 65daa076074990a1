//! A thread that does a job beside the writer's own.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread::{self, JoinHandle},
};

/// Does one job at a time; the writer asks what came of it when it wants to know.
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

    /// Begins a job. None is under way.
    pub(super) fn begin(&mut self, job: J) {
        debug_assert!(!self.is_under_way);
        self.begin.as_ref().expect(LASTS).send(job).expect(LASTS);
        self.is_under_way = true;
    }

    /// What came of the job that was under way, if there was one and it is done.
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

    /// Waits for the job that is under way, if there is one.
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
