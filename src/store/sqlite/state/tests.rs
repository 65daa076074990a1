//! Tests of the state.

use super::*;

fn user(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

fn admit(state: &mut State, to: &str, key: Option<&str>) -> Row {
    let (from, to) = (user("messi"), Recipient::parse(to).expect("a name"));
    let new = NewMessage { from: &from, to: &to, text: "a", key, at: Timestamp(0) };
    let row = state.admit(&new, "a".into()).expect("not full");
    let _ = state.enqueue(Op::Message(row.clone()));
    row
}

#[test]
fn what_has_happened_since_a_batch_is_not_forgotten_with_it() {
    let mut state = State::new(10, MessageId(0));
    let henderson = user("henderson");
    for _ in 0..3 {
        admit(&mut state, "henderson", None);
    }
    let id = state.name_id("henderson").expect("known");
    for (upto, at) in [(1, 100), (2, 200)] {
        let from = state.inbox(id).cursor.upto;
        let moved = state.move_cursor(id, (from, MessageId(upto)), Timestamp(at), Passed::default(), true);
        let Some(Op::Cursor(CursorMove { delivered, .. })) = moved else {
            panic!("not moved");
        };
        assert_eq!(delivered.len(), 1);
    }
    // The first two messages and the first cursor are in the index.
    state.is_indexed(MessageId(2), 1);
    assert_eq!(state.trim(10).len(), 2);
    assert_eq!(state.passed_at(id, MessageId(1)), Some(Timestamp(200)), "the index knows better of this one");
    assert_eq!(state.passed_at(id, MessageId(2)), Some(Timestamp(200)));
    assert_eq!(state.inbox(id).last_indexed, MessageId(2));
    let plan = state.plan_inbox(&henderson, MessageId(0), 10, 1000);
    assert_eq!((plan.tail.len(), plan.sources.len()), (1, 0));
}

#[test]
fn a_name_that_was_given_out_for_a_refused_message_is_written_with_the_next_op() {
    let mut state = State::new(1, MessageId(0));
    admit(&mut state, "henderson", None);
    state.queue.take();
    let (lineker, to) = (user("lineker"), Recipient::User(user("henderson")));
    let new = NewMessage { from: &lineker, to: &to, text: "a", key: None, at: Timestamp(0) };
    assert!(state.admit(&new, "a".into()).is_none(), "full");
    assert!(state.queue.take().names.is_empty(), "there is nothing to write");
    admit(&mut state, "lineker", None);
    let names: Vec<_> = state.queue.take().names.into_iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(names, ["lineker"]);
}

#[test]
fn what_fails_is_as_if_it_had_not_been_asked_for() {
    let mut state = State::new(10, MessageId(0));
    let (henderson, lab) = (user("henderson"), RoomName::parse("#lab").expect("a name"));
    let rows = [admit(&mut state, "henderson", None), admit(&mut state, "henderson", Some("k"))];
    let joined = state.join(&henderson, &lab);
    let id = state.name_id("henderson").expect("known");
    let first = (MessageId(0), MessageId(1));
    let moved = state.move_cursor(id, first, Timestamp(100), Passed::default(), false);
    let left = state.leave(&henderson, &lab);
    for op in [left, moved, joined].into_iter().flatten() {
        match op {
            Op::Cursor(cursor) => state.restore_cursor(&cursor),
            Op::Join(stay) => state.take_back(stay, false),
            Op::Leave(stay, _) => state.take_back(stay, true),
            _ => {}
        }
    }
    rows.iter().rev().for_each(|row| state.withdraw(row));
    assert_eq!(state.rooms.membership(&henderson, &lab), Membership::NoRoom);
    assert_eq!((state.inbox(id).waiting(), state.inbox(id).cursor.upto), (0, MessageId(0)));
    assert_eq!(state.passed_at(id, MessageId(1)), None);
    let next = admit(&mut state, "henderson", None);
    assert_eq!(next.id, MessageId(3), "a number is never given twice");
}
