//! `logout [token]`: ends a session.

use super::{Access, Answer, Call, Command, Reply, TokenEffect};
use crate::protocol::reply::Body;

pub(super) static COMMAND: Command = Command {
    name: "logout",
    access: Access::Session,
    parameters: &[],
    summary: "End the session. Other sessions of the same user go on.",
    success: "logged out",
    token: TokenEffect::Ends,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let (service, session) = (call.service.clone(), call.session().clone());
    // The session ends when its end is stored: until then nobody, on any connection, is told that it has.
    Answer::Barrier(Box::pin(async move {
        match service.log_out(&session).await {
            Ok(()) => Reply::new(Body::Done),
            Err(refusal) => refusal.into(),
        }
    }))
}
