//! Templates: text with `${{ }}` parts.
//!
//! Invariant: a template that parsed has no open `${{`; text outside the parts is kept byte for byte, `$${{` as `${{`.

use muster_model::{Diagnostic, Place};
use serde_json::Value;

use super::functions::RegexText;
use super::lex::string_end;
use super::program::Program;
use super::reference::Reference;
use super::scope::{EvalError, Scope};
use crate::node::Style;

const OPEN: &str = "${{";

/// Whether a text holds `${{`, escaped or not: it must be parsed as a template.
pub fn has_template(text: &str) -> bool {
    text.contains(OPEN)
}

/// A scalar's text with `${{ }}` parts.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
    style: Style,
    place: Place,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Expr(Program),
}

impl Template {
    /// Parses the text of a scalar (after YAML's unescaping) that stands at a place.
    ///
    /// # Errors
    /// A [`Diagnostic`]: code `unclosed-template`, or what is wrong with an expression.
    pub fn parse(text: &str, style: Style, place: &Place) -> Result<Self, Diagnostic> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = 0;
        // Where in the place's raw text the parts are looked for.
        let mut cursor = 0;
        while let Some(found) = text[rest..].find(OPEN) {
            let open = rest + found;
            if text[..open].ends_with('$') && open > rest {
                literal.push_str(&text[rest..open - 1]);
                literal.push_str(OPEN);
                rest = open + OPEN.len();
                continue;
            }
            literal.push_str(&text[rest..open]);
            let start = open + OPEN.len();
            let Some(end) = end_of_expression(text, start) else {
                let at = locate(place, &text[open..], &mut cursor)
                    .map_or_else(|| place.clone(), |at| sub(place, at, OPEN.len()));
                return Err(Diagnostic::error("unclosed-template", "`${{` is not closed", &at)
                    .help("close it with }}, or write $${{ for a literal ${{"));
            };
            let whole = &text[open..end + 2];
            let inner = &text[start..end];
            let source = inner.trim();
            let source_place = match locate(place, whole, &mut cursor) {
                Some(at) if source.is_empty() => sub(place, at, whole.len()),
                Some(at) => {
                    let lead = OPEN.len() + (inner.len() - inner.trim_start().len());
                    sub(place, at + lead, source.len())
                }
                None => place.clone(),
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expr(Program::parse(source, &source_place)?));
            rest = end + 2;
        }
        literal.push_str(&text[rest..]);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self {
            parts,
            style,
            place: place.clone(),
        })
    }

    /// The place of the scalar.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The text, if no expression stands in it (only escaped `$${{`).
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The expressions in it, in the written order.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expr(program) => Some(program),
            Part::Text(_) => None,
        })
    }

    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        self.programs().flat_map(Program::references).collect()
    }

    /// The value in a scope: of the expression's type for a plain scalar that is exactly one `${{ }}`, else a string.
    ///
    /// # Errors
    /// As [`Program::eval`]; a part of a text that is null.
    pub fn eval(&self, scope: &Scope) -> Result<Value, EvalError> {
        match self.parts.as_slice() {
            [Part::Expr(program)] if self.style == Style::Plain => program.eval(scope),
            _ => self.eval_text(scope).map(Value::String),
        }
    }

    /// The text in a scope: strings as they are, numbers and booleans printed, lists and maps as JSON.
    ///
    /// # Errors
    /// As [`Program::eval`]; a part that is null.
    pub fn eval_text(&self, scope: &Scope) -> Result<String, EvalError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(program) => out.push_str(&text_of(program, &program.eval(scope)?)?),
            }
        }
        Ok(out)
    }

    /// The text as a pattern: what expressions give is escaped, unless it comes from `regex(x)`.
    pub(crate) fn eval_regex(&self, scope: &Scope) -> Result<String, EvalError> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expr(program) => {
                    let raw = match program.eval_cel(scope)? {
                        cel::Value::Opaque(opaque) => {
                            opaque.downcast_ref::<RegexText>().map(|regex| regex.0.clone())
                        }
                        _ => None,
                    };
                    match raw {
                        Some(pattern) => {
                            out.push_str("(?:");
                            out.push_str(&pattern);
                            out.push(')');
                        }
                        None => {
                            let text = text_of(program, &program.eval(scope)?)?;
                            out.push_str(&regex::escape(&text));
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// The literal parts, each expression replaced by a text: to look at a pattern before it can be filled in.
    pub(crate) fn with_parts_as(&self, stand_in: &str) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Expr(_) => stand_in,
            })
            .collect()
    }

    /// The template as it was written, parts as `${{ ... }}`.
    pub fn source(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expr(program) => format!("${{{{ {} }}}}", program.source()),
            })
            .collect()
    }
}

fn text_of(program: &Program, value: &Value) -> Result<String, EvalError> {
    Ok(match value {
        Value::Null => {
            return Err(EvalError::fatal(
                format!("`{}` is null, which can't stand in a text", program.source()),
                program.place(),
            ));
        }
        Value::String(text) => text.clone(),
        Value::Number(n) => match n.as_f64() {
            // As CEL's string(): a whole double without a point.
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 1.0e15 => format!("{f:.0}"),
            _ => n.to_string(),
        },
        other => other.to_string(),
    })
}

/// Where the expression that begins at `start` ends: the first `}}` outside of CEL strings and braces.
fn end_of_expression(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => {
                at = string_end(text, at);
                continue;
            }
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where in a place's raw text a piece stands, looked for from a cursor on.
fn locate(place: &Place, piece: &str, cursor: &mut usize) -> Option<usize> {
    let raw = place.text();
    let at = *cursor + raw.get(*cursor..)?.find(piece)?;
    *cursor = at + piece.len();
    Some(at)
}

/// A part of a place.
fn sub(place: &Place, at: usize, length: usize) -> Place {
    let start = place.span.start + at;
    Place::new(std::sync::Arc::clone(&place.file), start..start + length)
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
