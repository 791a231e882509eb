//! Values between Postgres' text format and JSON.
//!
//! Invariant: nothing is lost on the way: what JSON can't hold exactly stays the text that Postgres prints.

use jiff::Timestamp;
use serde_json::{Number, Value};
use tokio_postgres::types::{Kind, Type};

/// A value in text format as JSON: integers, floats and exact numerics are numbers, `timestamptz` is RFC 3339 in UTC,
/// `timestamp` the same without offset, json is itself, arrays are lists, all else (uuid, bytea as `\x..`, interval,
/// enums, ranges, ...) is its text.
pub(crate) fn to_json(type_: &Type, text: &str) -> Value {
    match type_.kind() {
        Kind::Domain(base) => return to_json(base, text),
        Kind::Array(element) => {
            return parse_array(element, text).unwrap_or_else(|| Value::String(text.to_owned()));
        }
        _ => {}
    }
    let value = match *type_ {
        Type::BOOL => match text {
            "t" => Some(Value::Bool(true)),
            "f" => Some(Value::Bool(false)),
            _ => None,
        },
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse::<i64>().ok().map(Value::from),
        Type::FLOAT4 | Type::FLOAT8 => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        Type::NUMERIC => numeric(text),
        Type::JSON | Type::JSONB => serde_json::from_str(text).ok(),
        Type::TIMESTAMPTZ => timestamptz(text),
        Type::TIMESTAMP => timestamp(text),
        _ => None,
    };
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A number if it is one exactly, as far as decimals go: the number prints as the same decimal.
fn numeric(text: &str) -> Option<Value> {
    let plain = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    };
    if let Ok(whole) = plain.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let float: f64 = plain.parse().ok()?;
    (float.is_finite() && float.to_string() == plain)
        .then(|| Number::from_f64(float).map(Value::Number))
        .flatten()
}

fn timestamptz(text: &str) -> Option<Value> {
    let time: Timestamp = text.replacen(' ', "T", 1).parse().ok()?;
    Some(Value::String(time.to_string()))
}

fn timestamp(text: &str) -> Option<Value> {
    let time: jiff::civil::DateTime = text.replacen(' ', "T", 1).parse().ok()?;
    Some(Value::String(time.to_string()))
}

/// Postgres' array syntax: `{1,NULL,"a \"b\""}`, nested for more dimensions, with bounds before `=` if unusual.
fn parse_array(element: &Type, text: &str) -> Option<Value> {
    let text = match text.strip_prefix('[') {
        Some(_) => text.split_once('=')?.1,
        None => text,
    };
    let separator = if *element == Type::BOX { ';' } else { ',' };
    let mut chars = text.chars().peekable();
    let value = parse_list(element, separator, &mut chars)?;
    chars.next().is_none().then_some(value)
}

fn parse_list(
    element: &Type,
    separator: char,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Option<Value> {
    if chars.next()? != '{' {
        return None;
    }
    let mut items = Vec::new();
    if chars.next_if_eq(&'}').is_some() {
        return Some(Value::Array(items));
    }
    loop {
        items.push(match chars.peek()? {
            '{' => parse_list(element, separator, chars)?,
            '"' => {
                chars.next();
                let mut word = String::new();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => word.push(chars.next()?),
                        c => word.push(c),
                    }
                }
                to_json(element, &word)
            }
            _ => {
                let mut word = String::new();
                while let Some(c) = chars.next_if(|c| *c != separator && *c != '}') {
                    word.push(c);
                }
                if word.eq_ignore_ascii_case("null") {
                    Value::Null
                } else {
                    to_json(element, &word)
                }
            }
        });
        match chars.next()? {
            '}' => return Some(Value::Array(items)),
            c if c == separator => {}
            _ => return None,
        }
    }
}

/// A parameter as a literal of unknown type, which the server reads as the type that the statement wants.
pub(crate) fn to_literal(type_: &Type, value: &Value) -> String {
    match to_text(type_, value) {
        Some(text) => quote(&text),
        None => "NULL".to_owned(),
    }
}

/// A JSON value in text format; none for null.
fn to_text(type_: &Type, value: &Value) -> Option<String> {
    if matches!(*type_, Type::JSON | Type::JSONB) {
        return (!value.is_null()).then(|| value.to_string());
    }
    match (type_.kind(), value) {
        (_, Value::Null) => None,
        (Kind::Domain(base), _) => to_text(base, value),
        (Kind::Array(element), Value::Array(items)) => {
            let separator = if *element == Type::BOX { ";" } else { "," };
            let items: Vec<String> = items
                .iter()
                .map(|item| match (item, to_text(element, item)) {
                    (_, None) => "NULL".to_owned(),
                    // A list in a list is a further dimension, unless lists are what the elements are.
                    (Value::Array(_), Some(_)) if !matches!(*element, Type::JSON | Type::JSONB) => {
                        to_text(type_, item).unwrap_or_default()
                    }
                    (_, Some(text)) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                })
                .collect();
            Some(format!("{{{}}}", items.join(separator)))
        }
        (_, Value::String(text)) => Some(text.clone()),
        (_, other) => Some(other.to_string()),
    }
}

/// An escape string literal, right whatever `standard_conforming_strings` is (libpq's PQescapeLiteral).
fn quote(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numerics_are_numbers_only_when_exact() {
        assert_eq!(to_json(&Type::NUMERIC, "42"), json!(42));
        assert_eq!(to_json(&Type::NUMERIC, "1.10"), json!(1.1));
        assert_eq!(to_json(&Type::NUMERIC, "-3.000"), json!(-3));
        assert_eq!(to_json(&Type::NUMERIC, "100"), json!(100));
        assert_eq!(
            to_json(&Type::NUMERIC, "0.12345678901234567890"),
            json!("0.12345678901234567890")
        );
        assert_eq!(
            to_json(&Type::NUMERIC, "12345678901234567890123"),
            json!("12345678901234567890123")
        );
        assert_eq!(to_json(&Type::NUMERIC, "NaN"), json!("NaN"));
    }

    #[test]
    fn arrays_nest_and_unquote() {
        assert_eq!(
            to_json(&Type::TEXT_ARRAY, r#"{a,NULL,"NULL","b \"c\", {d}","\\x"}"#),
            json!(["a", null, "NULL", "b \"c\", {d}", "\\x"])
        );
        assert_eq!(
            to_json(&Type::INT4_ARRAY, "[0:1]={{1,2},{3,4}}"),
            json!([[1, 2], [3, 4]])
        );
        assert_eq!(to_json(&Type::INT4_ARRAY, "{}"), json!([]));
        assert_eq!(to_json(&Type::INT4_ARRAY, "{1"), json!("{1"));
    }

    #[test]
    fn times_keep_what_json_cannot_say() {
        assert_eq!(
            to_json(&Type::TIMESTAMPTZ, "2026-11-24 12:30:00.5+01"),
            json!("2026-11-24T11:30:00.5Z")
        );
        assert_eq!(
            to_json(&Type::TIMESTAMPTZ, "2026-11-24 12:30:00+05:30"),
            json!("2026-11-24T07:00:00Z")
        );
        assert_eq!(
            to_json(&Type::TIMESTAMP, "2026-11-24 12:30:00"),
            json!("2026-11-24T12:30:00")
        );
        assert_eq!(to_json(&Type::TIMESTAMPTZ, "infinity"), json!("infinity"));
        assert_eq!(
            to_json(&Type::TIMESTAMP, "0044-03-15 00:00:00 BC"),
            json!("0044-03-15 00:00:00 BC")
        );
    }

    #[test]
    fn a_literal_cannot_be_left() {
        assert_eq!(
            to_literal(&Type::TEXT, &json!("a'; drop table t; --\\'")),
            r"E'a''; drop table t; --\\'''"
        );
        assert_eq!(to_literal(&Type::INT4, &json!(null)), "NULL");
        assert_eq!(
            to_literal(&Type::TEXT_ARRAY, &json!(["a\"b", null, "c"])),
            r#"E'{"a\\"b",NULL,"c"}'"#
        );
        assert_eq!(
            to_literal(&Type::INT4_ARRAY, &json!([[1, 2], [3, 4]])),
            r#"E'{{"1","2"},{"3","4"}}'"#
        );
        assert_eq!(
            to_literal(&Type::JSONB, &json!({"a": "it's"})),
            r#"E'{"a":"it''s"}'"#
        );
    }
}
