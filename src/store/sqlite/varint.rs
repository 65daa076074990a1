//! Numbers in as few bytes as they need: LEB128, and growing numbers as their distances.

use super::error::damaged;

/// Puts a number at the end.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// Takes a number off the front. `None` if there is none, or one of more than 63 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
        if shift > 56 {
            return None;
        }
    }
}

/// Puts numbers, each greater than the one before, after one that the reader knows.
pub(super) fn put_growing(bytes: &mut Vec<u8>, mut last: u64, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        put(bytes, number - last);
        last = number;
    }
}

/// Reads all of what [`put_growing`] has put after `last`.
///
/// # Errors
/// If it has not put this.
pub(super) fn growing<T>(
    last: u64,
    mut bytes: &[u8],
    into: &mut Vec<T>,
    number: impl Fn(u64) -> T,
) -> rusqlite::Result<()> {
    let mut last = last;
    while !bytes.is_empty() {
        let distance = take(&mut bytes).filter(|distance| *distance > 0);
        last = distance
            .and_then(|distance| last.checked_add(distance))
            .ok_or_else(|| damaged(format!("the index has numbers after {last} that cannot be read")))?;
        into.push(number(last));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_numbers_are_read_as_they_were_put() {
        for numbers in [vec![], vec![7], vec![1, 2, 3], vec![5, 132, 133, 20_000, 1 << 40, (1 << 62) + 3]] {
            let (mut bytes, mut read) = (Vec::new(), Vec::new());
            put_growing(&mut bytes, 0, numbers.iter().copied());
            growing(0, &bytes, &mut read, |number| number).expect("whole");
            assert_eq!(read, numbers);
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        for bytes in [&[0x80][..], &[0], &[0xff; 12], &[1, 0]] {
            growing(1, bytes, &mut Vec::new(), |number| number).expect_err("broken");
        }
    }
}
