//! The time that a refusal takes does not show whether a user exists.

use std::time::{Duration, Instant};

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

/// Tries both requests, which take turns at going first; returns |t| of how long they took.
fn compare(peer: &mut Sender, rounds: usize, lines: [&str; 2]) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let began = Instant::now();
            assert_eq!(peer.ask(lines[which]), r#"{"status": "ERROR", "message": "User Tidak Ada"}"#);
            times[which].push(began.elapsed());
        }
    }
    let mut all: Vec<Duration> = times.concat();
    all.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let longest = all[(all.len() as f64 * KEPT) as usize];
    let kept = times.map(|times| {
        let kept = times.into_iter().filter(|time| *time < longest);
        kept.map(|time| time.as_secs_f64()).collect::<Vec<_>>()
    });
    welch(&kept[0], &kept[1]).abs()
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
    holds_once(|| {
        let t = compare(&mut peer, rounds, ["auth messi wrong", "auth nobdy wrong"]);
        let figures = format!("|t| = {t:.2} of {rounds} tries each");
        if t < DIFFERENT { Ok(figures) } else { Err(figures) }
    });
    server.stop();
}

#[test]
fn the_test_tells_apart_what_differs() {
    let noise = |i: u32| f64::from(i * 7919 % 101) / 101.0;
    let one: Vec<_> = (0..1_000).map(noise).collect();
    let other: Vec<_> = (0..1_000).map(|i| noise(i + 13) + 0.1).collect();
    assert!(welch(&one, &one).abs() < 0.01 && welch(&one, &other).abs() > DIFFERENT);
}
