//! What runs now: the lines at the bottom.
//!
//! Invariant: each is narrower than the terminal; a line that wraps can't be replaced.

use std::io::Write;

use unicode_width::UnicodeWidthStr as _;

use super::view::Terminal;
use crate::style::paint;
use crate::text::{duration, fit, visible};

impl<W: Write> Terminal<W> {
    /// The step of a scenario that runs now.
    pub(super) fn running(&self, scenario: usize) -> Option<usize> {
        let steps = &self.run.scenarios.get(&scenario)?.steps;
        steps
            .iter()
            .position(|step| step.began_us.is_some() && step.verdict.is_none())
    }

    /// What runs now: a line for each scenario.
    pub(super) fn status(&self) -> Vec<String> {
        let now = self.clock.1 + u64::try_from(self.clock.0.elapsed().as_micros()).unwrap_or(0);
        let frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        let frame = frames[usize::try_from(now / 200_000).unwrap_or(0) % frames.len()];
        let open: Vec<_> = self
            .run
            .scenarios
            .iter()
            .filter(|(_, s)| s.verdict.is_none())
            .collect();
        if let (Some(preparing), true) = (&self.preparing, open.is_empty()) {
            let doing = match preparing.seen.as_str() {
                "" => preparing.subject.clone(),
                seen => format!("{}: {seen}", preparing.subject),
            };
            return vec![self.status_line(frame, "preparing the cluster", now, preparing.began_us, &doing)];
        }
        let many = open.len() > 1;
        open.into_iter()
            .map(|(index, scenario)| {
                let title = fit(&visible(&scenario.title), 40);
                let (name, began, doing) = match self.running(*index) {
                    Some(at) => {
                        let step = &scenario.steps[at];
                        (
                            visible(&step.name),
                            step.began_us.unwrap_or(now),
                            step.doing().unwrap_or_default(),
                        )
                    }
                    None if scenario.steps.iter().any(|step| step.verdict.is_some()) => {
                        ("cleaning up".to_owned(), now, String::new())
                    }
                    None => ("starting".to_owned(), now, String::new()),
                };
                let name = if many { format!("{title}: {name}") } else { name };
                self.status_line(frame, &name, now, began, &doing)
            })
            .collect()
    }

    /// A line about what runs: its name, for how long, and what it does.
    fn status_line(&self, frame: char, name: &str, now: u64, began: u64, doing: &str) -> String {
        let elapsed = duration(now.saturating_sub(began) / 1000);
        let head = fit(
            &format!("  {frame} {name}  {elapsed}"),
            self.options.width.saturating_sub(1),
        );
        let room = self.options.width.saturating_sub(head.width() + 3);
        if doing.is_empty() || room < 10 {
            return head;
        }
        let tail = fit(&visible(doing), room);
        format!("{head}  {}", paint(self.palette.dim, &tail))
    }
}
