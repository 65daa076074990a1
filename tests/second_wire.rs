//! A second wire over the use cases of `chat` alone, a small subset of IRC: it shows that a wire repeats no rule.
//!
//! It knows `PASS`, `JOIN`, `PART` and `PRIVMSG`, and shows messages, joins and parts when they happen.

use std::{
    fmt::Write as _,
    sync::Arc,
    task::{Context, Poll},
};

use chat_service::{
    chat::{Binding, Caller, Chat, Event, Pushed, Reserved, Send, Session, Source, Start, Subscription},
    model::{At, BoxFuture, Closing, MaybeReady, Moment, Outcome, Refusal, Secret},
    server::{Lines, Server, serve_over},
    store::Memory,
    wire::{Answer, Dispatcher, Language, PushedEvents, Reply},
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines as ReadLines, split};

use crate::support::{Setup, held::Held};

/// A language whose replies are lines of text.
#[derive(Clone, Copy, Default)]
struct Irc;

impl Language for Irc {
    type Body = String;

    fn write(self, body: String, out: &mut Vec<u8>) {
        out.extend_from_slice(body.as_bytes());
    }

    fn write_refusal(self, refusal: Refusal, out: &mut Vec<u8>) {
        out.extend_from_slice(refused(refusal).as_bytes());
    }

    fn write_closing(self, reason: Closing, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("ERROR :{}\r\n", reason.reason()).as_bytes());
    }

    fn size(body: &String) -> usize {
        body.len()
    }
}

fn refused(refusal: Refusal) -> String {
    format!("FAIL * {}\r\n", refusal.code().to_uppercase())
}

struct Irker {
    chat: Arc<Chat>,
    from: Source,
    own: Option<Binding>,
    subscription: Subscription,
}

impl Irker {
    fn answer<T: std::marker::Send + 'static>(
        outcome: MaybeReady<'static, Outcome<T>>,
        text: impl FnOnce(T) -> String + std::marker::Send + 'static,
    ) -> Answer<Self> {
        Answer::Reply(outcome.map(|outcome| outcome.map(|done| done.map_or_else(refused, text).into())))
    }

    fn render(&self, event: &Event) -> String {
        let own = self.own.as_ref().map(|own| &own.session().user().username);
        match event {
            Event::Message(message) => {
                let to = message.to.room().map_or(own.map_or("*", |own| own), |room| room);
                format!(":{} PRIVMSG {to} :{}\r\n", message.from, message.text)
            }
            Event::Joined { room, user } if Some(user) != own => format!(":{user} JOIN {}\r\n", &**room),
            Event::Left { room, user } if Some(user) != own => format!(":{user} PART {}\r\n", &**room),
            _ => String::new(),
        }
    }
}

impl Dispatcher for Irker {
    type Language = Irc;
    type Completed = Outcome<Arc<Session>>;

    fn new(chat: Arc<Chat>, from: Source) -> Self {
        Irker { chat, from, own: None, subscription: Subscription::default() }
    }

    fn dispatch(&mut self, frame: &[u8], now: Moment) -> Option<Answer<Self>> {
        let line = String::from_utf8_lossy(frame).into_owned();
        let (command, rest) = line.split_once(' ')?;
        if command == "PASS" {
            let (chat, from) = (self.chat.clone(), self.from);
            let (name, password) =
                rest.split_once(':').map(|(name, word)| (name.to_owned(), word.to_owned()))?;
            return Some(Answer::Wait(Box::pin(async move {
                chat.log_in(&name, Secret::new(password), from, None).await.map_ok(|login| login.session)
            })));
        }
        let Some(own) = &self.own else {
            return Some(Answer::Reply(MaybeReady::Ready(At::start(refused(Refusal::NotAuthorized).into()))));
        };
        let notifier = Some(self.subscription.notifier());
        let caller = Caller { session: own.session(), notifier, from: self.from, now };
        let name = caller.user().username.clone();
        Some(match (command, rest.split_once(" :")) {
            ("PRIVMSG", Some((to, text))) => {
                Self::answer(self.chat.send(&caller, Send { to, text, key: None }), |stored| {
                    format!("ACK {}\r\n", stored.id.0)
                })
            }
            ("JOIN", None) => {
                let room = rest.to_owned();
                Self::answer(self.chat.join(&caller, rest), move |()| format!(":{name} JOIN {room}\r\n"))
            }
            ("PART", None) => {
                let room = rest.to_owned();
                Self::answer(self.chat.leave(&caller, rest), move |()| format!(":{name} PART {room}\r\n"))
            }
            _ => return None,
        })
    }

    fn complete(&mut self, login: Self::Completed) -> At<Reply<String>> {
        if let Ok(session) = login.peek() {
            let notifier = self.subscription.notifier().clone();
            notifier.want_rooms();
            self.own = Some(Binding::new(&self.chat, session.clone(), Some(notifier)));
            self.subscription.watch(&self.chat, session, Start::default());
        }
        login.map(|done| {
            done.map_or_else(refused, |session| format!("001 {}\r\n", session.user().username)).into()
        })
    }

    fn poll_pushed(&mut self, cx: &mut Context<'_>, room: usize) -> Option<PushedEvents<Self>> {
        let Pushed { events, more, needs, too_slow, .. } = self.subscription.poll(&self.chat, cx, room);
        let events = events.map(|events| {
            let text = events.iter().fold(String::new(), |text, event| text + &self.render(event));
            (!text.is_empty()).then_some(text)
        });
        Some(PushedEvents {
            events: events.transpose(),
            more,
            needs,
            close: too_slow.then_some(Closing::SlowConsumer),
        })
    }

    fn reserve(&self, bytes: usize) -> Option<BoxFuture<'static, Option<Reserved>>> {
        let (chat, session) = (self.chat.clone(), self.own.as_ref()?.session().clone());
        Some(Box::pin(async move { chat.reserve(&session, bytes).await }))
    }

    fn from(&self) -> Source {
        self.from
    }

    fn language(&self) -> Irc {
        Irc
    }

    fn session(&self) -> Option<&Arc<Session>> {
        self.own.as_ref().map(Binding::session)
    }

    fn is_watching(&self) -> bool {
        self.subscription.is_watching()
    }

    fn has_quit(&self) -> bool {
        false
    }
}

/// The client's end of a connection.
struct Client {
    lines: ReadLines<BufReader<tokio::io::ReadHalf<DuplexStream>>>,
    out: tokio::io::WriteHalf<DuplexStream>,
}

impl Client {
    fn connect(server: &Arc<Server>) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve_over::<_, Irker>(Lines::new(theirs), [127, 0, 0, 1].into(), server.clone()));
        let (input, out) = split(ours);
        Client { lines: BufReader::new(input).lines(), out }
    }

    async fn log_in(server: &Arc<Server>, user: &str) -> Self {
        let mut client = Self::connect(server);
        assert_eq!(client.ask(&format!("PASS {user}:surabaya")).await, format!("001 {user}"));
        client
    }

    async fn send(&mut self, line: &str) {
        self.out.write_all(format!("{line}\r\n").as_bytes()).await.expect("taken");
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.expect("readable").expect("a line")
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.line().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_wire_joins_sends_receives_and_refuses() {
    let store = Arc::new(Memory::new(10));
    let server = Setup { store, ..Setup::default() }.server();
    let mut stranger = Client::connect(&server);
    assert_eq!(stranger.ask("JOIN #lab").await, "FAIL * NOT_AUTHORIZED");
    assert_eq!(stranger.ask("PASS messi:wrong").await, "FAIL * BAD_CREDENTIALS");
    let mut messi = Client::log_in(&server, "messi").await;
    let mut henderson = Client::log_in(&server, "henderson").await;

    assert_eq!(messi.ask("JOIN #lab").await, ":messi JOIN #lab");
    assert_eq!(henderson.ask("PRIVMSG #lab :too early").await, "FAIL * NOT_A_MEMBER");
    assert_eq!(henderson.ask("JOIN #lab").await, ":henderson JOIN #lab");
    assert_eq!(messi.line().await, ":henderson JOIN #lab");
    assert_eq!(messi.ask("PRIVMSG #lab :goal!").await, "ACK 1");
    assert_eq!(henderson.line().await, ":messi PRIVMSG #lab :goal!");
    assert_eq!(henderson.ask("PRIVMSG messi :well done").await, "ACK 2");
    assert_eq!(messi.line().await, ":henderson PRIVMSG messi :well done");
    assert_eq!(henderson.ask("PART #lab").await, ":henderson PART #lab");
    assert_eq!(messi.line().await, ":henderson PART #lab");
    assert_eq!(henderson.ask("PRIVMSG nobody :x").await, "FAIL * NO_SUCH_USER");
    assert_eq!(henderson.ask("JOIN lab").await, "FAIL * BAD_REQUEST");
    let long = "x".repeat(8193);
    assert_eq!(henderson.ask(&format!("PRIVMSG messi :{long}")).await, "FAIL * MESSAGE_TOO_LONG");
    for _ in 0..9 {
        messi.ask("PRIVMSG lineker :x").await;
    }
    let mut replies = String::new();
    for _ in 0..2 {
        write!(replies, "{} ", messi.ask("PRIVMSG lineker :x").await).expect("a String takes every text");
    }
    assert_eq!(replies, "ACK 12 FAIL * INBOX_FULL ");
}

#[tokio::test(start_paused = true)]
async fn a_second_wire_is_behind_the_same_gate() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let mut messi = Client::connect(&server);
    messi.send("PASS messi:surabaya").await;
    while store.writes() == 0 {
        tokio::task::yield_now().await;
    }
    crate::support::settle().await;
    store.commit();
    assert_eq!(messi.line().await, "001 messi");
    messi.send("PRIVMSG messi :hello").await;
    crate::support::settle().await;
    let mut line = Box::pin(messi.line());
    assert!(matches!(poll_once(&mut line).await, Poll::Pending), "nothing is told before it is durable");
    store.fail(Refusal::Storage);
    assert_eq!(line.await, "FAIL * STORAGE");
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}
