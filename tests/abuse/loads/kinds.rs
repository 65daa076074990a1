//! The loads. Each comes from addresses of its own and has users of its own, so that all can be at work at once.

use std::{net::Ipv4Addr, ops::Range};

use super::load::{Attacker, Habit};
use crate::{
    secrets::token_in,
    short_or_long,
    support::{SENT, lines, program::Program},
};

/// Number of users u0, u1 and so on that the loads need.
pub(super) const USERS: usize = OWNERS.end;

/// The user of the [`right_logins`].
const LOGGER: usize = 0;

/// The user of the [`unread_watchers`].
const HOARDER: usize = 1;

/// The user who floods a [`room`], and those who watch it.
const FLOODER: usize = 2;
const MEMBERS: Range<usize> = 3..8;

/// The users who have made [`many_rooms`]: a user is in at most 1,000.
const OWNERS: Range<usize> = 8..38;

fn attackers(from: Ipv4Addr, count: usize, habit: impl Fn(usize) -> Habit) -> Vec<Attacker> {
    (0..count).map(|number| Attacker { from, habit: habit(number) }).collect()
}

/// Logs in a user, sends more lines, and returns the answers.
fn answers(server: &Program, user: usize, lines: &str) -> String {
    server.talk(format!("auth u{user} surabaya\n{lines}"))
}

/// Logins with wrong passwords, from 200 addresses, so that the log has more of them than a pipe holds. Half of them are refused
/// without a look at the password.
pub(super) fn wrong_logins() -> Vec<Attacker> {
    let attacker = |number: u8| {
        let user = if number.is_multiple_of(2) { "lineker" } else { &format!("nobody{number}") };
        let habit = Habit::Repeat(format!("auth {user} wrong\n"));
        Attacker { from: Ipv4Addr::new(127, 1, 0, number), habit }
    };
    (1..=200).map(attacker).collect()
}

/// 300 connections that have not logged in and pipeline requests.
pub(super) fn anonymous_requests() -> Vec<Attacker> {
    let kinds = ["help\n", "ping\n", "auth x y\n"];
    attackers(Ipv4Addr::new(127, 0, 0, 3), 300, |number| Habit::Repeat(kinds[number % 3].repeat(100)))
}

/// 990 connections of a user who logs in with the right password.
pub(super) fn right_logins() -> Vec<Attacker> {
    let login = Habit::Repeat(format!("auth u{LOGGER} surabaya\n"));
    attackers(Ipv4Addr::new(127, 0, 0, 4), 990, |_| login.clone())
}

/// 150 watchers who read nothing, of an inbox that is as large as possible on the wire: a control character takes six bytes.
pub(super) fn unread_watchers(server: &Program) -> Vec<Attacker> {
    let message = format!("send u{HOARDER} {}\n", "\u{1}".repeat(8_192));
    let answers = answers(server, HOARDER, &message.repeat(140));
    assert_eq!(answers.matches(SENT).count(), 140, "{answers}");
    let watch = Habit::Ignore(format!("hello 2\nwatch {}\n", token_in(&answers)));
    attackers(Ipv4Addr::new(127, 0, 0, 5), 150, |_| watch.clone())
}

/// 100 watchers of a room, and a member of it who sends as much as possible, most of it more than is allowed.
pub(super) fn room(server: &Program) -> Vec<Attacker> {
    let from = Ipv4Addr::new(127, 0, 0, 6);
    let tokens: Vec<_> = MEMBERS.map(|user| token_in(&answers(server, user, "join #flood\n"))).collect();
    let watchers = attackers(from, 100, |number| {
        Habit::Listen(format!("hello 2\nwatch {}\n", tokens[number % tokens.len()]))
    });
    let flooder = token_in(&answers(server, FLOODER, "join #flood\n"));
    let flood = Habit::Repeat(format!("send {flooder} #flood haloo\n").repeat(100));
    [watchers, attackers(from, 1, |_| flood.clone())].concat()
}

/// 1,000 connections of one address that send nothing.
pub(super) fn silent_connections() -> Vec<Attacker> {
    attackers(Ipv4Addr::new(127, 0, 0, 7), 1_000, |_| Habit::Listen(String::new()))
}

/// 30,000 rooms (in the short form 3,000), and four members who list them and look into their inboxes.
pub(super) fn many_rooms(server: &Program) -> Vec<Attacker> {
    let each = short_or_long(100, 1_000);
    let tokens: Vec<_> = OWNERS
        .map(|user| {
            let joins = lines((0..each).map(|number| format!("join #u{user}-{number}\n")));
            let answers = answers(server, user, &joins);
            assert_eq!(answers.matches("\"joined\"").count(), each, "{answers}");
            token_in(&answers)
        })
        .collect();
    attackers(Ipv4Addr::new(127, 0, 0, 8), 4, |number| {
        Habit::Repeat(format!("rooms {0}\nfetch {0} 1\n", tokens[number]))
    })
}
