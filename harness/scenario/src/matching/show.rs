//! Showing what is expected and what was found, short.
//!
//! Invariant: every text is one line of at most [`LONGEST`] characters.

use serde_json::Value;

use super::bound::{Check, Expect};
use super::keyed::keys_of;
use super::pattern::Extent;

/// The longest text.
pub(super) const LONGEST: usize = 120;

/// A text as one line, cut.
pub(super) fn cut(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST + 1)
        .collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

/// What was found.
pub(super) fn found(actual: Option<&Value>) -> String {
    match actual {
        None => "nothing".to_owned(),
        Some(value) => cut(&value.to_string()),
    }
}

/// What is expected, on one line.
pub(super) fn summary(expect: &Expect) -> String {
    let mut leaves = Vec::new();
    collect(expect, "", "", &mut leaves);
    cut(&leaves.join(", "))
}

/// A key behind a path: `a.b`, `a["server.conf"]`.
pub(super) fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-$".contains(c));
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{}]", Value::String(key.to_owned())),
    }
}

fn leaf(path: &str, what: &str) -> String {
    match (path.is_empty(), what.is_empty()) {
        (true, _) => what.to_owned(),
        (false, true) => path.to_owned(),
        (false, false) => format!("{path} {what}"),
    }
}

/// Collects what each leaf expects; `list` is the name of the field that a list stands in.
fn collect(expect: &Expect, path: &str, list: &str, leaves: &mut Vec<String>) {
    match expect {
        Expect::Literal(Value::Null) => leaves.push(leaf(path, "nothing")),
        Expect::Literal(value) => leaves.push(leaf(path, &value.to_string())),
        Expect::Map(entries) if entries.is_empty() => leaves.push(leaf(path, "a map")),
        Expect::Map(entries) => {
            for (key, value) in entries {
                collect(value, &member(path, key), key, leaves);
            }
        }
        Expect::List(items, extent) => elements(items, *extent, path, list, leaves),
        Expect::All(checks) => {
            for check in checks {
                operator(check, path, list, leaves);
            }
        }
    }
}

fn elements(items: &[Expect], extent: Extent, path: &str, list: &str, leaves: &mut Vec<String>) {
    if items.is_empty() {
        leaves.push(leaf(path, "an empty list"));
        return;
    }
    if extent != Extent::Part {
        let all: Vec<String> = items.iter().map(inner).collect();
        let what = match extent {
            Extent::Exact => format!("exactly [{}]", all.join(", ")),
            _ => format!("[{}]", all.join(", ")),
        };
        leaves.push(leaf(path, &what));
        return;
    }
    for item in items {
        match (identity(list, item), item) {
            (Some((key, value)), Expect::Map(entries)) => {
                let element = format!("{path}[{key}={}]", plain(value));
                let others: Vec<_> = entries.iter().filter(|(k, _)| k != key).collect();
                if others.is_empty() {
                    leaves.push(element.clone());
                }
                for (k, v) in others {
                    collect(v, &member(&element, k), k, leaves);
                }
            }
            _ => leaves.push(leaf(path, &inner(item))),
        }
    }
}

/// An expectation inside of another, in braces if it has several parts.
pub(super) fn inner(expect: &Expect) -> String {
    let mut leaves = Vec::new();
    collect(expect, "", "", &mut leaves);
    match expect {
        Expect::Map(_) => format!("{{{}}}", leaves.join(", ")),
        _ => leaves.join(", "),
    }
}

fn operator(check: &Check, path: &str, list: &str, leaves: &mut Vec<String>) {
    match check {
        Check::Exactly(expect) => collect(expect, path, list, leaves),
        Check::Decode(decoder, expect) => {
            collect(expect, &member(path, decoder.operator()), list, leaves);
        }
        _ => leaves.push(leaf(path, &expected(check))),
    }
}

/// What an operator expects.
pub(super) fn expected(check: &Check) -> String {
    let several = |items: &[Expect]| items.iter().map(inner).collect::<Vec<_>>().join(", ");
    match check {
        Check::Matches(regex) => format!("a match of /{}/", regex.as_str()),
        Check::Contains(wanted) => format!("containing {}", several(wanted)),
        Check::Not(expect) => format!("not {}", inner(expect)),
        Check::Compare(comparison, value, _) => format!("{}{value}", comparison.sign()),
        Check::OneOf(options) => format!("one of {}", several(options)),
        Check::Length(expect) => format!("length {}", inner(expect)),
        Check::Each(expect) => format!("each {}", inner(expect)),
        Check::Some(expect) => format!("some {}", inner(expect)),
        Check::None(expect) => format!("none {}", inner(expect)),
        Check::Exactly(expect) => inner(expect),
        Check::Exists(true) => "present".to_owned(),
        Check::Exists(false) => "absent".to_owned(),
        Check::Amount(measure, amounts) => {
            let all: Vec<String> = amounts
                .iter()
                .map(|(comparison, _, text)| format!("{}{text}", comparison.sign()))
                .collect();
            format!("a {} {}", measure.name(), all.join(" and "))
        }
        Check::Cel(program, _) => format!("`{}`", program.source()),
        Check::Decode(decoder, expect) => format!("{} with {}", decoder.name(), inner(expect)),
    }
}

/// The key that an expected element gives, with its value.
pub(super) fn identity<'e>(list: &str, expect: &'e Expect) -> Option<(&'static str, &'e Value)> {
    let Expect::Map(entries) = expect else {
        return None;
    };
    keys_of(list).iter().find_map(|key| {
        entries.iter().find_map(|(name, value)| match value {
            Expect::Literal(value) if name == key && !value.is_null() => Some((*key, value)),
            _ => None,
        })
    })
}

/// A scalar without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
