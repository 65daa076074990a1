//! The numbers of names.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Front, Inbox, ops::NameId};
use crate::model::{Recipient, UserName};

/// All names, by number and by name.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<Box<str>, NameId, RandomState>,
    all: Vec<Recipient>,
    /// The last sender. Who sends a message often sends the next one, too; then the name is known without a look-up.
    last_sender: Option<(UserName, NameId)>,
}

impl Front {
    pub(crate) fn name(&self, id: NameId) -> Option<&Recipient> {
        self.names.all.get(id.index())
    }

    pub(crate) fn user(&self, id: NameId) -> Option<&UserName> {
        self.name(id)?.user()
    }

    pub(crate) fn name_id(&self, name: &str) -> Option<NameId> {
        self.names.numbers.get(name).copied()
    }

    /// Number of names.
    pub(crate) fn count_names(&self) -> usize {
        self.names.all.len()
    }

    /// All names but the first `count`.
    pub(crate) fn names_after(&self, count: usize) -> Vec<(NameId, Recipient)> {
        let names = self.names.all.iter().enumerate().skip(count);
        names.map(|(index, name)| (NameId::at(index), name.clone())).collect()
    }

    /// The number of a name. A new name gets the next number; numbers begin with 0 and have no gaps.
    pub(super) fn intern(&mut self, name: &str, whole: impl FnOnce() -> Recipient) -> NameId {
        if let Some(id) = self.names.numbers.get(name) { *id } else { self.restore_name(whole()) }
    }

    pub(crate) fn intern_user(&mut self, user: &UserName) -> NameId {
        self.intern(user, || Recipient::User(user.clone()))
    }

    /// The number of a sender.
    pub(super) fn intern_sender(&mut self, user: &UserName) -> NameId {
        match &self.names.last_sender {
            Some((last, id)) if last.is_same(user) => *id,
            _ => {
                let id = self.intern_user(user);
                self.names.last_sender = Some((user.clone(), id));
                id
            }
        }
    }

    /// Adds a name and assigns the next number to it. Numbers begin with 0 and have no gaps.
    pub(crate) fn restore_name(&mut self, name: Recipient) -> NameId {
        let id = NameId::at(self.names.all.len());
        self.names.numbers.insert((*name).into(), id);
        self.names.all.push(name);
        self.inboxes.push(Inbox::default());
        id
    }
}
