//! The time that a refusal takes does not show whether a user exists.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use chat_service::{model::Secret, users};

use super::{ALONE, Sender, holds_once, short_or_long};
use crate::support::{CHEAP_HASH, program::Program, users_toml};

/// Share of the times of a run that is kept, whichever request they belong to; the longest are left out. A busy machine makes
/// some tries longer by many times the difference that is measured, and never one shorter.
const KEPT: f64 = 0.9;

/// Value of |t| from which two means are considered different (`dudect`: Reparaz et al., 2017).
const DIFFERENT: f64 = 4.5;

/// Returns Welch's t of two samples.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let count = f64::from(u32::try_from(sample.len()).expect("few"));
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean, error), (other_mean, other_error)) = (moments(one), moments(other));
    (mean - other_mean) / (error + other_error).sqrt()
}

/// Tries all requests, which take turns at going first; returns how long each took.
fn time_all<const N: usize>(peer: &mut Sender, rounds: usize, lines: [&str; N]) -> [Vec<f64>; N] {
    let mut times = lines.map(|_| Vec::new());
    for round in 0..rounds {
        for turn in 0..N {
            let which = (round + turn) % N;
            let began = Instant::now();
            assert_eq!(peer.ask(lines[which]), r#"{"status": "ERROR", "message": "User Tidak Ada"}"#);
            times[which].push(began.elapsed());
        }
    }
    let mut all: Vec<Duration> = times.concat();
    all.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let longest = all[(all.len() as f64 * KEPT) as usize];
    times.map(|times| {
        let kept = times.into_iter().filter(|time| *time < longest);
        kept.map(|time| time.as_secs_f64()).collect::<Vec<_>>()
    })
}

/// Compares the times of each other request with those of the first.
fn compare<const N: usize>(peer: &mut Sender, rounds: usize, lines: [&str; N]) -> Result<String, String> {
    let times = time_all(peer, rounds, lines);
    let (mut figures, mut differ) = (format!("{rounds} tries each"), false);
    for (line, other) in lines.iter().zip(&times) {
        let t = welch(other, &times[0]).abs();
        differ |= t >= DIFFERENT;
        let mut sorted = other.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        write!(figures, "; {line}: {:.2} ms, |t| = {t:.2}", sorted[sorted.len() / 2] * 1e3).expect("a text");
    }
    if differ { Err(figures) } else { Ok(figures) }
}

#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let _alone = ALONE.blocking_lock();
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.toml");
    let hash = users::hash(&Secret::new("surabaya".into()));
    // messi, the first user, gets a full hash.
    let toml = users_toml().replacen(CHEAP_HASH, hash.as_str(), 1);
    std::fs::write(&users, toml).expect("written");
    let server = Program::start(&["--users", users.to_str().expect("UTF-8"), "--no-limits"]);
    let mut peer = Sender::log_in(&server, "messi", "messi");
    let rounds = short_or_long(100, 2_000);
    holds_once(|| compare(&mut peer, rounds, ["auth nobdy wrong", "auth messi wrong"]));
    server.stop();
}

#[test]
fn a_wrong_password_takes_as_long_however_it_is_hashed() {
    let _alone = ALONE.blocking_lock();
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.toml");
    let hash = |cost| {
        format!(
            "$argon2id$v=19${cost},p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g"
        )
    };
    let costs =
        [("cheap", "m=8,t=1"), ("usual", "m=19456,t=2"), ("small", "m=16384,t=1"), ("large", "m=65536,t=3")];
    let hashes = costs.map(|(name, cost)| (name, hash(cost)));
    let mut toml = users_toml();
    for (name, password) in hashes.into_iter().chain([("clear", "in clear text".to_owned())]) {
        writeln!(toml, "[users.{name}]\nname = \"U\"\npassword = \"{password}\"").expect("a text");
    }
    std::fs::write(&users, toml).expect("written");
    let server = Program::start(&["--users", users.to_str().expect("UTF-8"), "--no-limits"]);
    let mut peer = Sender::log_in(&server, "messi", "messi");
    // The first one measures how long the dearest hash takes.
    peer.ask("auth nobdy wrong");
    let rounds = short_or_long(20, 500);
    let lines = [
        "auth nobdy wrong",
        "auth cheap wrong",
        "auth usual wrong",
        "auth small wrong",
        "auth large wrong",
        "auth clear wrong",
    ];
    holds_once(|| compare(&mut peer, rounds, lines));
    server.stop();
}

#[test]
fn the_test_tells_apart_what_differs() {
    let noise = |i: u32| f64::from(i * 7919 % 101) / 101.0;
    let one: Vec<_> = (0..1_000).map(noise).collect();
    let other: Vec<_> = (0..1_000).map(|i| noise(i + 13) + 0.1).collect();
    assert!(welch(&one, &one).abs() < 0.01 && welch(&one, &other).abs() > DIFFERENT);
}
