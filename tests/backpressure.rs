//! How much unsent output stops the reading of a connection, and how many wakers a wait for the store leaves.

use chat_service::{
    chat,
    model::{NewMessage, Recipient, Timestamp, UserName},
    server,
    store::{Change, Messages, Store},
};

use crate::support::{Setup, duplex, held::Held, settle};

#[tokio::test(start_paused = true)]
async fn replies_behind_a_late_one_count_against_the_limit() {
    let store = Held::new();
    let (from, to) =
        (UserName::parse("messi").expect("a name"), Recipient::parse("henderson").expect("a name"));
    let text = "a".repeat(8 * 1024);
    for _ in 0..40 {
        let _ = store.append(NewMessage { from: &from, to: &to, text: &text, key: None, at: Timestamp(0) });
    }
    store.commit();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let (mut henderson, _) = duplex(&server, 1 << 20);
    henderson.send("auth henderson surabaya\n").await;
    settle().await;
    store.commit();
    henderson.reply().await;
    store.set_late();
    let before = store.writes();
    // The first reply is late, and the second has more than 256 KiB, so no later request is processed.
    henderson.send("send messi a\nfetch\nsend messi b\nsend messi c\n").await;
    settle().await;
    assert_eq!(store.writes(), before + 1);
    store.commit();
    store.resolve(0);
    for _ in 0..2 {
        henderson.reply().await;
    }
    settle().await;
    assert_eq!(store.writes(), before + 3, "it goes on when that was written");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_store_leaves_one_waker() {
    let store = Held::new();
    let (limits, chat_limits) = (server::Limits::NONE, chat::Limits::NONE);
    let server = Setup { store: store.clone(), limits, chat_limits, ..Setup::default() }.server();
    let (mut messi, _) = duplex(&server, 1 << 20);
    messi.send("hello 2\nauth messi surabaya\nwatch\n").await;
    settle().await;
    store.commit();
    for _ in 0..3 {
        messi.reply().await;
    }
    store.congest();
    let user = Recipient::parse("messi").expect("a name");
    for _ in 0..50 {
        // The connection is woken for another reason and finds the store's queue still full.
        store.report(Change::Stored { to: user.clone() });
        settle().await;
    }
    assert_eq!(store.log().waiting(), 2, "one waits for room, and one for what it is to be sent");
    store.commit();
    messi.send("ping\n").await;
    assert!(messi.reply().await.contains("pong"), "it is read again when there is room");
}
