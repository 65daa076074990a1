//! Variable-length integers: LEB128, and ascending numbers as the distances between them.

use super::error::damaged;

/// Appends a number in LEB128.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// Reads a number from the front of `bytes`. `None` if it is not complete or has more than 63 bits.
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

/// Appends ascending numbers as distances, the first one from `last`.
pub(super) fn put_growing(bytes: &mut Vec<u8>, mut last: u64, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        put(bytes, number - last);
        last = number;
    }
}

/// Decodes all numbers that [`put_growing`] has encoded with the same `last`, and appends them to `into`.
///
/// # Errors
/// If `bytes` cannot be its output.
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
