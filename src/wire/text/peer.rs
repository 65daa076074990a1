//! The peer of a connection, and the way from a line to its command.

use std::{mem::replace, sync::Arc, task::Context, time::Duration};

use tokio::time::sleep;

use super::{Body, Call, Dialect, Handled, Rendering, Then, connection::unknown_command, events, find};
use crate::{
    chat::{Binding, Chat, Pushed, Reserved, Seat, Session, Source, Subscription},
    model::{At, BoxFuture, Closing, MaybeReady, Moment, Refusal, Timestamp, Token, TokenText},
    protocol::{request::Request, spec::Access},
    wire::{Answer, Dispatcher, PushedEvents, Reply},
};

/// Time for which a request beyond a limit holds up its connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The peer of a connection that speaks the line protocol.
pub struct Peer {
    chat: Arc<Chat>,
    from: Source,
    sessions: Sessions,
    /// Counts the connection for the user whose session was used last.
    seat: Option<Seat>,
    dialect: Dialect,
    /// What only a connection has that has said hello.
    greeted: Option<Box<Greeted>>,
    has_quit: bool,
    /// A line has come.
    has_begun: bool,
}

/// What a connection has that has said hello.
#[derive(Default)]
struct Greeted {
    subscription: Subscription,
    /// What the client has called the device.
    device: Option<Box<str>>,
}

/// The sessions that a connection has shown.
#[derive(Default)]
struct Sessions {
    /// The one in which it has authenticated last.
    own: Option<Box<Binding>>,
    /// That of the last token, so that a token which is given on every line is looked up once. Boxed, because few connections have one.
    given: Option<Box<Given>>,
}

struct Given {
    token: Token,
    text: TokenText,
    session: Arc<Session>,
}

/// The reply to a request that was not carried out.
struct Refused(At<Body>);

impl From<At<Refusal>> for Refused {
    fn from(refused: At<Refusal>) -> Self {
        Refused(refused.map(Body::Refused))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        At::start(refusal).into()
    }
}

/// Result of a request for which later ones wait.
pub struct Completed {
    pub(super) reply: At<Reply<Body>>,
    pub(super) then: Option<Box<Then>>,
}

impl Dispatcher for Peer {
    type Language = Dialect;
    type Completed = Completed;

    fn new(chat: Arc<Chat>, from: Source) -> Self {
        let (sessions, dialect) = (Sessions::default(), Dialect::One);
        Peer { chat, from, sessions, seat: None, dialect, greeted: None, has_quit: false, has_begun: false }
    }

    fn dispatch(&mut self, line: &[u8], now: Moment) -> Option<Answer<Self>> {
        // A page in a browser can make it send this to a port of its own machine, with commands below.
        if !replace(&mut self.has_begun, true) && is_http(line) {
            return Some(Answer::Close(Closing::NotHttp));
        }
        let done = match Request::parse(line) {
            Ok(None) => return None,
            Ok(Some(request)) => self.run(request, now),
            Err(refusal) => Err(refusal.into()),
        };
        match done {
            Ok(Handled { answer, then }) => {
                if let Some(then) = then {
                    self.apply(*then);
                }
                Some(answer)
            }
            Err(refused) => Some(self.refuse(refused, now)),
        }
    }

    fn complete(&mut self, Completed { reply, then }: Completed) -> At<Reply<Body>> {
        if let Some(then) = then {
            self.apply(*then);
        }
        reply
    }

    fn poll_pushed(&mut self, cx: &mut Context<'_>, room: usize) -> Option<PushedEvents<Self>> {
        let subscription = &mut self.greeted.as_mut()?.subscription;
        let Pushed { events, more, needs, session_ended, too_slow } = subscription.poll(&self.chat, cx, room);
        let is_over = |own: &Binding| !own.session().is_live(self.chat.now());
        if session_ended && self.sessions.own.as_deref().is_some_and(is_over) {
            self.sessions.own = None;
            subscription.unwatch();
        }
        let events = events.map(|events| events::render(events, &self.chat.users().now()));
        Some(PushedEvents {
            events: events.transpose(),
            more,
            needs,
            close: too_slow.then_some(Closing::SlowConsumer),
        })
    }

    fn reserve(&self, bytes: usize) -> Option<BoxFuture<'static, Option<Reserved>>> {
        let (chat, session) = (self.chat.clone(), self.sessions.known()?.clone());
        Some(Box::pin(async move { chat.reserve_for_now(&session, bytes).await }))
    }

    fn from(&self) -> Source {
        self.from
    }

    fn language(&self) -> Dialect {
        self.dialect
    }

    fn session(&self) -> Option<&Arc<Session>> {
        self.sessions.known()
    }

    fn is_watching(&self) -> bool {
        self.greeted.as_ref().is_some_and(|greeted| greeted.subscription.is_watching())
    }

    fn has_quit(&self) -> bool {
        self.has_quit
    }
}

impl Peer {
    /// The reply to a request that was not carried out. Refusals cost the server, too: those of a peer that is not known are counted,
    /// and beyond a limit each holds the connection up for a moment.
    fn refuse(&self, refused: Refused, now: Moment) -> Answer<Self> {
        let is_limited =
            |Refused(refused): &Refused| matches!(refused.peek(), Body::Refused(Refusal::RateLimited { .. }));
        let mut refused = refused;
        if !is_limited(&refused)
            && !self.is_known()
            && let Err(refusal) = self.chat.count_anonymous(self.from, now.uptime)
        {
            refused = refusal.into();
        }
        let is_limited = is_limited(&refused);
        let reply = refused.0.map(Reply::from);
        if !is_limited {
            return Answer::Reply(MaybeReady::Ready(reply));
        }
        Answer::Wait(Box::pin(async move {
            sleep(PAUSE).await;
            Completed { reply, then: None }
        }))
    }

    /// Carries out a request. The order of checks is: command, session, parameters, rate; the rest is up to the command.
    fn run(&mut self, mut request: Request<'_>, now: Moment) -> Result<Handled, Refused> {
        let Peer { chat, from, sessions, seat, dialect, greeted, .. } = self;
        let Some(command) = find(request.command()) else {
            return Err(Refused(At::start(unknown_command(request.command(), *dialect))));
        };
        let rendering = Rendering { spec: command.spec, dialect: *dialect };
        let (session, shown) = match command.spec.access {
            Access::Anyone => {
                let shown = sessions.known();
                let counted = match shown {
                    Some(session) => chat.count_request(session, *from, now.uptime),
                    None => chat.count_anonymous(*from, now.uptime),
                };
                counted?;
                (None, shown)
            }
            Access::Session => {
                let session = sessions.live(&mut request, chat, now.at, (*from, greeted))?;
                if seat.as_ref().is_none_or(|seat| !seat.is_for(session)) {
                    *seat = Some(chat.seat(session, *from)?);
                }
                (Some(session), None)
            }
        };
        let arguments = request
            .bind(command.spec.parameters)
            .map_err(|refusal| Refused(At::start(rendering.refused(refusal))))?;
        if let Some(session) = session {
            chat.count_request(session, *from, now.uptime)?;
        }
        let notifier = greeted.as_ref().map(|greeted| greeted.subscription.notifier());
        let from = *from;
        let call = Call { chat, from, now, session, shown, rendering, notifier, arguments };
        let handled = (command.run)(&call);
        if let (Some(Then::Watch(start)), Some(session)) = (handled.then.as_deref(), session) {
            let session = session.clone();
            if let Some(greeted) = greeted {
                greeted.subscription.watch(chat, &session, *start);
            }
        }
        Ok(handled)
    }

    /// Applies what a request changes in the connection.
    fn apply(&mut self, then: Then) {
        match then {
            // Done, where the session of the request is at hand.
            Then::Watch(_) => {}
            Then::Bind(session, seat) => {
                if seat.is_some() {
                    self.seat = seat;
                }
                let greeted = self.greeted.as_deref();
                let device = greeted.and_then(|greeted| greeted.device.as_deref());
                self.chat.note_place(&session, self.from, device);
                let notifier = greeted.map(|greeted| greeted.subscription.notifier().clone());
                self.sessions.own = Some(Box::new(Binding::new(&self.chat, session, notifier)));
            }
            Then::Hello(device) => {
                self.dialect = Dialect::Two;
                let greeted = self.greeted.get_or_insert_default();
                if let Some(device) = device {
                    for session in self.sessions.all() {
                        self.chat.note_place(session, self.from, Some(&device));
                    }
                    greeted.device = Some(device);
                }
                if let Some(own) = &mut self.sessions.own {
                    own.attach(greeted.subscription.notifier());
                }
            }
            Then::Unwatch => {
                if let Some(greeted) = &mut self.greeted {
                    greeted.subscription.unwatch();
                }
            }
            Then::Quit => self.has_quit = true,
        }
    }
}

/// Whether a line is the first one of an HTTP request: a method, a target, and a version.
fn is_http(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words: Vec<_> = line.splitn(4, |byte| *byte == b' ').collect();
    let [method, _, version] = words[..] else {
        return false;
    };
    !method.is_empty() && method.iter().all(u8::is_ascii_uppercase) && version.starts_with(b"HTTP/")
}

impl Sessions {
    /// A session that was shown on this connection; it may have ended.
    fn known(&self) -> Option<&Arc<Session>> {
        let given = self.given.as_ref().map(|given| &given.session);
        self.own.as_ref().map(|own| own.session()).or(given)
    }

    /// Those that were shown on this connection last.
    fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        let own = self.own.as_ref().map(|own| own.session());
        own.into_iter().chain(self.given.as_ref().map(|given| &given.session))
    }

    /// The session of the request's token or, without a token, the connection's own.
    ///
    /// # Errors
    /// [`Refusal::NotAuthorized`] if it is not live.
    fn live(
        &mut self,
        request: &mut Request<'_>,
        chat: &Chat,
        now: Timestamp,
        (from, greeted): (Source, &Option<Box<Greeted>>),
    ) -> Result<&Arc<Session>, At<Refusal>> {
        let is_same = self.given.as_ref().is_some_and(|given| request.take_known_token(&given.text));
        let token = if is_same { None } else { request.take_token().map_err(At::start)? };
        if let Some(token) = token
            && self.given.as_ref().is_none_or(|given| given.token != token)
        {
            let found = chat.find_session(&token, now);
            if let Some(session) = &found {
                let device = greeted.as_ref().and_then(|greeted| greeted.device.as_deref());
                chat.note_place(session, from, device);
            }
            let given = |session| Box::new(Given { token, text: TokenText::from(&token), session });
            self.given = found.map(given);
        }
        let session = if is_same || token.is_some() {
            self.given.as_ref().map(|given| &given.session)
        } else {
            self.own.as_ref().map(|own| own.session())
        };
        if let Some(session) = session
            && chat.touch(session, now)
        {
            return Ok(session);
        }
        // The end of the session may not be durable yet.
        let digest = token.map(|token| token.digest()).or(session.map(|session| *session.digest()));
        let position = digest.map(|digest| chat.end_position(&digest)).unwrap_or_default();
        Err(At::new(Refusal::NotAuthorized, position))
    }
}
