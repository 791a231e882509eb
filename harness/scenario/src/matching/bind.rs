//! Filling in a pattern's templates.
//!
//! Invariant: what a template gives is data: a `$` key in it is no operator.

use serde_json::Value;

use super::bound::{Bound, Check, Expect};
use super::lower::regex_of;
use super::pattern::{Extent, Key, Kind, Operator, Pattern};
use crate::expr::{EvalError, Scope, Template};

impl Pattern {
    /// Fills in the templates. The scope's names stay visible to `$cel`.
    ///
    /// # Errors
    /// As [`Template::eval`](crate::expr::Template::eval); a `$matches` that is no regular expression once it is filled
    /// in, or matches the empty text; an amount that is none.
    pub fn bind(&self, scope: &Scope) -> Result<Bound, EvalError> {
        Ok(Bound::new(expect(self, scope)?))
    }
}

fn expect(pattern: &Pattern, scope: &Scope) -> Result<Expect, EvalError> {
    Ok(match &pattern.kind {
        Kind::Value(tree) => data(tree.eval(scope)?),
        Kind::Map(entries) => {
            let mut bound: Vec<(String, Expect)> = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = match key {
                    Key::Literal(key) => key.clone(),
                    Key::Template(template) => template.eval_text(scope)?,
                };
                if bound.iter().any(|(known, _)| *known == key) {
                    return Err(EvalError::fatal(
                        format!("the key `{key}` comes out twice"),
                        &value.place,
                    ));
                }
                bound.push((key, expect(value, scope)?));
            }
            Expect::Map(bound)
        }
        Kind::List(items, extent) => Expect::List(all(items, scope)?, *extent),
        Kind::All(operators) => Expect::All(
            operators
                .iter()
                .map(|o| check(o, pattern, scope))
                .collect::<Result<_, _>>()?,
        ),
    })
}

/// The expectation that plain data is.
fn data(value: Value) -> Expect {
    match value {
        Value::Array(items) => Expect::List(items.into_iter().map(data).collect(), Extent::Part),
        Value::Object(map) => Expect::Map(map.into_iter().map(|(key, value)| (key, data(value))).collect()),
        scalar => Expect::Literal(scalar),
    }
}

fn all(patterns: &[Pattern], scope: &Scope) -> Result<Vec<Expect>, EvalError> {
    patterns.iter().map(|pattern| expect(pattern, scope)).collect()
}

fn boxed(pattern: &Pattern, scope: &Scope) -> Result<Box<Expect>, EvalError> {
    expect(pattern, scope).map(Box::new)
}

fn check(operator: &Operator, pattern: &Pattern, scope: &Scope) -> Result<Check, EvalError> {
    Ok(match operator {
        Operator::Matches(regex) => Check::Matches(regex.clone()),
        Operator::MatchesTemplate(template) => Check::Matches(filled_regex(template, scope)?),
        Operator::Contains(patterns) => {
            let wanted = all(patterns, scope)?;
            if let [Expect::Literal(Value::String(text))] = wanted.as_slice()
                && text.is_empty()
            {
                return Err(EvalError::fatal(
                    "$contains with an empty text matches everything",
                    &pattern.place,
                ));
            }
            Check::Contains(wanted)
        }
        Operator::Not(inner) => Check::Not(boxed(inner, scope)?),
        Operator::Compare(comparison, tree) => {
            let value = tree.eval(scope)?;
            if !matches!(value, Value::Number(_) | Value::String(_)) {
                return Err(EvalError::fatal(
                    format!("expected a number or a text to compare with, but it is {value}"),
                    tree.place(),
                ));
            }
            let number = tree.literal().is_none().then(|| number(&value)).flatten();
            Check::Compare(*comparison, value, number)
        }
        Operator::OneOf(patterns) => Check::OneOf(all(patterns, scope)?),
        Operator::Length(inner) => {
            let mut length = boxed(inner, scope)?;
            if let Expect::Literal(value) = &mut *length {
                if let Some(number) = number(value) {
                    *value = number;
                }
                if value.as_u64().is_none() {
                    return Err(EvalError::fatal(
                        format!("expected a length, but it is {value}"),
                        &inner.place,
                    ));
                }
            }
            Check::Length(length)
        }
        Operator::Each(inner) => Check::Each(boxed(inner, scope)?),
        Operator::Some(inner) => Check::Some(boxed(inner, scope)?),
        Operator::None(inner) => Check::None(boxed(inner, scope)?),
        Operator::Exactly(inner) => Check::Exactly(boxed(inner, scope)?),
        Operator::Exists(wanted) => Check::Exists(*wanted),
        Operator::Amount(measure, amounts) => Check::Amount(
            *measure,
            amounts
                .iter()
                .map(|(comparison, tree)| {
                    let value = tree.eval(scope)?;
                    let amount = measure
                        .read(&value)
                        .map_err(|error| EvalError::fatal(error.to_string(), tree.place()))?;
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    Ok((*comparison, amount, text))
                })
                .collect::<Result<_, EvalError>>()?,
        ),
        Operator::Cel(program) => Check::Cel(program.clone(), scope.clone()),
        Operator::Decode(decoder, inner) => Check::Decode(*decoder, boxed(inner, scope)?),
    })
}

/// The number that a template's text is: in `{$len: "${{ x }}"}` the quotes are YAML's need, not a wish for text.
fn number(value: &Value) -> Option<Value> {
    match serde_json::from_str(value.as_str()?).ok()? {
        number @ Value::Number(_) => Some(number),
        _ => None,
    }
}

fn filled_regex(template: &Template, scope: &Scope) -> Result<regex::Regex, EvalError> {
    let text = template.eval_regex(scope)?;
    regex_of(&text, template.place())
        .map_err(|diagnostic| EvalError::fatal(diagnostic.message, template.place()))
}
