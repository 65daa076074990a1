//! A message leaves an inbox when the reply that contains it is written, and not before.

use std::{sync::Arc, time::Duration};

use chat_service::{server::Limits, store::Memory};
use tokio::time::{Instant, sleep};

use crate::support::{SENT, Setup, TestServer, duplex, lines, texts};

const KEYED: &str = r#"{"command": "send", "to": "messi", "message": "c", "key": "k"}"#;

#[tokio::test]
async fn two_devices_that_read_at_once_get_each_message_exactly_once() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    let mut devices = Vec::new();
    for _ in 0..2 {
        let mut device = server.log_in("henderson").await;
        devices.push(tokio::spawn(async move {
            let mut got = Vec::new();
            while got.last().is_none_or(|text| text != "enough") {
                // Three requests are in flight at a time.
                device.send("inbox\ninbox\ninbox\n").await;
                for _ in 0..3 {
                    got.extend(texts(&device.reply().await));
                }
            }
            got
        }));
    }
    let mut sent = Vec::new();
    for round in 0..50 {
        let batch: Vec<_> = (0..40).map(|i| format!("message {round}.{i}")).collect();
        messi.send(lines(batch.iter().map(|text| format!("send henderson {text}\n")))).await;
        for _ in &batch {
            assert_eq!(messi.reply().await, SENT);
        }
        sent.extend(batch);
    }
    let mut got = Vec::new();
    for device in devices {
        // Each `enough` reaches one of the devices, so more are sent until both have one.
        while !device.is_finished() {
            assert_eq!(messi.ask("send henderson enough").await, SENT);
            tokio::task::yield_now().await;
        }
        got.extend(device.await.expect("no panic"));
    }
    got.retain(|text| text != "enough");
    got.sort();
    sent.sort();
    assert_eq!(got, sent);
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_that_was_cut_leaves_its_messages_in_the_inbox() {
    let server = Setup::default().server();
    let (mut messi, _) = duplex(&server, 1 << 20);
    messi.log_in("messi").await;
    for i in 0..100 {
        assert_eq!(messi.ask(format!("send henderson {i} {}", "x".repeat(1000))).await, SENT);
    }
    for read in [0, 1, 5000, 90_000] {
        let (mut device, serving) = duplex(&server, 4096);
        device.log_in("henderson").await;
        device.send("inbox\n").await;
        let mut part = vec![0; read];
        tokio::io::AsyncReadExt::read_exact(&mut device.stream, &mut part)
            .await
            .expect("a part of the reply");
        drop(device);
        serving.await.expect("no panic");
    }
    let (mut device, _) = duplex(&server, 4096);
    device.log_in("henderson").await;
    assert_eq!(device.drain_inbox().await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_keeps_the_inbox_of_others_only_until_it_is_cut_off() {
    let server = Setup::default().server();
    let (mut messi, _) = duplex(&server, 1 << 20);
    messi.log_in("messi").await;
    for i in 0..100 {
        messi.ask(format!("send henderson {i} {}", "x".repeat(1000))).await;
    }
    let (mut stalled, _) = duplex(&server, 4096);
    let (mut other, _) = duplex(&server, 4096);
    stalled.log_in("henderson").await;
    other.log_in("henderson").await;
    stalled.send("inbox\n").await;
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    assert_eq!(other.drain_inbox().await.len(), 100);
    assert!(began.elapsed() >= Duration::from_secs(8), "it had to wait: {:?}", began.elapsed());
}

#[tokio::test]
async fn pipelined_inbox_requests_never_give_a_message_twice() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    messi.send("send messi a\ninbox\ninbox\nsend messi b\ninbox\ninbox\n").await;
    let mut got = Vec::new();
    for _ in 0..6 {
        let reply = messi.reply().await;
        got.push(if reply == SENT { vec!["sent".to_owned()] } else { texts(&reply) });
    }
    assert_eq!(got, [vec!["sent"], vec!["a"], vec![], vec!["sent"], vec!["b"], vec![]]);
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_has_at_most_a_thousand_messages() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    messi.send("send messi a\n".repeat(1001)).await;
    for _ in 0..1001 {
        messi.reply().await;
    }
    let counts = [texts(&messi.ask("inbox").await).len(), texts(&messi.ask("inbox").await).len()];
    assert_eq!(counts, [1000, 1]);
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_has_at_most_a_mebibyte() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    // Each of these characters takes six bytes in a reply.
    let text = "\u{7f}".repeat(8192);
    for _ in 0..50 {
        assert_eq!(messi.ask(format!("send messi {text}")).await, SENT);
    }
    let (mut messages, mut longest) = (0, 0);
    while messages < 50 {
        let reply = messi.ask("inbox").await;
        longest = longest.max(reply.len() + 4);
        messages += texts(&reply).len();
    }
    assert!(longest <= 1 << 20, "{longest}");
    assert!(longest > (1 << 20) - 50_000, "{longest}: another message would have fitted");
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn a_full_inbox_refuses_and_loses_nothing() {
    let store = Arc::new(Memory::new(3));
    let server = Setup { store, limits: Limits::NONE, ..Setup::default() }.start().await;
    let mut messi = server.log_in("messi").await;
    for line in ["send messi a", "send messi b", KEYED] {
        assert_eq!(messi.ask(line).await, SENT);
    }
    assert_eq!(messi.ask("send messi d").await, r#"{"status": "ERROR", "message": "inbox full"}"#);
    assert_eq!(messi.ask(KEYED).await, SENT, "what was stored is answered as then");
    assert_eq!(messi.ask("send henderson d").await, SENT, "another inbox has room");
    assert_eq!(messi.drain_inbox().await, ["a", "b", "c"]);
    assert_eq!(messi.ask("send messi d").await, SENT);
    drop(messi);
    server.stop().await;
}
