//! What is printed to stay: a step, the end of a scenario, the summary.
//!
//! Invariant: a failure is told in full where it happened, and once more as one line at the end.

use std::io::Write;

use muster_model::event::{Failure, Phase, Verdict};
use muster_record::run::{Note, Scenario, Step};

use super::view::{Terminal, push};
use crate::explain;
use crate::style::paint;
use crate::text::{cleanup, count, duration, expectation, fit, requests, sign, visible, word};

/// How many files of evidence are named for one scenario.
const EVIDENCE: usize = 4;

impl<W: Write> Terminal<W> {
    pub(super) fn step(&self, scenario: usize, index: usize, text: &mut String) {
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
    pub(super) fn told(&self, step: &Step, text: &mut String) {
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

    pub(super) fn failure(&self, failure: &Failure, indent: usize, text: &mut String) {
        for line in explain::failure(failure, &self.palette) {
            push(text, &format!("{}{line}", " ".repeat(indent)));
        }
    }

    pub(super) fn note(&self, message: &str) -> String {
        format!("{} {}", paint(self.palette.warn, "note:"), visible(message))
    }

    pub(super) fn scenario_end(&mut self, index: usize, text: &mut String) {
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
        if evidence.len() > EVIDENCE {
            let folder = self.in_folder(&common_folder(evidence.iter().map(|file| file.path.as_str())));
            let what = paint(palette.dim, &format!("({})", count(evidence.len(), "file")));
            push(
                text,
                &format!("  {} {folder} {what}", paint(palette.key, "evidence")),
            );
        } else {
            for (n, file) in evidence.iter().enumerate() {
                let key = if n == 0 { "evidence" } else { "" };
                let path = self.in_folder(&file.path);
                let what = paint(palette.dim, &format!("({})", visible(&file.what)));
                push(
                    text,
                    &format!("  {} {path} {what}", paint(palette.key, &format!("{key:<8}"))),
                );
            }
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

    pub(super) fn summary(&self, text: &mut String) {
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
    pub(super) fn where_it_failed(&self, scenario: &Scenario) -> String {
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

    pub(super) fn in_folder(&self, path: &str) -> String {
        match self.options.folder.trim_end_matches('/') {
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }
}

/// The folder that holds all of some paths, with a slash at its end; empty if there is none.
fn common_folder<'a>(mut paths: impl Iterator<Item = &'a str>) -> String {
    let folder = |path: &'a str| path.rfind('/').map_or("", |end| &path[..=end]);
    let Some(mut common) = paths.next().map(folder) else {
        return String::new();
    };
    for path in paths {
        while !path.starts_with(common) {
            common = folder(common.trim_end_matches('/'));
        }
    }
    common.to_owned()
}
