//! What the YAML parser's errors mean to someone who writes scenarios.
//!
//! Invariant: a syntax error has a place and a remedy; the parser's own words are kept where we know no better.

use std::sync::Arc;

use muster_model::{Diagnostic, Place, SourceFile};
use serde_saphyr::granit_parser::{ErrorKind, ScanError};

/// The diagnostic of a syntax error.
pub(super) fn diagnostic(file: &Arc<SourceFile>, error: &ScanError) -> Diagnostic {
    let place = place_of(file, error);
    let (message, help) = words(error.kind());
    let mut diagnostic = Diagnostic::error("yaml-syntax", message, &place);
    if line_around(file.text(), place.span.start).contains("${{") {
        diagnostic = diagnostic.help(
            "quote it: a value with `${{ }}` inside `{}` or `[]`, or with `: ` or `\"` in it, needs quotes around the whole value, \
             such as \"${{ vars.name }}\", and single quotes inside the expression",
        );
    } else if let Some(help) = help {
        diagnostic = diagnostic.help(help);
    }
    diagnostic
}

fn place_of(file: &Arc<SourceFile>, error: &ScanError) -> Place {
    let text = file.text();
    let mut start = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let length = text[start..]
        .chars()
        .next()
        .filter(|c| *c != '\n')
        .map_or(0, char::len_utf8);
    Place::new(file.clone(), start..start + length)
}

fn line_around(text: &str, offset: usize) -> &str {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    &text[start..end]
}

fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let (message, help): (String, _) = match kind {
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed".into(), None),
        ErrorKind::UnclosedFlowCollection { open } => (format!("this `{open}` is never closed"), None),
        ErrorKind::UnexpectedEofFlowSequence => ("the file ends inside a `[`".into(), None),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("the file ends inside a `{`".into(), None)
        }
        ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabNotAllowed => {
            ("a tab can't indent YAML".into(), Some("indent with spaces"))
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a `:` is not allowed here".into(),
            Some(
                "quote the text if the `:` belongs to it; else check the indentation of this line and the brackets above it",
            ),
        ),
        ErrorKind::ExpectedBlockMappingKey => (
            "expected a key here".into(),
            Some("the indentation of this line fits no map above it"),
        ),
        ErrorKind::ExpectedBlockSequenceEntry => (
            "expected a list element (`- `) here".into(),
            Some("the indentation of this line fits no list above it"),
        ),
        ErrorKind::ExpectedFlowMappingSeparator => (
            "expected `,` or `}` here".into(),
            Some("close the `{` above, or quote the value before this"),
        ),
        ErrorKind::ExpectedFlowSequenceSeparator => (
            "expected `,` or `]` here".into(),
            Some("close the `[` above, or quote the value before this"),
        ),
        ErrorKind::SimpleKeyExpected => (
            "this line is neither `key: value` nor a list element".into(),
            Some("add the `:` with a space behind it, or check the indentation"),
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("text can't begin with `{character}`"), Some("quote it"))
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => (
            "text behind the closing quote".into(),
            Some("use the other kind of quotes inside, or escape them"),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "unknown escape in double quotes".into(),
            Some("in single quotes a backslash is literal: '\\d+'"),
        ),
        ErrorKind::RecursionLimitExceeded => ("nested too deeply".into(), None),
        other => (other.to_string(), None),
    };
    (message, help)
}
