//! What a wait saw, in order.
//!
//! Invariant: it is bounded; a state that repeats the one before is not kept.

use std::collections::VecDeque;

use muster_model::event::Transition;

/// Keeps the first 16 and the last 48 states.
#[derive(Default)]
pub(crate) struct History {
    first: Vec<Transition>,
    last: VecDeque<Transition>,
    dropped: usize,
}

impl History {
    /// Adds a state, unless it is the one before; whether it was added.
    pub(crate) fn push(&mut self, at_ms: u64, seen: &str) -> bool {
        let before = self.latest();
        if before.is_some_and(|t| t.seen == seen) {
            return false;
        }
        let transition = Transition {
            at_ms,
            seen: seen.to_owned(),
        };
        if self.first.len() < 16 {
            self.first.push(transition);
        } else {
            self.last.push_back(transition);
            if self.last.len() > 48 {
                self.last.pop_front();
                self.dropped += 1;
            }
        }
        true
    }

    /// The last state.
    pub(crate) fn latest(&self) -> Option<&Transition> {
        self.last.back().or(self.first.last())
    }

    /// All that was kept, oldest first, with a line where something is left out.
    pub(crate) fn into_vec(mut self) -> Vec<Transition> {
        let mut all = self.first;
        if self.dropped > 0
            && let Some(next) = self.last.front()
        {
            all.push(Transition {
                at_ms: next.at_ms,
                seen: format!("({} more states)", self.dropped),
            });
        }
        all.extend(self.last.drain(..));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_keeps_the_beginning_and_the_end_and_says_what_is_left_out() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(n, &n.to_string());
            history.push(n, &n.to_string());
        }
        let all = history.into_vec();
        assert_eq!(all.len(), 16 + 1 + 48);
        assert_eq!(all[15].seen, "15");
        assert_eq!(all[16].seen, "(36 more states)");
        assert_eq!(all.last().unwrap().seen, "99");
    }
}
