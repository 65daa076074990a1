//! The list of a user's conversations, from memory and from the index.

use std::{collections::HashSet, ops::ControlFlow};

use rusqlite::Connection;

use super::{
    Shared, Sqlite,
    list::List,
    postings,
    queue::Queued,
    reader::{self, StoredRow},
};
use crate::{
    model::{At, MaybeReady, MessageId, ReadMarker, Recipient, UserName},
    store::{
        ConversationEntry, Conversations, Marked, Reading, Receipt,
        front::overview::{Overview, Talk},
    },
};

impl Conversations for Sqlite {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        let mut state = self.shared.lock();
        let place = state.next_place();
        let outcome = if let Some(op) = state.front.mark_read(user, with, marker, place) {
            At::new(Marked { moved: true, marker }, self.shared.enqueue(&mut state, Queued::Op(op)))
        } else {
            let now = state.front.read_marker(user, with);
            now.map(|now| Marked { moved: false, marker: now.unwrap_or(marker) })
        };
        MaybeReady::Ready(outcome.map(Ok))
    }

    fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>> {
        self.shared.lock().front.read_marker(user, with)
    }

    fn conversations<'a>(&'a self, user: &'a UserName, limit: usize) -> Reading<'a, Vec<ConversationEntry>> {
        // What leaves the tail after this is in the index by then: it is looked for there, up to what was indexed now.
        let Some(overview) = self.shared.lock().front.overview(user) else {
            return MaybeReady::Ready(At::start(Ok(Vec::new())));
        };
        MaybeReady::Late(Box::pin(async move {
            let read = self.read("conversations", move |connection, shared| {
                complete(connection, shared, overview, limit)
            });
            match read.await {
                Ok(Overview { talks, position, .. }) => {
                    At::new(Ok(talks.into_iter().map(Talk::entry).collect()), position)
                }
                Err(refusal) => At::refused(refusal),
            }
        }))
    }
}

/// Adds what the index has, and keeps `limit` conversations.
fn complete(
    connection: &Connection,
    shared: &Shared,
    mut overview: Overview,
    limit: usize,
) -> rusqlite::Result<Overview> {
    let partners = postings::partners(connection, overview.user)?;
    {
        let front = &shared.lock().front;
        let in_memory: HashSet<_> =
            overview.talks.iter().map(|talk| talk.conversation.with(overview.user)).collect();
        for partner in partners {
            if !in_memory.contains(&partner) {
                front.add_talk(&mut overview, partner);
            }
        }
    }
    let (user, end) = (overview.user, MessageId(overview.indexed.0.saturating_add(1)));
    for talk in &mut overview.talks {
        if talk.last.is_none() {
            talk.last = shared.messages(last(connection, talk, end)?.into_iter().collect())?.pop();
        }
    }
    Talk::newest(&mut overview.talks, limit);
    for talk in overview.talks.iter_mut().filter(|talk| !talk.is_counted()) {
        let list = talk.conversation.into();
        postings::scan_back(connection, list, end, |id| match row(connection, list, talk, id)? {
            Some(row) => Ok(talk.look_at(id, row.sender == user)),
            None => Ok(beyond(talk, id)),
        })?;
    }
    Ok(overview)
}

/// The newest indexed message before `end` that the user may see.
fn last(connection: &Connection, talk: &Talk, end: MessageId) -> rusqlite::Result<Option<StoredRow>> {
    let (list, mut found) = (talk.conversation.into(), None);
    postings::scan_back(connection, list, end, |id| {
        found = row(connection, list, talk, id)?;
        Ok(if found.is_some() { ControlFlow::Break(()) } else { beyond(talk, id) })
    })?;
    Ok(found)
}

/// The message of that number, if the user may see it. Retention may have removed it.
fn row(
    connection: &Connection,
    list: List,
    talk: &Talk,
    id: MessageId,
) -> rusqlite::Result<Option<StoredRow>> {
    if talk.shows(id) { reader::listed(connection, list, id) } else { Ok(None) }
}

/// Breaks if the user may see no message before this one.
fn beyond(talk: &Talk, id: MessageId) -> ControlFlow<()> {
    if talk.begins_at() > id { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
