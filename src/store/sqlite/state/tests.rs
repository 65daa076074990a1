//! Tests of the state.

use std::sync::Arc;

use super::*;
use crate::store::Scope;
use crate::{
    model::{NewMessage, Recipient, RoomName, UserName},
    store::Membership,
};

fn user(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

fn state(inbox_limit: usize) -> State {
    State::new(Front::new(inbox_limit, MessageId(0), Arc::default()))
}

fn admit(state: &mut State, to: &str, key: Option<&str>) -> Row {
    let (from, to) = (user("messi"), Recipient::parse(to).expect("a name"));
    let new = NewMessage { from: &from, to: &to, text: "a", key, at: Timestamp(0) };
    let row = state.front.admit(&new, "a".into(), state.queue.next_place()).expect("not full");
    let _ = state.enqueue(Queued::Op(Op::Message(row.clone())));
    row
}

/// Moves a cursor to a message, and queues that.
fn acknowledge(
    state: &mut State,
    user: NameId,
    upto: u64,
    at: i64,
    wants_deliveries: bool,
) -> Vec<(NameId, MessageId)> {
    let from = state.front.inbox(user).cursor.upto;
    let range = (from, MessageId(upto));
    let moved = state.move_cursor(user, range, Timestamp(at), Passed::default(), wants_deliveries);
    let Some(Op::Cursor(moved)) = moved else {
        panic!("not moved");
    };
    let delivered = moved.delivered.clone();
    let _ = state.enqueue(Queued::Op(Op::Cursor(moved)));
    delivered
}

#[test]
fn what_has_happened_since_a_batch_is_not_forgotten_with_it() {
    let mut state = state(10);
    let henderson = user("henderson");
    for _ in 0..3 {
        admit(&mut state, "henderson", None);
    }
    let id = state.front.name_id("henderson").expect("known");
    for (upto, at) in [(1, 100), (2, 200)] {
        assert_eq!(acknowledge(&mut state, id, upto, at, true).len(), 1);
    }
    // The first two messages and the first cursor are in the index.
    let front = &mut state.front;
    front.is_indexed(MessageId(2), 1);
    assert_eq!(front.trim(10).len(), 2);
    assert_eq!(front.passed_at(id, MessageId(1)), Some(Timestamp(200)), "the index knows better of this one");
    assert_eq!(front.passed_at(id, MessageId(2)), Some(Timestamp(200)));
    assert_eq!(front.inbox(id).last_indexed, MessageId(2));
    let plan = front.plan_feed(&henderson, MessageId(0), 10, 1000, Scope::Inbox);
    assert_eq!((plan.page.messages.len(), plan.sources.len()), (1, 0));
}

#[test]
fn a_name_that_was_given_out_for_a_refused_message_is_written_with_the_next_op() {
    let mut state = state(1);
    admit(&mut state, "henderson", None);
    state.take_batch();
    let (lineker, to) = (user("lineker"), Recipient::User(user("henderson")));
    let new = NewMessage { from: &lineker, to: &to, text: "a", key: None, at: Timestamp(0) };
    assert!(state.front.admit(&new, "a".into(), 2).is_none(), "full");
    assert!(state.take_batch().names.is_empty(), "there is nothing to write");
    admit(&mut state, "lineker", None);
    let names: Vec<_> = state.take_batch().names.into_iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(names, ["lineker"]);
}

#[test]
fn what_fails_is_as_if_it_had_not_been_asked_for() {
    let mut state = state(10);
    let (henderson, lab) = (user("henderson"), RoomName::parse("#lab").expect("a name"));
    let rows = [admit(&mut state, "henderson", None), admit(&mut state, "henderson", Some("k"))];
    let place = state.next_place();
    let joined = state.front.join(&henderson, &lab, place);
    let id = state.front.name_id("henderson").expect("known");
    let first = (MessageId(0), MessageId(1));
    let moved = state.move_cursor(id, first, Timestamp(100), Passed::default(), false);
    let left = state.front.leave(&henderson, &lab, place);
    let [first, second] = rows.map(Op::Message);
    for op in [left, moved, joined].into_iter().flatten().chain([second, first]) {
        state.undo(&op);
    }
    let front = &state.front;
    assert_eq!(front.rooms.membership(&henderson, &lab), Membership::NoRoom);
    assert_eq!((front.inbox(id).waiting(), front.inbox(id).cursor.upto), (0, MessageId(0)));
    assert_eq!(front.passed_at(id, MessageId(1)), None);
    assert!(front.contacts(id).is_empty(), "nobody has written");
    let next = admit(&mut state, "henderson", None);
    assert_eq!(next.id, MessageId(3), "a number is never given twice");
}

#[test]
fn a_queued_cursor_does_not_count_what_it_has_passed_and_was_not_stored() {
    let mut state = state(10);
    let row = admit(&mut state, "henderson", None);
    admit(&mut state, "henderson", None);
    let id = state.front.name_id("henderson").expect("known");
    state.take_batch();
    for upto in [1, 2] {
        acknowledge(&mut state, id, upto, 0, false);
    }
    state.undo(&Op::Message(row));
    let taken = |op: &Queued| match op.op() {
        Some(Op::Cursor(CursorMove { before, after, .. })) => Some((before.taken, after.taken)),
        _ => None,
    };
    let batch = state.take_batch();
    assert_eq!(batch.ops.iter().filter_map(taken).collect::<Vec<_>>(), [(0, 0), (0, 1)]);
    assert_eq!(state.front.inbox(id).waiting(), 0);
}
