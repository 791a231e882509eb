//! The subjects of expectations with their checks.
//!
//! Invariant: each subject checks something; checks that would contradict each other are refused.

use muster_model::{Diagnostic, Diagnostics};

use super::action::{at_least, fails};
use super::fields::Fields;
use super::read;
use super::target::{Use, target};
use crate::ast::{
    Absent, CrashSubject, LinePattern, LogFrom, LogLines, LogSubject, ObjectCheck, ObjectSubject,
    ReadySubject, Select, SqlAsk, SqlRows, SqlSubject, Subject,
};
use crate::matching::Pattern;
use crate::node::{Entry, Node, NodeKind, Style};
use crate::schema;
use crate::suggest;

/// Lowers the subject of an expectation whose keys are open.
pub(super) fn subject(entry: &Entry, fields: &Fields<'_>, out: &mut Diagnostics) -> Option<Subject> {
    Some(match entry.key.as_str() {
        "object" => Subject::Object(object(entry, fields, out)?),
        "ready" => {
            let target = target(Use::Observe)(&entry.value, out);
            let replicas = fields.read("replicas", out, at_least(0));
            Subject::Ready(ReadySubject {
                target: target?,
                replicas,
            })
        }
        "crash" => {
            let target = target(Use::Pods)(&entry.value, out);
            Subject::Crash(CrashSubject {
                container: fields.read("container", out, read::template),
                code: fields.read("code", out, read::pattern),
                reason: fields.read("reason", out, read::pattern),
                times: fields.read("times", out, at_least(1)),
                target: target?,
            })
        }
        "log" => Subject::Log(log(entry, fields, out)?),
        "sql" => Subject::Sql(sql(entry, fields, out)?),
        _ => return None,
    })
}

fn object(entry: &Entry, fields: &Fields<'_>, out: &mut Diagnostics) -> Option<ObjectSubject> {
    let target = target(Use::Observe)(&entry.value, out);
    let mut checks = Vec::new();
    checks.extend(fields.read("match", out, read::pattern).map(ObjectCheck::Match));
    checks.extend(fields.read("cel", out, read::program).map(ObjectCheck::Cel));
    checks.extend(fields.read("absent", out, absent).map(ObjectCheck::Absent));
    checks.extend(fields.read("count", out, read::pattern).map(ObjectCheck::Count));
    checks.extend(fields.read("condition", out, condition));
    let keys = ["match", "cel", "absent", "count", "condition"];
    let written = fields.among(&keys);
    if written.is_empty() && (fields.meant(&keys) || !fields.among(&["changed", "unchanged"]).is_empty()) {
        return None;
    }
    if written.is_empty() {
        out.push(
            Diagnostic::error(
                "checks-nothing",
                "this expectation checks nothing about the object",
                &entry.key_place,
            )
            .help(format!("add one of {}", suggest::listed(keys)))
            .help("that it exists and is ready says `ready: kind/name`"),
        );
        return None;
    }
    if let Some(absent) = fields.get("absent")
        && let Some(other) = written.iter().find(|entry| entry.key != "absent")
    {
        out.push(
            Diagnostic::error(
                "conflict",
                format!("what is absent can't be checked with `{}`", other.key),
                &other.key_place,
            )
            .label(format!("`{}` too", other.key))
            .related(&absent.key_place, "`absent` stands here"),
        );
    }
    let target = target?;
    if let (Select::Name(_), Some(count)) = (&target.select, fields.get("count")) {
        out.push(
            Diagnostic::error(
                "conflict",
                "`count` counts what labels select, but this is one object",
                &count.key_place,
            )
            .related(&target.place, "one object by its name")
            .help("write {kind: ..., labels: {...}}, or `absent: true` for none"),
        );
    }
    Some(ObjectSubject { target, checks })
}

fn absent(node: &Node, out: &mut Diagnostics) -> Option<Absent> {
    match &node.kind {
        NodeKind::Scalar {
            text,
            style: Style::Plain,
        } if text == "true" => Some(Absent::AfterSeen),
        NodeKind::Scalar { text, .. } if text == "from-start" => Some(Absent::FromStart),
        _ => {
            out.push(
                read::wrong_type("`true` or `from-start`", node)
                    .help("`true`: it was there earlier in this scenario and is gone; `from-start`: it needn't have been there"),
            );
            None
        }
    }
}

fn condition(node: &Node, out: &mut Diagnostics) -> Option<ObjectCheck> {
    let text = read::text(node, out)?;
    let statuses = ["True", "False", "Unknown"];
    let parts = text
        .split_once('=')
        .map(|(name, status)| (name.trim(), status.trim()));
    let Some((name, status)) = parts.filter(|(name, status)| !name.is_empty() && statuses.contains(status))
    else {
        let mut diagnostic = read::wrong_type("Type=Status, such as Ready=True", node);
        diagnostic = match parts {
            None => diagnostic.help(format!("write {text}=True")),
            Some(_) => diagnostic.help(format!(
                "a condition's status is one of {}",
                suggest::listed(statuses)
            )),
        };
        out.push(diagnostic);
        return None;
    };
    Some(ObjectCheck::Condition {
        name: name.to_owned(),
        status: status.to_owned(),
        place: node.place.clone(),
    })
}

fn log(entry: &Entry, fields: &Fields<'_>, out: &mut Diagnostics) -> Option<LogSubject> {
    let target = target(Use::Pods)(&entry.value, out);
    let container = fields.read("container", out, read::template);
    let count = fields.read("count", out, read::pattern);
    let from = fields
        .read(
            "from",
            out,
            read::word(&[("any-pod", LogFrom::AnyPod), ("every-pod", LogFrom::EveryPod)]),
        )
        .unwrap_or_default();
    let across_restarts = fields
        .read("across", out, read::word(&[("restarts", ())]))
        .is_some();
    let lines = fields
        .exactly_one(&["line", "lines"], out)
        .and_then(|entry| match entry.key.as_str() {
            "line" => line(&entry.value, out).map(LogLines::One),
            _ => read::list("lines", line)(&entry.value, out).map(LogLines::Ordered),
        });
    let only_with = |key: &str, owner: &str, out: &mut Diagnostics| {
        if let Some(entry) = fields.get(key)
            && !fields.has(owner)
        {
            let message = format!("`{key}` goes with `{owner}` only");
            out.push(Diagnostic::error("conflict", message, &entry.key_place));
        }
    };
    only_with("count", "line", out);
    only_with("across", "lines", out);
    Some(LogSubject {
        target: target?,
        container,
        lines: lines?,
        count,
        from,
        across_restarts,
    })
}

fn line(node: &Node, out: &mut Diagnostics) -> Option<LinePattern> {
    match &node.kind {
        NodeKind::Scalar { text, .. } if !node.is_null() => {
            if text.trim().is_empty() {
                out.push(
                    Diagnostic::error(
                        "matches-everything",
                        "an empty text is contained in every line",
                        &node.place,
                    )
                    .help("write what the line must contain"),
                );
                return None;
            }
            read::template(node, out).map(LinePattern::Contains)
        }
        NodeKind::Mapping(entries) if entries.is_empty() => {
            out.push(
                Diagnostic::error(
                    "matches-everything",
                    "an empty map matches every line",
                    &node.place,
                )
                .help("write the fields that the line must have"),
            );
            None
        }
        NodeKind::Mapping(entries) => {
            let pattern = read::pattern(node, out)?;
            let operator = entries
                .iter()
                .any(|entry| entry.key.starts_with('$') && !entry.key.starts_with("$$"));
            Some(if operator {
                LinePattern::Raw(pattern)
            } else {
                LinePattern::Fields(pattern)
            })
        }
        _ => {
            out.push(
                read::wrong_type("a text that the line contains, or a map of its fields", node)
                    .help("for several lines in order write `lines: [...]`"),
            );
            None
        }
    }
}

fn sql(entry: &Entry, fields: &Fields<'_>, out: &mut Diagnostics) -> Option<SqlSubject> {
    let asked = Fields::open(&entry.value, &entry.key_place, &[&schema::SQL_ASK], out)?;
    let on = asked.require("on", out, |node, out| {
        Some((read::text(node, out)?, node.place.clone()))
    });
    let params = asked.read("params", out, read::list("parameters", read::tree));
    let ask = asked
        .exactly_one(&["query", "tables"], out)
        .and_then(|ask| match ask.key.as_str() {
            "query" => {
                let query = read::template(&ask.value, out)?;
                Some(SqlAsk::Query {
                    query,
                    params: params.unwrap_or_default(),
                })
            }
            _ => {
                if let Some(params) = asked.get("params") {
                    let message = "`params` goes with `query` only";
                    out.push(Diagnostic::error("conflict", message, &params.key_place));
                }
                read::template(&ask.value, out).map(SqlAsk::Tables)
            }
        });
    let ordered = fields.read("ordered", out, read::boolean).unwrap_or(false);
    if let Some(entry) = fields.get("ordered").filter(|_| !fields.has("rows")) {
        out.push(Diagnostic::error(
            "conflict",
            "`ordered` goes with `rows` only",
            &entry.key_place,
        ));
    }
    let changes = !fields.among(&["changed", "unchanged"]).is_empty();
    let checks = ["rows", "value", "fails"];
    if changes || fields.meant(&checks) {
        return None;
    }
    if fields.among(&checks).is_empty() {
        out.push(
            Diagnostic::error(
                "checks-nothing",
                "this expectation checks nothing about the answer",
                &entry.key_place,
            )
            .help("add `rows` for the whole result, `value` for a single one, or `fails`")
            .help("at least one row, whatever it is: `rows: {$len: {$gte: 1}}`"),
        );
        return None;
    }
    let check = fields.exactly_one(&checks, out)?;
    let rows = fields.read("rows", out, |node, out| {
        let pattern = Pattern::lower_rows(node, ordered, out);
        Some(SqlRows { pattern, ordered })
    });
    let value = fields.read("value", out, read::pattern);
    let fails = match check.key.as_str() {
        "fails" => Some(fails(check, "sql", out)?),
        _ => None,
    };
    let (on, on_place) = on?;
    Some(SqlSubject {
        place: entry.key_place.clone(),
        on,
        on_place,
        ask: ask?,
        rows,
        value,
        fails,
    })
}
