//! Postings and keys of committed messages, gathered for the next batch of the index.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::list::List;
use crate::{
    model::MessageId,
    store::front::ops::{NameId, Row},
};

/// Message numbers by list, and keys. Adding a message takes a few words and, amortized, no allocation.
#[derive(Default)]
pub(super) struct Gathered {
    // A fast, unkeyed hash is safe: the server assigns the numbers of names, so no client can make them collide.
    lists: FxHashMap<List, Chain>,
    postings: Vec<Posting>,
    pub(super) keys: Vec<(NameId, Arc<str>, MessageId)>,
    /// The last message that was added.
    pub(super) upto: Option<MessageId>,
    messages: usize,
}

/// The postings of one list: a linked list in `postings`, from the last to the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    last: u32,
    pub(super) count: u32,
}

struct Posting {
    id: MessageId,
    /// Index of the posting before it in its list; the first one has its own.
    before: u32,
}

impl Gathered {
    /// Takes everything out and reserves capacity for as much again.
    pub(super) fn take(&mut self) -> Self {
        let lists = FxHashMap::with_capacity_and_hasher(self.lists.len(), rustc_hash::FxBuildHasher);
        let room =
            Gathered { lists, postings: Vec::with_capacity(self.postings.len()), ..Gathered::default() };
        std::mem::replace(self, room)
    }

    /// Adds a message. To be called in the order of their numbers.
    pub(super) fn add(&mut self, row: &Row) {
        self.post(List::to(row.recipient), row.id);
        if !row.to_room {
            self.post(List::between(row.sender, row.recipient), row.id);
        }
        self.keys.extend(row.key.clone().map(|key| (row.sender, key, row.id)));
        self.upto = Some(row.id);
        self.messages += 1;
    }

    fn post(&mut self, list: List, id: MessageId) {
        let here = u32::try_from(self.postings.len()).expect("a batch begins long before");
        let chain = self.lists.entry(list).or_insert(Chain { last: here, count: 0 });
        self.postings.push(Posting { id, before: chain.last });
        *chain = Chain { last: here, count: chain.count + 1 };
    }

    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        self.messages
    }

    /// Returns the lists, sorted.
    pub(super) fn lists(&self) -> Vec<(List, Chain)> {
        let mut lists: Vec<_> = self.lists.iter().map(|(list, chain)| (*list, *chain)).collect();
        lists.sort_unstable_by_key(|(list, _)| *list);
        lists
    }

    /// Replaces the contents of `into` by the numbers of a list, ascending.
    pub(super) fn numbers(&self, chain: Chain, into: &mut Vec<u64>) {
        into.clear();
        let mut at = chain.last;
        for _ in 0..chain.count {
            let Posting { id, before } = &self.postings[at as usize];
            into.push(id.0);
            at = *before;
        }
        into.reverse();
    }
}
