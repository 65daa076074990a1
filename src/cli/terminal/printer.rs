//! Prints above the line that is being edited, and finds out when what was printed has been written.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use rustix::termios::{LocalModes, tcgetattr};
use rustyline::ExternalPrinter;
use tokio::sync::mpsc;

/// Most texts that wait to be printed.
const MOST: usize = 1000;

/// Goes up a line and down again: it changes nothing, and is printed after what was printed before.
const NOTHING: &str = "\u{1b}[A\n";

/// Time after which it is tried again to find out whether something was written.
const AGAIN: Duration = Duration::from_millis(50);

/// Where texts are printed.
pub(super) enum Sink {
    /// Above the line of an editor.
    Above(Box<dyn ExternalPrinter + Send>),
    /// On a terminal without an editor.
    Plain,
}

/// Most texts that are kept, to be printed again.
const KEPT: usize = 100;

/// What is to be printed.
enum Text {
    New {
        text: String,
        /// Its number, if it is a message.
        message: Option<u64>,
    },
    /// The last lines that were printed, after a line that says so.
    Again { lines: usize, note: String },
}

/// What the threads of editor and printer share.
#[derive(Default)]
pub(super) struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of texts that were printed.
    printed: u64,
    /// That number, when a key was pressed last.
    printed_at_key: u64,
    /// How often the editor has begun a line; odd while it edits one.
    turns: u64,
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Notes that a key was pressed.
    pub(super) fn key(&self) {
        let mut state = self.lock();
        state.printed_at_key = state.printed;
    }

    /// Notes that a line begins or ends.
    pub(super) fn turn(&self) {
        self.lock().turns += 1;
        self.changed.notify_all();
    }

    /// Does something to the screen if nothing was printed since the last key.
    pub(super) fn if_untouched(&self, change: impl FnOnce()) {
        let state = self.lock();
        if state.printed == state.printed_at_key {
            change();
        }
    }
}

/// The end to which texts are given.
#[derive(Clone)]
pub(super) struct Printer(SyncSender<Text>);

impl Printer {
    /// Starts the thread that prints. It tells the number of the last message that was written, and all before it, to `written`.
    pub(super) fn start(sink: Sink, screen: Arc<Screen>, written: mpsc::Sender<u64>) -> io::Result<Self> {
        let (texts, taken) = sync_channel(MOST);
        let work = Work { sink, screen, written, last: None, kept: VecDeque::new() };
        thread::Builder::new().name("printer".to_owned()).spawn(move || work.run(&taken))?;
        Ok(Printer(texts))
    }

    pub(super) fn print(&self, text: String) {
        self.0.send(Text::New { text, message: None }).ok();
    }

    pub(super) fn print_message(&self, text: String, message: u64) {
        self.0.send(Text::New { text, message: Some(message) }).ok();
    }

    /// Prints the last lines once more, after a note.
    pub(super) fn print_again(&self, lines: usize, note: String) {
        self.0.send(Text::Again { lines, note }).ok();
    }
}

struct Work {
    sink: Sink,
    screen: Arc<Screen>,
    written: mpsc::Sender<u64>,
    /// The last message that was printed, and is not known to be written.
    last: Option<u64>,
    /// The last texts, for a screen that has lost them.
    kept: VecDeque<String>,
}

impl Work {
    fn run(mut self, texts: &Receiver<Text>) {
        loop {
            let next = match self.last {
                None => texts.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => texts.recv_timeout(Duration::ZERO),
            };
            let printed = match next {
                Ok(text) => self.print(text),
                Err(RecvTimeoutError::Timeout) => self.confirm(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if printed.is_err() {
                break;
            }
        }
    }

    fn print(&mut self, text: Text) -> Result<(), ()> {
        self.screen.lock().printed += 1;
        match text {
            Text::New { text, message } => {
                self.put(&text)?;
                self.last = message.or(self.last);
                self.kept.push_back(text);
                if self.kept.len() > KEPT {
                    self.kept.pop_front();
                }
                Ok(())
            }
            Text::Again { lines, note } => {
                let again = note + &self.last_texts(lines);
                self.put(&again)
            }
        }
    }

    /// The last texts that have so many lines together, or all.
    fn last_texts(&self, lines: usize) -> String {
        let mut left = lines;
        let is_wanted = |text: &&String| {
            let is_wanted = left > 0;
            left = left.saturating_sub(text.lines().count());
            is_wanted
        };
        let wanted: Vec<_> = self.kept.iter().rev().take_while(is_wanted).map(String::as_str).collect();
        wanted.into_iter().rev().collect()
    }

    fn put(&mut self, text: &str) -> Result<(), ()> {
        match &mut self.sink {
            Sink::Above(printer) => printer.print(text.to_owned()).map_err(drop),
            Sink::Plain => {
                let mut output = io::stdout().lock();
                output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(drop)
            }
        }
    }

    /// Finds out whether all texts were written, and tells so.
    ///
    /// The editor's thread takes a text when it has written the one before, and one text can wait for it. So when two more were
    /// given to it within one line, the texts before are written.
    fn confirm(&mut self) -> Result<(), ()> {
        let begun = self.screen.lock().turns;
        let is_written = match self.sink {
            Sink::Plain => true,
            Sink::Above(_) if !is_edited(begun) => false,
            Sink::Above(_) => {
                self.put(NOTHING)?;
                self.put(NOTHING)?;
                let now = self.screen.lock().turns;
                now == begun && is_edited(now)
            }
        };
        if is_written {
            if let Some(last) = self.last.take() {
                self.written.blocking_send(last).map_err(drop)?;
            }
            return Ok(());
        }
        let state = self.screen.lock();
        drop(self.screen.changed.wait_timeout(state, AGAIN).expect("nothing panics while it is held"));
        Ok(())
    }
}

/// Whether the editor reads keys: then it takes texts, too.
fn is_edited(turns: u64) -> bool {
    // Between two lines, the keys for signals are in force.
    let is_raw = || tcgetattr(io::stdin()).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ISIG));
    turns % 2 == 1 && is_raw()
}
