//! A client is told that a session has ended only when the end is durable, because a crash would undo any other end.

use std::{fs, sync::Arc};

use chat_service::{
    model::Refusal,
    server::Server,
    users::{self, Directory},
};
use tokio::io::DuplexStream;

use crate::support::{Peer, Setup, duplex, held::Held, quiet, settle, users_toml};

const NOT_AUTHORIZED: &str = r#"{"status": "ERROR", "message": "not authorized"}"#;

/// Logs in and returns the token.
async fn log_in(store: &Held, peer: &mut Peer<DuplexStream>, user: &str) -> String {
    peer.send(format!("auth {user} surabaya\n")).await;
    loop {
        settle().await;
        store.commit();
        tokio::select! {
            biased;
            reply = peer.reply() => {
                let token = reply.strip_prefix("{\"status\": \"OK\", \"tokenid\": \"").expect(&reply);
                return token.trim_end_matches("\"}").to_owned();
            }
            () = settle() => {}
        }
    }
}

fn connect(server: &Arc<Server>) -> Peer<DuplexStream> {
    duplex(server, 1 << 20).0
}

#[tokio::test(start_paused = true)]
async fn a_session_that_makes_room_lives_until_its_end_is_durable() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let (mut peer, mut other) = (connect(&server), connect(&server));
    let first = log_in(&store, &mut peer, "messi").await;
    for _ in 1..100 {
        log_in(&store, &mut peer, "messi").await;
    }
    // The commit of one more login fails. The first session stays live, and no client is told otherwise.
    peer.send("auth messi surabaya\n").await;
    settle().await;
    assert!(other.ask(format!("whoami {first}")).await.contains("\"messi\""));
    store.fail(Refusal::ReadOnly);
    assert!(peer.reply().await.contains("storage has failed"));
    assert!(other.ask(format!("whoami {first}")).await.contains("\"messi\""));
    // The first session was just used, so another one is now the longest unused.
    let second = log_in(&store, &mut peer, "messi").await;
    assert!(other.ask(format!("whoami {first}")).await.contains("\"messi\""));
    assert!(other.ask(format!("whoami {second}")).await.contains("\"messi\""));
    let sessions = other.ask(format!("sessions {first}")).await;
    assert_eq!(sessions.matches("\"session\":").count(), 100, "{sessions}");
}

/// Starts a server, logs messi in, and removes messi from the users file. Returns messi's connection, another one, which has
/// asked for messi's inbox, and the token.
async fn without_messi(store: &Arc<Held>) -> (Peer<DuplexStream>, Peer<DuplexStream>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users.toml");
    fs::write(&file, users_toml()).expect("written");
    let loaded = users::load(&file).expect("a users file").users;
    let users = Directory::of_file(loaded, file.clone());
    let server = Setup { store: store.clone(), users, ..Setup::default() }.server();
    let (mut messi, mut other) = (connect(&server), connect(&server));
    messi.ask("hello 2").await;
    let token = log_in(store, &mut messi, "messi").await;
    let others = users_toml();
    let others = &others[others.find("[users.henderson]").expect("there")..];
    fs::write(&file, format!("{others}[removed]\nmessi = 2026-11-27T10:00:00Z\n")).expect("written");
    server.chat().reload_users().await.expect("a users file");
    other.send(format!("inbox {token}\n")).await;
    quiet(&mut other).await;
    (messi, other, token)
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_removed_is_told_so_when_it_is_durable() {
    let store = Held::new();
    let (mut messi, mut other, token) = without_messi(&store).await;
    quiet(&mut messi).await;
    store.commit();
    assert_eq!(other.reply().await, NOT_AUTHORIZED);
    assert_eq!(messi.reply().await, r#"{"event": "session_ended"}"#);
    assert_eq!(other.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_removed_while_the_disk_fails_is_refused_and_not_told_why() {
    let store = Held::new();
    let (mut messi, mut other, token) = without_messi(&store).await;
    store.fail(Refusal::ReadOnly);
    for _ in 0..2 {
        assert!(other.reply().await.contains("storage has failed"));
        other.send(format!("inbox {token}\n")).await;
    }
    quiet(&mut messi).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_of_people_rests_on_their_logins() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let (mut messi, mut henderson) = (connect(&server), connect(&server));
    log_in(&store, &mut messi, "messi").await;
    henderson.send("auth henderson surabaya\n").await;
    settle().await;
    messi.send("showuseractive\n").await;
    quiet(&mut messi).await;
    // henderson's login fails, so this list fails, and the next one does not contain henderson.
    store.fail(Refusal::Uncertain);
    assert!(messi.reply().await.contains("storage failed"));
    let list = r#"{"status": "OK", "messages": {"users": [{"username": "messi"}]}}"#;
    assert_eq!(messi.ask("showuseractive").await, list);
    henderson.reply().await;
    assert_eq!(henderson.ask("inbox").await, NOT_AUTHORIZED);
}
