//! Syntax errors of CEL in plain words.
//!
//! Invariant: an error stands at the token that the parser stumbled over, where the source stands in the file as it is.

use std::sync::Arc;

use muster_model::{Diagnostic, Place};

use super::lex;
use super::mask::{MASK, MASKED};

/// The first syntax error, in plain words.
pub(super) fn syntax_error(
    source: &str,
    place: &Place,
    base: Option<usize>,
    errors: &cel::ParseErrors,
) -> Diagnostic {
    let Some(error) = errors.errors.first() else {
        return Diagnostic::error("cel-syntax", "the expression is no CEL", place);
    };
    let (line, column) = error.pos;
    let line_start: usize = source
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(str::len)
        .sum();
    let in_line = source[line_start.min(source.len())..]
        .char_indices()
        .nth(usize::try_from(column - 1).unwrap_or(0))
        .map_or(source.len() - line_start.min(source.len()), |(at, _)| at);
    let offset = line_start + in_line;
    let place = match base {
        Some(base) => Place::new(
            Arc::clone(&place.file),
            base + offset..base + lex::after(source, offset).max(offset),
        ),
        None => place.clone(),
    };
    let message = plain_words(&error.msg);
    let mut diagnostic = Diagnostic::error("cel-syntax", format!("not a CEL expression: {message}"), &place);
    if let Some(help) = slip(source) {
        diagnostic = diagnostic.help(help);
    }
    diagnostic
}

/// A parser's message without its table of tokens.
fn plain_words(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let quoted = || {
        let rest = message.split_once('\'')?.1;
        let end = rest.find("' expecting").or_else(|| rest.rfind('\''))?;
        Some(rest[..end].replace(MASK, MASKED))
    };
    for start in [
        "mismatched input",
        "extraneous input",
        "no viable alternative at input",
        "token recognition error at",
    ] {
        if message.starts_with(start) {
            return match quoted() {
                Some(token) if token.is_empty() || token.ends_with("<EOF>") => "it ends too early".to_owned(),
                Some(token) => format!("`{}` is unexpected", token.trim()),
                None => "it ends too early".to_owned(),
            };
        }
    }
    if let Some((what, at)) = message
        .strip_prefix("missing '")
        .and_then(|rest| rest.split_once("' at "))
    {
        return match at {
            "'<EOF>'" => format!("a `{what}` is missing at its end"),
            _ => format!("a `{what}` is missing"),
        };
    }
    if let Some(word) = message.strip_prefix("reserved identifier: ") {
        return format!("`{word}` is a reserved word");
    }
    match message.split_once(" expecting {") {
        Some((before, _)) => before.to_owned(),
        None => message.replace(MASK, MASKED),
    }
}

/// The remedy for slips that come from other languages.
fn slip(source: &str) -> Option<&'static str> {
    let code: String = lex::code(source).map(|(_, b)| char::from(b)).collect();
    let words: Vec<&str> = code
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let bare = code
        .replace("==", "")
        .replace("!=", "")
        .replace(">=", "")
        .replace("<=", "");
    if words.contains(&"and") || words.contains(&"or") || words.contains(&"not") {
        Some("CEL writes && for and, || for or, ! for not")
    } else if bare.contains('=') {
        Some("CEL compares with ==")
    } else if code.contains('$') {
        Some("names stand alone in CEL, without $")
    } else {
        None
    }
}
