//! Who speaks on a connection, and the way from a line to its command.

use std::{net::IpAddr, sync::Arc};

use super::{Access, Answer, Call, Reply, find};
use crate::{
    protocol::{Refusal, Timestamp, Token, request::Request},
    service::{Service, Session},
};

/// Who speaks on a connection.
pub struct Speaker {
    service: Arc<Service>,
    from: IpAddr,
    sessions: Held,
}

/// The sessions that a connection has shown.
#[derive(Default)]
struct Held {
    /// The one in which it authenticated last.
    own: Option<Arc<Session>>,
    /// That of the token given last, so that one given on every line is looked up once.
    given: Option<(Token, Arc<Session>)>,
}

impl Speaker {
    /// Somebody from that address who has not said anything yet.
    #[must_use]
    pub fn new(service: Arc<Service>, from: IpAddr) -> Self {
        Speaker { service, from, sessions: Held::default() }
    }

    /// From now on the connection's own session is this one.
    pub fn bind(&mut self, session: Arc<Session>) {
        self.sessions.own = Some(session);
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

    /// Carries out the request on a line (without its end); `None` if the line is blank.
    pub fn dispatch(&mut self, line: &[u8]) -> Option<Answer> {
        match Request::parse(line) {
            Ok(None) => None,
            Ok(Some(request)) => Some(self.run(request).unwrap_or_else(Answer::Now)),
            Err(refusal) => Some(refusal.into()),
        }
    }

    /// The order of checks: command, session, parameters; what comes after them is the command's own.
    fn run(&mut self, mut request: Request<'_>) -> Result<Answer, Reply> {
        let Speaker { service, from, sessions } = self;
        let command = find(request.command()).ok_or(Refusal::UnknownCommand)?;
        let now = service.now();
        let session = match command.access {
            Access::Anyone => None,
            Access::Session => {
                let live = sessions.live(request.take_token()?, service, now);
                // That a session has made room for another may not be durable yet.
                Some(live.ok_or_else(|| Reply::from(Refusal::NotAuthorized).at(service.sessions.position()))?)
            }
        };
        let arguments = request.bind(command.parameters)?;
        Ok((command.run)(&Call { service, from: *from, now, session, arguments }))
    }
}

impl Held {
    /// The session of the token, or without one the connection's own; `None` if it is not live.
    fn live(&mut self, token: Option<Token>, service: &Service, now: Timestamp) -> Option<&Arc<Session>> {
        let session = match token {
            None => self.own.as_ref()?,
            Some(token) => {
                if self.given.as_ref().is_none_or(|(known, _)| *known != token) {
                    self.given = service.find_session(&token, now).map(|session| (token, session));
                }
                &self.given.as_ref()?.1
            }
        };
        service.touch(session, now).then_some(session)
    }
}
