//! What became of each message of a run: a number and a time in its text, and two bytes here.

use std::time::Duration;

use serde::Serialize;

/// Writes the texts of a run, and knows them again.
pub(super) struct Texts {
    /// The beginning of each text, which no other run has.
    prefix: String,
    /// Length of each text in bytes; it has room for the beginning and two numbers.
    size: usize,
}

/// What a text of the run says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A message, and when it was due, from the beginning of the run on.
    Message(u64, Duration),
    /// The last message of the run.
    End,
    /// It begins like a text of the run, and is none.
    Damaged,
}

impl Texts {
    pub(super) fn new(run: &str, size: usize) -> Self {
        Texts { prefix: format!("bench {run} "), size }
    }

    /// The text of a message.
    pub(super) fn message(&self, number: u64, due: Duration) -> String {
        let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let mut text = format!("{}{number} {due} ", self.prefix);
        text.extend(std::iter::repeat_n('.', self.size.saturating_sub(text.len())));
        text
    }

    /// The text of the last message.
    pub(super) fn end(&self) -> String {
        format!("{}end", self.prefix)
    }

    /// Reads a text; `None` if it is not of this run.
    pub(super) fn read(&self, text: &str) -> Option<Said> {
        let rest = text.strip_prefix(&self.prefix)?;
        if rest == "end" {
            return Some(Said::End);
        }
        let mut numbers = rest.split(' ').map(str::parse);
        Some(match (numbers.next(), numbers.next()) {
            (Some(Ok(number)), Some(Ok(due))) => {
                let due = Duration::from_nanos(due);
                if self.message(number, due) == text { Said::Message(number, due) } else { Said::Damaged }
            }
            _ => Said::Damaged,
        })
    }
}

/// What the server has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was not sent.
    #[default]
    Unsent,
    /// Nothing, or that it may or may not be stored.
    Nothing,
    /// OK.
    Acknowledged,
    /// It is not stored.
    Refused,
}

#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    answer: Answer,
    arrivals: u8,
}

/// What became of each message, by its number.
#[derive(Default)]
pub(super) struct Ledger {
    fates: Vec<Fate>,
    /// Arrivals with a number or a text that was never sent.
    strange: u64,
}

/// Numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) sent: u64,
    /// OK was received.
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    /// No answer was received: they may or may not be stored.
    pub(super) unanswered: u64,
    /// They have arrived, once or more.
    pub(super) delivered: u64,
    /// OK was received, and they have not arrived.
    pub(super) lost: u64,
    /// They have arrived more than once.
    pub(super) doubled: u64,
    /// They have arrived, and were refused, or never sent like this.
    pub(super) unexpected: u64,
}

impl Ledger {
    pub(super) fn answer(&mut self, number: u64, answer: Answer) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if self.fates.len() <= place {
            self.fates.resize(place + 1, Fate::default());
        }
        self.fates[place].answer = answer;
    }

    /// Notes that a message has arrived. Returns whether it was sent, and has not arrived before.
    pub(super) fn arrive(&mut self, number: u64) -> bool {
        let fate = usize::try_from(number).ok().and_then(|place| self.fates.get_mut(place));
        match fate {
            Some(fate) if fate.answer != Answer::Unsent => {
                fate.arrivals = fate.arrivals.saturating_add(1);
                fate.arrivals == 1
            }
            _ => {
                self.strange += 1;
                false
            }
        }
    }

    /// Notes that a text has arrived that was not sent like this.
    pub(super) fn arrive_damaged(&mut self) {
        self.strange += 1;
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals { unexpected: self.strange, ..Totals::default() };
        for Fate { answer, arrivals } in &self.fates {
            let has_arrived = *arrivals > 0;
            totals.sent += u64::from(*answer != Answer::Unsent);
            totals.delivered += u64::from(has_arrived);
            totals.doubled += u64::from(*arrivals > 1);
            match answer {
                Answer::Unsent => {}
                Answer::Nothing => totals.unanswered += 1,
                Answer::Acknowledged => {
                    totals.acknowledged += 1;
                    totals.lost += u64::from(!has_arrived);
                }
                Answer::Refused => {
                    totals.refused += 1;
                    totals.unexpected += u64::from(has_arrived);
                }
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_again_and_no_other() {
        let texts = Texts::new("01234567", 64);
        let due = Duration::from_nanos(1_234_567);
        let text = texts.message(42, due);
        assert_eq!(text.len(), 64);
        assert_eq!(texts.read(&text), Some(Said::Message(42, due)));
        assert_eq!(texts.read(&texts.end()), Some(Said::End));
        assert_eq!(texts.read(&text[1..]), None);
        assert_eq!(Texts::new("01234568", 64).read(&text), None);
        for damaged in [&text[..63], &text.replace("42", "4x"), &text.replace("42", "042")] {
            assert_eq!(texts.read(damaged), Some(Said::Damaged), "{damaged}");
        }
        let longest = texts.message(1 << 32, Duration::from_hours(100 * 24));
        assert_eq!(longest.len(), 64, "two long numbers fit into the shortest text");
    }

    #[test]
    fn each_message_is_counted_by_its_answer_and_its_arrivals() {
        let mut ledger = Ledger::default();
        let all = [Answer::Acknowledged, Answer::Nothing, Answer::Refused, Answer::Acknowledged];
        for (answer, number) in all.into_iter().zip([0, 1, 2, 4]) {
            ledger.answer(number, answer);
        }
        assert!(ledger.arrive(0) && !ledger.arrive(0) && ledger.arrive(1) && ledger.arrive(2));
        assert!(!ledger.arrive(3) && !ledger.arrive(5), "never sent");
        ledger.arrive_damaged();
        let expected = Totals {
            sent: 4,
            acknowledged: 2,
            refused: 1,
            unanswered: 1,
            delivered: 3,
            lost: 1,
            doubled: 1,
            unexpected: 4,
        };
        assert_eq!(ledger.totals(), expected);
    }
}
