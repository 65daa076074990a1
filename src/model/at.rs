//! Values that nobody may be told of before something is durable.

use super::Refusal;

/// The writes that a value depends on: it may be told when all of them are durable, and never if one of them has failed.
///
/// A position holds at most two ranges of places in a store's log. When more come together, the two nearest ranges become one
/// with everything between them: the value may then be refused because of a write that it does not depend on, but it is never
/// told too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "a value may be told only when its position is durable"]
pub struct Position {
    first: Range,
    /// Empty unless `first` is used; it begins after the end of `first`.
    second: Range,
}

/// Places from `from` up to and including `upto`. Both are 0 if there are none; the first place in a log is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Range {
    from: u64,
    upto: u64,
}

impl Range {
    const EMPTY: Range = Range { from: 0, upto: 0 };

    fn is_empty(self) -> bool {
        self.upto == 0
    }
}

impl Position {
    /// Depends on nothing, so it is always durable.
    pub const START: Position = Position { first: Range::EMPTY, second: Range::EMPTY };

    /// Depends on the write at one place. Place 0 is the start.
    pub const fn at(place: u64) -> Self {
        Position { first: Range { from: place, upto: place }, second: Range::EMPTY }
    }

    /// The last place that it depends on; 0 if there is none. It is settled when this place is.
    #[must_use]
    pub fn last(self) -> u64 {
        self.first.upto.max(self.second.upto)
    }

    /// The ranges of places that it depends on, each as its first and last place, in order.
    pub fn ranges(self) -> impl Iterator<Item = (u64, u64)> {
        let ranges = [self.first, self.second].into_iter().filter(|range| !range.is_empty());
        ranges.map(|range| (range.from, range.upto))
    }

    /// Depends on everything that either of two positions depends on.
    pub fn and(mut self, other: Position) -> Self {
        if other.first.is_empty() || self == other {
            return self;
        }
        if self.first.is_empty() {
            return other;
        }
        // The messages of a page mostly follow one another.
        if self.second.is_empty() && other.second.is_empty() && other.first.from == self.first.upto + 1 {
            self.first.upto = other.first.upto;
            return self;
        }
        self.merge(other)
    }

    fn merge(self, other: Position) -> Self {
        let mut ranges = [self.first, self.second, other.first, other.second];
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            match merged.last_mut() {
                Some(last) if range.from <= last.upto + 1 => last.upto = last.upto.max(range.upto),
                _ => merged.push(range),
            }
        }
        while merged.len() > 2 {
            let gap = |at: &usize| merged[at + 1].from - merged[*at].upto;
            let nearest = (0..merged.len() - 1).min_by_key(gap).unwrap_or(0);
            merged[nearest].upto = merged[nearest + 1].upto;
            merged.remove(nearest + 1);
        }
        let get = |at: usize| merged.get(at).copied().unwrap_or_default();
        Position { first: get(0), second: get(1) }
    }
}

/// A value, and the position that must be durable before anybody is told of it.
///
/// Whatever is made from the value keeps its position: with [`map`](At::map), [`zip`](At::zip) and [`and_then`](At::and_then).
/// Only the gate, which lets replies out to connections, takes the value out by [`open_at_gate`](At::open_at_gate); a test holds
/// the program to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the position of a value that is dropped is not waited for"]
pub struct At<T> {
    value: T,
    position: Position,
}

/// A result, and the position that must be durable before anybody is told of it.
pub type Outcome<T> = At<Result<T, Refusal>>;

impl<T> At<T> {
    /// A value that depends on a position.
    pub fn new(value: T, position: Position) -> Self {
        At { value, position }
    }

    /// A value that depends on nothing.
    pub fn start(value: T) -> Self {
        At::new(value, Position::START)
    }

    /// Looks at the value, to decide what to do. What follows from the decision must keep the position.
    #[must_use]
    pub fn peek(&self) -> &T {
        &self.value
    }

    /// The position that the value depends on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Applies `f` to the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At::new(f(self.value), self.position)
    }

    /// Applies `f` to the value; the result depends on both positions.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> At<U>) -> At<U> {
        let next = f(self.value);
        At::new(next.value, self.position.and(next.position))
    }

    /// Both values; they depend on both positions.
    pub fn zip<U>(self, other: At<U>) -> At<(T, U)> {
        At::new((self.value, other.value), self.position.and(other.position))
    }

    /// The same value, which depends on another position, too.
    pub fn after(mut self, position: Position) -> Self {
        self.position = self.position.and(position);
        self
    }

    /// Takes the value out. Only the gate may do that: it tells nobody of the value before the position is durable.
    pub fn open_at_gate(self) -> (T, Position) {
        (self.value, self.position)
    }
}

impl<T> At<Option<T>> {
    /// The value inside with the same position; `None` if there is nothing to tell.
    #[must_use]
    pub fn transpose(self) -> Option<At<T>> {
        self.value.map(|value| At::new(value, self.position))
    }
}

impl<T> At<Result<T, Refusal>> {
    /// A refusal that depends on nothing.
    pub fn refused(refusal: Refusal) -> Self {
        At::start(Err(refusal))
    }

    /// Applies `f` to the value of a success.
    pub fn map_ok<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        self.map(|result| result.map(f))
    }

    /// Applies `f` to the value of a success; the result depends on both positions. A refusal stays what it is.
    pub fn and_then_ok<U>(self, f: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        self.and_then(|result| match result {
            Ok(value) => f(value),
            Err(refusal) => At::refused(refusal),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(position: Position) -> Vec<(u64, u64)> {
        position.ranges().collect()
    }

    #[test]
    fn the_start_is_neutral() {
        let one = Position::at(7);
        assert_eq!((one.and(Position::START), Position::START.and(one)), (one, one));
        assert_eq!((Position::START.last(), ranges(Position::START)), (0, vec![]));
        assert_eq!(Position::at(0), Position::START);
    }

    #[test]
    fn two_ranges_are_kept_apart_and_three_are_not() {
        let two = Position::at(1).and(Position::at(5));
        assert_eq!(ranges(two), [(1, 1), (5, 5)]);
        assert_eq!(ranges(two.and(Position::at(6))), [(1, 1), (5, 6)]);
        assert_eq!(ranges(two.and(Position::at(2)).and(Position::at(3))), [(1, 3), (5, 5)]);
        assert_eq!(ranges(two.and(Position::at(9))), [(1, 5), (9, 9)], "the nearest become one");
        assert_eq!(ranges(two.and(Position::at(7))), [(1, 1), (5, 7)]);
    }

    #[test]
    fn what_is_made_from_a_value_keeps_its_position() {
        let one = At::new(1, Position::at(1));
        let two = At::new(2, Position::at(2));
        let both = one.zip(two).map(|(one, two)| one + two);
        assert_eq!((*both.peek(), ranges(both.position())), (3, vec![(1, 2)]));
        let refused: Outcome<u8> = At::new(Err(Refusal::Internal), Position::at(4));
        let more = refused.and_then_ok(|_| At::new(Ok(1), Position::at(9)));
        assert_eq!(more, At::new(Err(Refusal::Internal), Position::at(4)));
    }

    proptest! {
        #[test]
        fn no_place_is_left_out(places in prop::collection::vec(1_u64..40, 0..12)) {
            let mut position = Position::START;
            for place in &places {
                position = position.and(Position::at(*place));
            }
            let covers = |place: &u64| ranges(position).iter().any(|(from, upto)| (from..=upto).contains(&place));
            prop_assert!(places.iter().all(covers), "{position:?}");
            prop_assert_eq!(position.last(), places.iter().copied().max().unwrap_or(0));
            prop_assert!(ranges(position).windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
