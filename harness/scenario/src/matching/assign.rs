//! Assignment: each expected element to a different observed one.
//!
//! Invariant: the assignment is a largest one, so a list matches whenever any assignment makes it match.

use std::collections::VecDeque;

/// Gives each of `left` one of `right` that it is compatible with, no one twice, as many as can be.
///
/// The compatible pairs are asked for at most once each.
pub(super) fn largest(
    left: usize,
    right: usize,
    mut compatible: impl FnMut(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let mut known: Vec<Option<bool>> = vec![None; left * right];
    let mut fits = |l: usize, r: usize| *known[l * right + r].get_or_insert_with(|| compatible(l, r));
    let mut taken_by: Vec<Option<usize>> = vec![None; right];
    let mut given: Vec<Option<usize>> = vec![None; left];
    for start in 0..left {
        // Breadth first along alternating paths until a free right element is found.
        let mut from: Vec<Option<usize>> = vec![None; right];
        let mut queue = VecDeque::from([start]);
        let mut free = None;
        'search: while let Some(l) = queue.pop_front() {
            for r in 0..right {
                if from[r].is_some() || !fits(l, r) {
                    continue;
                }
                from[r] = Some(l);
                match taken_by[r] {
                    Some(next) => queue.push_back(next),
                    None => {
                        free = Some(r);
                        break 'search;
                    }
                }
            }
        }
        let mut at = free;
        while let Some(r) = at {
            let Some(l) = from[r] else { break };
            let before = given[l];
            given[l] = Some(r);
            taken_by[r] = Some(l);
            at = if l == start { None } else { before };
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_choice_gives_way_where_another_is_possible() {
        // 0 fits both, 1 fits only the first.
        let given = largest(2, 2, |l, r| l == 0 || r == 0);
        assert_eq!(given, [Some(1), Some(0)]);
    }

    #[test]
    fn what_can_not_be_given_stays_without() {
        assert_eq!(largest(2, 1, |_, _| true), [Some(0), None]);
        assert_eq!(largest(1, 0, |_, _| true), [None]);
        assert_eq!(largest(0, 3, |_, _| true), Vec::<Option<usize>>::new());
    }

    #[test]
    fn long_chains_of_changes_are_found() {
        // l fits l and l + 1, the last only 0 ... so each must move on by one.
        let n = 200;
        let given = largest(
            n,
            n,
            |l, r| if l == n - 1 { r == 0 } else { r == l || r == l + 1 },
        );
        assert!(given.iter().all(Option::is_some));
    }
}
