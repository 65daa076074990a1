//! A store with much in it.

use std::{
    fs::{self, File},
    path::Path,
};

use chat_service::{
    model::{MessageId, NewMessage, Recipient, Timestamp, UserName},
    store::{Cursors, Messages, Options, Sqlite, Store},
};
use tokio::runtime::Builder;

use crate::{bench::Result, load::TEXT};

/// Messages that stay unread in each inbox.
const UNREAD: usize = 100;

/// Read messages leave an inbox so many at a time.
const READ: usize = 1000;

/// Stores so many messages between so many users, most of them read.
pub(crate) fn fill(folder: &Path, total: u64, users: u64) -> Result<()> {
    let options = Options { inbox_limit: usize::MAX, ..Options::default() };
    let store = Sqlite::open(folder, &options)?;
    let names = (0..users).map(|number| UserName::parse(&format!("u{number}")).ok_or("not a name"));
    let names: Vec<_> = names.collect::<std::result::Result<_, _>>()?;
    let recipients: Vec<_> = names.iter().cloned().map(Recipient::User).collect();
    let runtime = Builder::new_current_thread().build()?;
    // Of each inbox: how many wait, and the first of those that are to stay.
    let mut inboxes = vec![(0, MessageId(0)); names.len()];
    for number in 0..total {
        let (from, to) = (usize::try_from(number % 10)?, usize::try_from(number * 7919 % users)?);
        let message = NewMessage {
            from: &names[from],
            to: &recipients[to],
            text: TEXT,
            key: None,
            at: Timestamp(1000),
        };
        let outcome = runtime.block_on(store.append(message).into_future());
        let stored = outcome.peek().map_err(|_| "a message is refused")?;
        let (waiting, last_read) = &mut inboxes[to];
        *waiting += 1;
        if *waiting == READ {
            *last_read = stored.id;
        }
        if *waiting == READ + UNREAD {
            let from = *store.cursor(&names[to]).peek();
            let moved = store.acknowledge(&names[to], from, *last_read, Timestamp(1000));
            let _ = runtime.block_on(moved.into_future());
            *waiting = UNREAD;
        }
        if store.backpressure().is_some() {
            runtime.block_on(store.log().durable(outcome)).map_err(|_| "not stored")?;
        }
    }
    store.close();
    Ok(())
}

/// Copies a data folder, and waits until the copy is on the disk.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy)?;
        File::open(&copy)?.sync_all()?;
    }
    Ok(())
}
