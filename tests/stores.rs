//! One suite for every store: the contract of `store::Store`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use chat_service::{
    protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName},
    store::{
        Durable, Fate, Membership, Memory, MessageId, NewMessage, OpenError, Options, Outcome, Page, Receipt,
        RoomEntry, SessionRecord, Sqlite, Store, Stored,
    },
};
use tempfile::TempDir;

use crate::support::reordering::Reordering;

const USERS: [&str; 3] = ["messi", "henderson", "lineker"];

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

fn to(text: &str) -> Recipient {
    Recipient::parse(text).expect("a name")
}

/// A store, and the way to open it again.
struct Subject {
    kind: &'static str,
    store: Arc<dyn Store>,
    folder: Option<TempDir>,
    limit: usize,
    index_batch: usize,
}

fn sqlite(folder: &Path, limit: usize, index_batch: usize) -> Arc<dyn Store> {
    // Small batches in small steps, and few runs, so that much is read in the midst of one, or of a merge.
    let (index_step, index_runs) = if index_batch < 10 { (1, 3) } else { (128, 64) };
    let options = Options {
        inbox_limit: limit,
        durable: Durable::Os,
        index_batch,
        index_step,
        index_runs,
        reserve: 0,
        ..Options::default()
    };
    Arc::new(Sqlite::open(folder, &options).expect("a store"))
}

impl Subject {
    /// Every store, empty.
    fn all(limit: usize) -> Vec<Subject> {
        let volatile = |kind, store| Subject { kind, store, folder: None, limit, index_batch: 0 };
        let durable = |kind, index_batch| {
            let folder = tempfile::tempdir().expect("a folder");
            let store = sqlite(&folder.path().join("data"), limit, index_batch);
            Subject { kind, store, folder: Some(folder), limit, index_batch }
        };
        vec![
            volatile("memory", Arc::new(Memory::new(limit))),
            volatile("reordering", Reordering::new(limit)),
            durable("sqlite", Options::default().index_batch),
            // So that most of what is read has been indexed.
            durable("sqlite that indexes at once", 3),
        ]
    }

    /// Closes and opens it, if it survives that.
    fn reopen(&mut self) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        self.store.close();
        self.store = Arc::new(Memory::new(0));
        self.store = sqlite(&folder.path().join("data"), self.limit, self.index_batch);
        true
    }

    /// Appends, and waits until the outcome is known and settled.
    async fn append(&self, from: &str, to: &str, text: &str, key: Option<&str>) -> Result<Stored, Refusal> {
        let (from, to) = (name(from), self::to(to));
        let message = NewMessage { from: &from, to: &to, text, key, at: Timestamp(1000) };
        self.settle(self.store.append(message)).await
    }

    async fn settle<T>(&self, receipt: Receipt<T>) -> Result<T, Refusal> {
        let Outcome { result, position } = match receipt {
            Receipt::Known(outcome) => outcome,
            Receipt::Late(outcome) => outcome.await,
        };
        self.store.durability().settled(position).await?;
        result
    }

    async fn inbox(&self, user: &str, limit: usize) -> Vec<(u64, String)> {
        let user = name(user);
        let page = self.store.inbox(&user, MessageId(0), limit).await.expect("readable");
        self.store.durability().settled(page.position).await.expect("durable");
        page.messages.iter().map(|message| (message.id.0, message.text.to_string())).collect()
    }

    /// Takes out what a page of that limit shows.
    async fn take(&self, user: &str, limit: usize) -> Vec<String> {
        let page = self.inbox(user, limit).await;
        if let Some((last, _)) = page.last() {
            let _ = self.store.acknowledge(&name(user), MessageId(*last), page.len(), Timestamp(2000));
        }
        page.into_iter().map(|(_, text)| text).collect()
    }
}

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
            let found = subject.settle(subject.store.find_repeated(message)).await;
            assert_eq!(found, Ok(Some(Stored { duplicate: true, ..first })), "{}", subject.kind);
            let new = NewMessage { key: Some("new"), ..message };
            assert_eq!(subject.settle(subject.store.find_repeated(new)).await, Ok(None));
            subject.reopen();
        }
        let other = subject.append("lineker", "henderson", "a", Some("k")).await.expect("stored");
        assert!(!other.duplicate && other.id > first.id, "{}: keys are the sender's own", subject.kind);
        // Even when the inbox is full, and when the message has left it.
        subject.append("messi", "henderson", "c", None).await.expect("stored");
        assert_eq!(subject.append("messi", "henderson", "d", Some("l")).await, Err(Refusal::InboxFull));
        assert_eq!(subject.append("messi", "henderson", "d", None).await, Err(Refusal::InboxFull));
        let again = subject.append("messi", "henderson", "a", Some("k")).await;
        assert_eq!(again, Ok(Stored { duplicate: true, ..first }), "{}", subject.kind);
        assert_eq!(subject.take("henderson", 10).await, ["a", "a", "c"], "{}", subject.kind);
        let again = subject.append("messi", "henderson", "a", Some("k")).await;
        assert_eq!(again, Ok(Stored { duplicate: true, ..first }), "{}", subject.kind);
        assert_eq!(subject.take("henderson", 10).await, [""; 0], "{}", subject.kind);
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
            let position = subject.store.open_session(SessionRecord {
                digest,
                user: name("messi"),
                created,
                used,
                number: 3,
            });
            assert_eq!(subject.store.durability().settled(position).await, Ok(()));
        }
        subject.store.touch_session(&keep, Timestamp(7));
        let position = subject.store.end_session(&end);
        assert_eq!(subject.store.durability().settled(position).await, Ok(()));
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

/// A store that is too simple to be wrong.
#[derive(Default)]
struct Model {
    next: u64,
    inboxes: BTreeMap<String, Vec<String>>,
    keys: HashMap<(String, String), (String, String)>,
}

impl Model {
    fn append(
        &mut self,
        from: &str,
        to: &str,
        text: &str,
        key: Option<&str>,
        limit: usize,
    ) -> Result<bool, Refusal> {
        let content = (to.to_owned(), text.to_owned());
        if let Some(known) = key.and_then(|key| self.keys.get(&(from.to_owned(), key.to_owned()))) {
            return if *known == content { Ok(true) } else { Err(Refusal::KeyReused) };
        }
        let inbox = self.inboxes.entry(to.to_owned()).or_default();
        if inbox.len() >= limit {
            return Err(Refusal::InboxFull);
        }
        inbox.push(text.to_owned());
        if let Some(key) = key {
            self.keys.insert((from.to_owned(), key.to_owned()), content);
        }
        self.next += 1;
        Ok(false)
    }

    fn take(&mut self, user: &str, limit: usize) -> Vec<String> {
        let inbox = self.inboxes.entry(user.to_owned()).or_default();
        inbox.drain(..limit.min(inbox.len())).collect()
    }
}

/// Random commands on a store and on the model: they answer alike. 10,000 sequences with `CHAT_TEST_LONG=1`.
#[tokio::test]
async fn a_store_and_a_naive_model_answer_alike() {
    let sequences = if std::env::var_os("CHAT_TEST_LONG").is_some() { 10_000 } else { 150 };
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for sequence in 0..sequences {
        let limit = 1 + usize::try_from(random(6)).expect("small");
        for mut subject in Subject::all(limit) {
            let mut model = Model::default();
            let mut last = 0;
            for step in 0..30 {
                let at = format!("{}, sequence {sequence}, step {step}", subject.kind);
                let mut user = || USERS[usize::try_from(random(3)).expect("small")];
                let (from, to) = (user(), user());
                match random(10) {
                    0..=5 => {
                        let text = format!("{}", random(3));
                        let key = format!("k{}", random(4));
                        let key = (random(2) == 0).then_some(key.as_str());
                        let got = subject.append(from, to, &text, key).await;
                        let expected = model.append(from, to, &text, key, limit);
                        assert_eq!(got.map(|stored| stored.duplicate), expected, "{at}");
                        if let Ok(stored) = got
                            && !stored.duplicate
                        {
                            assert!(stored.id.0 > last, "{at}");
                            last = stored.id.0;
                        }
                    }
                    6..=8 => {
                        let limit = usize::try_from(random(4)).expect("small");
                        assert_eq!(subject.take(to, limit).await, model.take(to, limit), "{at}");
                    }
                    _ => drop(subject.reopen()),
                }
            }
            for user in USERS {
                assert_eq!(
                    subject.take(user, 100).await,
                    model.take(user, 100),
                    "{} {sequence}",
                    subject.kind
                );
            }
        }
    }
}

fn open(folder: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(folder, &Options::default())
}

#[tokio::test]
async fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("a/b");
    let first = open(&data).expect("made");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&data).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o700);
    let told = open(&data).err().expect("refused").to_string();
    assert!(told.contains("another server uses this folder") && told.contains("remedy"), "{told}");
    first.close();
    drop(first);
    open(&data).expect("free again");
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    drop(open(&data).expect("made"));
    let database = data.join("chat.db");
    let good = std::fs::read(&database).expect("there");
    let refused = |expected: &str| {
        let before = std::fs::read(&database).ok();
        let told = open(&data).err().unwrap_or_else(|| panic!("opened: {expected}")).to_string();
        assert!(told.contains(expected) && told.contains("remedy"), "{told}");
        assert_eq!(std::fs::read(&database).ok(), before, "{expected}");
    };

    std::fs::write(&database, b"not a database, but long enough to have been one once".repeat(100))
        .expect("written");
    refused("cannot be read");
    std::fs::write(&database, b"").expect("written");
    refused("the database is gone");
    std::fs::remove_file(&database).expect("removed");
    refused("the database is gone");

    // Its version, big-endian, is at byte 60 of the file, its application at 68.
    let changed = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        std::fs::write(&database, bytes).expect("written");
    };
    changed(60, 1000);
    refused("has version 1000");
    changed(68, 1);
    refused("not one of chat-server");
    std::fs::write(&database, &good).expect("written");
    open(&data).expect("good again");
}

#[tokio::test]
async fn a_flipped_bit_is_told_and_not_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let store = open(&data).expect("made");
    let messi = name("messi");
    let text = "a text that can be found in the file";
    store.append(NewMessage { from: &messi, to: &to("messi"), text, key: None, at: Timestamp(0) });
    store.close();
    drop(store);
    let database = data.join("chat.db");
    let mut bytes = std::fs::read(&database).expect("there");
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("in the file");
    bytes[at] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    let told = open(&data).err().expect("refused").to_string();
    assert!(told.contains("message 1 does not match its checksum"), "{told}");
}

#[test]
fn a_position_that_was_never_given_out_is_open() {
    let store = Memory::new(1);
    assert_eq!(store.durability().fate(chat_service::store::Position(1)), Fate::Open);
}

fn room(text: &str) -> RoomName {
    RoomName::parse(text).expect("a name")
}

fn numbers(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.id.0).collect()
}

impl Subject {
    /// The numbers of a page of history, and whether there are older ones.
    async fn history(&self, user: &str, with: &str, before: Option<u64>, limit: usize) -> (Vec<u64>, bool) {
        let (user, with) = (name(user), to(with));
        let page = self.store.history(&user, &with, before.map(MessageId), limit).await.expect("readable");
        self.store.durability().settled(page.position).await.expect("durable");
        (numbers(&page), page.more)
    }

    async fn send(&self, from: &str, to: &str) -> u64 {
        self.append(from, to, "text", None).await.expect("stored").id.0
    }

    async fn waiting(&self, user: &str) -> Vec<u64> {
        self.inbox(user, 1000).await.into_iter().map(|(id, _)| id).collect()
    }
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
                // Page by page from the end.
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
        assert_eq!(subject.store.membership(&messi, &lab).0, Membership::NoRoom);
        let _ = subject.store.join(&messi, &lab);
        let _ = subject.store.join(&messi, &lab);
        assert_eq!(subject.store.membership(&henderson, &lab).0, Membership::Never);
        let alone = subject.send("messi", "#lab").await;
        let direct = subject.send("messi", "henderson").await;
        let _ = subject.store.join(&henderson, &lab);
        // More than the limit of an inbox: a room does not count.
        let mut both = Vec::new();
        for i in 0..7 {
            both.push(subject.send(["messi", "henderson"][i % 2], "#lab").await);
        }
        let _ = subject.store.leave(&henderson, &lab);
        let after = subject.send("messi", "#lab").await;
        let messis: Vec<_> = both.iter().copied().step_by(2).collect();
        for round in 0..2 {
            let kind = subject.kind;
            assert_eq!(subject.store.membership(&henderson, &lab).0, Membership::Former, "{kind}");
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
            let (listed, _) = subject.store.rooms(&henderson);
            assert_eq!(listed, [RoomEntry { room: lab.clone(), members: 1, joined: false }], "{kind}");
            assert_eq!(subject.store.members(&lab, None).0, std::slice::from_ref(&messi));
            assert_eq!(
                subject.store.members(&lab, Some(MessageId(both[0]))).0,
                [henderson.clone(), messi.clone()]
            );
            let mut known = subject.store.acquaintances(&henderson).await;
            known.sort_unstable();
            assert_eq!(known, std::slice::from_ref(&messi), "{kind}");
            assert_eq!(subject.store.count_rooms(&messi), 1);
            if round == 0 && !subject.reopen() {
                break;
            }
        }
        // Page by page, from a place in the middle.
        let page = subject.store.inbox(&henderson, MessageId(messis[0]), 2).await.expect("readable");
        assert_eq!((numbers(&page), page.more), (messis[1..3].to_vec(), true), "{}", subject.kind);
        // What waits in the inbox is direct: one of two.
        subject.send("messi", "henderson").await;
        assert_eq!(subject.append("messi", "henderson", "x", None).await, Err(Refusal::InboxFull));
        // Back again: what came while away is not for henderson.
        let _ = subject.store.join(&henderson, &lab);
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
            let direct = upto - usize::try_from(subject.store.cursor(&messi).upto.0).expect("small");
            let _ = subject.store.acknowledge(&messi, MessageId(upto as u64), direct, Timestamp(at));
        }
        // Back is nowhere.
        let _ = subject.store.acknowledge(&messi, MessageId(2), 0, Timestamp(400));
        for _ in 0..2 {
            for (id, at) in
                [(1, Some(100)), (3, Some(100)), (4, Some(200)), (5, Some(300)), (11, Some(300)), (12, None)]
            {
                let found = subject.store.acknowledged_at(&messi, MessageId(id)).await;
                assert_eq!(found, Ok(at.map(Timestamp)), "{}: {id}", subject.kind);
            }
            assert_eq!(subject.store.cursor(&messi).upto, MessageId(11));
            let (found, _) = subject.store.message(MessageId(12)).await.expect("readable");
            let found = found.expect("there");
            assert_eq!((found.id, &*found.from, &*found.to), (MessageId(12), "henderson", "messi"));
            assert!(subject.store.message(MessageId(13)).await.expect("readable").0.is_none());
            subject.reopen();
        }
    }
}
