//! A user with a reused name cannot see anything of the name's previous owner.

use std::{sync::Arc, time::Duration};

use chat_service::{
    model::{NewMessage, Recipient, Timestamp, UserName},
    server::Server,
    store::{Memory, Messages},
    users,
};
use serde_json::Value;
use tokio::{io::DuplexStream, time::sleep};

use crate::support::{Peer, Setup, duplex, users_toml};

fn append(store: &Memory, from: &str, to: &str) {
    let (from, to) = (UserName::parse(from).expect("a name"), Recipient::parse(to).expect("a name"));
    let _ = store.append(NewMessage { from: &from, to: &to, text: "old", key: None, at: Timestamp(0) });
}

/// A server on which the name messi has a new owner since message 3.
async fn server() -> Arc<Server> {
    let store = Arc::new(Memory::new(10_000));
    append(&store, "henderson", "messi");
    append(&store, "messi", "henderson");
    append(&store, "messi", "lineker");
    let text = users_toml().replacen("password", "messages_after = 3\npassword", 1);
    let users = users::parse(&text, "users.toml").expect("a users file").users;
    let server = Setup { store, users: users.clone().into(), ..Setup::default() }.server();
    server.chat().admit_users(users).await;
    server
}

async fn log_in(server: &Arc<Server>, user: &str) -> Peer<DuplexStream> {
    let (mut peer, _) = duplex(server, 1 << 20);
    peer.ask("hello 2").await;
    peer.log_in(user).await;
    peer
}

/// Waits, and returns the events before the reply to a `ping`.
async fn events(peer: &mut Peer<DuplexStream>) -> Vec<Value> {
    // Longer than the grace period of presence.
    sleep(Duration::from_secs(10)).await;
    peer.send("ping\n").await;
    let mut events = Vec::new();
    loop {
        let object: Value = serde_json::from_str(&peer.reply().await).expect("JSON");
        if object["event"].is_null() {
            return events;
        }
        events.push(object);
    }
}

#[tokio::test(start_paused = true)]
async fn old_messages_are_no_messages() {
    let server = server().await;
    let mut messi = log_in(&server, "messi").await;
    for line in ["ack 1", "status 1", "status 2", "ack 2", "ack 99"] {
        let reply = messi.ask(line).await;
        assert!(reply.contains("\"code\": \"no_such_message\""), "{line}: {reply}");
    }
    let mut henderson = log_in(&server, "henderson").await;
    assert!(henderson.ask("ack 2").await.contains("\"acked\": 1"));
    assert!(henderson.ask("ack 2").await.contains("\"acked\": 0"));
}

#[tokio::test(start_paused = true)]
async fn old_partners_hear_nothing_and_nothing_is_heard_of_them() {
    let server = server().await;
    let mut henderson = log_in(&server, "henderson").await;
    henderson.ask("watch").await;
    events(&mut henderson).await;
    let mut messi = log_in(&server, "messi").await;
    messi.ask("watch").await;
    assert_eq!(events(&mut henderson).await, [Value::Null; 0], "who has the name comes");
    // lineker reads a message of the previous messi; the new messi gets no event for that.
    let mut lineker = log_in(&server, "lineker").await;
    lineker.ask("inbox").await;
    drop(lineker);
    assert_eq!(events(&mut messi).await, [Value::Null; 0]);
    // After a message between them, they get each other's presence.
    messi.ask("send henderson hi").await;
    drop(messi);
    let last = events(&mut henderson).await.pop().expect("an event");
    assert_eq!((last["event"].as_str(), last["username"].as_str()), (Some("presence"), Some("messi")));
}
