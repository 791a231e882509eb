//! The keys of one map, checked against the table of what may stand there.
//!
//! Invariant: opening a map reports each key that the table doesn't allow; reading a key that isn't in the table is a
//! bug of the lowering and fails in tests.

use muster_model::{Diagnostic, Diagnostics, Place};

use crate::expr::describe;
use crate::node::{Entry, Node, NodeKind};
use crate::schema::{self, Construct, Key, Need};
use crate::suggest;

/// An opened map.
pub(crate) struct Fields<'n> {
    what: &'static str,
    tables: Vec<&'static Construct>,
    entries: &'n [Entry],
    place: Place,
    /// Keys that were meant by misspelt ones: these are not missing.
    meant: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Opens a map whose keys stand in one of the tables; the first table names it. `at` is where "missing key" points.
    pub(crate) fn open(
        node: &'n Node,
        at: &Place,
        tables: &[&'static Construct],
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let what = tables.first().map_or("a map", |table| table.what);
        let NodeKind::Mapping(entries) = &node.kind else {
            let keys = supported(tables).map(|key| key.name);
            let mut diagnostic = Diagnostic::error(
                "wrong-type",
                format!("expected {what} as a map, found {}", describe(node)),
                &node.place,
            )
            .help(format!("its keys are {}", suggest::listed(keys)));
            if let Some([only]) = node.items()
                && only.entries().is_some()
            {
                diagnostic = diagnostic.help("remove the `- `: it is one map, not a list");
            }
            out.push(diagnostic);
            return None;
        };
        let mut fields = Self {
            what,
            tables: tables.to_vec(),
            entries,
            place: at.clone(),
            meant: Vec::new(),
        };
        entries.iter().for_each(|entry| fields.check_known(entry, out));
        Some(fields)
    }

    /// Where "missing key" points.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A key's entry.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Entry> {
        debug_assert!(
            self.tables
                .iter()
                .any(|table| table.key(key).is_some_and(|key| key.need != Need::Unsupported)),
            "`{key}` is read but no table of {} has it",
            self.what
        );
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a key is written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether one of these keys was meant by a misspelt one, which has been reported.
    pub(crate) fn meant(&self, keys: &[&str]) -> bool {
        self.meant.iter().any(|meant| keys.contains(meant))
    }

    /// Reads a key that may be missing.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        out: &mut Diagnostics,
        read: impl FnOnce(&'n Node, &mut Diagnostics) -> Option<T>,
    ) -> Option<T> {
        self.get(key).and_then(|entry| read(&entry.value, out))
    }

    /// Reads a key that must be there.
    pub(crate) fn require<T>(
        &self,
        key: &str,
        out: &mut Diagnostics,
        read: impl FnOnce(&'n Node, &mut Diagnostics) -> Option<T>,
    ) -> Option<T> {
        match self.get(key) {
            Some(entry) => read(&entry.value, out),
            None if self.meant(&[key]) => None,
            None => {
                let mut diagnostic =
                    Diagnostic::error("missing-key", format!("{} needs `{key}`", self.what), &self.place)
                        .label(format!("`{key}` is missing here"));
                if let Some(doc) = self
                    .tables
                    .iter()
                    .find_map(|table| table.key(key))
                    .map(|key| key.doc)
                {
                    diagnostic = diagnostic.help(format!("`{key}`: {doc}"));
                }
                out.push(diagnostic);
                None
            }
        }
    }

    /// The entries among these keys, in the written order.
    pub(crate) fn among(&self, keys: &[&str]) -> Vec<&'n Entry> {
        keys.iter()
            .for_each(|key| debug_assert!(self.tables.iter().any(|t| t.key(key).is_some()), "{key}"));
        self.entries
            .iter()
            .filter(|entry| keys.contains(&entry.key.as_str()))
            .collect()
    }

    /// The one entry among these keys; none or several are errors.
    pub(crate) fn exactly_one(&self, keys: &[&str], out: &mut Diagnostics) -> Option<&'n Entry> {
        let found = self.among(keys);
        match found[..] {
            [] if self.meant(keys) => None,
            [] => {
                let message = format!(
                    "{} needs one of {}",
                    self.what,
                    suggest::listed(keys.iter().copied())
                );
                out.push(Diagnostic::error("missing-key", message, &self.place));
                None
            }
            [one] => Some(one),
            [..] => {
                let message = format!(
                    "{} takes only one of {}",
                    self.what,
                    suggest::listed(keys.iter().copied())
                );
                out.push(too_many("too-many-keys", message, &found));
                None
            }
        }
    }

    fn check_known(&mut self, entry: &Entry, out: &mut Diagnostics) {
        match self.tables.iter().find_map(|table| table.key(&entry.key)) {
            Some(key) if key.need == Need::Unsupported => {
                out.push(unsupported(key, &entry.key_place));
            }
            Some(_) => {}
            None => self.unknown_key(entry, out),
        }
    }

    fn unknown_key(&mut self, entry: &Entry, out: &mut Diagnostics) {
        let key = &entry.key;
        let message = format!("{} has no key `{key}`", self.what);
        let mut diagnostic = Diagnostic::error("unknown-key", message, &entry.key_place);
        let names: Vec<&'static str> = supported(&self.tables).map(|key| key.name).collect();
        let near = habit(key)
            .filter(|instead| names.contains(instead))
            .or_else(|| suggest::nearest(key, names.iter().copied()));
        if let Some(near) = near {
            self.meant.push(near);
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else {
            let homes = schema::homes(key);
            if !homes.is_empty() {
                diagnostic = diagnostic.help(format!("`{key}` is a key of {}", homes.join(", ")));
            }
        }
        out.push(diagnostic.help(format!("allowed here: {}", suggest::listed(names))));
    }
}

/// Several keys where one is allowed: the caret under the second, the first as a further place.
pub(crate) fn too_many(code: &'static str, message: String, found: &[&Entry]) -> Diagnostic {
    let mut places = found.iter().map(|entry| (&entry.key, &entry.key_place));
    let (first, rest) = (places.next(), places);
    let mut diagnostic = None;
    for (key, place) in rest {
        diagnostic = Some(match diagnostic {
            None => Diagnostic::error(code, message.clone(), place).label(format!("`{key}` too")),
            Some(diagnostic) => Diagnostic::related(diagnostic, place, format!("and `{key}`")),
        });
    }
    match (diagnostic, first) {
        (Some(diagnostic), Some((key, place))) => diagnostic.related(place, format!("`{key}` stands here")),
        (None, Some((_, place))) => Diagnostic::error(code, message, place),
        _ => Diagnostic::error(code, message, &Place::nowhere("scenario")),
    }
}

/// A key of the language that this version doesn't run.
pub(crate) fn unsupported(key: &Key, place: &Place) -> Diagnostic {
    Diagnostic::error(
        "unsupported",
        format!("`{}` is not supported by this version yet", key.name),
        place,
    )
    .help("it belongs to the language, but nothing would happen: take it out, or use a later version")
}

fn supported<'a>(tables: &'a [&'static Construct]) -> impl Iterator<Item = &'static Key> + 'a {
    tables
        .iter()
        .flat_map(|table| table.keys)
        .filter(|key| key.need != Need::Unsupported)
}

/// What other tools call it.
fn habit(key: &str) -> Option<&'static str> {
    Some(match key {
        "timeout" => "within",
        "interval" | "poll" => "every",
        "assert" | "expects" | "then" => "expect",
        "if" => "when",
        "template" => "with",
        "resource" | "ref" => "target",
        "contains" | "message" | "text" => "line",
        "result" | "results" => "rows",
        "statement" => "query",
        "database" | "connection" => "on",
        "title" => "scenario",
        "variables" | "values" => "vars",
        "cleanup" | "teardown" | "catch" => "finally",
        "duration" => "for",
        "reason" | "why" => "because",
        "cmd" | "args" => "command",
        "file" | "manifests" => "files",
        "exitCode" | "exit_code" => "code",
        _ => return None,
    })
}
