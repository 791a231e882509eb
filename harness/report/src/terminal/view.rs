//! The view: takes events, decides what is printed, and writes it.
//!
//! Invariant: one event is one write, so that a reader never sees half of it.

use std::io::{self, Write};
use std::time::Instant;

use muster_model::event::CleanupDeed;
use muster_model::{Event, EventKind};
use muster_record::Run;

use super::options::TerminalOptions;
use crate::style::{Palette, paint};
use crate::text::{count, duration, limit, visible};

/// Shows a run as its events come in.
pub struct Terminal<W> {
    pub(super) out: W,
    pub(super) options: TerminalOptions,
    pub(super) palette: Palette,
    pub(super) run: Run,
    /// The scenario that the last printed lines are about.
    pub(super) section: Option<usize>,
    /// How many lines at the bottom are to be replaced.
    pub(super) drawn: usize,
    /// When the last event came, and its time in the run.
    pub(super) clock: (Instant, u64),
    pub(super) failed: Option<io::Error>,
    /// What the preparation of the cluster waits for.
    pub(super) preparing: Option<Preparing>,
}

/// A wait of the run itself.
pub(super) struct Preparing {
    pub(super) subject: String,
    pub(super) seen: String,
    pub(super) began_us: u64,
}

impl<W: Write> Terminal<W> {
    /// A view that writes to `out`.
    pub fn new(out: W, options: TerminalOptions) -> Self {
        Self {
            out,
            palette: Palette::new(options.colour),
            options,
            run: Run::default(),
            section: None,
            drawn: 0,
            clock: (Instant::now(), 0),
            preparing: None,
            failed: None,
        }
    }

    /// Shows one more event.
    pub fn event(&mut self, event: &Event) {
        self.run.apply(event);
        self.clock = (Instant::now(), event.mono_us);
        let mut text = String::new();
        self.tell(event, &mut text);
        self.put(&text);
    }

    /// Draws the elapsed times anew.
    pub fn tick(&mut self) {
        if self.options.live {
            self.put("");
        }
    }

    /// The terminal was resized.
    pub fn set_width(&mut self, width: usize) {
        self.options.width = width;
    }

    /// Ends the view: the lines about what runs now go, what did not end is told as interrupted.
    ///
    /// # Errors
    /// The first error of writing since the beginning.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.run.end.is_none() {
            let open: Vec<usize> = self
                .run
                .scenarios
                .iter()
                .filter_map(|(index, scenario)| scenario.verdict.is_none().then_some(*index))
                .collect();
            let began = self.run.began.is_some();
            let mut text = String::new();
            let running: Vec<(usize, usize)> = open
                .iter()
                .filter_map(|s| Some((*s, self.running(*s)?)))
                .collect();
            self.run.close();
            for (scenario, step) in running {
                self.enter(scenario, &mut text);
                self.step(scenario, step, &mut text);
            }
            for scenario in open {
                self.scenario_end(scenario, &mut text);
            }
            if began {
                self.summary(&mut text);
            }
            self.put(&text);
        }
        if let Err(error) = self.out.flush() {
            self.failed.get_or_insert(error);
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// What `out` is now.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn tell(&mut self, event: &Event, text: &mut String) {
        let Some(scenario) = event.scope.scenario else {
            return self.tell_run(event, text);
        };
        match (&event.kind, event.scope.step) {
            (EventKind::ScenarioStarted { .. }, None) if self.is_alone() => self.enter(scenario, text),
            (
                EventKind::WaitStarted {
                    subject, within_ms, ..
                },
                Some(_),
            ) if self.options.waits && !self.options.live && self.is_alone() => {
                self.enter(scenario, text);
                let line = format!("  … waits up to {} for {}", limit(*within_ms), visible(subject));
                push(text, &paint(self.palette.dim, &line));
            }
            (EventKind::StepFinished { .. }, Some(step)) => {
                self.enter(scenario, text);
                self.step(scenario, step, text);
            }
            (EventKind::Noted { message, .. }, None) => {
                self.enter(scenario, text);
                push(text, &format!("  {}", self.note(message)));
            }
            (
                EventKind::CleanedUp {
                    object,
                    deed: CleanupDeed::LeftChanged,
                    note,
                },
                _,
            ) => {
                self.enter(scenario, text);
                let line = format!("{} was left as it is: {note}", object.with_namespace());
                push(text, &format!("  {}", self.note(&line)));
            }
            (EventKind::CleanupFailed { object, message }, _) => {
                self.enter(scenario, text);
                let line = format!(
                    "clean-up of {} failed: {}",
                    object.with_namespace(),
                    visible(message)
                );
                push(text, &format!("  {} {line}", paint(self.palette.bad, "✗")));
            }
            (EventKind::ScenarioFinished { .. }, _) => self.scenario_end(scenario, text),
            _ => {}
        }
    }

    fn tell_run(&mut self, event: &Event, text: &mut String) {
        match &event.kind {
            EventKind::RunStarted {
                run,
                version,
                scenarios,
            } => {
                let line = format!("muster {version}, run {run}, {}", count(*scenarios, "scenario"));
                push(text, &paint(self.palette.dim, &visible(&line)));
            }
            EventKind::ClusterConnected {
                name,
                server,
                version,
                nodes,
            } => {
                let line = format!("cluster {name} {version} at {server}, {}", count(*nodes, "node"));
                push(text, &paint(self.palette.dim, &visible(&line)));
            }
            EventKind::WaitStarted {
                subject, within_ms, ..
            } => {
                self.preparing = Some(Preparing {
                    subject: subject.clone(),
                    seen: String::new(),
                    began_us: event.mono_us,
                });
                if self.options.waits && !self.options.live {
                    let line = format!("  … waits up to {} for {}", limit(*within_ms), visible(subject));
                    push(text, &paint(self.palette.dim, &line));
                }
            }
            EventKind::Observed { seen } => {
                if let Some(preparing) = &mut self.preparing {
                    preparing.seen.clone_from(seen);
                }
            }
            EventKind::Prepared { what, elapsed_ms } => {
                self.preparing = None;
                let line = format!("prepared {} in {}", visible(what), duration(*elapsed_ms));
                push(text, &paint(self.palette.dim, &line));
            }
            EventKind::Noted { message, .. } => push(text, &self.note(message)),
            EventKind::RunFinished { .. } => self.summary(text),
            _ => {}
        }
    }

    /// Whether no other scenario runs beside.
    fn is_alone(&self) -> bool {
        self.run
            .scenarios
            .values()
            .filter(|scenario| scenario.verdict.is_none())
            .count()
            == 1
    }

    /// Says which scenario the next lines are about, if the last ones were about another.
    pub(super) fn enter(&mut self, index: usize, text: &mut String) {
        if self.section == Some(index) {
            return;
        }
        self.section = Some(index);
        let scenario = &self.run.scenarios[&index];
        text.push('\n');
        let mut line = paint(self.palette.bold, &visible(&scenario.title));
        if let Some(place) = &scenario.place {
            line.push_str(&paint(
                self.palette.dim,
                &format!("  {}:{}", place.file, place.line),
            ));
        }
        push(text, &line);
    }

    /// Writes lines above the replaceable ones, in one write, so that a reader never sees half of it.
    fn put(&mut self, text: &str) {
        let mut all = String::new();
        if self.options.live {
            if self.drawn > 0 {
                all.push_str(&format!("\x1b[{}F\x1b[0J", self.drawn));
            }
            all.push_str(text);
            let status = if self.run.end.is_some() {
                Vec::new()
            } else {
                self.status()
            };
            self.drawn = status.len();
            for line in status {
                push(&mut all, &line);
            }
        } else {
            all.push_str(text);
        }
        if all.is_empty() {
            return;
        }
        if let Err(error) = self.out.write_all(all.as_bytes()).and_then(|()| self.out.flush()) {
            self.failed.get_or_insert(error);
        }
    }
}

pub(super) fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The view of a run that is over, as text.
pub fn from_events(events: &[Event], options: TerminalOptions) -> String {
    let options = TerminalOptions {
        live: false,
        waits: false,
        ..options
    };
    let mut terminal = Terminal::new(Vec::new(), options);
    for event in events {
        terminal.event(event);
    }
    // Writing to memory can't fail.
    let _ = terminal.finish();
    String::from_utf8_lossy(&terminal.into_inner()).into_owned()
}
