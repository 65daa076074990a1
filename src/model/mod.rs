//! The words that all layers share: names, numbers, times, messages, refusals, and values that wait for the disk.
//!
//! This module imports nothing from the others but the settings. It knows neither bytes on a wire nor files on a disk.

mod at;
mod clock_trust;
mod limits;
mod message;
mod name;
mod read_marker;
mod ready;
mod refusal;
mod similar;
mod timestamp;
mod token;

pub use at::{At, Outcome, Position};
pub use clock_trust::ClockTrust;
pub use limits::{MAX_KEY, MAX_LINE, MAX_MESSAGE, MAX_PAGE, MAX_REPLY};
pub use message::{Message, MessageId, NewMessage, Page, Stored};
pub use name::{Recipient, RoomName, UserName};
pub use read_marker::ReadMarker;
pub use ready::{BoxFuture, MaybeReady};
pub(crate) use refusal::saturated;
pub use refusal::{Closing, Refusal};
pub use similar::most_similar;
pub use timestamp::{Moment, Timestamp, Uptime, whole_ms};
pub use token::{NotedPassword, PasswordDigest, Secret, Token, TokenDigest, TokenText};
