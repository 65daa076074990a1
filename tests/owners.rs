//! A person is not a name: who is missing, who comes back, and who has a name that somebody had before.

use chat_service::{
    chat::{Change, Clock},
    model::{Secret, Timestamp},
    users,
};
use tokio::net::TcpStream;

use crate::support::{
    Peer, SENT, TestServer,
    restarted::{Restarted, unlimited},
    texts,
    users_file::{File, names},
    users_toml,
};

const REFUSED: &str = r#"{"status": "ERROR", "message": "User Tidak Ada"}"#;
const NOT_AUTHORIZED: &str = r#"{"status": "ERROR", "message": "not authorized"}"#;
const EMPTY: &str = r#"{"status": "OK", "messages": {}}"#;

/// The sample users with a line in the table of lineker, who is the last one.
fn with_line(line: &str) -> String {
    format!("{}{line}\n", users_toml())
}

/// The sample users without lineker.
fn without_lineker() -> String {
    users_toml().split("[users.lineker]").next().expect("a part").to_owned()
}

async fn reload(file: &File, server: &TestServer, text: &str) -> Change {
    file.write(text);
    server.server.chat().reload_users().await.expect("a users file")
}

async fn log_in(server: &TestServer, user: &str) -> (Peer<TcpStream>, String) {
    let mut peer = server.connect().await;
    let token = peer.log_in(user).await;
    (peer, token)
}

#[tokio::test]
async fn who_is_missing_for_a_moment_is_suspended_and_has_everything_afterwards() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let (mut lineker, token) = log_in(&server, "lineker").await;
    let (mut messi, _) = log_in(&server, "messi").await;
    assert!(lineker.ask("join #lab").await.contains("OK"));
    lineker.ask("hello 2").await;
    assert_eq!(reload(&file, &server, &without_lineker()).await.removed, names(&["lineker"]));
    assert_eq!(lineker.reply().await, r#"{"event": "session_ended"}"#);
    assert!(lineker.ask("inbox").await.contains("not_authorized"));
    assert_eq!(messi.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
    assert!(messi.ask("send lineker hi").await.contains("User Tidak Ditemukan"));
    // The same person, and the same tokens.
    assert_eq!(reload(&file, &server, &users_toml()).await.added, names(&["lineker"]));
    assert_eq!(messi.ask("send lineker back").await, SENT);
    let mut other = server.connect().await;
    assert_eq!(texts(&other.ask(format!("inbox {token}")).await), ["back"]);
    assert!(other.ask(format!("members {token} #lab")).await.contains("lineker"));
    // A file that names nobody is not believed.
    file.write("# Later.\n");
    assert!(server.server.chat().reload_users().await.is_err());
    assert_eq!(other.ask(format!("inbox {token}")).await, EMPTY);
    drop((lineker, messi, other));
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_comes_back_after_a_removal_waits_for_a_decision_and_nobody_else_does() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let (mut messi, _) = log_in(&server, "messi").await;
    let (_, token) = log_in(&server, "lineker").await;
    assert_eq!(messi.ask("send lineker secret").await, SENT);
    let removed = format!("{}[removed]\nlineker = 2026-11-27T10:00:00Z\n", without_lineker());
    reload(&file, &server, &removed).await;
    // Somebody writes the name into the file again, without saying who has it now.
    for line in ["", "added = 2026-11-27T10:30:00Z", "fresh_since = 2026-11-27T09:00:00Z"] {
        assert_eq!(reload(&file, &server, &with_line(line)).await, Change::default());
        assert_eq!(messi.ask("auth lineker surabaya").await, REFUSED);
        assert_eq!(messi.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
        assert!(messi.ask("send lineker hi").await.contains("User Tidak Ditemukan"));
        assert_eq!(messi.ask("send henderson hi").await, SENT);
    }
    // The same person has the messages, but not the logins from before the removal.
    let reclaimed = with_line("reclaimed = 2026-11-27T11:00:00Z");
    assert_eq!(reload(&file, &server, &reclaimed).await.added, names(&["lineker"]));
    assert_eq!(messi.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
    let (mut lineker, token) = log_in(&server, "lineker").await;
    assert_eq!(texts(&lineker.ask("inbox").await), ["secret"]);
    // Somebody else, while the former one is logged in and has read everything.
    reload(&file, &server, &with_line("fresh_since = 2026-11-27T12:00:00Z")).await;
    assert_eq!(lineker.ask("inbox").await, NOT_AUTHORIZED);
    assert_eq!(messi.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
    let (mut second, _) = log_in(&server, "lineker").await;
    assert_eq!(second.ask("inbox").await, EMPTY);
    // A users file from before the decision may have the former one's password.
    reload(&file, &server, &reclaimed).await;
    assert_eq!(messi.ask("auth lineker surabaya").await, REFUSED);
    drop((messi, lineker, second));
    server.stop().await;
}

#[tokio::test]
async fn somebody_else_gets_nothing_of_a_name_over_restarts_too() {
    let (mut restarted, mut server) = Restarted::start(Clock::default()).await;
    let (mut messi, _) = log_in(&server, "messi").await;
    let (mut lineker, token) = log_in(&server, "lineker").await;
    for line in ["join #lab", "send messi own"] {
        assert!(lineker.ask(line).await.contains("OK"));
    }
    let keyed = r#"{"command": "send", "to": "messi", "message": "deploy done", "key": "deploy-1"}"#;
    assert!(lineker.ask(keyed).await.contains("OK"));
    assert!(messi.ask("join #lab").await.contains("OK"));
    for line in ["send #lab said before", "send lineker secret"] {
        assert_eq!(messi.ask(line).await, SENT);
    }
    // The cursor stands at the last message of all.
    assert_eq!(texts(&lineker.ask("inbox").await).len(), 2);
    drop((messi, lineker));
    restarted.file.write(&with_line("fresh_since = 2026-11-27T12:00:00Z"));
    for round in 0..2 {
        server = restarted.restart(server, Clock::default()).await;
        let (mut second, _) = log_in(&server, "lineker").await;
        second.ask("hello 2").await;
        assert!(second.ask(format!("inbox {token}")).await.contains("not_authorized"));
        assert!(second.ask("fetch").await.contains(r#""messages": []"#));
        assert!(second.ask("history #lab").await.contains("not_a_member"), "round {round}");
        assert!(second.ask("rooms").await.contains(r#""joined": false"#));
        for id in 1..=4 {
            assert!(second.ask(format!("status {id}")).await.contains("no_such_message"));
            assert!(second.ask(format!("ack {id}")).await.contains("no_such_message"));
        }
        let history = second.ask("history messi").await;
        assert_eq!(history.matches("\"msg\"").count(), round, "{history}");
        // The key of a send names a message among all of one's own.
        let sent = second.ask(keyed).await;
        assert_eq!(sent.contains("duplicate"), round > 0, "{sent}");
        // Others keep what they had.
        let (mut messi, _) = log_in(&server, "messi").await;
        messi.ask("hello 2").await;
        let history = messi.ask("history lineker").await;
        assert_eq!(history.matches("\"msg\"").count(), 4, "{history}");
        drop((messi, second));
    }
    server.stop().await;
}

#[tokio::test]
async fn tokens_of_a_password_that_was_changed_while_the_server_was_down_are_dead() {
    let (mut restarted, server) = Restarted::start(Clock::default()).await;
    let (lineker, token) = log_in(&server, "lineker").await;
    let (messi, kept) = log_in(&server, "messi").await;
    drop((lineker, messi));
    let hash = users::hash(&Secret::new("another one".into()));
    let lineker = format!("[users.lineker]\nname = \"L\"\npassword = \"{}\"\n", hash.as_str());
    restarted.file.write(&(without_lineker() + &lineker));
    let server = restarted.restart(server, Clock::default()).await;
    let mut other = server.connect().await;
    assert_eq!(other.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
    assert_eq!(other.ask(format!("inbox {kept}")).await, EMPTY);
    assert!(other.ask("auth lineker another one").await.contains("tokenid"));
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_was_missing_for_long_waits_for_a_decision_after_a_restart_too() {
    let at = |ms: i64| Clock::fixed(Timestamp(1_795_530_515_007 + ms));
    let (mut restarted, mut server) = Restarted::start(at(0)).await;
    let (mut lineker, token) = log_in(&server, "lineker").await;
    assert_eq!(lineker.ask("send lineker mine").await, SENT);
    drop(lineker);
    reload(&restarted.file, &server, &without_lineker()).await;
    restarted.file.write(&users_toml());
    for (ms, is_alive) in [(61_000, false), (60_000, true), (61_000, true)] {
        server = restarted.restart(server, at(ms)).await;
        let mut other = server.connect().await;
        let reply = other.ask(format!("history {token} lineker")).await;
        assert_eq!(reply.contains("mine"), is_alive, "after {ms} ms: {reply}");
        drop(other);
    }
    server.stop().await;
}
