//! A batch of messages and cursor steps that is being written into the index.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rusqlite::{Transaction, params};

use super::{
    gathered::Gathered,
    list::{List, Partner},
    runs::Run,
    syncer::Trim,
};
use crate::{
    model::MessageId,
    store::front::ops::{CursorStep, InboxCursor, NameId},
};

/// A row of `inboxes`: the cursor (`upto`, `taken`) as of `state.folded`, and the number of messages (`received`) and the
/// last of them as of `state.indexed`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InboxRow {
    pub(super) upto: u64,
    pub(super) taken: u64,
    pub(super) received: u64,
    pub(super) last: u64,
}

/// A committed cursor step that is not indexed yet, with the cursor's count of messages as of that step.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingCursor {
    pub(super) passed: CursorStep,
    pub(super) taken: u64,
}

impl PendingCursor {
    pub(super) fn new(user: NameId, cursor: InboxCursor, at: crate::model::Timestamp) -> Self {
        PendingCursor { passed: CursorStep { user, upto: cursor.upto, at }, taken: cursor.taken }
    }
}

/// A batch that is written in steps, one with each commit, so that no commit takes long.
///
/// The last step makes its posting lists visible; readers use them once that step is synced and the tail was trimmed. Keys
/// and cursor steps can be found earlier. That does no harm: they are committed, and memory still has them, with the
/// positions that must be durable.
///
/// After a crash in between, the same rows are written again.
pub(super) struct Indexing {
    /// Its posting lists. The last step writes them in one piece.
    run: Run,
    /// Keys of its messages, sorted.
    keys: Vec<(NameId, Arc<str>, MessageId)>,
    /// Its cursor steps, sorted by user and number.
    passed: Vec<CursorStep>,
    /// Rows of `inboxes` that change. The last step writes all of them.
    changed: BTreeMap<NameId, InboxRow>,
    /// The last message; `None` if there are only cursor steps.
    upto: Option<MessageId>,
    /// `seq` of the last cursor step.
    folded: i64,
    written: Progress,
}

/// How much of a batch was written: the number of keys, and the number of cursor steps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    keys: usize,
    passed: usize,
    /// All of it was written.
    pub(super) is_whole: bool,
}

impl Indexing {
    /// Returns a batch of the gathered messages and the given cursor steps, the last of which has the `seq` `folded`.
    pub(super) fn new(
        inboxes: &HashMap<NameId, InboxRow>,
        mut gathered: Gathered,
        cursors: &[PendingCursor],
        folded: i64,
    ) -> Self {
        let mut keys = std::mem::take(&mut gathered.keys);
        keys.sort_unstable();
        let mut passed: Vec<_> = cursors.iter().map(|cursor| cursor.passed).collect();
        passed.sort_unstable_by_key(|passed| (passed.user, passed.upto));
        let mut batch = Indexing {
            run: Run::default(),
            keys,
            passed,
            changed: BTreeMap::new(),
            upto: gathered.upto,
            folded,
            written: Progress::default(),
        };
        batch.gather(inboxes, &gathered);
        for PendingCursor { passed, taken } in cursors {
            let inbox = batch.inbox(inboxes, passed.user);
            (inbox.upto, inbox.taken) = (passed.upto.0, *taken);
        }
        batch
    }

    /// Builds the run, and adds the messages to the rows of their recipients.
    fn gather(&mut self, inboxes: &HashMap<NameId, InboxRow>, gathered: &Gathered) {
        let lists = gathered.lists();
        let pairs = lists.iter().filter_map(|(list, _)| list.pair());
        let mut partners: Vec<_> = pairs.flat_map(|(one, other)| [(one, other), (other, one)]).collect();
        partners.sort_unstable();
        partners.dedup();
        let mut partners = partners.chunk_by(|(a, _), (b, _)| a == b).peekable();
        let mut numbers = Vec::new();
        for (list, chain) in lists {
            while let Some(chunk) = partners.next_if(|chunk| List::partners(chunk[0].0) < list) {
                self.push_partners(chunk);
            }
            gathered.numbers(chain, &mut numbers);
            self.run.push(list, numbers.iter().copied());
            if let Some(recipient) = list.recipient() {
                let inbox = self.inbox(inboxes, recipient);
                inbox.received += numbers.len() as u64;
                inbox.last = numbers.last().copied().unwrap_or(inbox.last);
            }
        }
        for chunk in partners {
            self.push_partners(chunk);
        }
    }

    /// Appends a user's list of partners to the run. `pairs` are the user and each partner, sorted.
    fn push_partners(&mut self, pairs: &[(NameId, NameId)]) {
        let numbers = pairs.iter().map(|(_, other)| Partner(*other).into());
        self.run.push(List::partners(pairs[0].0), numbers);
    }

    fn inbox(&mut self, inboxes: &HashMap<NameId, InboxRow>, of: NameId) -> &mut InboxRow {
        self.changed.entry(of).or_insert_with(|| inboxes.get(&of).copied().unwrap_or_default())
    }

    /// Writes at most `most` further rows and, after the last of them, the run and everything else that completes the batch.
    pub(super) fn write(&self, transaction: &Transaction<'_>, mut most: usize) -> rusqlite::Result<Progress> {
        let mut written = self.written;
        let mut insert = transaction
            .prepare_cached("INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3, row_crc(?1, ?2, ?3))")?;
        for (sender, key, id) in next(&self.keys, &mut written.keys, &mut most) {
            insert.execute(params![sender.0, key, id.0.cast_signed()])?;
        }
        let mut insert = transaction
            .prepare_cached("INSERT OR REPLACE INTO passed VALUES (?1, ?2, ?3, row_crc(?1, ?2, ?3))")?;
        for CursorStep { user, upto, at } in next(&self.passed, &mut written.passed, &mut most) {
            insert.execute(params![user.0, upto.0.cast_signed(), at.0])?;
        }
        if (written.keys, written.passed) == (self.keys.len(), self.passed.len()) {
            self.write_end(transaction)?;
            written.is_whole = true;
        }
        Ok(written)
    }

    fn write_end(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        if let Some(upto) = self.upto {
            self.run.write(transaction, upto)?;
        }
        let mut replace = transaction.prepare_cached(
            "INSERT OR REPLACE INTO inboxes VALUES (?1, ?2, ?3, ?4, ?5, row_crc(?1, ?2, ?3, ?4, ?5))",
        )?;
        for (user, inbox) in &self.changed {
            let row = [
                i64::from(user.0),
                inbox.upto.cast_signed(),
                inbox.taken.cast_signed(),
                inbox.received.cast_signed(),
                inbox.last.cast_signed(),
            ];
            replace.execute(row)?;
        }
        let indexed = self.upto.map(|id| id.0.cast_signed());
        transaction
            .prepare_cached("UPDATE state SET indexed = coalesce(?1, indexed), folded = ?2, crc = row_crc(coalesce(?1, indexed), ?2, merged)")?
            .execute(params![indexed, self.folded])?;
        Ok(())
    }

    /// Records that a step was committed.
    pub(super) fn committed(&mut self, written: Progress) {
        self.written = written;
    }

    /// Whether it has messages, and so a run.
    pub(super) fn has_run(&self) -> bool {
        self.upto.is_some()
    }

    /// Returns the changed rows of `inboxes`, and what the tail may drop.
    pub(super) fn end(self) -> (BTreeMap<NameId, InboxRow>, Trim) {
        (self.changed, Trim { upto: self.upto.unwrap_or(MessageId(0)), folded: self.passed.len() })
    }
}

/// Returns at most `most` items after the first `done`, and moves both counters.
fn next<'a, T>(all: &'a [T], done: &mut usize, most: &mut usize) -> &'a [T] {
    let begin = *done;
    let count = (all.len() - begin).min(*most);
    *done += count;
    *most -= count;
    &all[begin..begin + count]
}
