//! A record of what clients saw, and the check whether a correct store can have shown it to them.

use std::collections::{HashMap, HashSet};

/// Outcome of a send, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settlement {
    /// There was no reply, or one that leaves the outcome open.
    Unknown,
    Acknowledged,
    /// The server has certainly refused it.
    Refused,
}

/// A log of invocations, replies and deliveries.
#[derive(Default)]
pub(crate) struct History {
    sends: HashMap<String, Settlement>,
    /// Numbers of the delivered messages for each inbox and sender, in order.
    came: HashMap<(String, String), Vec<u64>>,
    seen: HashSet<String>,
    /// Texts in a reply whose cursor was not known to be stored when the connection was lost: they may come again.
    may_repeat: HashSet<String>,
    convictions: Vec<String>,
}

/// Returns a text with its sender, number and recipient, and a checksum.
pub(crate) fn text(sender: &str, number: u64, recipient: &str) -> String {
    let content = format!("{sender} {number} {recipient}");
    // The texts have different lengths, so that rows are split over pages in every way.
    let filler = "x".repeat(usize::try_from(number * 37 % 300).expect("small"));
    format!("{content} {filler} {:08x}", checksum(&content))
}

fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns sender, number and recipient of an intact text.
fn parse(text: &str) -> Option<(&str, u64, &str)> {
    let mut words = text.split(' ');
    let (sender, number, recipient) = (words.next()?, words.next()?, words.next()?);
    let filler = words.next()?;
    let sum = u32::from_str_radix(words.next()?, 16).ok()?;
    let intact = checksum(&format!("{sender} {number} {recipient}")) == sum
        && filler.bytes().all(|byte| byte == b'x')
        && filler.len() as u64 == number.parse::<u64>().ok()? * 37 % 300;
    Some((sender, number.parse().ok()?, recipient)).filter(|_| intact)
}

impl History {
    pub(crate) fn invoked(&mut self, text: &str) {
        self.sends.insert(text.to_owned(), Settlement::Unknown);
    }

    pub(crate) fn acknowledged(&mut self, text: &str) {
        self.sends.insert(text.to_owned(), Settlement::Acknowledged);
    }

    pub(crate) fn refused(&mut self, text: &str) {
        self.sends.insert(text.to_owned(), Settlement::Refused);
    }

    /// Records a fault.
    pub(crate) fn convict(&mut self, what: String) {
        self.convictions.push(what);
    }

    pub(crate) fn count_acknowledged(&self) -> usize {
        self.sends.values().filter(|fate| **fate == Settlement::Acknowledged).count()
    }

    /// Records messages of one sender in a reply, in the order of the reply.
    pub(crate) fn delivered(&mut self, inbox: &str, from: &str, texts: &[String]) {
        for text in texts {
            let Some((sender, number, recipient)) = parse(text) else {
                self.convict(format!("corrupted: {text:?} in {inbox}'s inbox"));
                continue;
            };
            if recipient != inbox || sender != from {
                self.convict(format!("in the wrong inbox: {text:?} in {inbox}'s, from {from}"));
            }
            match self.sends.get(text) {
                None => self.convict(format!("unexpected: {text:?} was never sent")),
                Some(Settlement::Refused) => self.convict(format!("unexpected: {text:?} was refused")),
                Some(_) => {}
            }
            if self.seen.contains(text) {
                if !self.may_repeat.remove(text) {
                    self.convict(format!("duplicated: {text:?}"));
                }
                continue;
            }
            self.seen.insert(text.clone());
            let came = self.came.entry((inbox.to_owned(), sender.to_owned())).or_default();
            if came.last().is_some_and(|last| *last > number) {
                self.convictions.push(format!("reordered: {text:?} after {:?}", came.last()));
            }
            came.push(number);
        }
    }

    /// Allows these texts to come again: the connection was lost before a reply showed that they have left the inbox.
    pub(crate) fn may_repeat(&mut self, texts: impl IntoIterator<Item = String>) {
        self.may_repeat.extend(texts);
    }

    /// Returns all faults. To be called after every inbox was drained.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let acknowledged = self.sends.iter().filter(|(_, fate)| **fate == Settlement::Acknowledged);
        let lost = acknowledged.filter(|(text, _)| !self.seen.contains(*text));
        let mut all = self.convictions.clone();
        all.extend(lost.map(|(text, _)| format!("lost: {text:?}")));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the verdict on ten acknowledged sends, delivered as `change` leaves them.
    fn verdict(change: impl Fn(&mut Vec<String>)) -> Vec<String> {
        let mut history = History::default();
        let mut texts: Vec<_> = (0..10).map(|number| text("a", number, "b")).collect();
        for text in &texts {
            history.invoked(text);
            history.acknowledged(text);
        }
        change(&mut texts);
        history.delivered("b", "a", &texts);
        history.verdict()
    }

    #[test]
    fn an_honest_store_is_not_convicted() {
        assert_eq!(verdict(|_| {}), [""; 0]);
    }

    #[test]
    fn every_fault_is_convicted() {
        let check = |change: fn(&mut Vec<String>), expected: &str| {
            let verdict = verdict(change);
            assert!(verdict.iter().any(|word| word.starts_with(expected)), "{expected}: {verdict:?}");
        };
        check(|texts| drop(texts.remove(4)), "lost");
        check(|texts| texts.swap(4, 5), "reordered");
        check(|texts| texts.insert(7, texts[6].clone()), "duplicated");
        check(|texts| texts[3] = texts[3].replace(" 3 ", " 4 "), "corrupted");
        check(|texts| texts[3] = text("a", 3, "c"), "in the wrong inbox");
        check(|texts| texts.push(text("a", 10, "b")), "unexpected");
    }

    #[test]
    fn what_was_refused_must_not_come() {
        let mut history = History::default();
        history.invoked(&text("a", 1, "b"));
        history.refused(&text("a", 1, "b"));
        history.delivered("b", "a", &[text("a", 1, "b")]);
        assert_eq!(history.verdict().len(), 1);
    }

    #[test]
    fn a_reply_that_was_cut_may_come_again_once() {
        let mut history = History::default();
        let one = text("a", 1, "b");
        history.invoked(&one);
        history.delivered("b", "a", std::slice::from_ref(&one));
        history.may_repeat([one.clone()]);
        history.delivered("b", "a", std::slice::from_ref(&one));
        assert_eq!(history.verdict(), [""; 0]);
        history.delivered("b", "a", &[one]);
        assert_eq!(history.verdict().len(), 1);
    }
}
