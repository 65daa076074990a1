//! Tests of the front.

use super::*;
use crate::store::Scope;

const LAB: &str = "#lab";

fn user(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

fn name(name: &str) -> Recipient {
    Recipient::parse(name).expect("a name")
}

fn front() -> Front {
    Front::new(100, MessageId(0), Arc::default())
}

/// Stores a message, and returns its number.
fn send(front: &mut Front, from: &str, to: &str, text: &str) -> u64 {
    let (from, to) = (user(from), name(to));
    let new = NewMessage { from: &from, to: &to, text, key: None, at: Timestamp(0) };
    front.admit(&new, text.into(), NO_PLACE).expect("not full").id.0
}

/// Numbers of a page of history, newest first, and whether there are more.
fn history(
    front: &Front,
    of: &str,
    with: &str,
    before: Option<u64>,
    limit: usize,
    max_bytes: usize,
) -> (Vec<u64>, bool) {
    let plan = front.plan_history(&user(of), &name(with), before.map(MessageId), limit, max_bytes);
    (plan.newest.iter().map(|message| message.id.0).collect(), plan.more)
}

#[test]
fn the_history_of_a_room_is_that_of_the_stays_in_it() {
    let mut front = front();
    let (ann, lab) = (user("ann"), RoomName::parse(LAB).expect("a name"));
    send(&mut front, "bob", LAB, "1");
    front.join(&ann, &lab, NO_PLACE);
    for text in ["2", "3"] {
        send(&mut front, "bob", LAB, text);
    }
    front.leave(&ann, &lab, NO_PLACE);
    send(&mut front, "bob", LAB, "4");
    front.join(&ann, &lab, NO_PLACE);
    send(&mut front, "ann", LAB, "5");
    front.leave(&ann, &lab, NO_PLACE);
    send(&mut front, "bob", LAB, "6");
    assert_eq!(history(&front, "ann", LAB, None, 9, 99), (vec![5, 3, 2], false));
    assert_eq!(history(&front, "ann", LAB, None, 2, 99), (vec![5, 3], true));
    assert_eq!(history(&front, "ann", LAB, Some(3), 2, 99), (vec![2], false));
    assert_eq!(history(&front, "bob", LAB, None, 9, 99), (vec![], false), "never in the room");
}

#[test]
fn the_history_of_two_users_has_both_directions_and_nobody_else() {
    let mut front = front();
    for (from, to) in [("ann", "bob"), ("ann", "eve"), ("bob", "ann"), ("eve", "bob"), ("ann", "ann")] {
        send(&mut front, from, to, "a");
    }
    assert_eq!(history(&front, "ann", "bob", None, 9, 99), (vec![3, 1], false));
    assert_eq!(history(&front, "bob", "ann", None, 9, 99), (vec![3, 1], false));
    assert_eq!(history(&front, "ann", "ann", None, 9, 99), (vec![5], false));
    assert_eq!(history(&front, "ann", "nobody", None, 9, 99), (vec![], false));
    let ann = front.name_id("ann").expect("known");
    assert_eq!(front.contacts(ann).iter().map(ToString::to_string).collect::<Vec<_>>(), ["bob", "eve"]);
}

#[test]
fn a_page_ends_when_its_texts_are_long_and_says_that_there_are_more() {
    let mut front = front();
    for _ in 0..5 {
        send(&mut front, "ann", "bob", "four");
    }
    assert_eq!(history(&front, "bob", "ann", None, 9, 10), (vec![5, 4, 3], true));
    assert_eq!(history(&front, "bob", "ann", Some(3), 9, 10), (vec![2, 1], false));
    let page = front.plan_feed(&user("bob"), MessageId(0), 9, 10, Scope::Inbox).page;
    assert_eq!((page.messages.len(), page.more), (3, true));
    let page = front.plan_feed(&user("bob"), MessageId(3), 9, 10, Scope::Inbox).page;
    assert_eq!((page.messages.len(), page.more), (2, false));
}

#[test]
fn a_pending_message_ends_an_inbox_page_and_is_in_no_history() {
    let mut front = front();
    send(&mut front, "ann", "bob", "1");
    let (ann, bob) = (user("ann"), name("bob"));
    let new = NewMessage { from: &ann, to: &bob, text: "2", key: Some("k"), at: Timestamp(0) };
    let row = front.admit(&new, "2".into(), NO_PLACE).expect("not full");
    send(&mut front, "ann", "bob", "3");
    let inbox = |front: &Front| {
        let page = front.plan_feed(&user("bob"), MessageId(0), 9, 99, Scope::Inbox).page;
        page.messages.iter().map(|message| message.id.0).collect::<Vec<_>>()
    };
    assert_eq!(inbox(&front), [1]);
    assert_eq!(history(&front, "bob", "ann", None, 9, 99).0, [3, 1]);
    assert!(front.repeated(&new).is_none());
    front.confirm(&row);
    assert_eq!(inbox(&front), [1, 2, 3]);
    assert!(front.repeated(&new).is_some());
    front.withdraw(&row);
    assert_eq!(inbox(&front), [1, 3]);
    assert!(front.repeated(&new).is_none());
}
