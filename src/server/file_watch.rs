//! Notices when files are replaced. This module does not know what is in them.
//!
//! It watches the folders of the files, because a file is usually replaced by renaming another one, or by changing a link. So it
//! reports a change of any file in these folders; the caller looks whether it matters.

use std::{
    collections::BTreeSet,
    future::pending,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    signal::unix::Signal,
    sync::Notify,
    time::{Instant, timeout},
};

use crate::files;

/// A change is reported when nothing else has changed for this long, because files that belong together are replaced one after
/// the other.
const QUIET: Duration = Duration::from_millis(200);

/// A change is reported after this time even if there was no such pause.
const AT_LAST: Duration = Duration::from_millis(600);

/// Watches until it is dropped.
struct FileWatch {
    changed: Arc<Notify>,
    /// Dropping it ends its thread.
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Watches the folders of these files, and those of the files that they are links to.
    fn new(files: &[&Path]) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean that events were lost. Looking once too often does no harm.
            if event.is_ok_and(|event| is_only_read(event.kind)) {
                return;
            }
            tell.notify_one();
        })?;
        let all: BTreeSet<_> = files.iter().flat_map(|file| folders(file)).collect();
        for folder in all {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(FileWatch { changed, _watcher: watcher })
    }

    /// Waits until something has changed, and then until it seems to be complete.
    async fn changed(&self) {
        self.changed.notified().await;
        let deadline = Instant::now() + AT_LAST;
        while Instant::now() < deadline && timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// Tells when to read files again: after SIGHUP, and when they may have changed.
pub(super) struct Reloads {
    watch: Option<FileWatch>,
    hangup: Signal,
}

impl Reloads {
    /// Watches these files. `what` names them in the log if they cannot be watched.
    pub(super) fn new(files: &[&Path], what: &str, hangup: Signal) -> Self {
        let watch = FileWatch::new(files).inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the {what}: after a change, send SIGHUP");
        });
        Reloads { watch: watch.ok(), hangup }
    }

    /// Waits until the files should be read. Returns whether the reason is the signal.
    pub(super) async fn next(&mut self) -> bool {
        let changed = async {
            match &self.watch {
                Some(watch) => watch.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            signal = self.hangup.recv() => signal.is_some(),
            () = changed => false,
        }
    }
}

/// The folder of a file and, if the file is a link, the folder of its target.
pub(super) fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    [Some(file.to_owned()), file.canonicalize().ok()]
        .into_iter()
        .flatten()
        .map(|file| files::parent(&file).to_owned())
}

/// Whether an event is a change. Reading is not: it would cause another read.
fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
