//! Reads the users file again when it changes. This module does not know what a change means for sessions.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use tokio::signal::unix::Signal;

use super::file_watch::Reloads;
use crate::{
    chat::{Change, Chat},
    model::UserName,
};

/// State of a file, to tell whether it was replaced or written.
#[derive(PartialEq, Eq)]
struct Stamp {
    target: PathBuf,
    /// Device and inode.
    file: (u64, u64),
    len: u64,
    modified: SystemTime,
    /// When the inode was last changed, in seconds and nanoseconds. No program can set it back.
    changed: (i64, i64),
}

fn stamp(file: &Path) -> Option<Stamp> {
    let target = fs::canonicalize(file).ok()?;
    let found = fs::metadata(&target).ok()?;
    Some(Stamp {
        target,
        file: (found.dev(), found.ino()),
        len: found.len(),
        modified: found.modified().ok()?,
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// Reads the users file after each signal and when it changes, until the runtime ends.
pub(super) fn keep_current(chat: &Arc<Chat>, file: &Path, hangup: Signal) {
    let mut reloads = Reloads::new(&[file], "users file", hangup);
    let (chat, file) = (chat.clone(), file.to_owned());
    tokio::spawn(async move {
        let mut seen = stamp(&file);
        let mut is_good = true;
        loop {
            let asked = reloads.next().await;
            // Other files in the folder change, too.
            let now = stamp(&file);
            if std::mem::replace(&mut seen, now) != seen || asked {
                is_good = reload(&chat, asked, is_good).await;
            }
        }
    });
}

/// Most names of a change that the log has.
const MAX_NAMES: usize = 20;

/// Names for the log.
fn names(all: &[UserName]) -> String {
    let shown: Vec<&str> = all.iter().take(MAX_NAMES).map(|name| &**name).collect();
    let more = all.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(",")) } else { shown.join(",") }
}

/// Reads the file. Returns whether it is good; `was_good` says whether it was before.
async fn reload(chat: &Arc<Chat>, asked: bool, was_good: bool) -> bool {
    match chat.reload_users().await {
        // The server has written it itself.
        Ok(change) if change == Change::default() && !asked && was_good => {}
        Ok(Change { added, removed, passwords }) => {
            if !was_good {
                tracing::info!("the users file is good again");
            }
            tracing::info!(
                added = names(&added),
                removed = names(&removed),
                passwords = names(&passwords),
                "users file read again"
            );
        }
        Err(error) => {
            tracing::error!("users file cannot be used: the old users stay: {error}");
            return false;
        }
    }
    true
}
