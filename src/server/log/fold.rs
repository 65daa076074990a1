//! Folding of warnings, and of lines about limits: the log shows the first of those that are alike, and how many more there were.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Layer};

/// Warnings that are alike and are shown, in each [`WINDOW`].
const MOST_SHOWN: u32 = 20;

/// Time in which warnings are counted together.
const WINDOW: Duration = Duration::from_mins(1);

/// Most kinds of warnings that are counted apart. Beyond that, addresses are not told apart.
const MOST_KINDS: usize = 1024;

/// Decides which events the log shows: those of the level, and of warnings and errors that are alike only the first.
///
/// Warnings are alike if they come from one place of the program and, if they have the fields `from` and `limit`, are about one
/// address and one limit. What has the field `limit` is folded like a warning, because whoever is beyond a limit may go on.
///
/// A clone is another handle.
#[derive(Clone)]
pub(super) struct Fold {
    level: LevelFilter,
    kinds: Arc<Mutex<HashMap<Kind, Count>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Kind {
    callsite: Identifier,
    from: Option<String>,
    limit: Option<String>,
}

struct Count {
    began: Instant,
    shown: u32,
    more: u64,
    /// The text of the first warning that was not shown.
    message: String,
}

/// Warnings of one kind that were not shown.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    from: Option<String>,
    limit: Option<String>,
    more: u64,
    message: String,
}

impl Fold {
    pub(super) fn new(level: LevelFilter) -> Self {
        Fold { level, kinds: Arc::default() }
    }

    /// Logs how many warnings were not shown in windows that have ended or, with `all`, so far.
    pub(super) fn tell(&self, now: Instant, all: bool) {
        for Summary { from, limit, more, message } in self.summaries(now, all) {
            let from = from.map(tracing::field::display);
            match limit {
                None => tracing::warn!(from, "and {more} more: {message}"),
                Some(limit) => tracing::info!(limit, from, "and {more} more: {message}"),
            }
        }
    }

    fn summaries(&self, now: Instant, all: bool) -> Vec<Summary> {
        let mut kinds = self.lock();
        let over = kinds.extract_if(|_, count| all || now.saturating_duration_since(count.began) >= WINDOW);
        let summary = |(kind, count): (Kind, Count)| Summary {
            from: kind.from,
            limit: kind.limit,
            more: count.more,
            message: count.message,
        };
        over.filter(|(_, count)| count.more > 0).map(summary).collect()
    }

    /// Counts a warning. Returns whether it is shown.
    fn count(&self, callsite: Identifier, fields: Fields, now: Instant) -> bool {
        let mut kinds = self.lock();
        let mut kind = Kind { callsite, from: fields.from, limit: fields.limit };
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kind.from = None;
        }
        let new = Count { began: now, shown: 0, more: 0, message: String::new() };
        let count = kinds.entry(kind).or_insert(new);
        if count.shown < MOST_SHOWN {
            count.shown += 1;
            return true;
        }
        if count.more == 0 {
            count.message = fields.message;
        }
        count.more += 1;
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Kind, Count>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Fold {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= self.level { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // What this module tells is not folded again.
        let is_folded = *metadata.level() <= Level::WARN || metadata.fields().field("limit").is_some();
        if !is_folded || metadata.module_path() == Some(module_path!()) {
            return true;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.count(metadata.callsite(), fields, Instant::now())
    }
}

/// The fields of a warning that say what it is like.
#[derive(Default)]
struct Fields {
    from: Option<String>,
    limit: Option<String>,
    message: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "limit" {
            self.limit = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "from" => self.from = Some(format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;

    use super::*;

    struct Place;

    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("nobody asks")
        }
    }

    static ONE: (Place, u8) = (Place, 1);
    static OTHER: (Place, u8) = (Place, 2);

    fn count(fold: &Fold, place: &'static Place, from: Option<&str>, now: Instant) -> bool {
        let fields = Fields { from: from.map(Into::into), limit: None, message: "login failed".into() };
        fold.count(Identifier(place), fields, now)
    }

    #[test]
    fn the_first_of_a_minute_are_shown_and_the_others_counted() {
        let (fold, began) = (Fold::new(LevelFilter::INFO), Instant::now());
        let shown = (0..50).filter(|_| count(&fold, &ONE.0, Some("192.0.2.1"), began)).count();
        assert_eq!(shown, 20);
        assert!(count(&fold, &ONE.0, Some("192.0.2.2"), began), "another address");
        assert!(fold.summaries(began + WINDOW / 2, false).is_empty(), "the minute is not over");
        let summary =
            Summary { from: Some("192.0.2.1".into()), limit: None, more: 30, message: "login failed".into() };
        assert_eq!(fold.summaries(began + WINDOW, false), [summary]);
        assert!(count(&fold, &ONE.0, Some("192.0.2.1"), began + WINDOW), "a new minute");
        assert!(fold.summaries(began + WINDOW, true).is_empty(), "all were shown");
    }

    #[test]
    fn the_table_does_not_grow_with_addresses() {
        let (fold, now) = (Fold::new(LevelFilter::INFO), Instant::now());
        let address = |number: usize| format!("192.0.2.{number}");
        let shown = (0..5000).filter(|i| count(&fold, &ONE.0, Some(&address(*i)), now)).count();
        assert_eq!((shown, fold.lock().len()), (MOST_KINDS + 20, MOST_KINDS + 1));
        assert!(count(&fold, &OTHER.0, None, now), "another place of the program");
        assert_eq!(fold.summaries(now, true).iter().map(|summary| summary.more).sum::<u64>(), 5000 - 1044);
    }
}
