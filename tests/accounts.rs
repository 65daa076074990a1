//! Changes of users while the server runs: new passwords, added and removed users, renewed hashes; and their sessions.

use std::{fs, sync::Arc};

use chat_service::{
    chat::{Change, Clock, Limits},
    model::{NotedPassword, Token},
    store::{Options, People, PersonRecord, SessionRecord, Sessions, Sqlite, Store},
    users::{self, Password, Users},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    Peer, SENT, Setup, TestServer,
    held::Held,
    restarted::Restarted,
    texts,
    users_file::{File, names},
    users_toml,
};

const NEW: &str = "correct horse battery";
const NOT_AUTHORIZED: &str = r#"{"status": "ERROR", "message": "not authorized"}"#;
const REFUSED: &str = r#"{"status": "ERROR", "message": "User Tidak Ada"}"#;
const OK: &str = r#"{"status": "OK"}"#;
const EMPTY: &str = r#"{"status": "OK", "messages": {}}"#;
const JOINED: &str = r#"{"status": "OK", "message": "joined"}"#;

fn unlimited() -> Limits {
    Limits { renews_hashes: false, ..Limits::default() }
}

async fn ask(peer: &mut Peer<TcpStream>, line: &str) -> Value {
    serde_json::from_str(&peer.ask(line).await).expect("JSON")
}

#[tokio::test]
async fn a_new_password_holds_in_the_file_and_ends_the_other_sessions() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let mut messi = server.log_in("messi").await;
    let mut other = server.connect().await;
    other.ask("hello 2").await;
    other.log_in("messi").await;
    let mut henderson = server.log_in("henderson").await;
    assert_eq!(messi.ask(format!("passwd surabaya {NEW}")).await, OK);
    let ended = other.reply().await;
    assert_eq!(ended, r#"{"event": "session_ended"}"#);
    assert!(other.ask("inbox").await.contains("not_authorized"));
    assert_eq!(messi.ask("send henderson hi").await, SENT);
    assert_eq!(texts(&henderson.ask("inbox").await), ["hi"]);
    assert!(other.ask("auth messi surabaya").await.contains("bad_credentials"));
    assert!(other.ask(format!("auth messi {NEW}")).await.contains("tokenid"));
    // The file and the memory have the same content, so reading the file again ends no session.
    let change = server.server.chat().reload_users().await.expect("a users file");
    assert_eq!(change, Change::default());
    assert_eq!(messi.ask("inbox").await, EMPTY);
    let users = file.users();
    let stored = &users.get("messi").expect("there").password;
    assert!(!stored.is_weak() && stored.reveal() != users.get("henderson").expect("there").password.reveal());
    drop((messi, other, henderson));
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_is_not_changed_stays() {
    let file = File::new();
    let before = fs::read(file.path()).expect("read");
    let server = file.start(unlimited()).await;
    let mut messi = server.log_in("messi").await;
    messi.ask("hello 2").await;
    for (line, code) in [
        ("passwd wrong-one correct horse battery", "bad_credentials"),
        ("passwd surabaya short", "weak_password"),
        ("passwd surabaya password1", "weak_password"),
        ("passwd surabaya surabaya", "weak_password"),
        ("passwd surabaya messi123", "weak_password"),
        (r#"{"command": "passwd", "old": "surabaya", "new": " correct horse"}"#, "weak_password"),
        (r#"{"command": "passwd", "old": "surabaya", "new": "correct\nhorse"}"#, "weak_password"),
        ("passwd surabaya", "bad_request"),
    ] {
        assert_eq!(ask(&mut messi, line).await["code"], code, "{line}");
    }
    // The password also stays if the file cannot be written.
    file.write("[users.messi\n");
    assert_eq!(ask(&mut messi, &format!("passwd surabaya {NEW}")).await["code"], "internal");
    assert!(messi.ask("auth messi surabaya").await.contains("tokenid"));
    fs::write(file.path(), &before).expect("written");
    assert_eq!(ask(&mut messi, &format!("passwd surabaya {NEW}")).await["status"], "OK");
    assert_ne!(fs::read(file.path()).expect("read"), before);
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn guesses_of_the_old_password_are_counted_like_logins() {
    let server = TestServer::start().await;
    let mut messi = server.connect().await;
    messi.log_in("messi").await;
    messi.ask("hello 2").await;
    let mut codes = Vec::new();
    for _ in 0..31 {
        codes.push(ask(&mut messi, &format!("passwd wrong {NEW}")).await["code"].clone());
    }
    assert_eq!(codes[..30], vec![json!("bad_credentials"); 30]);
    assert_eq!(codes[30], "rate_limited");
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_the_operator_has_changed_meanwhile_counts() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let mut messi = server.log_in("messi").await;
    messi.ask("hello 2").await;
    // The server has not noticed it yet.
    let hash = users::hash(&chat_service::model::Secret::new("the operator's".into()));
    users::edit::set_password(&file.path(), "messi", None, hash.as_str()).expect("written");
    let first = messi.ask(format!("passwd surabaya {NEW}")).await;
    let told = first + &messi.reply().await;
    assert!(told.contains("bad_credentials") && told.contains("session_ended"), "{told}");
    assert!(messi.ask("auth messi the operator's").await.contains("tokenid"));
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn people_come_and_go_while_the_server_runs() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let service = server.server.chat().clone();
    let mut messi = server.log_in("messi").await;
    let mut lineker = server.log_in("lineker").await;
    lineker.ask("hello 2").await;
    let mut henderson = server.log_in("henderson").await;
    let without_lineker = users_toml().replace("[users.lineker]", "[users.kane]").replace("Jordan", "Mister");
    file.write(&without_lineker);
    assert_eq!(
        service.reload_users().await.expect("read"),
        Change { added: names(&["kane"]), removed: names(&["lineker"]), passwords: names(&[]) }
    );
    assert_eq!(lineker.reply().await, r#"{"event": "session_ended"}"#);
    assert!(lineker.ask("inbox").await.contains("not_authorized"));
    assert!(messi.ask("send lineker hi").await.contains("User Tidak Ditemukan"));
    assert_eq!(messi.ask("send kane hi").await, SENT);
    assert!(henderson.ask("whoami").await.contains("Mister Henderson"));
    // When another user's password changes, only the sessions of that user end.
    let hash = users::hash(&chat_service::model::Secret::new(NEW.into()));
    let (head, tail) = without_lineker.split_once("[users.henderson]").expect("there");
    let line = tail.lines().find(|line| line.starts_with("password")).expect("there");
    let tail = tail.replacen(line, &format!("password = \"{}\"", hash.as_str()), 1);
    file.write(&format!("{head}[users.henderson]{tail}"));
    assert_eq!(
        service.reload_users().await.expect("read"),
        Change { passwords: names(&["henderson"]), ..Change::default() }
    );
    assert_eq!(henderson.ask("inbox").await, NOT_AUTHORIZED);
    assert_eq!(henderson.ask("auth henderson surabaya").await, REFUSED);
    assert!(henderson.ask(format!("auth henderson {NEW}")).await.contains("tokenid"));
    // A broken file changes nothing.
    file.write("[users.messi\n");
    assert!(service.reload_users().await.is_err());
    assert_eq!(messi.ask("send henderson still here").await, SENT);
    drop((messi, lineker, henderson));
    server.stop().await;
}

#[tokio::test]
async fn a_weak_hash_is_renewed_at_the_next_login() {
    let file = File::new();
    let server = file.start(Limits::default()).await;
    let mut messi = server.log_in("messi").await;
    // The hash is renewed in the background, after the login.
    let service = server.server.chat().clone();
    while service.users().get("messi").expect("there").password.is_weak() {
        tokio::task::yield_now().await;
    }
    let users = file.users();
    let renewed = users.get("messi").expect("there");
    assert!(matches!(&renewed.password, Password::Hashed(hash) if !hash.is_cheap()));
    assert!(users.get("henderson").expect("there").password.is_weak());
    assert_eq!(service.reload_users().await.expect("read"), Change::default());
    assert_eq!(messi.ask("inbox").await, EMPTY);
    assert!(messi.ask("auth messi surabaya").await.contains("tokenid"));
    drop((messi, service));
    server.stop().await;
}

/// What a server answers that starts with these users, and in whose store that person has a session.
async fn inbox_after_a_start(person: &PersonRecord, users: Users) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Sqlite::open(folder.path(), &Options::default()).expect("a store");
    let (store, token, at) = (open(), Token::random(), Clock::default().now());
    let (user, digest) = (person.user.clone(), token.digest());
    assert!(store.set_person(person.clone()).await.peek().is_ok());
    let session = SessionRecord { digest, user, created: at, used: at, number: 1, device: None };
    let opened = store.open_session(session).await;
    assert_eq!(store.log().durable(opened).await, Ok(()));
    drop(store);
    let store = Arc::new(open());
    let server =
        Setup { store: store.clone(), users: users.clone().into(), ..Setup::default() }.start().await;
    server.server.chat().admit_users(users).await;
    let mut peer = server.connect().await;
    let reply = peer.ask(format!("inbox {}", token.reveal())).await;
    drop(peer);
    server.stop().await;
    reply
}

#[tokio::test]
async fn a_death_while_a_hash_is_renewed_ends_no_session() {
    let (file, held) = (File::new(), Held::new());
    let before = file.users();
    let (store, chat_limits) = (held.clone(), Limits::default());
    let server = Setup { store, chat_limits, users: file.directory(), ..Setup::default() }.start().await;
    let mut messi = server.connect().await;
    messi.send("auth messi surabaya\n").await;
    let is_renewed = |person: &PersonRecord| person.password.is_some_and(|password| password.next.is_some());
    let noted = loop {
        match held.people().into_iter().find(is_renewed) {
            Some(noted) => break noted,
            None => tokio::task::yield_now().await,
        }
    };
    // The file has to wait until that is durable.
    let service = server.server.chat().clone();
    assert!(file.users().get("messi").expect("there").password.is_weak());
    held.commit();
    while service.users().get("messi").expect("there").password.is_weak() {
        tokio::task::yield_now().await;
    }
    let other = users::parse(&users_toml().replace("MjM0NQ$", "MjM0NA$"), "users.toml");
    for (users, reply) in
        [(before, EMPTY), (file.users(), EMPTY), (other.expect("a users file").users, NOT_AUTHORIZED)]
    {
        assert_eq!(inbox_after_a_start(&noted, users).await, reply);
    }
    // Afterwards, only the new one.
    held.commit();
    messi.reply().await;
    let PersonRecord { password, .. } =
        held.people().into_iter().find(|person| *person.user == *"messi").expect("noted");
    let renewed = file.users().get("messi").expect("there").password.digest();
    assert_eq!(password, Some(NotedPassword { now: renewed, next: None }));
    drop((messi, service));
    held.commit();
    server.stop().await;
}

#[tokio::test]
async fn who_takes_over_a_name_gets_nothing_of_what_was_before() {
    let file = File::new();
    let server = file.start(unlimited()).await;
    let service: Arc<_> = server.server.chat().clone();
    let mut messi = server.log_in("messi").await;
    let mut lineker = server.log_in("lineker").await;
    for (line, reply) in [("join #lab", JOINED), ("send lineker old", SENT), ("send #lab old", SENT)] {
        assert_eq!(messi.ask(line).await, reply);
    }
    for (line, reply) in [("join #lab", JOINED), ("send messi from the first", SENT)] {
        assert_eq!(lineker.ask(line).await, reply);
    }
    let (first, rest) =
        (users_toml(), users_toml().split("[users.lineker]").next().expect("a part").to_owned());
    file.write(&rest);
    service.reload_users().await.expect("read");
    file.write(&format!("{first}messages_after = 3\n"));
    service.reload_users().await.expect("read");
    let mut second = server.log_in("lineker").await;
    assert_eq!(second.ask("inbox").await, EMPTY);
    assert!(second.ask("members #lab").await.contains("not a member"));
    assert_eq!(
        ask(&mut second, "history messi").await,
        json!({"status": "OK", "messages": [], "more": false})
    );
    assert!(second.ask("status 1").await.contains("no such message"));
    assert_eq!(messi.ask("send lineker new").await, SENT);
    assert_eq!(texts(&second.ask("inbox").await), ["new"]);
    let page = ask(&mut second, "history messi").await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page["more"], false);
    assert_eq!(ask(&mut messi, "history lineker").await["messages"].as_array().map(Vec::len), Some(3));
    // The previous owner is retired once: later messages and memberships stay.
    assert_eq!(second.ask("join #lab").await, JOINED);
    assert_eq!(messi.ask("send lineker later").await, SENT);
    service.admit_users(file.users()).await;
    assert!(second.ask("members #lab").await.contains("lineker"));
    assert_eq!(texts(&second.ask("inbox").await), ["later"]);
    drop((messi, lineker, second, service));
    server.stop().await;
}

#[tokio::test]
async fn a_session_says_on_which_device_it_is_and_from_where() {
    let (mut restarted, server) = Restarted::start(Clock::default()).await;
    let hello = |device: &str| format!(r#"{{"command": "hello", "protocol": 2, "device": "{device}"}}"#);
    let mut laptop = server.connect().await;
    assert!(laptop.ask(hello("messi@laptop")).await.contains("\"protocol\": 2"));
    let token = laptop.log_in("messi").await;
    // Another connection with the token, that says it later; and one that says nothing, which changes nothing.
    let mut phone = server.connect().await;
    let other = phone.log_in("messi").await;
    phone.ask(hello("phone")).await;
    let mut silent = server.connect().await;
    assert!(silent.ask(format!("sessions {other}")).await.contains("\"current\": true}"));
    let places = |reply: &str| {
        let reply: serde_json::Value = serde_json::from_str(reply).expect("JSON");
        let sessions = reply["sessions"].as_array().expect("a list").clone();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        sessions
            .iter()
            .map(|session| (text(&session["device"]), text(&session["address"])))
            .collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    let here = some("127.0.0.1");
    assert_eq!(
        places(&laptop.ask("sessions").await),
        [(some("messi@laptop"), here.clone()), (some("phone"), here.clone())]
    );
    for device in ["", "x".repeat(33).as_str(), "a\\tb", "caf\u{e9}", "\\u001b[2J"] {
        assert!(laptop.ask(hello(device)).await.contains("bad_request"), "{device}");
    }
    drop((laptop, phone, silent));
    let server = restarted.restart(server, Clock::default()).await;
    let mut laptop = server.connect().await;
    laptop.ask("hello 2").await;
    let shown = places(&laptop.ask(format!("sessions {token}")).await);
    assert_eq!(shown, [(some("messi@laptop"), here.clone()), (some("phone"), None)]);
    laptop.ask(hello("new")).await;
    assert_eq!(places(&laptop.ask(format!("sessions {token}")).await)[0], (some("new"), here));
    drop(laptop);
    server.stop().await;
}
