//! Search in sorted message numbers.

use std::collections::VecDeque;

use crate::model::MessageId;

/// Returns the index of the first number in `ids`, which must be sorted, that is greater than `id`.
///
/// It searches from the end in doubling steps (galloping search), so it is fast if few numbers are greater. For a client that
/// watches that is the usual case.
pub(super) fn begin_after(ids: &VecDeque<MessageId>, id: MessageId) -> usize {
    // All numbers from `end` on are greater.
    let (mut end, mut step) = (ids.len(), 1);
    while let Some(before) = end.checked_sub(step).filter(|at| ids[*at] > id) {
        (end, step) = (before, step * 2);
    }
    let mut begin = end.saturating_sub(step);
    while begin < end {
        let middle = usize::midpoint(begin, end);
        if ids[middle] > id {
            end = middle;
        } else {
            begin = middle + 1;
        }
    }
    begin
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn it_is_where_a_search_finds_it(ids in btree_set(0u64..60, 0..40), id in 0u64..70) {
            let (ids, id): (VecDeque<_>, _) = (ids.into_iter().map(MessageId).collect(), MessageId(id));
            prop_assert_eq!(begin_after(&ids, id), ids.partition_point(|other| *other <= id));
        }
    }
}
