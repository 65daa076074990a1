//! Values that nobody may be told of before something is durable.

use super::Refusal;

/// The writes that a value depends on: it may be told when all of them are durable, and never if one of them has failed.
///
/// A position holds at most two ranges of places in a store's log. When more come together, the two nearest ranges become one
/// with everything between them: the value may then be refused because of a write that it does not depend on, but it is never
/// told too early.
///
/// It is one range with a hole, in 16 bytes, because every reply carries one. A hole that does not fit is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "a value may be told only when its position is durable"]
pub struct Position {
    /// The last place; 0 if there is none. The first place in a log is 1.
    last: u64,
    /// Distance from the first place to the last. (A place that is 2³² older was settled long before the value was made.)
    span: u32,
    /// Distance from the last place of the hole to `last`.
    after_hole: u16,
    /// Number of places in the hole.
    hole: u16,
}

/// Places from `from` up to and including `upto`.
type Range = (u64, u64);

impl Position {
    /// Depends on nothing, so it is always durable.
    pub const START: Position = Position::at(0);

    /// Depends on the write at one place. Place 0 is the start.
    pub const fn at(place: u64) -> Self {
        Position { last: place, span: 0, after_hole: 0, hole: 0 }
    }

    /// The last place that it depends on; 0 if there is none. It is settled when this place is.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// The first place that it depends on; 0 if there is none.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.last.saturating_sub(self.span as u64)
    }

    /// The ranges of places that it depends on, each as its first and last place, in order.
    pub fn ranges(self) -> impl Iterator<Item = Range> {
        let Position { last, span, after_hole, hole } = self;
        let (from, begin) = (last.saturating_sub(u64::from(span)), last - u64::from(after_hole));
        let (first, second) = match (last, hole) {
            (0, _) => (None, None),
            (_, 0) => (Some((from, last)), None),
            _ => (Some((from, begin - u64::from(hole))), Some((begin + 1, last))),
        };
        first.into_iter().chain(second)
    }

    /// Depends on everything that either of two positions depends on.
    #[inline]
    pub fn and(self, other: Position) -> Self {
        if other.last == 0 || self == other {
            return self;
        }
        if self.last == 0 {
            return other;
        }
        self.merge(other)
    }

    fn merge(self, other: Position) -> Self {
        // The messages of a page mostly follow one another.
        if self.hole == 0 && other.span == 0 && other.last == self.last + 1 {
            return Position { last: other.last, span: self.span.saturating_add(1), ..self };
        }
        let mut ranges: Vec<Range> = self.ranges().chain(other.ranges()).collect();
        ranges.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for (from, upto) in ranges {
            match merged.last_mut() {
                Some(last) if from <= last.1 + 1 => last.1 = last.1.max(upto),
                _ => merged.push((from, upto)),
            }
        }
        while merged.len() > 2 {
            let gap = |at: &usize| merged[at + 1].0 - merged[*at].1;
            let nearest = (0..merged.len() - 1).min_by_key(gap).unwrap_or(0);
            merged[nearest].1 = merged[nearest + 1].1;
            merged.remove(nearest + 1);
        }
        Position::of(&merged)
    }

    /// The position of one or two ranges.
    fn of(ranges: &[Range]) -> Self {
        let (Some((from, _)), Some((_, last))) = (ranges.first().copied(), ranges.last().copied()) else {
            return Position::START;
        };
        let span = u32::try_from(last - from).unwrap_or(u32::MAX);
        let hole = match ranges {
            [(_, end), (begin, _)] => Some((begin - end - 1, last - begin + 1)),
            _ => None,
        };
        // A hole that is too far away does not fit; of one that is too large, the later part does.
        let fits = hole.and_then(|(hole, after)| Some((hole, u16::try_from(after).ok()?)));
        let (hole, after_hole) = fits.unwrap_or_default();
        Position { last, span, after_hole, hole: u16::try_from(hole).unwrap_or(u16::MAX) }
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
    #[inline]
    pub fn new(value: T, position: Position) -> Self {
        At { value, position }
    }

    /// A value that depends on nothing.
    #[inline]
    pub fn start(value: T) -> Self {
        At::new(value, Position::START)
    }

    /// Looks at the value, to decide what to do. What follows from the decision must keep the position.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> &T {
        &self.value
    }

    /// The position that the value depends on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Applies `f` to the value.
    #[inline]
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
    #[inline]
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
    fn what_does_not_fit_is_depended_on() {
        let far = Position::at(1).and(Position::at(100_000));
        assert_eq!(ranges(far), [(1, 100_000 - 1 - 65_535), (100_000, 100_000)], "the hole is too large");
        let far = Position::at(1).and(Position::of(&[(10, 100_000)]));
        assert_eq!(ranges(far), [(1, 100_000)], "the hole is too far from the end");
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
