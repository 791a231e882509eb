//! From a node to a pattern.
//!
//! Invariant: every operand is checked for its type and for matching everything, where that can be seen without a run.
#![expect(
    clippy::result_large_err,
    reason = "a diagnostic is made once for a mistake, when a file is loaded"
)]

use muster_model::{Diagnostic, Diagnostics, Place};
use regex::Regex;
use serde_json::Value;

use super::operator::{Comparison, Decoder, Measure, OPERATORS, UNSUPPORTED};
use super::pattern::{Extent, Key, Kind, Operator, Pattern};
use crate::expr::{Program, Reading, Template, Tree, describe, has_template};
use crate::node::{Entry, Node, NodeKind, Style};
use crate::suggest::nearest;

impl Pattern {
    /// Lowers a node. What is wrong with it gets a diagnostic: `wrong-type`, `unknown-operator`, `mixed-operators`,
    /// `matches-everything`, `bad-regex`, `unsupported`, or what templates and scalars report.
    pub fn lower(node: &Node, diagnostics: &mut Diagnostics) -> Self {
        let kind = match &node.kind {
            NodeKind::Scalar { .. } => Kind::Value(value(node, diagnostics)),
            NodeKind::Sequence(items) => {
                if items.is_empty() {
                    diagnostics.push(
                        Diagnostic::error(
                            "matches-everything",
                            "an empty list matches every list",
                            &node.place,
                        )
                        .help("write {$len: 0} for a list without elements"),
                    );
                }
                Kind::List(patterns(items, diagnostics), Extent::Part)
            }
            NodeKind::Mapping(entries) => mapping(entries, diagnostics),
        };
        Self {
            place: node.place.clone(),
            kind,
        }
    }

    /// Lowers the rows of a whole result: a plain list has all of them, in any order, or `ordered` in this one;
    /// operators (`{$len, $each, $contains}`) apply to the list as they are.
    pub fn lower_rows(node: &Node, ordered: bool, diagnostics: &mut Diagnostics) -> Self {
        match &node.kind {
            NodeKind::Sequence(items) => Self {
                place: node.place.clone(),
                kind: Kind::List(
                    patterns(items, diagnostics),
                    if ordered { Extent::Exact } else { Extent::Whole },
                ),
            },
            NodeKind::Mapping(entries) if entries.iter().any(|e| is_operator(&e.key)) => {
                Self::lower(node, diagnostics)
            }
            _ => {
                diagnostics.push(
                    wrong_type("a list of rows", node)
                        .help("write a list, or operators such as {$len: 3} or {$contains: [...]}"),
                );
                Self {
                    place: node.place.clone(),
                    kind: Kind::List(Vec::new(), Extent::Whole),
                }
            }
        }
    }
}

fn wrong_type(expected: &str, node: &Node) -> Diagnostic {
    Diagnostic::error(
        "wrong-type",
        format!("expected {expected}, found {}", describe(node)),
        &node.place,
    )
}

fn matches_everything(what: &str, place: &Place) -> Diagnostic {
    Diagnostic::error("matches-everything", format!("{what} matches everything"), place)
}

/// Whether a key is an operator: `$x`, but not `$$x` (a literal key) nor `${{ x }}` (a template).
fn is_operator(key: &str) -> bool {
    key.starts_with('$') && !key.starts_with("$$") && !key.starts_with("${{")
}

fn value(node: &Node, diagnostics: &mut Diagnostics) -> Tree {
    Tree::lower(node, Reading::Scenario, diagnostics)
}

fn patterns(items: &[Node], diagnostics: &mut Diagnostics) -> Vec<Pattern> {
    items
        .iter()
        .map(|item| Pattern::lower(item, diagnostics))
        .collect()
}

fn mapping(entries: &[Entry], diagnostics: &mut Diagnostics) -> Kind {
    let operators = entries.iter().filter(|e| is_operator(&e.key)).count();
    if operators == 0 {
        return Kind::Map(
            entries
                .iter()
                .filter_map(|entry| {
                    let key = key(entry, diagnostics)?;
                    Some((key, Pattern::lower(&entry.value, diagnostics)))
                })
                .collect(),
        );
    }
    if let Some(field) = entries.iter().find(|e| !is_operator(&e.key)) {
        diagnostics.push(
            Diagnostic::error(
                "mixed-operators",
                format!("`{}` can't stand beside operators", field.key),
                &field.key_place,
            )
            .help("put fields in a map of their own; a key that begins with $ is written with $$"),
        );
    }
    Kind::All(
        entries
            .iter()
            .filter(|e| is_operator(&e.key))
            .filter_map(|entry| operator(entry, diagnostics))
            .collect(),
    )
}

fn key(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Key> {
    if has_template(&entry.key) {
        return match Template::parse(&entry.key, Style::Quoted, &entry.key_place) {
            Ok(template) => Some(match template.literal() {
                Some(literal) => Key::Literal(literal.to_owned()),
                None => Key::Template(template),
            }),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                None
            }
        };
    }
    let key = match entry.key.strip_prefix("$$") {
        Some(rest) => format!("${rest}"),
        None => entry.key.clone(),
    };
    Some(Key::Literal(key))
}

fn operator(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Operator> {
    let node = &entry.value;
    let name = entry.key.as_str();
    if let Some(comparison) = Comparison::of(name).filter(|_| name != "$ne") {
        return comparison_operand(node, diagnostics).map(|tree| Operator::Compare(comparison, tree));
    }
    if let Some(decoder) = Decoder::of(name) {
        return Some(Operator::Decode(decoder, Pattern::lower(node, diagnostics)));
    }
    match name {
        "$matches" => matches(node, diagnostics),
        "$contains" => contains(node, diagnostics),
        "$ne" => Some(Operator::Not(Pattern::lower(node, diagnostics))),
        "$in" => match node.items() {
            Some([]) => {
                diagnostics.push(
                    Diagnostic::error("matches-nothing", "an empty list matches nothing", &node.place)
                        .help("write the values that are allowed"),
                );
                None
            }
            Some(items) => Some(Operator::OneOf(patterns(items, diagnostics))),
            None => {
                diagnostics.push(wrong_type("a list of values", node).help("write $in: [a, b]"));
                None
            }
        },
        "$len" => length(node, diagnostics).map(Operator::Length),
        "$each" => Some(Operator::Each(Pattern::lower(node, diagnostics))),
        "$some" => Some(Operator::Some(Pattern::lower(node, diagnostics))),
        "$none" => Some(Operator::None(Pattern::lower(node, diagnostics))),
        "$exactly" => match node.items() {
            Some(items) => Some(Operator::Exactly(Pattern {
                place: node.place.clone(),
                kind: Kind::List(patterns(items, diagnostics), Extent::Exact),
            })),
            None => {
                diagnostics.push(wrong_type("a list", node).help("write $exactly: [a, b]"));
                None
            }
        },
        "$exists" => match node.scalar() {
            Some("true") => Some(Operator::Exists(true)),
            Some("false") => Some(Operator::Exists(false)),
            _ => {
                diagnostics.push(wrong_type("true or false", node));
                None
            }
        },
        "$quantity" => amounts(Measure::Quantity, node, diagnostics),
        "$duration" => amounts(Measure::Duration, node, diagnostics),
        "$cel" => Program::lower(node, diagnostics).map(Operator::Cel),
        _ if UNSUPPORTED.contains(&name) => {
            diagnostics.push(
                Diagnostic::error(
                    "unsupported",
                    format!("`{name}` is not supported yet"),
                    &entry.key_place,
                )
                .help("match the text with $matches or $contains until it is"),
            );
            None
        }
        _ => {
            let names = OPERATORS.iter().map(|(name, _)| *name);
            let help = match nearest(name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the operators are {}; a key that begins with $ is written with $$",
                    names.collect::<Vec<_>>().join(", ")
                ),
            };
            diagnostics.push(
                Diagnostic::error(
                    "unknown-operator",
                    format!("there is no operator `{name}`"),
                    &entry.key_place,
                )
                .help(help),
            );
            None
        }
    }
}

fn matches(node: &Node, diagnostics: &mut Diagnostics) -> Option<Operator> {
    let NodeKind::Scalar { text, style } = &node.kind else {
        diagnostics.push(wrong_type("a regular expression", node).help("several: write them as `(a|b)`"));
        return None;
    };
    let literal = if has_template(text) {
        match Template::parse(text, *style, &node.place) {
            Ok(template) => match template.literal() {
                Some(literal) => literal.to_owned(),
                None => {
                    // A part may be any text; a letter stands for it in a first look.
                    let report = regex_of(&template.with_parts_as("x"), &node.place);
                    return match report {
                        Ok(_) => Some(Operator::MatchesTemplate(template)),
                        Err(diagnostic) => {
                            diagnostics.push(diagnostic);
                            None
                        }
                    };
                }
            },
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                return None;
            }
        }
    } else {
        text.clone()
    };
    match regex_of(&literal, &node.place) {
        Ok(regex) => Some(Operator::Matches(regex)),
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            None
        }
    }
}

/// Compiles a regular expression that doesn't match the empty text.
pub(super) fn regex_of(pattern: &str, place: &Place) -> Result<Regex, Diagnostic> {
    let regex = Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        let reason = last.strip_prefix("error: ").unwrap_or(last);
        Diagnostic::error("bad-regex", format!("not a regular expression: {reason}"), place)
            .help("escape ( ) [ ] { } . * + ? ^ $ | with \\ to match them as they are, or use $contains")
    })?;
    if regex.is_match("") {
        return Err(matches_everything(
            &format!("the pattern `{pattern}` is found in an empty text, so it"),
            place,
        )
        .help("make it ask for at least one character; an empty text is matched by \"\""));
    }
    Ok(regex)
}

fn contains(node: &Node, diagnostics: &mut Diagnostics) -> Option<Operator> {
    match &node.kind {
        NodeKind::Sequence(items) if items.is_empty() => {
            diagnostics.push(
                matches_everything("$contains with an empty list", &node.place)
                    .help("write the elements that must be there"),
            );
            None
        }
        NodeKind::Sequence(items) => Some(Operator::Contains(patterns(items, diagnostics))),
        NodeKind::Scalar { text, style } if text.is_empty() && *style != Style::Plain => {
            diagnostics.push(
                matches_everything("$contains with an empty text", &node.place)
                    .help("write the text that must be there"),
            );
            None
        }
        _ => Some(Operator::Contains(vec![Pattern::lower(node, diagnostics)])),
    }
}

/// An operand of `$gt` and its like: a number, a text or a template.
fn comparison_operand(node: &Node, diagnostics: &mut Diagnostics) -> Option<Tree> {
    let tree = value(node, diagnostics);
    match tree.literal() {
        None if node.scalar().is_some() => Some(tree),
        Some(Value::Number(_) | Value::String(_)) => Some(tree),
        _ => {
            diagnostics.push(wrong_type("a number or a text to compare with", node));
            None
        }
    }
}

fn length(node: &Node, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let pattern = Pattern::lower(node, diagnostics);
    let fits = match &pattern.kind {
        Kind::Value(tree) => match tree.literal() {
            Some(Value::Number(n)) => n.as_u64().is_some(),
            Some(_) => false,
            None => true,
        },
        Kind::All(_) => true,
        Kind::Map(_) | Kind::List(..) => false,
    };
    if !fits {
        diagnostics.push(wrong_type("a length", node).help("write $len: 3 or $len: {$gte: 1}"));
        return None;
    }
    Some(pattern)
}

/// The operand of `$quantity` and `$duration`: an amount, or comparisons with amounts.
fn amounts(measure: Measure, node: &Node, diagnostics: &mut Diagnostics) -> Option<Operator> {
    let mut amounts = Vec::new();
    let mut read = |comparison, node: &Node, diagnostics: &mut Diagnostics| {
        let tree = value(node, diagnostics);
        match tree.literal() {
            None if node.scalar().is_none() => {
                diagnostics.push(wrong_type(&format!("a {}", measure.name()), node));
            }
            Some(literal) => match measure.read(&literal) {
                Ok(_) => amounts.push((comparison, tree)),
                Err(error) => {
                    diagnostics
                        .push(wrong_type(&format!("a {}", measure.name()), node).help(error.to_string()));
                }
            },
            None => amounts.push((comparison, tree)),
        }
    };
    match &node.kind {
        NodeKind::Mapping(entries) if !entries.is_empty() => {
            for entry in entries {
                match Comparison::of(&entry.key) {
                    Some(comparison) => read(comparison, &entry.value, diagnostics),
                    None => diagnostics.push(
                        Diagnostic::error(
                            "unknown-operator",
                            format!("`{}` has no meaning for a {}", entry.key, measure.name()),
                            &entry.key_place,
                        )
                        .help("use $gt, $gte, $lt, $lte or $ne"),
                    ),
                }
            }
        }
        _ => read(Comparison::Equal, node, diagnostics),
    }
    (!amounts.is_empty()).then_some(Operator::Amount(measure, amounts))
}
