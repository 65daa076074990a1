//! The server's log: lines are queued, and one thread writes them to standard error.
//!
//! **Invariant:** nothing that serves waits for the log, or fails with it. A line that finds the queue full is dropped and counted.
//! Standard error may be closed, full, or a terminal that was stopped.

mod fold;

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    mem,
    panic::{self, PanicHookInfo},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::{
    Layer, Registry,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::fold::Fold;
use crate::config::{LogFormat, ServerArgs};

/// Most bytes that wait to be written.
const MAX_QUEUED: usize = 1024 * 1024;

/// Longest wait at the end of the process until the last lines are written.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Most panics that wait to be logged.
const MAX_PANICS: usize = 16;

/// How often the thread looks for what was folded or dropped.
const ROUND: Duration = Duration::from_secs(1);

/// The log of the process. A clone is another handle.
#[derive(Clone)]
pub(super) struct Log(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// There is a line, or the log is closing.
    filled: Condvar,
    /// The thread has ended.
    ended: Condvar,
    fold: Fold,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that found the queue full or could not be written, and of which the log has not told.
    dropped: u64,
    /// Panics that are to be logged.
    panics: Vec<String>,
    is_closing: bool,
    has_ended: bool,
}

/// What the thread has taken from the queue.
struct Taken {
    lines: VecDeque<Vec<u8>>,
    panics: Vec<String>,
    is_closing: bool,
}

impl Log {
    /// Sends the process's log, and its panics, to a new queue. Nothing is written before [`run`](Log::run) or
    /// [`finish`](Log::finish).
    pub(super) fn start(args: &ServerArgs) -> Self {
        let log = Self::new(Fold::new(args.log_level));
        let layer = fmt::layer()
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            // By default, an event that cannot be formatted would be written to standard error here.
            .log_internal_errors(false)
            .with_writer(log.clone());
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match args.log_format {
            LogFormat::Text => layer.boxed(),
            LogFormat::Json => layer.json().boxed(),
        };
        // An error means that a logger was set up by the program that uses this library.
        tracing_subscriber::registry().with(layer).with(log.0.fold.clone()).try_init().ok();
        // The standard hook would write to standard error on the thread that panics. This one does not log there either: that thread
        // may have panicked while it was logging.
        let hook = log.clone();
        panic::set_hook(Box::new(move |panic| hook.note_panic(panic)));
        log
    }

    fn new(fold: Fold) -> Self {
        Log(Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), ended: Condvar::new(), fold }))
    }

    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// If the system has no thread.
    pub(super) fn run(&self) -> io::Result<()> {
        self.run_to(io::stderr())
    }

    fn run_to(&self, to: impl Write + Send + 'static) -> io::Result<()> {
        let log = self.clone();
        thread::Builder::new().name("log".into()).spawn(move || log.write_out(to)).map(drop)
    }

    /// Writes what is queued and ends the log. Waits at most [`LAST_WAIT`].
    pub(super) fn finish(&self) {
        let mut queue = self.lock();
        queue.is_closing = true;
        self.0.filled.notify_one();
        // An error, too, says that the log could not be written in time. There is nobody to tell.
        let waited = self.0.ended.wait_timeout_while(queue, LAST_WAIT, |queue| !queue.has_ended);
        drop(waited);
    }

    fn write_out(&self, mut to: impl Write) {
        let mut told = Instant::now();
        loop {
            let Taken { lines, panics, is_closing } = self.next(told + ROUND);
            let failed = lines.iter().filter(|line| to.write_all(line).is_err()).count();
            self.lock().dropped += failed as u64;
            for panic in panics {
                tracing::error!("a task has panicked: {panic}");
            }
            if is_closing || told.elapsed() >= ROUND {
                told = Instant::now();
                self.0.fold.tell(told, is_closing);
                // Unless something could be written just now, the line that tells of it would be lost, too.
                if failed < lines.len() {
                    self.tell_of_dropped();
                }
            }
            if is_closing && self.is_empty() {
                break;
            }
        }
        to.flush().ok();
        self.lock().has_ended = true;
        self.0.ended.notify_all();
    }

    fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.lines.is_empty() && queue.panics.is_empty()
    }

    fn tell_of_dropped(&self) {
        let dropped = mem::take(&mut self.lock().dropped);
        if dropped > 0 {
            tracing::warn!(lines = dropped, "the log could not be written: lines are missing");
        }
    }

    /// Waits until a time for something to log, and takes all that there is.
    fn next(&self, until: Instant) -> Taken {
        let left = until.saturating_duration_since(Instant::now());
        let idle = |queue: &mut Queue| queue.lines.is_empty() && queue.panics.is_empty() && !queue.is_closing;
        let waited = self.0.filled.wait_timeout_while(self.lock(), left, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.bytes = 0;
        let (lines, panics) = (mem::take(&mut queue.lines), mem::take(&mut queue.panics));
        Taken { lines, panics, is_closing: queue.is_closing }
    }

    fn note_panic(&self, panic: &PanicHookInfo<'_>) {
        let what = panic.payload_as_str().unwrap_or("no message");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let mut queue = self.lock();
        if queue.panics.len() < MAX_PANICS {
            queue.panics.push(format!("{what} at={at}"));
            self.0.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues lines. It never fails: nobody could be told.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.lock();
        if queue.bytes + line.len() > MAX_QUEUED {
            queue.dropped += 1;
        } else {
            queue.bytes += line.len();
            queue.lines.push_back(one_line(line));
            drop(queue);
            self.0.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text on one line: a line feed in it, and spaces after that, become "; ".
fn one_line(text: &[u8]) -> Vec<u8> {
    let (text, end) = text.strip_suffix(b"\n").map_or((text, &b""[..]), |text| (text, b"\n"));
    let mut parts = text.split(|byte| *byte == b'\n');
    let mut line = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        line.extend_from_slice(b"; ");
        line.extend_from_slice(part.trim_ascii_start());
    }
    line.extend_from_slice(end);
    line
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A place to write to that tells of each write, and waits before each until it may go on.
    struct Held {
        may_go_on: mpsc::Receiver<()>,
        written: mpsc::SyncSender<String>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test has ended if this fails.
            self.may_go_on.recv().ok();
            self.written.send(String::from_utf8_lossy(bytes).into()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn held() -> (Held, mpsc::SyncSender<()>, mpsc::Receiver<String>) {
        let (go_on, may_go_on) = mpsc::sync_channel(8);
        let (written, was_written) = mpsc::sync_channel(8);
        (Held { may_go_on, written }, go_on, was_written)
    }

    fn log() -> Log {
        Log::new(Fold::new(tracing::level_filters::LevelFilter::INFO))
    }

    #[test]
    fn a_log_that_is_not_read_drops_lines_and_holds_nobody_up() {
        let (mut log, line) = (log(), vec![b'x'; 1000]);
        let (to, go_on, written) = held();
        log.run_to(to).expect("a thread");
        // The thread may have taken a queueful, and waits with it.
        for _ in 0..5 * MAX_QUEUED / line.len() {
            assert_eq!(log.write(&line).expect("never fails"), line.len());
        }
        let dropped = log.lock().dropped;
        assert!(dropped > 0 && log.lock().bytes <= MAX_QUEUED);
        let began = Instant::now();
        log.finish();
        assert!(began.elapsed() < LAST_WAIT + Duration::from_secs(5), "it does not wait for the reader");
        drop((go_on, written));
    }

    #[test]
    fn what_is_queued_at_the_end_is_written() {
        let mut log = log();
        let (to, go_on, written) = held();
        log.write_all(b"first\n").expect("never fails");
        log.run_to(to).expect("a thread");
        log.write_all(b"second\n").expect("never fails");
        for _ in 0..2 {
            go_on.send(()).expect("it is there");
        }
        log.finish();
        assert_eq!(written.try_iter().collect::<Vec<_>>(), ["first\n", "second\n"]);
        assert!(log.lock().has_ended);
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(one_line(b"ERROR a: b\n  remedy: c\n"), b"ERROR a: b; remedy: c\n");
        assert_eq!(one_line(b"INFO\n"), b"INFO\n");
        assert_eq!(one_line(b"half"), b"half");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut log = log();
        log.write_all(b"lost\n").expect("never fails");
        log.run_to(Full).expect("a thread");
        log.finish();
        let queue = log.lock();
        assert_eq!((queue.dropped, queue.has_ended), (1, true));
    }
}
