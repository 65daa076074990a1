//! How much a connection may hold that its peer has not taken, and how much it may make in one turn.

use std::task::{Context, Poll};

use crate::{chat::Reserved, model::BoxFuture};

/// Most unwritten bytes of a connection that is read further.
const MAX_BYTES: usize = 256 * 1024;

/// Unwritten bytes that every connection may have without having reserved memory for them.
const OWN_BYTES: usize = 16 * 1024;

/// Memory beside what every connection has.
#[derive(Default)]
struct Memory {
    reserved: Vec<Reserved>,
    /// More is asked for.
    asked: Option<BoxFuture<'static, Option<Reserved>>>,
}

/// What a connection may hold and make. `held` is always the number of bytes that are not written.
#[derive(Default)]
pub(super) struct Budget {
    /// Whether memory must be reserved for more than [`OWN_BYTES`].
    is_limited: bool,
    /// Bytes that were made in this turn, written or not. A peer that reads fast must not keep others waiting.
    made: usize,
    /// Room that the next event may need.
    needed: usize,
    /// Memory that was reserved, until everything is written.
    memory: Option<Box<Memory>>,
}

impl Budget {
    /// A budget; if it `is_limited`, memory must be reserved for more than a few bytes.
    pub(super) fn new(is_limited: bool) -> Self {
        Budget { is_limited, ..Budget::default() }
    }

    /// Number of bytes for which there is room.
    pub(super) fn room(&self, held: usize) -> usize {
        let made = if self.is_limited { self.made } else { 0 };
        self.most().saturating_sub(held.max(made))
    }

    /// Most bytes that may be held now.
    fn most(&self) -> usize {
        if !self.is_limited {
            return MAX_BYTES;
        }
        let reserved = self.memory.iter().flat_map(|memory| &memory.reserved).map(Reserved::bytes);
        (OWN_BYTES + reserved.sum::<usize>()).min(MAX_BYTES)
    }

    /// Begins to be served: what is made from now on counts for this turn.
    pub(super) fn begin_turn(&mut self) {
        self.made = 0;
        if let Some(memory) = &mut self.memory {
            memory.reserved.iter_mut().for_each(Reserved::end_turn);
        }
    }

    /// Counts bytes that were made.
    pub(super) fn count(&mut self, bytes: usize) {
        self.made += bytes;
    }

    /// Notes how much room the next event may need.
    pub(super) fn need(&mut self, bytes: usize) {
        self.needed = bytes;
    }

    /// Whether there is too little room for anything more, or for the next event.
    pub(super) fn lacks_room(&self, held: usize) -> bool {
        self.room(held) == 0 || self.room(held) < self.needed
    }

    /// Whether as much was made in this turn as one turn may make, although the peer has taken it.
    pub(super) fn is_turn_over(&self, held: usize) -> bool {
        self.made > 0 && self.lacks_room(held) && self.most().saturating_sub(held) >= self.needed.max(1)
    }

    /// Whether it holds up the large replies of others until it is served again.
    pub(super) fn has_turn(&self) -> bool {
        self.memory.iter().flat_map(|memory| &memory.reserved).any(Reserved::has_turn)
    }

    /// Asks for more memory by `ask` if that is what it lacks. Returns whether it has come.
    pub(super) fn poll_memory(
        &mut self,
        held: usize,
        cx: &mut Context<'_>,
        ask: impl FnOnce(usize) -> Option<BoxFuture<'static, Option<Reserved>>>,
    ) -> bool {
        let most = self.most();
        if !self.lacks_room(held) || most == MAX_BYTES {
            // What is asked for and not taken would be kept from others.
            if let Some(memory) = &mut self.memory {
                memory.asked = None;
            }
            return false;
        }
        let memory = self.memory.get_or_insert_default();
        if memory.asked.is_none() {
            memory.asked = ask(MAX_BYTES - most);
        }
        let Some(Poll::Ready(reserved)) = memory.asked.as_mut().map(|asked| asked.as_mut().poll(cx)) else {
            return false;
        };
        memory.asked = None;
        memory.reserved.extend(reserved);
        true
    }

    /// Keeps memory that was reserved for a reply, until everything is written.
    pub(super) fn keep(&mut self, reserved: Reserved) {
        self.memory.get_or_insert_default().reserved.push(reserved);
    }

    /// Gives back what was reserved: everything is written.
    pub(super) fn give_back(&mut self) {
        self.memory = None;
    }
}
