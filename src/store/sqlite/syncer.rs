//! Syncing the log: on the writer's thread after a small commit, else on a background thread while the writer writes the
//! next commit.

use std::{fs::File, io, path::Path, sync::Arc};

use super::{Shared, background::Background, queue::Batch};
use crate::model::MessageId;

/// Fewest ops in a commit whose sync is handed to the background thread. With fewer, handing it over costs more than it
/// gains.
const AHEAD: usize = 64;

/// A committed batch that is not known to be synced.
pub(super) struct Unsynced {
    pub(super) batch: Batch,
    pub(super) indexed: Option<Trim>,
}

/// What a commit has added to the index. The tail may drop it once the commit is synced.
pub(super) struct Trim {
    /// The last indexed message.
    pub(super) upto: MessageId,
    /// Number of cursor steps that were indexed.
    pub(super) folded: usize,
}

/// A sync of the log has failed.
pub(super) struct Failed {
    /// All ops that were not synced.
    pub(super) batch: Batch,
    pub(super) error: io::Error,
}

/// Function that syncs the log's file.
type Log = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Syncs the log and reports commits as durable: one sync at a time, in the order of the commits.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    /// `None` if an OK does not promise a sync.
    log: Option<Log>,
    beside: Background<Unsynced, Result<(), Failed>>,
}

impl Syncer {
    /// Returns a syncer for the log at `path`, which must exist.
    ///
    /// SQLite has the same file open. It may truncate the file, but replaces it only after the last connection was closed.
    pub(super) fn new(shared: Arc<Shared>, path: &Path, syncs: bool) -> io::Result<Self> {
        if !syncs {
            return Self::over(shared, None);
        }
        let file = File::options().write(true).open(path)?;
        Self::over(shared, Some(Arc::new(move || file.sync_data())))
    }

    fn over(shared: Arc<Shared>, log: Option<Log>) -> io::Result<Self> {
        let (shared_beside, log_beside) = (shared.clone(), log.clone());
        let beside = Background::start("store-syncer", move |written| {
            sync(&shared_beside, log_beside.as_ref(), written)
        })?;
        Ok(Syncer { shared, log, beside })
    }

    /// Syncs a commit and reports it as durable: before it returns, or on the background thread.
    ///
    /// # Errors
    /// If this sync or the one before has failed; then all ops that are not synced are returned.
    pub(super) fn sync(&mut self, written: Unsynced) -> Result<(), Failed> {
        let written = self.after_earlier(written)?;
        if self.log.is_none() || written.batch.ops.len() < AHEAD {
            return sync(&self.shared, self.log.as_ref(), written);
        }
        self.beside.begin(written);
        Ok(())
    }

    /// Syncs everything that was written, before it returns. Ops of the last commit are left to the caller to report.
    pub(super) fn sync_now(&mut self, indexed: Option<Trim>) -> Result<(), Failed> {
        let written = self.after_earlier(Unsynced { batch: Batch::default(), indexed })?;
        sync(&self.shared, self.log.as_ref(), written)
    }

    /// Whether the background thread is syncing.
    pub(super) fn is_under_way(&self) -> bool {
        self.beside.is_under_way()
    }

    /// Waits for the sync that is under way, if there is one, and returns its result.
    pub(super) fn finish(&mut self) -> Result<(), Failed> {
        self.beside.finish().unwrap_or(Ok(()))
    }

    /// Waits for the sync before. Returns `written`, or all ops that are not synced if that sync has failed.
    fn after_earlier(&mut self, written: Unsynced) -> Result<Unsynced, Failed> {
        match self.finish() {
            Ok(()) => Ok(written),
            Err(Failed { batch, error }) => Err(Failed { batch: batch.followed_by(written.batch), error }),
        }
    }
}

fn sync(shared: &Shared, log: Option<&Log>, written: Unsynced) -> Result<(), Failed> {
    match log.map_or(Ok(()), |log| log()) {
        Ok(()) => {
            shared.complete(written);
            Ok(())
        }
        Err(error) => Err(Failed { batch: written.batch, error }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::{
        model::Position,
        store::{
            Settlement,
            sqlite::{Options, Sqlite, queue::Queued},
        },
    };

    /// A batch that is just large enough for the background thread.
    fn written(first: u64) -> Unsynced {
        let ops = (0..AHEAD).map(|_| Queued::Nothing).collect();
        Unsynced { batch: Batch { ops, names: Vec::new(), first }, indexed: None }
    }

    #[test]
    fn what_was_written_while_a_sync_failed_fails_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(folder.path(), &Options::default()).expect("a store");
        let shared = store.shared.clone();
        // Only the second sync fails: a system may report a failed write once and then forget it.
        let (release, released) = mpsc::sync_channel(3);
        let (released, count) = (Mutex::new(released), Mutex::new(0));
        let log: Log = Arc::new(move || {
            released.lock().expect("no panics").recv().expect("released");
            let mut count = count.lock().expect("no panics");
            *count += 1;
            if *count == 2 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        });
        let mut syncer = Syncer::over(shared.clone(), Some(log)).expect("a thread");
        let each = AHEAD as u64;
        assert!(syncer.sync(written(1)).is_ok());
        assert_eq!(
            shared.log.settlement(Position::at(1)),
            Settlement::Open,
            "nothing is told before it is synced"
        );
        (0..3).for_each(|_| release.send(()).expect("room"));
        assert!(syncer.sync(written(1 + each)).is_ok(), "the first one has succeeded");
        assert_eq!(shared.log.settlement(Position::at(each)), Settlement::Durable);
        let Err(Failed { batch, .. }) = syncer.sync(written(1 + 2 * each)) else {
            panic!("it failed");
        };
        assert_eq!((batch.first, batch.last()), (1 + each, 3 * each));
        assert_eq!(shared.log.settlement(Position::at(1 + each)), Settlement::Open, "the writer tells");
    }
}
