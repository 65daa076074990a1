//! Who speaks on a connection, and the way from a line to its command.

use std::{net::IpAddr, sync::Arc, task::Context};

use super::{Access, Answer, Call, Effect, Reply, feed::Feed, find};
use crate::{
    protocol::{Closing, Dialect, Refusal, Timestamp, Token, TokenText, request::Request},
    service::{Binding, Service, Session},
};

/// Who speaks on a connection.
pub struct Speaker {
    service: Arc<Service>,
    from: IpAddr,
    sessions: Held,
    dialect: Dialect,
    /// Only a connection that said hello has one.
    feed: Option<Box<Feed>>,
}

/// The sessions that a connection has shown.
#[derive(Default)]
struct Held {
    /// The one in which it authenticated last.
    own: Option<Box<Binding>>,
    /// That of the token given last, so that one given on every line is looked up once.
    given: Option<Given>,
}

struct Given {
    token: Token,
    text: TokenText,
    session: Arc<Session>,
}

/// What a connection is sent without having asked.
pub struct Unasked {
    /// Events, to be written when they are durable.
    pub events: Option<Reply>,
    /// Ask again at once.
    pub more: bool,
    /// The connection is to be ended.
    pub end: Option<Closing>,
}

impl Speaker {
    /// Somebody from that address who has not said anything yet.
    #[must_use]
    pub fn new(service: Arc<Service>, from: IpAddr) -> Self {
        Speaker { service, from, sessions: Held::default(), dialect: Dialect::One, feed: None }
    }

    /// What a reply does to the connection. Returns what is left of that for others to do.
    #[must_use]
    pub fn apply(&mut self, effect: Effect) -> Effect {
        match effect {
            Effect::Bind(session) => {
                let mailbox = self.feed.as_ref().map(|feed| feed.mailbox().clone());
                self.sessions.own = Some(Box::new(Binding::new(&self.service, session, mailbox)));
            }
            Effect::Hello => {
                self.dialect = Dialect::Two;
                let feed = self.feed.get_or_insert_with(|| Box::new(Feed::new()));
                if let Some(own) = &mut self.sessions.own {
                    own.attach(feed.mailbox());
                }
            }
            Effect::Watch(session) => {
                if let Some(feed) = &mut self.feed {
                    feed.watch(&self.service, &session);
                }
            }
            Effect::Unwatch => {
                if let Some(feed) = &mut self.feed {
                    feed.unwatch();
                }
            }
            Effect::None | Effect::Deliver(_) | Effect::Quit => return effect,
        }
        Effect::None
    }

    /// Whether anybody has shown on this connection who they are.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.sessions.own.is_some() || self.sessions.given.is_some()
    }

    /// Whether it is sent what comes.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.is_watching())
    }

    /// The dialect that the connection speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What there is to be sent that was not asked for; the task is woken when there is more. `None` for who never is.
    pub fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Option<Unasked> {
        let told = self.feed.as_mut()?.poll(&self.service, cx);
        let is_over = |own: &Binding| !own.session().is_live(self.service.now());
        if told.session_ended && self.sessions.own.as_deref().is_some_and(is_over) {
            self.sessions.own = None;
            if let Some(feed) = &mut self.feed {
                feed.unwatch();
            }
        }
        Some(Unasked {
            events: told.events,
            more: told.more,
            end: told.too_slow.then_some(Closing::SlowConsumer),
        })
    }

    /// The service that answers.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Where the connection comes from.
    #[must_use]
    pub fn from(&self) -> IpAddr {
        self.from
    }

    /// Carries out the request on a line (without its end) that came at `now`; `None` if the line is blank.
    pub fn dispatch(&mut self, line: &[u8], now: Timestamp) -> Option<Answer> {
        match Request::parse(line) {
            Ok(None) => None,
            Ok(Some(request)) => Some(self.run(request, now).unwrap_or_else(Answer::Now)),
            Err(refusal) => Some(refusal.into()),
        }
    }

    /// The order of checks: command, session, parameters; what comes after them is the command's own.
    fn run(&mut self, mut request: Request<'_>, now: Timestamp) -> Result<Answer, Reply> {
        let Speaker { service, from, sessions, dialect, feed } = self;
        let command = find(request.command()).ok_or(Refusal::UnknownCommand)?;
        let session = match command.access {
            Access::Anyone => None,
            Access::Session => Some(sessions.live(&mut request, service, now)?),
        };
        let arguments = request.bind(command.parameters)?;
        if let Some(session) = session {
            service.count_request(session, now)?;
        }
        let mailbox = feed.as_ref().map(|feed| feed.mailbox());
        Ok((command.run)(&Call { service, from: *from, now, session, dialect: *dialect, mailbox, arguments }))
    }
}

impl Held {
    /// The session of the request's token, or without one the connection's own; refused if it is not live.
    fn live(
        &mut self,
        request: &mut Request<'_>,
        service: &Service,
        now: Timestamp,
    ) -> Result<&Arc<Session>, Reply> {
        let is_same = self.given.as_ref().is_some_and(|given| request.take_known_token(&given.text));
        let token = if is_same { None } else { request.take_token()? };
        if let Some(token) = token
            && self.given.as_ref().is_none_or(|given| given.token != token)
        {
            let found = service.find_session(&token, now);
            self.given = found.map(|session| Given { token, text: TokenText::from(&token), session });
        }
        let session = if is_same || token.is_some() {
            self.given.as_ref().map(|given| &given.session)
        } else {
            self.own.as_ref().map(|own| own.session())
        };
        if let Some(session) = session
            && service.touch(session, now)
        {
            return Ok(session);
        }
        // That it has ended may not be durable yet.
        let digest = token.map(|token| token.digest()).or(session.map(|session| *session.digest()));
        let position = digest.map(|digest| service.sessions.end_position(&digest)).unwrap_or_default();
        Err(Reply::from(Refusal::NotAuthorized).at(position))
    }
}
