//! Times.

use std::{
    cell::RefCell,
    fmt,
    io::Write as _,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since the Unix epoch, by the server's wall clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Writes the time as `Display` does. Within one second only the milliseconds are formatted.
    pub fn write(self, out: &mut Vec<u8>) {
        thread_local! {
            /// The last second that was written, and its text up to the dot.
            static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
        }
        let ms = self.shown_ms();
        let (second, ms) = (ms / 1000, ms % 1000);
        LAST.with_borrow_mut(|(last, text)| {
            if *last != second {
                *last = second;
                text.clear();
                write!(text, "{self}").expect("a Vec takes every byte");
                text.truncate(text.len() - "000Z".len());
            }
            out.extend_from_slice(text);
        });
        let digit = |place: u64| b'0' + (ms / place % 10) as u8;
        out.extend_from_slice(&[digit(100), digit(10), digit(1), b'Z']);
    }

    /// Milliseconds since the epoch, as far as they can be shown.
    fn shown_ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0).min(LAST_MS)
    }
}

/// Whole milliseconds; the greatest number if there are too many.
#[must_use]
pub fn whole_ms(time: Duration) -> i64 {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    seconds.saturating_mul(1000).saturating_add(i64::from(time.subsec_millis()))
}

/// Milliseconds since the process began, by a clock that nobody can set. Limits within one run are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(pub i64);

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock.
    pub at: Timestamp,
    /// Since the process began.
    pub uptime: Uptime,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(whole_ms(since))
    }
}

/// RFC 3339 in UTC, to the millisecond: `2026-11-22T20:17:00.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_millis(self.shown_ms());
        humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).fmt(f)
    }
}

/// The last millisecond of the year 9999.
const LAST_MS: u64 = 253_402_300_799_999;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map(Timestamp::from).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_shown() {
        let times =
            [0, 999, 1000, 1_795_530_515_007, 1_795_530_515_070, 1_795_530_516_700, 1_795_530_515_007];
        let ends = [-1, i64::MIN, 253_402_300_799_999, i64::MAX];
        for ms in times.into_iter().chain(ends) {
            let mut out = Vec::new();
            Timestamp(ms).write(&mut out);
            assert_eq!(String::from_utf8(out).expect("UTF-8"), Timestamp(ms).to_string());
        }
        assert_eq!(Timestamp(1_795_530_515_007).to_string(), "2026-11-24T14:28:35.007Z");
    }
}
