//! The terminal's view of a run: each step as it runs, what it waits for, and how it ended.
//!
//! Invariant: all that was printed stays; only the lines at the bottom that tell what runs now are ever replaced, and
//! only on a terminal that can do so. Without that it prints plain lines in the order of the events.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use muster_model::event::{CleanupDeed, Failure, Phase, Verdict};
use muster_model::{Event, EventKind};
use muster_record::Run;
use muster_record::run::{Note, Scenario, Step};
use unicode_width::UnicodeWidthStr as _;

use crate::explain;
use crate::style::{Palette, paint};
use crate::text::{cleanup, count, duration, expectation, fit, limit, more, requests, sign, visible, word};

/// How often the elapsed times of running steps are drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// How many files of evidence are named for one scenario.
const EVIDENCE: usize = 12;

/// How to show a run.
#[derive(Debug, Clone)]
pub struct TerminalOptions {
    /// Whether to use colour.
    pub colour: bool,
    /// Whether lines may be replaced: standard output is a terminal, and neither CI nor NO_COLOR is set.
    pub live: bool,
    /// Whether to tell, where lines can't be replaced, when a wait begins. Of no use for a run that is over.
    pub waits: bool,
    /// Whether to show the API requests of each step.
    pub stats: bool,
    /// The terminal's width in columns.
    pub width: usize,
    /// The run folder, as the user would type it; empty if it is not known.
    pub folder: String,
}

impl Default for TerminalOptions {
    /// Plain lines, 100 columns.
    fn default() -> Self {
        Self {
            colour: false,
            live: false,
            waits: false,
            stats: false,
            width: 100,
            folder: String::new(),
        }
    }
}

/// Shows a run as its events come in.
pub struct Terminal<W> {
    out: W,
    options: TerminalOptions,
    palette: Palette,
    run: Run,
    /// The scenario that the last printed lines are about.
    section: Option<usize>,
    /// How many lines at the bottom are to be replaced.
    drawn: usize,
    /// When the last event came, and its time in the run.
    clock: (Instant, u64),
    failed: Option<io::Error>,
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
            return self.tell_run(&event.kind, text);
        };
        match (&event.kind, event.scope.step) {
            (EventKind::ScenarioStarted { .. }, None) if self.is_alone() => self.enter(scenario, text),
            (
                EventKind::WaitStarted {
                    subject, within_ms, ..
                },
                Some(_),
            ) if self.options.waits && !self.options.live => {
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

    fn tell_run(&mut self, kind: &EventKind, text: &mut String) {
        match kind {
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
            EventKind::Prepared { what, elapsed_ms } => {
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
    fn enter(&mut self, index: usize, text: &mut String) {
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

    fn step(&self, scenario: usize, index: usize, text: &mut String) {
        let Some(step) = self.run.scenarios.get(&scenario).and_then(|s| s.steps.get(index)) else {
            return;
        };
        let palette = &self.palette;
        let mut name = visible(&step.name);
        if step.phase == Some(Phase::Finally) {
            name = format!("finally: {name}");
        }
        if step.verdict == Some(Verdict::Skipped) {
            let reason = step
                .reason
                .as_ref()
                .map(|r| format!(": {}", visible(r)))
                .unwrap_or_default();
            return push(text, &paint(palette.dim, &format!("  - {name}  skipped{reason}")));
        }
        let mut right = duration(step.elapsed_ms);
        if self.options.stats {
            right = format!("{right}  {}", requests(step.requests));
        }
        let sign = paint(palette.verdict(step.verdict), sign(step.verdict));
        push(text, &format!("  {sign} {name}  {}", paint(palette.dim, &right)));
        if !matches!(step.verdict, Some(Verdict::Passed | Verdict::Failed)) {
            let reason = step
                .reason
                .as_ref()
                .map(|r| format!(": {}", visible(r)))
                .unwrap_or_default();
            let line = format!("{}{reason}", word(step.verdict));
            push(
                text,
                &format!("      {}", paint(palette.verdict(step.verdict), &line)),
            );
        }
        self.told(step, text);
    }

    /// The lines below a step's own: its action, its expectations, their failures.
    fn told(&self, step: &Step, text: &mut String) {
        let palette = &self.palette;
        let mut dim = |line: &str| push(text, &format!("      {}", paint(palette.dim, line)));
        if let Some(action) = &step.action {
            let unfinished = if action.elapsed_ms.is_none() {
                " (did not return)"
            } else {
                ""
            };
            dim(&format!("{}{unfinished}", visible(&action.summary)));
        }
        for e in step.expectations.values() {
            let mut line = expectation(e);
            if e.elapsed_ms >= 100 {
                line.push_str(&format!("  {}", duration(e.elapsed_ms)));
            }
            match (&e.failure, e.verdict) {
                (Some(failure), _) => {
                    push(
                        text,
                        &format!("      {} {}", paint(palette.bad, "✗"), visible(&e.subject)),
                    );
                    self.failure(failure, 8, text);
                }
                (None, Some(Verdict::Passed | Verdict::Skipped) | None) => {
                    push(text, &format!("      {}", paint(palette.dim, &line)));
                }
                (None, verdict) => push(text, &format!("      {}", paint(palette.verdict(verdict), &line))),
            }
            for note in &e.notes {
                push(text, &format!("      {}", self.note(&note.message)));
            }
        }
        if let Some(failure) = step.failure.as_deref()
            && !step
                .expectations
                .values()
                .any(|e| e.failure.as_deref().is_some_and(|f| f.message == failure.message))
        {
            self.failure(failure, 6, text);
        }
        for Note { message, .. } in &step.notes {
            push(text, &format!("      {}", self.note(message)));
        }
    }

    fn failure(&self, failure: &Failure, indent: usize, text: &mut String) {
        for line in explain::failure(failure, &self.palette) {
            push(text, &format!("{}{line}", " ".repeat(indent)));
        }
    }

    fn note(&self, message: &str) -> String {
        format!("{} {}", paint(self.palette.warn, "note:"), visible(message))
    }

    fn scenario_end(&mut self, index: usize, text: &mut String) {
        self.enter(index, text);
        let palette = &self.palette;
        let scenario = &self.run.scenarios[&index];
        if let Some(failure) = scenario.failure.as_deref() {
            self.failure(failure, 2, text);
        }
        let evidence: Vec<_> = scenario
            .steps
            .iter()
            .flat_map(Step::all_evidence)
            .chain(&scenario.evidence)
            .collect();
        for (n, file) in evidence.iter().take(EVIDENCE).enumerate() {
            let key = if n == 0 { "evidence" } else { "" };
            let path = self.in_folder(&file.path);
            let what = paint(palette.dim, &format!("({})", visible(&file.what)));
            push(
                text,
                &format!("  {} {path} {what}", paint(palette.key, &format!("{key:<8}"))),
            );
        }
        if evidence.len() > EVIDENCE {
            push(
                text,
                &format!("           {}", more(evidence.len() - EVIDENCE, "file")),
            );
        }
        if let Some(line) = cleanup(&scenario.cleaned) {
            push(text, &format!("  {}", paint(palette.dim, &line)));
        }
        let mut line = paint(
            palette.verdict(scenario.verdict),
            &format!("{} {}", sign(scenario.verdict), word(scenario.verdict)),
        );
        if let Some(reason) = &scenario.reason {
            line.push_str(&format!(": {}", visible(reason)));
        }
        if scenario.verdict != Some(Verdict::Skipped) {
            let mut right = duration(scenario.elapsed_ms);
            if self.options.stats {
                right = format!("{right}, {}", requests(scenario.requests));
            }
            line.push_str(&paint(palette.dim, &format!(" in {right}")));
        }
        push(text, &format!("  {line}"));
    }

    fn summary(&self, text: &mut String) {
        let palette = &self.palette;
        text.push('\n');
        if let Some(failure) = self.run.end.as_ref().and_then(|end| end.failure.as_deref()) {
            self.failure(failure, 0, text);
            text.push('\n');
        }
        let counts = self.run.counts();
        let parts: Vec<String> = [
            (counts.failed, "failed", palette.bad),
            (counts.errors, "not finished", palette.bad),
            (counts.passed, "passed", palette.good),
            (counts.skipped, "skipped", palette.dim),
        ]
        .into_iter()
        .filter(|(n, _, _)| *n > 0)
        .map(|(n, what, style)| paint(style, &format!("{n} {what}")))
        .collect();
        let scenarios = if parts.is_empty() {
            "no scenario ran".to_owned()
        } else {
            parts.join(", ")
        };
        let elapsed = self
            .run
            .end
            .as_ref()
            .map_or(self.run.elapsed_ms, |end| end.elapsed_ms);
        push(text, &format!("{scenarios} in {}", duration(elapsed)));
        for scenario in self.run.scenarios.values() {
            if !matches!(scenario.verdict, Some(Verdict::Passed | Verdict::Skipped)) {
                push(text, &format!("  {}", self.where_it_failed(scenario)));
            }
        }
        if !self.options.folder.is_empty() {
            push(text, &format!("run folder: {}", self.options.folder));
        }
    }

    /// One line of the summary: the scenario, and the step that went wrong with its place.
    fn where_it_failed(&self, scenario: &Scenario) -> String {
        let sign = paint(self.palette.verdict(scenario.verdict), sign(scenario.verdict));
        let mut line = format!("{sign} {}", visible(&scenario.title));
        let step = scenario
            .steps
            .iter()
            .find(|step| !matches!(step.verdict, None | Some(Verdict::Passed | Verdict::Skipped)));
        let place = match (step, &scenario.failure) {
            (Some(step), _) => {
                line.push_str(&format!(": {}", visible(&step.name)));
                let failure = step.failures().first().and_then(|failure| failure.place.clone());
                failure.or_else(|| step.place.clone())
            }
            (None, Some(failure)) => {
                line.push_str(&format!(": {}", fit(&visible(&failure.message), 120)));
                failure.place.clone()
            }
            (None, None) => scenario.place.clone(),
        };
        if let Some(place) = place {
            line.push_str(&paint(self.palette.dim, &format!("  {place}")));
        }
        line
    }

    fn in_folder(&self, path: &str) -> String {
        match self.options.folder.trim_end_matches('/') {
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }

    /// The step of a scenario that runs now.
    fn running(&self, scenario: usize) -> Option<usize> {
        let steps = &self.run.scenarios.get(&scenario)?.steps;
        steps
            .iter()
            .position(|step| step.began_us.is_some() && step.verdict.is_none())
    }

    /// What runs now: a line for each scenario.
    fn status(&self) -> Vec<String> {
        let now = self.clock.1 + u64::try_from(self.clock.0.elapsed().as_micros()).unwrap_or(0);
        let frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        let frame = frames[usize::try_from(now / 200_000).unwrap_or(0) % frames.len()];
        let open: Vec<_> = self
            .run
            .scenarios
            .iter()
            .filter(|(_, s)| s.verdict.is_none())
            .collect();
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
                let elapsed = duration(now.saturating_sub(began) / 1000);
                let head = fit(
                    &format!("  {frame} {name}  {elapsed}"),
                    self.options.width.saturating_sub(1),
                );
                let room = self.options.width.saturating_sub(head.width() + 3);
                let tail = if doing.is_empty() || room < 10 {
                    String::new()
                } else {
                    fit(&visible(&doing), room)
                };
                if tail.is_empty() {
                    head
                } else {
                    format!("{head}  {}", paint(self.palette.dim, &tail))
                }
            })
            .collect()
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

fn push(text: &mut String, line: &str) {
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

/// Draws a live view anew from time to time, until it is dropped.
pub struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts a thread that ticks.
    pub fn start<W: Write + Send + 'static>(terminal: Arc<Mutex<Terminal<W>>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                if let Ok(mut terminal) = terminal.lock() {
                    terminal.tick();
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the view is no reason to fail the run.
            let _ = thread.join();
        }
    }
}
