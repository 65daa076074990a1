//! Pipelined lines: every line is one request, whatever other clients send.

use crate::support::{SENT, TestServer, lines};

#[tokio::test]
async fn five_thousand_pipelined_sends_come_out_in_order() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    let lines = lines((0..5000).map(|i| format!("send henderson number {i}\n")));
    messi.send(lines).await;
    for _ in 0..5000 {
        assert_eq!(messi.reply().await, SENT);
    }
    let got = server.log_in("henderson").await.drain_inbox().await;
    let expected: Vec<_> = (0..5000).map(|i| format!("number {i}")).collect();
    assert_eq!(got, expected);
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn pipelined_lines_of_two_clients_never_mix() {
    let server = TestServer::start().await;
    let mut senders = Vec::new();
    for (name, piece) in [("messi", 7), ("henderson", 1013)] {
        let mut peer = server.log_in(name).await;
        senders.push(tokio::spawn(async move {
            let lines = lines((0..2000).map(|i| format!("send lineker {name} {i}\r\n")));
            // Most pieces end in the middle of a line, and the other client can run after each piece.
            for piece in lines.as_bytes().chunks(piece) {
                peer.send(piece).await;
                tokio::task::yield_now().await;
            }
            for _ in 0..2000 {
                assert_eq!(peer.reply().await, SENT);
            }
        }));
    }
    for sender in senders {
        sender.await.expect("no panic");
    }
    let mut got = server.log_in("lineker").await.drain_inbox().await;
    // The sort is stable, so the messages of each sender stay in order.
    got.sort_by_key(|text| text.starts_with("messi"));
    let texts = |name: &'static str| (0..2000).map(move |i| format!("{name} {i}"));
    assert_eq!(got, texts("henderson").chain(texts("messi")).collect::<Vec<_>>());
    server.stop().await;
}

// Four tests cover faults of the first server of this protocol. Two of them follow.

#[tokio::test]
async fn a_line_that_ends_in_lf_alone_is_answered() {
    let server = TestServer::start().await;
    let mut peer = server.connect().await;
    peer.send("inbox\n").await;
    assert_eq!(peer.reply().await, r#"{"status": "ERROR", "message": "not authorized"}"#);
    drop(peer);
    server.stop().await;
}

#[tokio::test]
async fn two_lines_in_one_packet_are_two_messages_and_no_token_gets_into_them() {
    let server = TestServer::start().await;
    let mut messi = server.connect().await;
    let token = messi.log_in("messi").await;
    messi.send(format!("send {token} henderson one\r\nsend {token} henderson two\r\n")).await;
    assert_eq!((messi.reply().await.as_str(), messi.reply().await.as_str()), (SENT, SENT));
    assert_eq!(server.log_in("henderson").await.drain_inbox().await, ["one", "two"]);
    drop(messi);
    server.stop().await;
}

// The third, about an inbox that is emptied before its reply is written, is in `delivery`; the fourth, about passwords in the
// log, is in `programs`.
