//! Comparing: an expectation with an observed value, all differences with their paths.
//!
//! Invariant: no difference means a match; a difference that waiting can't mend is marked as invalid.

use serde_json::Value;

use super::bound::{Check, Expect, Outcome};
use super::difference::{Differences, Path, Step};
use super::elements::{exact, list, same_text};
use super::operator::{compare, compare_numbers};
use super::pattern::Extent;
use super::show;

/// Compares an expectation with an observed value.
pub(super) fn outcome(expect: &Expect, actual: &Value) -> Outcome {
    let mut differences = Differences::default();
    differ(expect, Some(actual), &Path::root(), &mut differences);
    let Differences { mut list } = differences;
    if list.is_empty() {
        return Outcome::Holds;
    }
    let invalid = list.iter().any(|d| d.invalid);
    list.sort_by_key(|d| !d.invalid);
    let mismatches = list.into_iter().map(|d| d.mismatch).collect();
    if invalid {
        Outcome::Invalid(mismatches)
    } else {
        Outcome::Differs(mismatches)
    }
}

pub(super) fn differences(expect: &Expect, actual: Option<&Value>, path: &Path<'_>) -> Differences {
    let mut out = Differences::default();
    differ(expect, actual, path, &mut out);
    out
}

pub(super) fn accepts(expect: &Expect, actual: Option<&Value>) -> bool {
    differences(expect, actual, &Path::root()).list.is_empty()
}

fn is_missing(actual: Option<&Value>) -> bool {
    actual.is_none_or(Value::is_null)
}

pub(super) fn is_container(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

pub(super) fn differ(expect: &Expect, actual: Option<&Value>, path: &Path<'_>, out: &mut Differences) {
    match expect {
        Expect::Literal(expected) => literal(expected, actual, path, out),
        Expect::Map(entries) => match actual {
            Some(Value::Object(map)) => {
                for (key, value) in entries {
                    differ(value, map.get(key), &path.to(Step::Key(key)), out);
                }
            }
            _ if is_missing(actual)
                && !entries.is_empty()
                && entries.iter().all(|(_, value)| accepts(value, None)) => {}
            _ => out.push(path, &show::summary(expect), show::found(actual)),
        },
        Expect::List(items, extent) => match actual {
            Some(Value::Array(elements)) if *extent == Extent::Exact => exact(items, elements, path, out),
            Some(Value::Array(elements)) => list(items, elements, *extent == Extent::Whole, path, out),
            // Kubernetes leaves empty lists out.
            _ if is_missing(actual) && items.is_empty() && *extent != Extent::Part => {}
            _ => out.push(path, &show::summary(expect), show::found(actual)),
        },
        Expect::All(checks) => checks.iter().for_each(|c| check(c, actual, path, out)),
    }
}

fn literal(expected: &Value, actual: Option<&Value>, path: &Path<'_>, out: &mut Differences) {
    let Some(found) = actual.filter(|value| !value.is_null()) else {
        if !expected.is_null() {
            out.push(path, &expected.to_string(), show::found(actual));
        }
        return;
    };
    let equal = match (expected, found) {
        (Value::Null, _) => {
            out.push(path, "nothing", show::found(actual));
            return;
        }
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b).is_some_and(|o| o.is_eq()),
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (_, found) if is_container(found) => false,
        _ => {
            out.invalid(
                path,
                &expected.to_string(),
                show::found(actual),
                type_hint(expected, found),
            );
            return;
        }
    };
    if !equal {
        out.push(path, &expected.to_string(), show::found(actual));
    }
}

/// The remedy for a scalar of another type.
fn type_hint(expected: &Value, found: &Value) -> String {
    match (expected, found) {
        (Value::Bool(wanted), Value::String(text)) if matches!(text.as_str(), "True" | "False") => {
            let wanted = if *wanted { "True" } else { "False" };
            format!("it is a string: quote it, as in \"{wanted}\"")
        }
        (_, Value::String(_)) => format!("it is a string: quote it, as in \"{expected}\""),
        (Value::String(text), Value::Number(_)) if text.parse::<f64>().is_ok() => {
            format!("it is a number: write {text} without quotes")
        }
        (Value::String(text), Value::Bool(_)) if matches!(text.as_str(), "true" | "false") => {
            format!("it is a boolean: write {text} without quotes")
        }
        (_, Value::Number(_)) => "it is a number".to_owned(),
        (_, Value::Bool(_)) => "it is a boolean: write true or false".to_owned(),
        _ => "it is of another type".to_owned(),
    }
}

/// The elements of a list, or the values of a map, each with its path.
fn members<'p>(actual: &'p Value, path: &'p Path<'p>) -> Option<Vec<(Path<'p>, &'p Value)>> {
    match actual {
        Value::Array(elements) => Some(
            elements
                .iter()
                .enumerate()
                .map(|(index, element)| (path.element(index, element), element))
                .collect(),
        ),
        Value::Object(map) => Some(
            map.iter()
                .map(|(key, value)| (path.to(Step::Key(key)), value))
                .collect(),
        ),
        _ => None,
    }
}

fn check(check: &Check, actual: Option<&Value>, path: &Path<'_>, out: &mut Differences) {
    match check {
        Check::Exists(wanted) => {
            if is_missing(actual) == *wanted {
                out.push(path, &show::expected(check), show::found(actual));
            }
            return;
        }
        Check::Length(expect) => return length(check, expect, actual, path, out),
        Check::None(_) if is_missing(actual) => return,
        Check::Exactly(expect) => return differ(expect, actual, path, out),
        Check::Decode(_, expect) if is_missing(actual) && accepts(expect, None) => return,
        _ => {}
    }
    let Some(found) = actual.filter(|value| !value.is_null()) else {
        out.push(path, &show::expected(check), show::found(actual));
        return;
    };
    let wrong = |out: &mut Differences, hint: &str| {
        out.invalid(path, &show::expected(check), show::found(actual), hint);
    };
    let plainly = |out: &mut Differences| out.push(path, &show::expected(check), show::found(actual));
    match check {
        Check::Matches(regex) => match found {
            Value::String(text) if regex.is_match(text) => {}
            Value::String(_) => plainly(out),
            value if is_container(value) => plainly(out),
            _ => wrong(
                out,
                "$matches looks at text: compare a number with $gt and its like",
            ),
        },
        Check::Contains(wanted) => contains(check, wanted, found, path, out),
        Check::Not(expect) => {
            let inner = differences(expect, actual, path);
            if inner.list.is_empty() {
                plainly(out);
            } else if inner.list.iter().any(|d| d.invalid) {
                // By a slip of the type it would hold for ever.
                for difference in inner.list.into_iter().filter(|d| d.invalid) {
                    out.add(difference.mismatch, true);
                }
            }
        }
        Check::Compare(comparison, expected, number) => match number
            .as_ref()
            .and_then(|number| compare(found, number))
            .or_else(|| compare(found, expected))
        {
            Some(ordering) if comparison.accepts(ordering) => {}
            Some(_) => plainly(out),
            None if is_container(found) => plainly(out),
            None if found.is_string() => wrong(
                out,
                "it is a string: use $quantity for amounts such as 500m and $duration for times such as 30s",
            ),
            None => wrong(out, &type_hint(expected, found)),
        },
        Check::OneOf(options) => {
            let tried: Vec<Differences> = options.iter().map(|o| differences(o, actual, path)).collect();
            if tried.iter().any(|differences| differences.list.is_empty()) {
                return;
            }
            let hint = tried
                .iter()
                .filter(|differences| differences.all_invalid())
                .find_map(|differences| differences.list.first()?.mismatch.hint.clone());
            match hint {
                Some(hint) if tried.iter().all(Differences::all_invalid) => wrong(out, &hint),
                _ => plainly(out),
            }
        }
        Check::Each(expect) => match members(found, path) {
            Some(members) if members.is_empty() => {
                out.push(path, &show::expected(check), "no elements");
            }
            Some(members) => {
                for (path, member) in members {
                    differ(expect, Some(member), &path, out);
                }
            }
            None => wrong(out, "it is no list: $each looks at elements"),
        },
        Check::Some(expect) => match (found, members(found, path)) {
            (Value::Array(elements), _) => list(std::slice::from_ref(expect), elements, false, path, out),
            (_, Some(members)) => {
                if !members.iter().any(|(_, member)| accepts(expect, Some(member))) {
                    plainly(out);
                }
            }
            _ => wrong(out, "it is no list: $some looks at elements"),
        },
        Check::None(expect) => match members(found, path) {
            Some(members) => {
                for (path, member) in members {
                    let inner = differences(expect, Some(member), &path);
                    let slip = inner.all_invalid() && (is_container(member) || same_text(expect, member));
                    if inner.list.is_empty() {
                        out.push(&path, &show::expected(check), show::found(Some(member)));
                    } else if slip {
                        for difference in inner.list {
                            out.add(difference.mismatch, true);
                        }
                    }
                }
            }
            None => wrong(out, "it is no list: $none looks at elements"),
        },
        Check::Amount(measure, amounts) => match measure.read(found) {
            Ok(amount) => {
                if !amounts
                    .iter()
                    .all(|(comparison, wanted, _)| comparison.accepts(amount.cmp(wanted)))
                {
                    plainly(out);
                }
            }
            Err(_) if is_container(found) => plainly(out),
            Err(error) => wrong(out, &error.to_string()),
        },
        Check::Cel(program, scope) => match program.eval_bool(&scope.with_self(found.clone())) {
            Ok(truth) if truth.value => {}
            Ok(truth) => {
                let because: Vec<String> = truth
                    .because
                    .iter()
                    .map(|(text, value)| format!("{text} = {value}"))
                    .collect();
                if because.is_empty() {
                    plainly(out);
                } else {
                    out.push(path, &show::expected(check), because.join(", "));
                }
            }
            Err(error) if error.not_yet => out.push(path, &show::expected(check), error.message),
            Err(error) => out.invalid(path, &show::expected(check), show::found(actual), error.message),
        },
        Check::Decode(decoder, expect) => match found {
            Value::String(text) => match decoder.decode(text) {
                Ok(value) => differ(expect, Some(&value), &path.to(Step::Decoded(*decoder)), out),
                Err(error) => out.push(
                    path,
                    &show::expected(check),
                    format!("{} ({error})", show::found(actual)),
                ),
            },
            _ => wrong(
                out,
                &format!("it is no text: {} decodes text", decoder.operator()),
            ),
        },
        Check::Exists(_) | Check::Length(_) | Check::Exactly(_) => {}
    }
}

fn length(check: &Check, expect: &Expect, actual: Option<&Value>, path: &Path<'_>, out: &mut Differences) {
    let length = match actual {
        // Kubernetes leaves empty lists and maps out.
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) => text.chars().count(),
        Some(Value::Array(elements)) => elements.len(),
        Some(Value::Object(map)) => map.len(),
        Some(Value::Bool(_) | Value::Number(_)) => {
            let hint = "$len is the length of a text, a list or a map";
            out.invalid(path, &show::expected(check), show::found(actual), hint);
            return;
        }
    };
    if !accepts(expect, Some(&Value::from(length))) {
        let found = match actual {
            None | Some(Value::Null) => show::found(actual),
            Some(value) => format!("length {length}: {value}"),
        };
        out.push(path, &show::expected(check), found);
    }
}

fn contains(check: &Check, wanted: &[Expect], found: &Value, path: &Path<'_>, out: &mut Differences) {
    match found {
        Value::Array(elements) => list(wanted, elements, false, path, out),
        Value::String(text) => {
            for part in wanted {
                match part {
                    Expect::Literal(Value::String(part)) if text.contains(part.as_str()) => {}
                    Expect::Literal(Value::String(_)) => out.push(
                        path,
                        &format!("containing {}", show::inner(part)),
                        show::found(Some(found)),
                    ),
                    Expect::Literal(value) if !value.is_null() => out.invalid(
                        path,
                        &show::expected(check),
                        show::found(Some(found)),
                        format!("it is a text: quote what it must contain, as in \"{value}\""),
                    ),
                    _ => out.invalid(
                        path,
                        &show::expected(check),
                        show::found(Some(found)),
                        "it is a text: $contains takes a text here",
                    ),
                }
            }
        }
        _ => out.invalid(
            path,
            &show::expected(check),
            show::found(Some(found)),
            "$contains looks into a text or a list: match the fields of a map by their names",
        ),
    }
}
