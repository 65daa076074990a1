//! Names that look like one that does not exist, for `did you mean`. Only names that the caller may see.

use super::Chat;
use crate::{
    model::{At, Refusal, RoomName, most_similar},
    users::User,
};

/// Longest text for which a similar name is looked for: a name, and a few characters too many.
const MAX_LEN: usize = 40;

/// Most names that are compared, because a refusal must be cheap.
const MAX_COMPARED: usize = 200;

impl Chat {
    /// A name like `given`, which does not exist: of a room if it begins with `#`, otherwise of a user. The first letter must be the
    /// same.
    pub fn similar(&self, user: &User, refusal: Refusal, given: &str) -> At<Option<String>> {
        let Some(first) = given.trim_start_matches('#').chars().next().filter(|_| given.len() <= MAX_LEN)
        else {
            return At::start(None);
        };
        match refusal {
            Refusal::NoSuchRoom => self.similar_room(user, given, first),
            Refusal::NoSuchUser => {
                let users = self.users.now();
                let names = users.iter().map(|user| &*user.username);
                let names = names.filter(|name| name.starts_with(first)).take(MAX_COMPARED);
                At::start(most_similar(given, names).map(str::to_owned))
            }
            _ => At::start(None),
        }
    }

    fn similar_room(&self, user: &User, given: &str, first: char) -> At<Option<String>> {
        let beginning = format!("#{first}");
        let Some(after) = RoomName::parse(&beginning) else {
            return At::start(None);
        };
        self.store.rooms(&user.username, Some(&after), MAX_COMPARED).map(|rooms| {
            let names = rooms.iter().map(|entry| &*entry.room).filter(|name| name.starts_with(&beginning));
            most_similar(given, names).map(str::to_owned)
        })
    }
}
