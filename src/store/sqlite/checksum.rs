//! The checksum of a message's row, so that a flipped bit is reported instead of delivered.

use crate::{
    model::{MessageId, Timestamp},
    store::front::ops::NameId,
};

/// Returns the CRC-32 of the other columns of a row of `messages`.
///
/// The bytes are, with integers little-endian: number (8), time (8), sender (4), recipient (4), length of the text (8), text,
/// a byte that is 1 if there is a key, key.
pub(super) fn checksum(
    id: MessageId,
    at: Timestamp,
    sender: NameId,
    recipient: NameId,
    text: &str,
    key: Option<&str>,
) -> u32 {
    let mut numbers = [0; 32];
    numbers[..8].copy_from_slice(&id.0.to_le_bytes());
    numbers[8..16].copy_from_slice(&at.0.to_le_bytes());
    numbers[16..20].copy_from_slice(&sender.0.to_le_bytes());
    numbers[20..24].copy_from_slice(&recipient.0.to_le_bytes());
    numbers[24..].copy_from_slice(&(text.len() as u64).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&numbers);
    crc.update(text.as_bytes());
    crc.update(&[u8::from(key.is_some())]);
    crc.update(key.unwrap_or_default().as_bytes());
    crc.finalize()
}
