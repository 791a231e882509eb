//! Expectations: one subject, its checks, the common keys.
//!
//! Invariant: an expectation checks something, over a time that makes sense.

use muster_model::{Diagnostic, Diagnostics};

use super::action::describe;
use super::fields::{Fields, too_many, unsupported};
use super::subject;
use super::{read, step};
use crate::ast::{Expectation, Select, Subject};
use crate::node::{Entry, Node, NodeKind};
use crate::schema::{self, Construct};
use crate::suggest;

/// Lowers `expect`.
pub(crate) fn expectations(node: &Node, out: &mut Diagnostics) -> Option<Vec<Expectation>> {
    read::list("expectations", expectation)(node, out)
}

/// Lowers one expectation.
pub(super) fn expectation(node: &Node, out: &mut Diagnostics) -> Option<Expectation> {
    let (entry, table) = find_subject(node, out)?;
    let fields = Fields::open(node, &entry.key_place, &[&schema::COMMON, table], out)?;
    let name = fields.read("name", out, read::text);
    let within = fields.read("within", out, read::templated);
    let hold = fields.read("for", out, read::templated);
    let never = fields.read("never", out, read::templated);
    let every = fields.read("every", out, read::templated);
    let edge = fields.read("edge", out, read::boolean).unwrap_or(false);
    let any = fields.read("any", out, read::boolean).unwrap_or(false);
    let when = fields.read("when", out, read::program);
    let namespace = fields.read("namespace", out, read::template);
    let save = fields.read("save", out, step::saves);
    let fails_on = fields.read("fails_on", out, expectation);
    check_times(&fields, out);
    let subject = subject::subject(entry, &fields, out)?;
    if let (true, Some(entry)) = (any, fields.get("any")) {
        check_any(&subject, entry, out);
    }
    Some(Expectation {
        place: node.place.clone(),
        name,
        subject,
        within,
        hold,
        never,
        every,
        edge,
        any,
        when,
        namespace,
        save: save.unwrap_or_default(),
        fails_on: fails_on.map(Box::new),
    })
}

/// The subject's entry and the table of its keys. What this version doesn't observe is refused here, so that nothing is
/// said about the keys beside it.
fn find_subject<'n>(node: &'n Node, out: &mut Diagnostics) -> Option<(&'n Entry, &'static Construct)> {
    let subjects = || {
        schema::SUBJECTS
            .iter()
            .filter_map(|table| table.keys.first())
            .map(|key| key.name)
    };
    let NodeKind::Mapping(entries) = &node.kind else {
        out.push(read::wrong_type("an expectation as a map", node).help(format!(
            "begin it with a subject: {}",
            suggest::listed(subjects())
        )));
        return None;
    };
    let refused = |entry: &&Entry| schema::UNSUPPORTED_SUBJECTS.key(&entry.key).is_some();
    let found: Vec<&Entry> = entries
        .iter()
        .filter(|entry| subjects().any(|name| name == entry.key) || refused(entry))
        .collect();
    match found.len() {
        1 => {
            let entry = found[0];
            if let Some(key) = schema::UNSUPPORTED_SUBJECTS.key(&entry.key) {
                out.push(unsupported(key, &entry.key_place));
                return None;
            }
            let table = schema::SUBJECTS
                .iter()
                .find(|table| table.keys.first().is_some_and(|k| k.name == entry.key))?;
            Some((entry, table))
        }
        0 => {
            let mut diagnostic =
                Diagnostic::error("no-subject", "this expectation has no subject", &node.place);
            let near = entries.iter().find_map(|entry| {
                let known = schema::COMMON.key(&entry.key).is_some();
                suggest::nearest(&entry.key, subjects())
                    .filter(|_| !known)
                    .map(|near| (entry, near))
            });
            if let Some((entry, near)) = near {
                diagnostic = Diagnostic {
                    place: entry.key_place.clone(),
                    ..diagnostic
                }
                .help(format!("did you mean `{near}`?"));
            }
            out.push(diagnostic.help(format!(
                "say what to look at, with one of {}",
                suggest::listed(subjects())
            )));
            None
        }
        _ => {
            out.push(
                too_many(
                    "two-subjects",
                    "an expectation takes only one subject".into(),
                    &found,
                )
                .help("make them two expectations: begin the second with `- `"),
            );
            None
        }
    }
}

fn check_times(fields: &Fields<'_>, out: &mut Diagnostics) {
    let Some(never) = fields.get("never") else { return };
    for key in ["within", "for", "edge"] {
        if let Some(entry) = fields.get(key) {
            let help = match key {
                "within" => {
                    "`never: 10s` opens its window at once and closes it after 10s; to wait first, put an expectation before it"
                }
                "for" => "`never: 10s` alone says that it must not become true during 10s",
                _ => "`edge` waits for it to become true, `never` forbids that",
            };
            out.push(
                Diagnostic::error(
                    "conflict",
                    format!("`{key}` and `never` exclude each other"),
                    &entry.key_place,
                )
                .label(format!("`{key}` too"))
                .related(&never.key_place, "`never` stands here")
                .help(help),
            );
        }
    }
    if let Some(text) = never.value.scalar()
        && matches!(text.trim(), "0" | "0s" | "0m" | "0h" | "0ms")
    {
        out.push(read::wrong_type("a window longer than nothing", &never.value));
    }
}

fn check_any(subject: &Subject, any: &Entry, out: &mut Diagnostics) {
    let one = match subject {
        Subject::Object(object) => matches!(object.target.select, Select::Name(_)),
        Subject::Ready(ready) => matches!(ready.target.select, Select::Name(_)),
        Subject::Sql(_) => true,
        // An owner's pods may be several.
        Subject::Crash(_) | Subject::Log(_) => false,
    };
    if one {
        out.push(
            Diagnostic::error(
                "conflict",
                "`any` needs labels: there is only one here",
                &any.key_place,
            )
            .help("take it out"),
        );
    }
}

/// An expectation in few words.
pub(super) fn summary(expectation: &Expectation) -> String {
    if let Some(name) = &expectation.name {
        return name.clone();
    }
    match &expectation.subject {
        Subject::Object(object) => format!("object {}", describe(&object.target)),
        Subject::Ready(ready) => format!("ready {}", describe(&ready.target)),
        Subject::Crash(crash) => format!("crash of {}", describe(&crash.target)),
        Subject::Log(log) => format!("log of {}", describe(&log.target)),
        Subject::Sql(sql) => format!("sql on {}", sql.on),
    }
}
