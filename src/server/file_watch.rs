//! Files that may be replaced while the server runs. What is in them is not known here.
//!
//! The folders of the files are watched, not the files: whoever replaces one writes another and renames it, or points
//! a link elsewhere. So a change is told whatever file of the folder it was in; to look whether it matters is up to
//! whoever is told.

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

/// Files that belong together are replaced one after the other: a change is told when nothing else has changed for
/// this long,
const QUIET: Duration = Duration::from_millis(200);

/// or when there has been no such pause for this long.
const AT_LAST: Duration = Duration::from_millis(600);

/// Watches until it is dropped.
struct FileWatch {
    changed: Arc<Notify>,
    /// Ends its thread when dropped.
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Watches the folders of these files, and those of the files that they are links to.
    fn new(files: &[&Path]) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be that events were lost: looking once too often does no harm.
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

/// When files are to be read again: after SIGHUP, and when they may have changed.
pub(super) struct Reloads {
    watch: Option<FileWatch>,
    hangup: Signal,
}

impl Reloads {
    /// Those of these files; `what` they are is told if they cannot be watched.
    pub(super) fn new(files: &[&Path], what: &str, hangup: Signal) -> Self {
        let watch = FileWatch::new(files).inspect_err(|error| {
            tracing::warn!(%error, "cannot watch the {what}: after a change, send SIGHUP");
        });
        Reloads { watch: watch.ok(), hangup }
    }

    /// Waits for the next one. Returns whether it was asked for by the signal.
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

/// The folder of a file, and that of the file that it is a link to.
pub(super) fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    [Some(file.to_owned()), file.canonicalize().ok()]
        .into_iter()
        .flatten()
        .map(|file| files::parent(&file).to_owned())
}

/// Reading the files must not count as a change: that would be told, and make somebody read them.
fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
