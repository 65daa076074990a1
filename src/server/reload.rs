//! Reads the users file again when it changes. This module does not know what a change means for sessions.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use tokio::signal::unix::Signal;

use super::file_watch::Reloads;
use crate::chat::{Change, Chat};

/// State of a file, to tell whether it was replaced or written.
#[derive(PartialEq, Eq)]
struct Stamp {
    target: PathBuf,
    modified: SystemTime,
    len: u64,
}

fn stamp(file: &Path) -> Option<Stamp> {
    let target = fs::canonicalize(file).ok()?;
    let found = fs::metadata(&target).ok()?;
    Some(Stamp { target, modified: found.modified().ok()?, len: found.len() })
}

/// Reads the users file after each signal and when it changes, until the runtime ends.
pub(super) fn keep_current(chat: &Arc<Chat>, file: &Path, hangup: Signal) {
    let mut reloads = Reloads::new(&[file], "users file", hangup);
    let (chat, file) = (chat.clone(), file.to_owned());
    tokio::spawn(async move {
        let mut seen = stamp(&file);
        loop {
            let asked = reloads.next().await;
            // Other files in the folder change, too.
            let now = stamp(&file);
            if std::mem::replace(&mut seen, now) != seen || asked {
                reload(&chat, asked).await;
            }
        }
    });
}

async fn reload(chat: &Arc<Chat>, asked: bool) {
    match chat.reload_users().await {
        // The server has written it itself.
        Ok(change) if change == Change::default() && !asked => {}
        Ok(Change { added, removed, passwords }) => {
            tracing::info!(added, removed, passwords, "users file read again");
        }
        Err(error) => tracing::error!("users file cannot be used: the old users stay: {error}"),
    }
}
