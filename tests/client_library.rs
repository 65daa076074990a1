//! The client as a library: over cuts of the connection, nothing is lost and nothing comes twice.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_service::{
    chat::Limits,
    client::{Client, ClientError, Event, Events, HistoryOptions, Options, WatchOptions},
    protocol::objects::{EventObject, MessageObject},
    store::Memory,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, yield_now},
};

use crate::support::{Setup, TestServer, random::Random};

async fn server() -> TestServer {
    let store = Arc::new(Memory::new(100_000));
    Setup { store, chat_limits: Limits::NONE, ..Setup::default() }.start().await
}

fn options(address: SocketAddr) -> Options {
    Options {
        reconnect: Some(Duration::from_millis(20)),
        ..Options::new(address.ip().to_string(), address.port())
    }
}

async fn log_in(address: SocketAddr, user: &str) -> Client {
    let client = Client::connect(options(address)).await.expect("connected");
    client.auth(user, "surabaya").await.expect("logged in");
    client
}

async fn next_message(events: &mut Events) -> MessageObject {
    loop {
        if let Event::Server(EventObject::Message(message)) = events.next().await.expect("an event") {
            return message;
        }
    }
}

/// Between client and server: cuts connections, and can lose what the server says.
struct Cutter {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
    /// Replies do not come through.
    is_mute: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Cutter {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (cuts, cut) = watch::channel(0);
        let is_mute = Arc::<AtomicBool>::default();
        let mute = is_mute.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, mute) = (cut.clone(), mute.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.expect("a server");
                    tokio::select! {
                        _ = cut.changed() => {}
                        () = forward(client, server, &mute) => {}
                    }
                });
            }
        });
        Cutter { address, cuts, is_mute, task }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn set_mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }
}

async fn forward(client: TcpStream, server: TcpStream, mute: &AtomicBool) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let back = async {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            if !mute.load(Ordering::SeqCst) && to_client.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        () = back => {}
    }
}

#[tokio::test]
async fn every_request_has_its_typed_reply() {
    let server = server().await;
    let mut own = options(server.address);
    own.device = Some("messi@laptop".into());
    let messi = Client::connect(own).await.expect("connected");
    assert_eq!(messi.whoami().await.expect_err("no session").code(), Some("not_authorized"));
    assert_eq!(messi.auth("messi", "wrong").await.expect_err("refused").code(), Some("bad_credentials"));
    assert_eq!(messi.token(), None);
    let token = messi.auth("messi", "surabaya").await.expect("logged in");
    assert_eq!(messi.token(), Some(token));
    assert_eq!(messi.hello().await.expect("a reply").protocol, 2);
    messi.ping().await.expect("a reply");
    messi.join("#lab").await.expect("joined");
    let henderson = log_in(server.address, "henderson").await;
    henderson.join("#lab").await.expect("joined");
    let first = henderson.send("messi", "line 1\nline 2").key("k").await.expect("sent");
    let again = henderson.send("messi", "line 1\nline 2").key("k").await.expect("sent");
    assert_eq!((first.id, first.duplicate, again.id, again.duplicate), (1, false, 1, true));
    henderson.send("#lab", "hi").await.expect("sent");
    henderson.typing("messi").await.expect("told");
    let page = messi.fetch(None).await.expect("a page");
    let texts: Vec<_> = page.messages.iter().map(|message| &*message.msg).collect();
    assert_eq!(texts, ["line 1\nline 2", "hi"]);
    assert_eq!(messi.conversations(None).await.expect("a list").conversations.len(), 2);
    assert_eq!(messi.read("henderson", 1).await.expect("read").upto, 1);
    assert_eq!(messi.ack(2).await.expect("acked").acked, 2);
    let status = henderson.status(1).await.expect("a status");
    assert!(status.state == "acked" && status.read_at.is_some());
    let page = HistoryOptions { limit: Some(1), before: Some(2) };
    assert_eq!(messi.history("henderson", page).await.expect("a page").messages[0].id, 1);
    assert_eq!(messi.rooms(None).await.expect("rooms").rooms[0].room, "#lab");
    assert_eq!(messi.members("#lab").await.expect("members").members.len(), 2);
    assert_eq!(messi.who().await.expect("users").users.len(), 3);
    assert_eq!(messi.whoami().await.expect("a reply").username, "messi");
    let sessions = messi.sessions().await.expect("sessions").sessions;
    assert_eq!(sessions[0].device.as_deref(), Some("messi@laptop"));
    messi.leave("#lab").await.expect("left");
    let refused = messi.send("hendersn", "hi").await.expect_err("nobody");
    let ClientError::Refused(told) = &refused else { panic!("{refused}") };
    assert_eq!((refused.code(), told.did_you_mean.as_deref()), (Some("no_such_user"), Some("henderson")));
    assert_eq!(messi.logout(Some(9)).await.expect_err("none").code(), Some("no_such_session"));
    messi.passwd("surabaya", "a long password").await.expect("changed");
    messi.logout(None).await.expect("ended");
    assert_eq!(messi.token(), None);
    assert_eq!(messi.fetch(None).await.expect_err("no session").code(), Some("not_authorized"));
    drop((messi, henderson));
    server.stop().await;
}

#[tokio::test]
async fn sends_over_cuts_arrive_once_and_in_order() {
    let server = server().await;
    let cutter = Cutter::start(server.address).await;
    let messi = log_in(cutter.address, "messi").await;
    let mut random = Random::new(4);
    for number in 0..120 {
        match random.index(6) {
            0 => cutter.cut(),
            // The server gets the request, and its reply is lost.
            1 => cutter.set_mute(true),
            _ => {}
        }
        let text = number.to_string();
        let cut = async {
            for _ in 0..random.index(400) {
                yield_now().await;
            }
            if cutter.is_mute.load(Ordering::SeqCst) {
                cutter.cut();
                cutter.set_mute(false);
            }
        };
        let send = async { messi.send("henderson", &text).await };
        let (outcome, ()) = tokio::join!(send, cut);
        outcome.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    let henderson = log_in(server.address, "henderson").await;
    let page = henderson.fetch(Some(1000)).await.expect("a page");
    let texts: Vec<_> = page.messages.iter().map(|message| message.msg.to_string()).collect();
    assert_eq!(texts, (0..120).map(|number| number.to_string()).collect::<Vec<_>>());
    cutter.task.abort();
    drop((messi, henderson));
    server.stop().await;
}

#[tokio::test]
async fn a_watch_over_cuts_shows_every_message_once_and_says_what_happens() {
    let server = server().await;
    let cutter = Cutter::start(server.address).await;
    let messi = log_in(cutter.address, "messi").await;
    let mut events = messi.watch(WatchOptions { after: None, own: true }).await;
    let henderson = log_in(server.address, "henderson").await;
    let other = log_in(server.address, "messi").await;
    let mut random = Random::new(6);
    let (mut expected, mut shown, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..200 {
        let (from, to) = [(&other, "messi"), (&other, "henderson"), (&henderson, "messi")][random.index(3)];
        expected.push(from.send(to, &number.to_string()).await.expect("sent").id);
        match random.index(12) {
            0 | 1 => cutter.cut(),
            // Another device acknowledges what this one may not have seen.
            2 => drop(other.ack(expected[expected.len() - 1]).await),
            _ => {}
        }
    }
    while shown.last() != expected.last() {
        match events.next().await.expect("an event") {
            Event::Server(EventObject::Message(message)) => shown.push(message.id),
            Event::Server(_) => {}
            turn => turns.push(matches!(turn, Event::Connected)),
        }
    }
    assert_eq!(shown, expected);
    assert!(turns.len() > 1 && turns.chunks(2).all(|turn| turn == [false, true]), "{turns:?}");
    drop(events);
    cutter.task.abort();
    drop((messi, henderson, other));
    server.stop().await;
}

#[tokio::test]
async fn who_takes_events_slowly_misses_none_and_can_still_ask() {
    let server = server().await;
    let (messi, henderson) =
        (log_in(server.address, "messi").await, log_in(server.address, "henderson").await);
    let mut events = messi.watch(WatchOptions::default()).await;
    for number in 0..3500 {
        henderson.send("messi", &number.to_string()).await.expect("sent");
        if number % 500 == 0 {
            messi.ping().await.expect("there is room for replies");
        }
    }
    for number in 0..3500 {
        let message = next_message(&mut events).await;
        assert_eq!(*message.msg, *number.to_string());
        if number % 700 == 0 {
            messi.ack(message.id).await.expect("acked");
        }
    }
    drop(events);
    drop((messi, henderson));
    server.stop().await;
}

/// Between the request to stop and its reply, a server may still stream: these events come again after the next `watch`.
#[tokio::test]
async fn events_that_were_under_way_when_a_stream_was_held_do_not_come_twice() {
    const LAST: u64 = 1200;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let event = |id: u64| {
        format!(
            "{{\"event\": \"message\", \"id\": {id}, \"at\": \"2026-11-28T00:00:00.000Z\", \"from\": \"a\", \
             \"to\": \"b\", \"msg_from\": \"A\", \"msg_to\": \"B\", \"msg\": \"{id}\"}}\r\n\r\n"
        )
    };
    let client = Client::connect(options(address)).await.expect("connected");
    let mut events = client.watch(WatchOptions::default()).await;
    let (stream, _) = listener.accept().await.expect("a client");
    let (from_client, mut to_client) = stream.into_split();
    let mut requests = BufReader::new(from_client).lines();
    for command in ["hello", "watch"] {
        let request = requests.next_line().await.expect("read").expect("a request");
        assert!(request.contains(command), "{request}");
        to_client.write_all(b"{\"status\": \"OK\"}\r\n\r\n").await.expect("taken");
    }
    to_client.write_all((1..=1000).map(event).collect::<String>().as_bytes()).await.expect("taken");
    assert!(requests.next_line().await.expect("read").expect("a request").contains("unwatch"));
    let mut shown = Vec::new();
    for _ in 0..700 {
        shown.push(next_message(&mut events).await.id);
    }
    let again = requests.next_line().await.expect("read").expect("a request");
    assert!(again.contains("\"after\":1000"), "{again}");
    // The request to stop was still under way.
    to_client.write_all((1001..=1100).map(event).collect::<String>().as_bytes()).await.expect("taken");
    to_client.write_all(b"{\"status\": \"OK\"}\r\n\r\n".repeat(2).as_slice()).await.expect("taken");
    to_client.write_all((1001..=LAST).map(event).collect::<String>().as_bytes()).await.expect("taken");
    while shown.last() != Some(&LAST) {
        shown.push(next_message(&mut events).await.id);
    }
    assert_eq!(shown, (1..=LAST).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_done_is_an_error_of_its_kind() {
    let server = server().await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let nobody = Client::connect(options(free)).await.err().expect("nobody is there");
    assert!(
        matches!(&nobody, ClientError::Unreachable { server, .. } if *server == free.to_string()),
        "{nobody}"
    );
    // The next server is tried.
    let mut two = options(free);
    two.servers.push((server.address.ip().to_string(), server.address.port()));
    let messi = Client::connect(two).await.expect("the second one");
    messi.auth("messi", "surabaya").await.expect("logged in");
    let long = messi.send("henderson", &"\n".repeat(8192)).await.expect_err("it does not fit into a line");
    assert!(matches!(long, ClientError::TooLong { limit: 16384, got: 16385.. }), "{long}");
    assert_eq!(
        messi.send("henderson", &"x".repeat(8193)).await.expect_err("long").code(),
        Some("message_too_long")
    );
    // A connection that is not made again.
    let cutter = Cutter::start(server.address).await;
    let mut once = options(cutter.address);
    once.reconnect = None;
    once.token = messi.token();
    let once = Client::connect(once).await.expect("connected");
    let mut events = once.watch(WatchOptions::default()).await;
    once.whoami().await.expect("a session");
    cutter.cut();
    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    assert!(events.next().await.is_none());
    assert!(matches!(once.ping().await, Err(ClientError::Lost(_))));
    // A server that says nothing.
    cutter.set_mute(true);
    let mut short = options(cutter.address);
    (short.timeout, short.reconnect) = (Duration::from_millis(50), None);
    let silent = Client::connect(short).await.expect("connected");
    assert!(matches!(silent.ping().await, Err(ClientError::TimedOut(_))));
    // One that is no chat server.
    let stranger = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut other = options(stranger.local_addr().expect("an address"));
    other.reconnect = None;
    let client = Client::connect(other).await.expect("connected");
    let (mut peer, _) = stranger.accept().await.expect("a client");
    peer.write_all(b"220 mail.example.org\r\n").await.expect("written");
    let error = client.ping().await.expect_err("no chat server");
    assert!(error.to_string().contains("220 mail"), "{error}");
    cutter.task.abort();
    drop((messi, once, silent, client, events));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_hangs_is_not_back() {
    async fn answer(stream: TcpStream) -> TcpStream {
        let mut stream = BufReader::new(stream);
        // `hello` and `watch`.
        for _ in 0..2 {
            stream.read_line(&mut String::new()).await.expect("a request");
            stream.write_all(b"{\"status\": \"OK\"}\r\n\r\n").await.expect("taken");
        }
        stream.into_inner()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let options = Options {
        timeout: Duration::from_millis(500),
        ..options(listener.local_addr().expect("an address"))
    };
    let client = Client::connect(options).await.expect("connected");
    assert!(!client.is_there(), "it has not answered");
    let mut events = client.watch(WatchOptions::default()).await;
    let accept = async || listener.accept().await.expect("a connection").0;
    drop(answer(accept().await).await);
    assert!(matches!(events.next().await, Some(Event::Disconnected(_))));
    assert!(!client.is_there());
    // They are accepted, and nobody speaks there.
    let hanging = [accept().await, accept().await, accept().await];
    assert_eq!(events.try_next(), None, "said once");
    let _open = answer(accept().await).await;
    assert_eq!(events.next().await, Some(Event::Connected));
    assert!(client.is_there());
    drop(hanging);
}
