//! The server sends nothing that is not durable yet: verified with a store that commits when the test says so.

use std::{sync::Arc, time::Duration};

use chat_service::model::Refusal;
use tokio::{io::DuplexStream, time::sleep};

use crate::support::{Peer, SENT, Setup, duplex, held::Held, quiet, texts};

const STORAGE: &str = r#"{"status": "ERROR", "message": "not stored, storage is full"}"#;
const USERS: &str = r#"{"status": "OK", "messages": {"users": [{"username": "messi"}]}}"#;

/// A connection that is logged in as messi.
async fn messi(store: &Arc<Held>) -> Peer<DuplexStream> {
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let (mut messi, _) = duplex(&server, 1 << 20);
    messi.send("auth messi surabaya\n").await;
    quiet(&mut messi).await;
    store.commit();
    messi.reply().await;
    messi
}

#[tokio::test(start_paused = true)]
async fn no_reply_leaves_before_what_it_tells_of_is_durable() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    for (line, expected) in [
        ("send messi a", SENT),
        ("logout", r#"{"status": "OK"}"#),
        ("inbox", r#"{"status": "ERROR", "message": "not authorized"}"#),
    ] {
        messi.send(format!("{line}\n")).await;
        if line != "inbox" {
            quiet(&mut messi).await;
            store.commit();
        }
        assert_eq!(messi.reply().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_what_it_shows() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    messi.send("send messi a\n").await;
    quiet(&mut messi).await;
    messi.send("inbox\n").await;
    quiet(&mut messi).await;
    messi.send("showuseractive\n").await;
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(messi.reply().await, SENT);
    assert_eq!(texts(&messi.reply().await), ["a"]);
    assert_eq!(messi.reply().await, USERS);
    // The cursor that the first `inbox` has moved is not durable yet.
    messi.send("inbox\n").await;
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(texts(&messi.reply().await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_told_in_its_place_and_the_next_commit_is_tried_afresh() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    messi.send("send messi a\nhaloo\nsend messi b\n").await;
    quiet(&mut messi).await;
    store.fail(Refusal::Storage);
    messi.send("send messi c\n").await;
    assert_eq!(messi.reply().await, STORAGE);
    assert_eq!(messi.reply().await, r#"{"status": "ERROR", "message": "Protocol Tidak Benar"}"#);
    assert_eq!(messi.reply().await, STORAGE);
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(messi.reply().await, SENT);
}

#[tokio::test(start_paused = true)]
async fn an_inbox_reply_that_failed_takes_nothing_out() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    messi.send("send messi a\ninbox\n").await;
    quiet(&mut messi).await;
    store.fail(Refusal::Uncertain);
    let uncertain = r#"{"status": "ERROR", "message": "storage failed, may or may not be stored: repeat with the same key"}"#;
    assert_eq!([messi.reply().await, messi.reply().await], [uncertain, uncertain]);
    messi.send("send messi b\ninbox\n").await;
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(messi.reply().await, SENT);
    // This store keeps failed writes; the test only shows that the failed reply has moved no cursor.
    assert_eq!(texts(&messi.reply().await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn receipts_that_resolve_late_and_out_of_order_are_answered_in_order() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    store.set_late();
    messi.send("send messi a\nsend maradona b\nsend henderson c\nhaloo\nsend lineker d\n").await;
    quiet(&mut messi).await;
    assert_eq!(store.unresolved(), 3, "none of them kept the next from being asked");
    store.commit();
    store.resolve(2);
    store.resolve(1);
    quiet(&mut messi).await;
    store.resolve(0);
    assert_eq!(messi.reply().await, SENT);
    assert_eq!(messi.reply().await, r#"{"status": "ERROR", "message": "User Tidak Ditemukan"}"#);
    assert_eq!(messi.reply().await, SENT);
    assert_eq!(messi.reply().await, r#"{"status": "ERROR", "message": "Protocol Tidak Benar"}"#);
    assert_eq!(messi.reply().await, SENT);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_our_own_disk_is_not_reading_too_slowly() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    messi.send("send messi a\n".repeat(3000)).await;
    sleep(Duration::from_mins(2)).await;
    quiet(&mut messi).await;
    // At most 1,024 replies wait at a time; the first writes were the login, and the password of its user.
    assert_eq!(store.writes(), 2 + 1024);
    let mut answered = 0;
    while answered < 3000 {
        store.commit();
        assert_eq!(messi.reply().await, SENT);
        answered += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_input_waits_for_the_disk_too() {
    let store = Held::new();
    let mut messi = messi(&store).await;
    messi.send("send messi a").await;
    tokio::io::AsyncWriteExt::shutdown(&mut messi.stream).await.expect("shut down");
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(messi.reply().await, SENT);
    assert_eq!(messi.try_reply().await, None);
}
