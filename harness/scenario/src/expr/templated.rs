//! Templated fields: a scalar of muster's own keys that is a literal or has `${{ }}` parts.
//!
//! Invariant: a literal was converted when it was loaded; only templates can fail at run time.

use std::time::Duration;

use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::Value;

use super::reference::Reference;
use super::scalar::{describe, short};
use super::scope::{EvalError, Scope};
use super::template::{Template, has_template};
use crate::decode::{format_duration, parse_duration};
use crate::node::{Node, NodeKind, Style};

/// A type that a templated field of muster's own can have.
pub trait FromScalar: Sized + Clone {
    /// What to call it in messages: `a duration such as 30s`.
    const WHAT: &'static str;
    /// Reads it from a value: a string, or what an expression gave.
    fn from_value(value: &Value) -> Option<Self>;
    /// A remedy for a value that isn't one.
    fn remedy(_value: &Value) -> Option<String> {
        None
    }
    /// A short text of it, for summaries.
    fn show(&self) -> String;
}

impl FromScalar for String {
    const WHAT: &'static str = "a string";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(n) => Some(n.to_string()),
            Value::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl FromScalar for i64 {
    const WHAT: &'static str = "a whole number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(n) => n.as_i64().or_else(|| {
                n.as_f64()
                    .filter(|f| f.fract() == 0.0 && f.abs() < 9.0e18)
                    .map(|f| f as i64)
            }),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromScalar for bool {
    const WHAT: &'static str = "true or false";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(b) => Some(*b),
            Value::String(text) => match text.as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromScalar for Duration {
    const WHAT: &'static str = "a duration such as 30s";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => parse_duration(text).ok(),
            _ => None,
        }
    }

    fn remedy(value: &Value) -> Option<String> {
        match value {
            Value::Number(n) => Some(format!("write {n}s for seconds")),
            Value::String(text) => match parse_duration(text) {
                _ if text.parse::<f64>().is_ok() => Some(format!("write {text}s for seconds")),
                Err(e) => Some(e.to_string()),
                Ok(_) => None,
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        format_duration(*self)
    }
}

/// A scalar field that is a literal or an expression.
#[derive(Debug, Clone)]
pub enum Templated<T> {
    /// A literal.
    Lit(T, Place),
    /// Text with `${{ }}`.
    Expr(Template),
}

impl<T: FromScalar> Templated<T> {
    /// Lowers a scalar; pushes a diagnostic with code `wrong-type` and gives `None` if it is none, or of another type.
    pub fn lower(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let wrong = |found: &Value| {
            let mut diagnostic = Diagnostic::error(
                "wrong-type",
                format!("expected {}, found {}", T::WHAT, describe(node)),
                &node.place,
            );
            if let Some(help) = T::remedy(found) {
                diagnostic = diagnostic.help(help);
            }
            diagnostic
        };
        let NodeKind::Scalar { text, style } = &node.kind else {
            diagnostics.push(wrong(&Value::Null));
            return None;
        };
        let text = if has_template(text) {
            match Template::parse(text, *style, &node.place) {
                Ok(template) => match template.literal() {
                    Some(literal) => literal.to_owned(),
                    None => return Some(Self::Expr(template)),
                },
                Err(diagnostic) => {
                    diagnostics.push(diagnostic);
                    return None;
                }
            }
        } else {
            text.clone()
        };
        let nothing = *style == Style::Plain && matches!(text.as_str(), "" | "~" | "null");
        let value = if nothing { Value::Null } else { Value::String(text) };
        match T::from_value(&value) {
            Some(literal) => Some(Self::Lit(literal, node.place.clone())),
            None => {
                diagnostics.push(wrong(&value));
                None
            }
        }
    }

    /// The value in a scope.
    ///
    /// # Errors
    /// As [`Template::eval`], and if the value can't be read as a `T`.
    pub fn eval(&self, scope: &Scope) -> Result<T, EvalError> {
        match self {
            Self::Lit(value, _) => Ok(value.clone()),
            Self::Expr(template) => {
                let value = template.eval(scope)?;
                T::from_value(&value).ok_or_else(|| {
                    let help = T::remedy(&value).map_or_else(String::new, |help| format!(": {help}"));
                    EvalError::fatal(
                        format!(
                            "expected {}, but {} gives {}{help}",
                            T::WHAT,
                            template.source(),
                            short(&value.to_string())
                        ),
                        template.place(),
                    )
                })
            }
        }
    }

    /// The place.
    pub fn place(&self) -> &Place {
        match self {
            Self::Lit(_, place) => place,
            Self::Expr(template) => template.place(),
        }
    }

    /// The literal, if it is one.
    pub fn literal(&self) -> Option<&T> {
        match self {
            Self::Lit(value, _) => Some(value),
            Self::Expr(_) => None,
        }
    }

    /// The template, if it is one.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Self::Lit(..) => None,
            Self::Expr(template) => Some(template),
        }
    }

    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        self.template().map(Template::references).unwrap_or_default()
    }

    /// A short text: the literal, or the template as it was written.
    pub fn show(&self) -> String {
        match self {
            Self::Lit(value, _) => value.show(),
            Self::Expr(template) => template.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::tests_support::node;
    use serde_json::json;

    fn lower<T: FromScalar>(text: &str, style: Style) -> Result<Templated<T>, String> {
        let mut diagnostics = Diagnostics::new();
        Templated::lower(&node(text, style), &mut diagnostics)
            .ok_or_else(|| diagnostics.list.iter().map(ToString::to_string).collect())
    }

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set(
            "vars",
            json!({"n": 3, "s": "5m", "list": [1], "t": true, "nothing": null}),
        );
        scope
    }

    #[test]
    fn literals_are_read_as_the_keys_type() {
        assert_eq!(
            lower::<String>("8.0", Style::Plain).unwrap().literal(),
            Some(&"8.0".to_owned())
        );
        assert_eq!(
            lower::<String>("yes", Style::Plain).unwrap().literal(),
            Some(&"yes".to_owned())
        );
        assert_eq!(lower::<i64>("3", Style::Plain).unwrap().literal(), Some(&3));
        assert_eq!(
            lower::<bool>("false", Style::Plain).unwrap().literal(),
            Some(&false)
        );
        assert_eq!(
            lower::<Duration>("1h30m", Style::Plain).unwrap().literal(),
            Some(&Duration::from_secs(5400))
        );
    }

    #[test]
    fn a_literal_of_another_type_says_what_was_expected() {
        let message = lower::<Duration>("30", Style::Plain).unwrap_err();
        assert!(
            message.contains("expected a duration such as 30s, found 30"),
            "{message}"
        );
        assert!(message.contains("write 30s for seconds"), "{message}");
        let message = lower::<bool>("yes", Style::Plain).unwrap_err();
        assert!(message.contains("expected true or false, found yes"), "{message}");
        let message = lower::<String>("", Style::Plain).unwrap_err();
        assert!(message.contains("expected a string, found nothing"), "{message}");
        assert!(lower::<i64>("3.5", Style::Plain).is_err());
        assert!(lower::<String>("", Style::Quoted).is_ok());
    }

    #[test]
    fn templates_are_converted_to_the_keys_type() {
        assert_eq!(
            lower::<i64>("${{ vars.n + 1 }}", Style::Plain)
                .unwrap()
                .eval(&scope())
                .unwrap(),
            4
        );
        assert_eq!(
            lower::<i64>("${{ vars.n }}", Style::Quoted)
                .unwrap()
                .eval(&scope())
                .unwrap(),
            3
        );
        assert_eq!(
            lower::<String>("a-${{ vars.n }}", Style::Plain)
                .unwrap()
                .eval(&scope())
                .unwrap(),
            "a-3"
        );
        assert_eq!(
            lower::<Duration>("${{ vars.s }}", Style::Plain)
                .unwrap()
                .eval(&scope())
                .unwrap(),
            Duration::from_secs(300)
        );
    }

    #[test]
    fn a_template_of_another_type_fails_when_it_is_filled_in() {
        let error = lower::<Duration>("${{ vars.n }}", Style::Plain)
            .unwrap()
            .eval(&scope())
            .unwrap_err();
        assert!(error.message.contains("write 3s"), "{error}");
        assert!(
            lower::<String>("${{ vars.list }}", Style::Plain)
                .unwrap()
                .eval(&scope())
                .is_err()
        );
        assert!(
            lower::<String>("${{ vars.nothing }}", Style::Plain)
                .unwrap()
                .eval(&scope())
                .is_err()
        );
    }

    #[test]
    fn an_escaped_template_is_a_literal() {
        let templated = lower::<String>("$${{ x }}", Style::Plain).unwrap();
        assert_eq!(templated.literal(), Some(&"${{ x }}".to_owned()));
    }
}
