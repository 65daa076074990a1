//! Rooms: joining, leaving, and who is in them.

use std::time::Duration;

use super::{Caller, Chat, Limit, Source, limiter::Quota};
use crate::{
    model::{At, MAX_PAGE, MaybeReady, Outcome, Refusal, RoomName, UserName, saturated},
    store::{Membership, Receipt, RoomEntry},
    users::User,
};

/// Most rooms that a user can be in.
const MAX_ROOMS: usize = 1000;

/// Time after which a user may create one more room.
const ROOM: Duration = Duration::from_mins(1);

/// A quota of `most` rooms that a user may create at once.
pub(super) fn new_rooms(most: u32) -> Quota {
    Quota::new(most, ROOM)
}

/// Why a user who is not in a room may not do what is for its members.
///
/// # Panics
/// If the user is in the room: a fault in the caller.
pub(super) fn refusal(membership: Membership) -> Refusal {
    match membership {
        Membership::NoRoom => Refusal::NoSuchRoom,
        Membership::Never | Membership::Former => Refusal::NotAMember,
        Membership::Current => unreachable!("a member is not refused"),
    }
}

/// Logs that a user joins or leaves.
fn log_move(caller: &Caller<'_>, room: &RoomName, what: &'static str) {
    let (user, session, Source { address, connection }) =
        (caller.user(), caller.session.number(), caller.from);
    tracing::info!(from = %address, connection, user = %user.username, session, room = &**room, "{what}");
}

impl Chat {
    /// The room of that name, and the user's relation to it.
    pub(super) fn named_room(
        &self,
        name: &str,
        user: &UserName,
    ) -> Result<(RoomName, At<Membership>), At<Refusal>> {
        let room = RoomName::parse(name).ok_or(At::start(Refusal::NoSuchRoom))?;
        let membership = self.store.membership(user, &room);
        Ok((room, membership))
    }

    /// Puts the caller into a room, and creates the room if there is none.
    ///
    /// Refuses with [`Refusal::BadRequest`] (not the name of a room), [`Refusal::TooManyRooms`], or [`Refusal::RateLimited`] if
    /// the caller has created too many.
    pub fn join(&self, caller: &Caller<'_>, room: &str) -> Receipt<()> {
        let user = &caller.user().username;
        let Ok((room, membership)) = self.named_room(room, user) else {
            return MaybeReady::Ready(At::refused(Refusal::BadRequest));
        };
        if *membership.peek() != Membership::Current && self.store.count_rooms(user) >= MAX_ROOMS {
            return MaybeReady::Ready(
                membership.map(|_| Err(Refusal::TooManyRooms { limit: saturated(MAX_ROOMS) })),
            );
        }
        // A room stays for ever.
        if *membership.peek() == Membership::NoRoom
            && let Some(new_rooms) = &self.new_rooms
            && let Err(refusal) = new_rooms.take(user.clone(), caller.now.uptime)
        {
            self.note_limit(Limit::NewRooms, caller.from, Some(caller.session));
            return MaybeReady::Ready(membership.map(|_| Err(refusal)));
        }
        if *membership.peek() != Membership::Current {
            log_move(caller, &room, "joined a room");
        }
        self.store.join(user, &room)
    }

    /// Takes the caller out of a room.
    ///
    /// Refuses with [`Refusal::NoSuchRoom`] or [`Refusal::NotAMember`].
    pub fn leave(&self, caller: &Caller<'_>, room: &str) -> Receipt<()> {
        match self.member_room(caller.user(), room) {
            Ok(room) => {
                log_move(caller, room.peek(), "left a room");
                let position = room.position();
                let left = self.store.leave(&caller.user().username, room.peek());
                left.map(move |outcome| outcome.after(position))
            }
            Err(refused) => MaybeReady::Ready(refused.map(Err)),
        }
    }

    /// The first rooms after `after`, by name, and whether there are more.
    ///
    /// Refuses with [`Refusal::BadRequest`] if `after` is not the name of a room.
    pub fn rooms(&self, user: &User, after: Option<&str>) -> Outcome<(Vec<RoomEntry>, bool)> {
        let Ok(after) = after.map(|after| RoomName::parse(after).ok_or(())).transpose() else {
            return At::refused(Refusal::BadRequest);
        };
        self.store.rooms(&user.username, after.as_ref(), MAX_PAGE + 1).map(|mut entries| {
            let more = entries.len() > MAX_PAGE;
            entries.truncate(MAX_PAGE);
            Ok((entries, more))
        })
    }

    /// Members of a room that the user is in, by name.
    ///
    /// Refuses with [`Refusal::NoSuchRoom`] or [`Refusal::NotAMember`].
    pub fn members(&self, user: &User, room: &str) -> Outcome<Vec<UserName>> {
        match self.member_room(user, room) {
            Ok(room) => room.and_then(|room| self.store.members(&room, None).map(Ok)),
            Err(refused) => refused.map(Err),
        }
    }

    /// The room of that name, which the user is in.
    fn member_room(&self, user: &User, room: &str) -> Result<At<RoomName>, At<Refusal>> {
        let (room, membership) = self.named_room(room, &user.username)?;
        match *membership.peek() {
            Membership::Current => Ok(membership.map(|_| room)),
            other => Err(membership.map(|_| refusal(other))),
        }
    }
}
