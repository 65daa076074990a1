//! Files that may be replaced while the server runs. What is in them is not known here.
//!
//! The folders of the files are watched, not the files: whoever replaces one writes another and renames it, or points
//! a link elsewhere. So a change is told whatever file of the folder it was in; to look whether it matters is up to
//! whoever is told.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// Files that belong together are replaced one after the other: a change is told when nothing else has changed for
/// this long,
const QUIET: Duration = Duration::from_millis(200);

/// or when there has been no such pause for this long.
const AT_LAST: Duration = Duration::from_millis(600);

/// Watches until it is dropped.
pub(super) struct FileWatch {
    changed: Arc<Notify>,
    /// Ends its thread when dropped.
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Watches the folders of these files, and those of the files that they are links to.
    pub(super) fn new(files: &[&Path]) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be that events were lost: looking once too often does no harm.
            if event.is_ok_and(|event| is_only_read(event.kind)) {
                return;
            }
            tell.notify_one();
        })?;
        let mut folders = BTreeSet::new();
        for file in files {
            folders.insert(folder(file));
            folders.extend(file.canonicalize().ok().map(|target| folder(&target)));
        }
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(FileWatch { changed, _watcher: watcher })
    }

    /// Waits until something has changed, and then until it seems to be complete.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        let deadline = Instant::now() + AT_LAST;
        while Instant::now() < deadline && timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// Reading the files must not count as a change: that would be told, and make somebody read them.
fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// A file that is named without a folder is in the current one.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
