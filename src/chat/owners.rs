//! Who has each user name.
//!
//! A person is not a name. The store notes of each name the operator's last decision about it, where its owner begins, and since
//! when it is missing from the users file. A name that comes back after that needs a decision, because it may be somebody else.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    model::{MessageId, Moment, Timestamp, Uptime, UserName, whole_ms},
    store::{Absence, PersonRecord},
    users::{Decision, DecisionKind, User},
};

/// Time for which a name may be missing from the users file and still be the same person's. An editor or a full disk may have left
/// the file so.
const GRACE: Duration = Duration::from_mins(1);

/// What is known of all names.
#[derive(Default)]
pub(super) struct Owners(Mutex<HashMap<UserName, Known>>);

struct Known {
    record: PersonRecord,
    /// When this process has noticed that the name is missing.
    noticed: Option<Uptime>,
    /// Why the operator was told that the name cannot log in.
    told: Option<Obstacle>,
}

impl Known {
    fn new(record: PersonRecord) -> Self {
        Known { record, noticed: None, told: None }
    }
}

/// What must be done before a user of the users file may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing: it is the person who had the name before, or nobody had it.
    Same,
    /// It is the same person: the name was missing for a moment only.
    Returned,
    /// It is the same person, as the operator has decided then.
    Reclaimed(Timestamp),
    /// Nobody had the name, which is to be noted.
    New(Timestamp),
    /// It is another person, as the operator has decided then.
    Fresh(Timestamp),
    /// It is another person since that message, as an earlier program has noted in the users file.
    FreshAfter(MessageId),
    /// The operator must decide.
    Blocked(Obstacle),
}

/// Why a name cannot log in until the operator decides who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Its user was removed.
    Removed,
    /// It was missing from the users file.
    Missing(Timestamp),
    /// It was added where the store could not be seen.
    Undecided,
    /// The decision in the users file is older than the last one that was carried out.
    Outdated,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Removed => f.write_str("a user of that name was removed"),
            Obstacle::Missing(since) => write!(f, "the name was missing from the users file, since {since}"),
            Obstacle::Undecided => {
                f.write_str("somebody had it before, and the users file does not say who has it now")
            }
            Obstacle::Outdated => {
                f.write_str("the users file is older than the last decision about the name")
            }
        }
    }
}

/// Judges whether a user of the users file is the person of whom the store has a record. `is_known` says whether the store may have
/// anything of the name.
///
/// `noticed` is when this process has noticed that the name is missing, and `removed` when its user was removed, according to the
/// users file.
fn judge(
    record: &PersonRecord,
    is_known: bool,
    noticed: Option<Uptime>,
    user: &User,
    removed: Option<Timestamp>,
    now: Moment,
) -> Claim {
    let absence = match removed.filter(|at| is_news(record, *at)) {
        Some(since) => Some(Absence { since, is_removal: true }),
        None => record.absence,
    };
    let removed = absence.filter(|absence| absence.is_removal).map(|absence| absence.since);
    let news = user.decision.filter(|decision| decision.at > record.decided);
    if let Some(Decision { at, kind }) = news
        && removed.is_none_or(|removed| at > removed)
    {
        match kind {
            DecisionKind::Fresh => return Claim::Fresh(at),
            DecisionKind::Reclaimed => return Claim::Reclaimed(at),
            DecisionKind::Added if !is_known => return Claim::New(at),
            DecisionKind::Added => {}
        }
    }
    if removed.is_some() {
        return Claim::Blocked(Obstacle::Removed);
    }
    if news.is_some() {
        return Claim::Blocked(Obstacle::Undecided);
    }
    // A file from before a decision may name the previous owner, with the previous password.
    if user.decision.map_or(Timestamp(0), |decision| decision.at) < record.decided {
        return Claim::Blocked(Obstacle::Outdated);
    }
    if user.messages_after > record.after.0 {
        return Claim::FreshAfter(MessageId(user.messages_after));
    }
    let Some(Absence { since, .. }) = absence else {
        return Claim::Same;
    };
    let is_short = match noticed {
        Some(noticed) => now.uptime.0 - noticed.0 <= whole_ms(GRACE),
        None => since <= now.at && now.at.since(since) <= GRACE,
    };
    if is_short { Claim::Returned } else { Claim::Blocked(Obstacle::Missing(since)) }
}

/// Whether a removal at that time was not noted yet.
fn is_news(record: &PersonRecord, removed: Timestamp) -> bool {
    let noted = record.absence.filter(|absence| absence.is_removal);
    removed > record.decided && noted.is_none_or(|noted| removed > noted.since)
}

impl Owners {
    /// The names of which the store has something.
    pub(super) fn new(people: Vec<PersonRecord>) -> Self {
        let known = people.into_iter().map(|record| (record.user.clone(), Known::new(record)));
        Owners(Mutex::new(known.collect()))
    }

    /// What must be done before the user may log in.
    pub(super) fn judge(&self, user: &User, removed: Option<Timestamp>, now: Moment) -> Claim {
        let all = self.lock();
        match all.get(&user.username) {
            Some(Known { record, noticed, .. }) => judge(record, true, *noticed, user, removed, now),
            None => judge(&PersonRecord::new(user.username.clone()), false, None, user, removed, now),
        }
    }

    /// What is noted of a name.
    pub(super) fn record(&self, user: &UserName) -> PersonRecord {
        let known = self.lock().get(user).map(|known| known.record.clone());
        known.unwrap_or_else(|| PersonRecord::new(user.clone()))
    }

    /// Whether the store may have anything of a name.
    pub(super) fn knows(&self, user: &UserName) -> bool {
        self.lock().contains_key(user)
    }

    /// Notes something of a name.
    pub(super) fn note(&self, record: PersonRecord, now: Uptime) {
        let mut all = self.lock();
        let known = all.entry(record.user.clone()).or_insert_with(|| Known::new(record.clone()));
        if record.absence.is_none() {
            (known.noticed, known.told) = (None, None);
        } else if known.record.absence.is_none() {
            known.noticed = Some(now);
        }
        known.record = record;
    }

    /// Notes that the operator is told why a name cannot log in. Returns whether that is new.
    pub(super) fn tell(&self, user: &UserName, why: Obstacle) -> bool {
        let mut all = self.lock();
        let known = all.entry(user.clone()).or_insert_with(|| Known::new(PersonRecord::new(user.clone())));
        known.told.replace(why) != Some(why)
    }

    /// The record of a name whose user was removed; `None` if that is noted, or a later decision.
    pub(super) fn removal(&self, user: &UserName, removed: Timestamp) -> Option<PersonRecord> {
        let record = self.record(user);
        let absence = Some(Absence { since: removed, is_removal: true });
        is_news(&record, removed).then_some(PersonRecord { absence, ..record })
    }

    /// Records of the names that `is_there` does not find: those that are not noted as missing yet, and those whose user was
    /// removed meanwhile, as `removed` says.
    pub(super) fn missing(
        &self,
        is_there: impl Fn(&UserName) -> bool,
        removed: impl Fn(&UserName) -> Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<PersonRecord> {
        let all = self.lock();
        let gone = all.values().filter(|known| !is_there(&known.record.user));
        gone.filter_map(|Known { record, .. }| {
            let removed = removed(&record.user).filter(|at| is_news(record, *at));
            let absence = match removed {
                Some(since) => Absence { since, is_removal: true },
                None if record.absence.is_some() => return None,
                None => Absence { since: now, is_removal: false },
            };
            Some(PersonRecord { absence: Some(absence), ..record.clone() })
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Known>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Secret, users::Password};
    use DecisionKind::{Added, Fresh, Reclaimed};

    fn user(decision: Option<(i64, DecisionKind)>) -> User {
        User {
            username: UserName::parse("ann").expect("a name"),
            name: "Ann".into(),
            country: String::new(),
            password: Password::Plain(Secret::new("surabaya".into())),
            messages_after: 0,
            decision: decision.map(|(at, kind)| Decision { at: Timestamp(at), kind }),
        }
    }

    fn record(decided: i64, absence: Option<(i64, bool)>) -> PersonRecord {
        let absence = absence.map(|(since, is_removal)| Absence { since: Timestamp(since), is_removal });
        PersonRecord {
            decided: Timestamp(decided),
            absence,
            ..PersonRecord::new(UserName::parse("ann").expect("a name"))
        }
    }

    const NOW: Moment = Moment { at: Timestamp(1_000_000), uptime: Uptime(500_000) };

    #[test]
    fn who_was_always_there_is_the_same_and_a_decision_is_carried_out_once() {
        let claim = |record: &PersonRecord, user: &User| judge(record, true, None, user, None, NOW);
        assert_eq!(claim(&record(0, None), &user(None)), Claim::Same);
        assert_eq!(claim(&record(0, None), &user(Some((5, Fresh)))), Claim::Fresh(Timestamp(5)));
        assert_eq!(claim(&record(5, None), &user(Some((5, Fresh)))), Claim::Same);
        assert_eq!(claim(&record(5, None), &user(Some((6, Reclaimed)))), Claim::Reclaimed(Timestamp(6)));
        // A file from before the decision: it may be the previous owner's password.
        assert_eq!(claim(&record(5, None), &user(None)), Claim::Blocked(Obstacle::Outdated));
        assert_eq!(claim(&record(5, None), &user(Some((4, Fresh)))), Claim::Blocked(Obstacle::Outdated));
    }

    #[test]
    fn who_was_added_without_a_look_at_the_store_is_asked_about_if_the_store_knows_the_name() {
        let claim = |is_known| judge(&record(0, None), is_known, None, &user(Some((5, Added))), None, NOW);
        assert_eq!(claim(false), Claim::New(Timestamp(5)));
        assert_eq!(claim(true), Claim::Blocked(Obstacle::Undecided));
        assert_eq!(judge(&record(5, None), true, None, &user(Some((5, Added))), None, NOW), Claim::Same);
    }

    #[test]
    fn who_comes_back_within_a_minute_is_the_same() {
        let gone = record(0, Some((990_000, false)));
        let claim = |record: &PersonRecord, noticed: Option<i64>| {
            judge(record, true, noticed.map(Uptime), &user(None), None, NOW)
        };
        assert_eq!(claim(&gone, None), Claim::Returned);
        assert_eq!(claim(&gone, Some(440_000)), Claim::Returned);
        let missing = |since| Claim::Blocked(Obstacle::Missing(Timestamp(since)));
        // By the clock that nobody can set, within one run.
        assert_eq!(claim(&gone, Some(439_999)), missing(990_000));
        assert_eq!(claim(&record(0, Some((939_999, false))), None), missing(939_999));
        // The clock was set back meanwhile.
        assert_eq!(claim(&record(0, Some((2_000_000, false))), None), missing(2_000_000));
        let decided =
            judge(&record(0, Some((9, false))), true, None, &user(Some((10, Reclaimed))), None, NOW);
        assert_eq!(decided, Claim::Reclaimed(Timestamp(10)));
    }

    #[test]
    fn who_was_removed_comes_back_by_a_later_decision_only() {
        let claim = |record: &PersonRecord, user: &User, removed: Option<i64>| {
            judge(record, true, None, user, removed.map(Timestamp), NOW)
        };
        let removed = Claim::Blocked(Obstacle::Removed);
        assert_eq!(claim(&record(0, Some((999_999, true))), &user(None), None), removed);
        assert_eq!(claim(&record(0, None), &user(None), Some(999_999)), removed);
        assert_eq!(claim(&record(0, None), &user(Some((7, Fresh))), Some(8)), removed);
        assert_eq!(claim(&record(0, None), &user(Some((9, Fresh))), Some(8)), Claim::Fresh(Timestamp(9)));
        // The mark of a removal stays in the file after the decision.
        assert_eq!(claim(&record(9, None), &user(Some((9, Fresh))), Some(8)), Claim::Same);
        assert_eq!(claim(&record(9, None), &user(Some((9, Fresh))), Some(10)), removed);
    }
}
