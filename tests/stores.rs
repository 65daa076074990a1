//! The contract of `store::Store`: one suite for every store.

use std::sync::Arc;

use chat_service::{
    model::{MessageId, NewMessage, Refusal, Stored, Timestamp, TokenDigest},
    store::{Membership, Memory, PersonRecord, RoomEntry, SessionRecord, Settlement, Store},
};

use crate::support::subject::{Subject, USERS, name, numbers, room, to};

#[tokio::test]
async fn an_inbox_gives_its_messages_in_order_and_keeps_them_until_they_are_acknowledged() {
    for mut subject in Subject::all(10_000) {
        let mut last = 0;
        for i in 0..20 {
            let stored = subject.append("messi", USERS[i % 2], &format!("{i}"), None).await.expect("stored");
            assert!(stored.id.0 > last && !stored.duplicate, "{}", subject.kind);
            last = stored.id.0;
        }
        for _ in 0..2 {
            let texts: Vec<_> = subject.inbox("messi", 100).await.into_iter().map(|(_, text)| text).collect();
            assert_eq!(
                texts,
                (0..20).step_by(2).map(|i| i.to_string()).collect::<Vec<_>>(),
                "{}",
                subject.kind
            );
        }
        assert_eq!(subject.take("messi", 3).await, ["0", "2", "4"], "{}", subject.kind);
        assert_eq!(subject.take("messi", 3).await, ["6", "8", "10"], "{}", subject.kind);
        subject.reopen();
        assert_eq!(subject.take("messi", 100).await, ["12", "14", "16", "18"], "{}", subject.kind);
        assert_eq!(subject.take("messi", 100).await, [""; 0], "{}", subject.kind);
        assert_eq!(subject.take("henderson", 100).await.len(), 10, "{}", subject.kind);
        assert_eq!(subject.take("lineker", 100).await, [""; 0], "{}", subject.kind);
    }
}

#[tokio::test]
async fn a_key_names_one_message_of_its_sender() {
    for mut subject in Subject::all(3) {
        let first = subject.append("messi", "henderson", "a", Some("k")).await.expect("stored");
        for _ in 0..2 {
            let again = subject.append("messi", "henderson", "a", Some("k")).await;
            assert_eq!(again, Ok(Stored { duplicate: true, ..first }), "{}", subject.kind);
            assert_eq!(subject.append("messi", "henderson", "b", Some("k")).await, Err(Refusal::KeyReused));
            assert_eq!(subject.append("messi", "lineker", "a", Some("k")).await, Err(Refusal::KeyReused));
            let (from, to) = (name("messi"), to("henderson"));
            let message = NewMessage { from: &from, to: &to, text: "a", key: Some("k"), at: Timestamp(0) };
            let found = subject.settle(subject.store.find_by_key(message)).await;
            assert_eq!(found, Ok(Some(Stored { duplicate: true, ..first })), "{}", subject.kind);
            let new = NewMessage { key: Some("new"), ..message };
            assert_eq!(subject.settle(subject.store.find_by_key(new)).await, Ok(None));
            subject.reopen();
        }
        let other = subject.append("lineker", "henderson", "a", Some("k")).await.expect("stored");
        assert!(!other.duplicate && other.id > first.id, "{}: keys are the sender's own", subject.kind);
        // The key is found even when the inbox is full, and when the message has left it.
        subject.append("messi", "henderson", "c", None).await.expect("stored");
        assert_eq!(
            subject.append("messi", "henderson", "d", Some("l")).await,
            Err(Refusal::InboxFull { limit: 3 })
        );
        assert_eq!(
            subject.append("messi", "henderson", "d", None).await,
            Err(Refusal::InboxFull { limit: 3 })
        );
        let again = subject.append("messi", "henderson", "a", Some("k")).await;
        assert_eq!(again, Ok(Stored { duplicate: true, ..first }), "{}", subject.kind);
        assert_eq!(subject.take("henderson", 10).await, ["a", "a", "c"], "{}", subject.kind);
        let again = subject.append("messi", "henderson", "a", Some("k")).await;
        assert_eq!(again, Ok(Stored { duplicate: true, ..first }), "{}", subject.kind);
        assert_eq!(subject.take("henderson", 10).await, [""; 0], "{}", subject.kind);
    }
}

#[tokio::test]
async fn a_new_owner_of_a_name_has_neither_keys_nor_rooms_of_the_previous_one() {
    for mut subject in Subject::all(100) {
        let lab = room("#lab");
        subject.settle(subject.store.join(&name("messi"), &lab)).await.expect("stored");
        let first = subject.append("messi", "henderson", "a", Some("k")).await.expect("stored");
        subject.settle(subject.store.leave(&name("messi"), &lab)).await.expect("stored");
        let upto = subject.store.last_message();
        assert!(upto >= first.id, "{}", subject.kind);
        let moved = subject.store.acknowledge(&name("messi"), MessageId(0), upto, Timestamp(1));
        subject.settle(moved).await.expect("stored");
        let person = PersonRecord { after: upto, decided: Timestamp(9), ..PersonRecord::new(name("messi")) };
        subject.settle(subject.store.set_person(person.clone())).await.expect("stored");
        for round in 0..2 {
            let membership = *subject.store.membership(&name("messi"), &lab).peek();
            assert_eq!(membership, Membership::Never, "{}", subject.kind);
            let sent = subject.append("messi", "henderson", "b", Some("k")).await.expect("stored");
            assert_eq!(sent.duplicate, round > 0, "{}", subject.kind);
            assert!(sent.id > upto, "{}", subject.kind);
            subject.reopen();
            let people = subject.store.people();
            assert!(people.is_empty() || people.contains(&person), "{}: {people:?}", subject.kind);
        }
        subject.settle(subject.store.join(&name("messi"), &lab)).await.expect("stored");
        subject.append("henderson", "#lab", "to the new one", None).await.expect("stored");
        assert_eq!(subject.take("messi", 10).await, ["to the new one"], "{}", subject.kind);
        assert_eq!(subject.take("henderson", 10).await, ["a", "b"], "{}", subject.kind);
    }
}

#[tokio::test]
async fn two_that_use_a_key_at_once_store_one_message() {
    for subject in Subject::all(10_000) {
        let subject = Arc::new(subject);
        for round in 0..20 {
            let both = [0, 1].map(|_| {
                let subject = subject.clone();
                tokio::spawn(async move {
                    let key = format!("k{round}");
                    subject.append("messi", "henderson", "a", Some(&key)).await.expect("stored")
                })
            });
            let [a, b] = both;
            let (a, b) = (a.await.expect("no panic"), b.await.expect("no panic"));
            assert_eq!(a.id, b.id, "{}", subject.kind);
            assert!(a.duplicate ^ b.duplicate, "{}", subject.kind);
        }
        assert_eq!(subject.take("henderson", 100).await.len(), 20, "{}", subject.kind);
    }
}

#[tokio::test]
async fn keyed_and_unkeyed_sends_of_one_caller_stay_in_order() {
    for subject in Subject::all(10_000) {
        let (from, to) = (name("messi"), to("henderson"));
        let texts: Vec<_> = (0..200).map(|i| format!("{i}")).collect();
        let receipts: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| {
                let key = (i % 3 == 0).then_some(text.as_str());
                subject.store.append(NewMessage { from: &from, to: &to, text, key, at: Timestamp(0) })
            })
            .collect();
        for receipt in receipts {
            subject.settle(receipt).await.expect("stored");
        }
        assert_eq!(subject.take("henderson", 1000).await, texts, "{}", subject.kind);
    }
}

#[tokio::test]
async fn sessions_are_kept() {
    let (keep, end) = (TokenDigest([1; 32]), TokenDigest([2; 32]));
    for mut subject in Subject::all(10) {
        for digest in [keep, end] {
            let (created, used) = (Timestamp(5), Timestamp(6));
            let record =
                SessionRecord { digest, user: name("messi"), created, used, number: 3, device: None };
            assert_eq!(subject.settle(subject.store.open_session(record)).await, Ok(()));
        }
        subject.store.touch_session(&keep, Timestamp(7));
        assert_eq!(subject.settle(subject.store.end_session(&end)).await, Ok(()));
        if subject.reopen() {
            let kept = subject.store.sessions();
            assert_eq!(kept.len(), 1, "{}", subject.kind);
            assert_eq!((kept[0].digest, &*kept[0].user, kept[0].created), (keep, "messi", Timestamp(5)));
            assert_eq!((kept[0].used, kept[0].number), (Timestamp(7), 3));
        }
    }
}

#[tokio::test]
async fn many_messages_are_indexed_and_found() {
    for mut subject in Subject::all(1_000_000) {
        let (from, to, other) = (name("messi"), to("henderson"), to("lineker"));
        let total = 70_000_usize;
        let mut last = None;
        for i in 0..total {
            let text = format!("{i}");
            let to = if i % 7 == 0 { &other } else { &to };
            let key = (i % 1000 == 0).then_some(text.as_str());
            let receipt =
                subject.store.append(NewMessage { from: &from, to, text: &text, key, at: Timestamp(0) });
            if i % 5000 == 0 || i + 1 == total {
                last = Some(subject.settle(receipt).await.expect("stored"));
            }
        }
        let last = last.expect("some");
        for (times, limit) in [(2, 1000), (usize::MAX, 7001)] {
            let mut taken = 0;
            while taken < times {
                let texts = subject.take("lineker", limit).await;
                if texts.is_empty() {
                    break;
                }
                let first: usize = texts[0].parse().expect("a number");
                for (i, text) in texts.iter().enumerate() {
                    assert_eq!(*text, (first + 7 * i).to_string(), "{}", subject.kind);
                }
                taken += 1;
            }
            subject.reopen();
        }
        assert_eq!(subject.inbox("lineker", 10).await.len(), 0, "{}", subject.kind);
        let again = subject.append("messi", "lineker", "7000", Some("7000")).await.expect("answered");
        assert!(again.duplicate, "{}: a key outlives its message's time in the inbox", subject.kind);
        let next = subject.append("messi", "lineker", "next", None).await.expect("stored");
        assert!(next.id > last.id, "{}", subject.kind);
        let mut rest = 0;
        loop {
            let texts = subject.take("henderson", 5000).await;
            rest += texts.len();
            if texts.is_empty() {
                break;
            }
        }
        assert_eq!(rest, total - total.div_ceil(7), "{}", subject.kind);
    }
}

#[test]
fn a_position_that_was_never_given_out_is_open() {
    let store = Memory::new(1);
    assert_eq!(store.log().settlement(chat_service::model::Position::at(1)), Settlement::Open);
}

#[tokio::test]
async fn history_is_what_two_wrote_to_each_other_newest_page_first() {
    for mut subject in Subject::all(10_000) {
        let mut between = Vec::new();
        for i in 0..30 {
            between.push(subject.send(["messi", "henderson"][i % 2], ["henderson", "messi"][i % 2]).await);
            subject.send("messi", "lineker").await;
            subject.send("lineker", "henderson").await;
        }
        let to_oneself = subject.send("messi", "messi").await;
        subject.take("henderson", 25).await;
        for _ in 0..2 {
            let kind = subject.kind;
            for (user, with) in [("messi", "henderson"), ("henderson", "messi")] {
                assert_eq!(subject.history(user, with, None, 1000).await, (between.clone(), false), "{kind}");
                // The history is read page by page, from the end.
                let (mut seen, mut before) = (Vec::new(), None);
                loop {
                    let (page, more) = subject.history(user, with, before, 7).await;
                    before = page.first().copied();
                    seen.splice(0..0, page);
                    if !more {
                        break;
                    }
                }
                assert_eq!(seen, between, "{kind}");
            }
            assert_eq!(subject.history("messi", "messi", None, 9).await, (vec![to_oneself], false), "{kind}");
            assert_eq!(subject.history("messi", "maradona", None, 9).await, (vec![], false), "{kind}");
            assert_eq!(subject.history("messi", "henderson", Some(1), 9).await, (vec![], false), "{kind}");
            subject.reopen();
        }
    }
}

#[tokio::test]
async fn a_room_is_read_by_those_who_were_in_it() {
    for mut subject in Subject::all(2) {
        let (messi, henderson, lab) = (name("messi"), name("henderson"), room("#lab"));
        assert_eq!(subject.membership("messi", "#lab"), Membership::NoRoom);
        subject.join(&messi, "#lab").await;
        subject.join(&messi, "#lab").await;
        assert_eq!(subject.membership("henderson", "#lab"), Membership::Never);
        let alone = subject.send("messi", "#lab").await;
        let direct = subject.send("messi", "henderson").await;
        subject.join(&henderson, "#lab").await;
        // There are more messages than the limit of an inbox, because messages to rooms do not count.
        let mut both = Vec::new();
        for i in 0..7 {
            both.push(subject.send(["messi", "henderson"][i % 2], "#lab").await);
        }
        subject.leave(&henderson, "#lab").await;
        let after = subject.send("messi", "#lab").await;
        let messis: Vec<_> = both.iter().copied().step_by(2).collect();
        for round in 0..2 {
            let kind = subject.kind;
            assert_eq!(subject.membership("henderson", "#lab"), Membership::Former, "{kind}");
            assert_eq!(subject.waiting("henderson").await, [&[direct][..], &messis].concat(), "{kind}");
            assert_eq!(
                subject.waiting("messi").await,
                both.iter().copied().skip(1).step_by(2).collect::<Vec<_>>()
            );
            assert_eq!(subject.history("henderson", "#lab", None, 50).await, (both.clone(), false), "{kind}");
            let (newest, more) = subject.history("henderson", "#lab", None, 3).await;
            assert_eq!((&newest[..], more), (&both[4..], true), "{kind}");
            let all: Vec<_> = [alone].into_iter().chain(both.clone()).chain([after]).collect();
            assert_eq!(subject.history("messi", "#lab", None, 50).await, (all, false), "{kind}");
            assert_eq!(
                *subject.store.rooms(&henderson, None, 100).peek(),
                [RoomEntry { room: lab.clone(), members: 1, joined: false }],
                "{kind}"
            );
            assert_eq!(*subject.store.members(&lab, None).peek(), std::slice::from_ref(&messi));
            assert_eq!(
                *subject.store.members(&lab, Some(MessageId(both[0]))).peek(),
                [henderson.clone(), messi.clone()]
            );
            let mut known = subject.store.contacts(&henderson).await;
            known.sort_unstable();
            assert_eq!(known, std::slice::from_ref(&messi), "{kind}");
            assert_eq!(subject.store.count_rooms(&messi), 1);
            if round == 0 && !subject.reopen() {
                break;
            }
        }
        // A page of the inbox may begin after any message.
        let page = subject.page("henderson", messis[0], 2).await;
        assert_eq!((numbers(&page), page.more), (messis[1..3].to_vec(), true), "{}", subject.kind);
        // One direct message waits in the inbox, and the limit is two.
        subject.send("messi", "henderson").await;
        assert_eq!(
            subject.append("messi", "henderson", "x", None).await,
            Err(Refusal::InboxFull { limit: 2 })
        );
        // henderson joins again. Messages that were sent to the room in between are not for henderson.
        subject.join(&henderson, "#lab").await;
        let last = subject.send("messi", "#lab").await;
        let waiting = subject.waiting("henderson").await;
        assert_eq!((waiting.last(), waiting.contains(&after)), (Some(&last), false), "{}", subject.kind);
    }
}

#[tokio::test]
async fn when_a_message_was_acknowledged_is_known() {
    for mut subject in Subject::all(10_000) {
        let messi = name("messi");
        for _ in 0..12 {
            subject.send("henderson", "messi").await;
        }
        for (upto, at) in [(3, 100), (4, 200), (11, 300)] {
            assert!(subject.acknowledge("messi", upto, at).await, "{}", subject.kind);
        }
        // A cursor never moves back.
        assert!(!subject.acknowledge("messi", 2, 400).await, "{}", subject.kind);
        for _ in 0..2 {
            for (id, at) in
                [(1, Some(100)), (3, Some(100)), (4, Some(200)), (5, Some(300)), (11, Some(300)), (12, None)]
            {
                let found = subject.settle(subject.store.acknowledged_at(&messi, MessageId(id))).await;
                assert_eq!(found, Ok(at.map(Timestamp)), "{}: {id}", subject.kind);
            }
            assert_eq!(*subject.store.cursor(&messi).peek(), MessageId(11));
            let found = subject.settle(subject.store.message(MessageId(12))).await.expect("readable");
            let found = found.expect("there");
            assert_eq!((found.id, &*found.from, &*found.to), (MessageId(12), "henderson", "messi"));
            assert!(subject.settle(subject.store.message(MessageId(13))).await.expect("readable").is_none());
            subject.reopen();
        }
    }
}

#[tokio::test]
async fn a_number_that_a_stay_or_a_refused_message_had_is_not_given_out_again() {
    for mut subject in Subject::all(10_000) {
        subject.append("messi", "maradona", "0", Some("k")).await.expect("stored");
        subject.join("messi", "#lab").await;
        subject.join("lineker", "#lab").await;
        for i in 1..7 {
            subject.append("messi", "maradona", &i.to_string(), None).await.expect("stored");
        }
        // If the key is not in memory any more, the message gets a number before it is found to be a duplicate.
        let again = subject.append("messi", "maradona", "0", Some("k")).await.expect("answered");
        assert!(again.duplicate, "{}", subject.kind);
        subject.join("henderson", "#lab").await;
        subject.leave("lineker", "#lab").await;
        subject.reopen();
        let id = subject.append("messi", "#lab", "after", None).await.expect("stored").id.0;
        assert_eq!(subject.waiting("henderson").await, [id], "{}", subject.kind);
        assert_eq!(subject.waiting("lineker").await, [0; 0], "{}", subject.kind);
    }
}

#[tokio::test]
async fn times_of_messages_never_fall() {
    for mut subject in Subject::all(10_000) {
        let mut shown = Vec::new();
        for at in [2_000, 1_000, 3_000] {
            let (from, to) = (name("messi"), to("henderson"));
            let new = NewMessage { from: &from, to: &to, text: "a", key: None, at: Timestamp(at) };
            shown.push(subject.settle(subject.store.append(new)).await.expect("stored").at.0);
            subject.reopen();
        }
        assert_eq!(shown, [2_000, 2_000, 3_000], "{}", subject.kind);
        let page = subject.page("henderson", 0, 9).await;
        let stored: Vec<_> = page.messages.iter().map(|message| message.at.0).collect();
        assert_eq!(stored, shown, "{}", subject.kind);
    }
}

#[tokio::test]
async fn a_room_stays_when_everybody_has_left() {
    for mut subject in Subject::all(10_000) {
        let (messi, lab) = (name("messi"), room("#lab"));
        // Nothing is sent meanwhile, so that each stay ends where it began.
        for _ in 0..3 {
            subject.join("messi", "#lab").await;
            let left = subject.store.leave(&messi, &lab);
            subject.settle(left).await.expect("left");
            subject.reopen();
            assert_eq!(
                *subject.store.membership(&messi, &lab).peek(),
                Membership::Former,
                "{}",
                subject.kind
            );
        }
        let rooms = subject.store.rooms(&messi, None, 100).peek().clone();
        assert_eq!(rooms, [RoomEntry { room: lab.clone(), members: 0, joined: false }], "{}", subject.kind);
        subject.join("messi", "#lab").await;
        subject.append("henderson", "#lab", "a", None).await.expect("stored");
        subject.reopen();
        assert_eq!(subject.inbox("messi", 9).await.len(), 1, "{}", subject.kind);
    }
}
