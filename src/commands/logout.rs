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
    let position = call.service.log_out(call.session());
    Answer::Now(Reply::new(Body::Done).at(position))
}
