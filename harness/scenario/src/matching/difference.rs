//! Differences with their paths.
//!
//! Invariant: a path is written only when something differs, so a match allocates nothing for it.

use muster_model::Mismatch;
use serde_json::Value;

use super::keyed::key_of;
use super::operator::Decoder;
use super::show;

/// The most differences that are reported.
const MOST: usize = 32;

/// Where in the observed value: a chain of steps that is written only if something differs.
pub(super) struct Path<'p> {
    before: Option<&'p Path<'p>>,
    step: Step<'p>,
}

/// One step of a path.
pub(super) enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
    Element(&'static str, &'p Value),
    Decoded(Decoder),
}

impl<'p> Path<'p> {
    pub(super) fn root() -> Self {
        Self {
            before: None,
            step: Step::Root,
        }
    }

    pub(super) fn to(&'p self, step: Step<'p>) -> Self {
        Self {
            before: Some(self),
            step,
        }
    }

    /// The element of a list, by its Kubernetes key or its index.
    pub(super) fn element(&'p self, index: usize, element: &'p Value) -> Self {
        match key_of(self.name(), element) {
            Some((key, value)) => self.to(Step::Element(key, value)),
            None => self.to(Step::Index(index)),
        }
    }

    /// The name of the last field.
    pub(super) fn name(&self) -> &'p str {
        match self.step {
            Step::Key(name) => name,
            _ => "",
        }
    }

    fn write(&self) -> String {
        let before = self.before.map(Path::write).unwrap_or_default();
        match &self.step {
            Step::Root => before,
            Step::Key(key) => show::member(&before, key),
            Step::Index(index) => format!("{before}[{index}]"),
            Step::Element(key, value) => format!("{before}[{key}={}]", show::plain(value)),
            Step::Decoded(decoder) => show::member(&before, decoder.operator()),
        }
    }
}

/// One difference.
pub(super) struct Difference {
    pub(super) mismatch: Mismatch,
    /// Whether no waiting mends it.
    pub(super) invalid: bool,
}

/// The differences found so far.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) list: Vec<Difference>,
}

impl Differences {
    pub(super) fn push(&mut self, path: &Path<'_>, expected: &str, found: impl Into<String>) {
        self.add(
            Mismatch::new(path.write(), show::cut(expected), show::cut(&found.into())),
            false,
        );
    }

    pub(super) fn invalid(
        &mut self,
        path: &Path<'_>,
        expected: &str,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(
            Mismatch::new(path.write(), show::cut(expected), show::cut(&found.into())).hint(hint),
            true,
        );
    }

    pub(super) fn add(&mut self, mismatch: Mismatch, invalid: bool) {
        if self.list.len() < MOST || invalid {
            self.list.push(Difference { mismatch, invalid });
        }
    }

    /// Whether no waiting mends any of them, and there is one.
    pub(super) fn all_invalid(&self) -> bool {
        !self.list.is_empty() && self.list.iter().all(|d| d.invalid)
    }
}
