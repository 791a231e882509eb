//! Scalars: how a plain scalar's text becomes a value.
//!
//! Invariant: only plain scalars have a type; quoted and block scalars are strings in both readings.

use serde_json::{Number, Value};

use crate::node::{Node, NodeKind, Style};

/// How plain scalars of a free tree are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// YAML 1.2 core with strict booleans: scenarios.
    Scenario,
    /// As kubectl reads manifests (YAML 1.1: `yes`, `0644`).
    Manifest,
}

/// Why a plain scalar is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: String,
}

fn refused(code: &'static str, message: String, help: impl Into<String>) -> Refused {
    Refused {
        code,
        message,
        help: help.into(),
    }
}

/// The value of a plain scalar.
pub(crate) fn read_plain(text: &str, reading: Reading) -> Result<Value, Refused> {
    match reading {
        Reading::Scenario => read_scenario(text),
        Reading::Manifest => read_manifest(text),
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// YAML 1.2 core, without what reads differently in a manifest.
fn read_scenario(text: &str) -> Result<Value, Refused> {
    if is_null(text) {
        return Ok(Value::Null);
    }
    match text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Err(refused(
                "ambiguous-boolean",
                format!("`{text}` may be a boolean or a string"),
                format!("quote it (\"{text}\"), or write true"),
            ));
        }
        "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Err(refused(
                "ambiguous-boolean",
                format!("`{text}` may be a boolean or a string"),
                format!("quote it (\"{text}\"), or write false"),
            ));
        }
        _ => {}
    }
    let (negative, digits) = signed(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            let octal = i64::from_str_radix(digits, 8)
                .map_or_else(|_| String::new(), |n| format!("{n} for the octal number, "));
            return Err(refused(
                "ambiguous-number",
                format!("`{text}` is octal in a manifest and decimal in YAML 1.2"),
                format!("write {octal}the number without the 0, or quote it"),
            ));
        }
        return Ok(integer(negative, digits, 10)
            .or_else(|| float(text))
            .unwrap_or_else(|| text.into()));
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && let Some(number) = integer(false, digits, radix)
        {
            return Ok(number);
        }
    }
    special_float(text)?;
    if looks_like_float(text) {
        return Ok(float(text).unwrap_or_else(|| text.into()));
    }
    Ok(text.into())
}

/// As kubectl reads a manifest: sigs.k8s.io/yaml over go-yaml v2 (`resolve.go`), then JSON.
fn read_manifest(text: &str) -> Result<Value, Refused> {
    if is_null(text) {
        return Ok(Value::Null);
    }
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        _ => {}
    }
    special_float(text)?;
    match text.as_bytes().first() {
        Some(b'.') => Ok(if looks_like_float(text) {
            float(text).map_or_else(|| text.into(), whole_as_integer)
        } else {
            text.into()
        }),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            let (negative, digits) = signed(&plain);
            let lower = digits.to_ascii_lowercase();
            // Go's ParseInt with base 0: the prefix decides, a bare 0 means octal.
            let number = if let Some(digits) = lower.strip_prefix("0x") {
                integer(negative, digits, 16)
            } else if let Some(digits) = lower.strip_prefix("0b") {
                integer(negative, digits, 2)
            } else if let Some(digits) = lower.strip_prefix("0o") {
                integer(negative, digits, 8)
            } else if digits.len() > 1 && digits.starts_with('0') {
                integer(negative, &digits[1..], 8)
            } else {
                integer(negative, digits, 10)
            };
            if let Some(number) = number {
                return Ok(number);
            }
            Ok(if looks_like_float(&plain) {
                float(&plain).map_or_else(|| text.into(), whole_as_integer)
            } else {
                text.into()
            })
        }
        _ => Ok(text.into()),
    }
}

fn special_float(text: &str) -> Result<(), Refused> {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(refused(
            "not-json",
            format!("`{text}` is a number that JSON doesn't have"),
            "quote it, if it is meant as text",
        ));
    }
    Ok(())
}

fn signed(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn integer(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    i64::try_from(number)
        .map(Value::from)
        .or_else(|_| u64::try_from(number).map(Value::from))
        .ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, in YAML 1.2 core as in go-yaml.
fn looks_like_float(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (_, unsigned) = signed(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

fn float(text: &str) -> Option<Value> {
    text.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
}

/// `1.0` as `1`: Go writes a whole float as an integer when it makes JSON.
fn whole_as_integer(value: Value) -> Value {
    match value.as_f64() {
        Some(f) if f.fract() == 0.0 && f.abs() < 9.0e18 => Value::from(f as i64),
        _ => value,
    }
}

/// A few words for what a node is, for "expected ..., found ...".
pub fn describe(node: &Node) -> String {
    match &node.kind {
        NodeKind::Mapping(_) => "a map".to_owned(),
        NodeKind::Sequence(_) => "a list".to_owned(),
        NodeKind::Scalar { text, style } => match style {
            Style::Plain if is_null(text) => "nothing".to_owned(),
            Style::Plain => short(text),
            Style::Quoted | Style::Block => format!("\"{}\"", short(text)),
        },
    }
}

/// A text cut to a length that fits a message.
pub(crate) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(60).collect();
    if cut.len() < text.trim_end().len() {
        format!("{cut}...")
    } else {
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn manifests_are_read_as_kubectl_reads_them() {
        for (text, value) in [
            ("yes", json!(true)),
            ("n", json!(false)),
            ("Off", json!(false)),
            ("TRUE", json!(true)),
            ("~", json!(null)),
            ("", json!(null)),
            ("Null", json!(null)),
            ("0644", json!(420)),
            ("-0644", json!(-420)),
            ("0o14", json!(12)),
            ("0b11", json!(3)),
            ("0x1F", json!(31)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("+1", json!(1)),
            ("1.0", json!(1)),
            ("1e3", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("2001-12-14", json!("2001-12-14")),
            ("1.2.3", json!("1.2.3")),
            ("12:30", json!("12:30")),
            ("0x", json!("0x")),
            ("-", json!("-")),
            (".", json!(".")),
            ("1Gi", json!("1Gi")),
            ("nothing", json!("nothing")),
            ("0-1", json!("0-1")),
            ("0b2", json!("0b2")),
        ] {
            assert_eq!(read_plain(text, Reading::Manifest), Ok(value), "{text}");
        }
    }

    #[test]
    fn scenarios_are_read_by_yaml_1_2() {
        for (text, value) in [
            ("true", json!(true)),
            ("null", json!(null)),
            ("y", json!("y")),
            ("0o14", json!(12)),
            ("0x1f", json!(31)),
            ("0", json!(0)),
            ("-12", json!(-12)),
            ("1.0", json!(1.0)),
            ("1e3", json!(1000.0)),
            ("1_000", json!("1_000")),
            ("12:30", json!("12:30")),
            ("1.33", json!(1.33)),
        ] {
            assert_eq!(read_plain(text, Reading::Scenario), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_reads_differently_elsewhere_is_refused_in_scenarios() {
        for text in ["yes", "No", "on", "OFF", "True", "FALSE"] {
            let refused = read_plain(text, Reading::Scenario).unwrap_err();
            assert_eq!(refused.code, "ambiguous-boolean");
            assert!(refused.help.contains("quote it"), "{refused:?}");
        }
        let refused = read_plain("0644", Reading::Scenario).unwrap_err();
        assert_eq!(refused.code, "ambiguous-number");
        assert!(refused.help.contains("420"));
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        for reading in [Reading::Scenario, Reading::Manifest] {
            for text in [".inf", "-.Inf", ".nan"] {
                assert_eq!(read_plain(text, reading).unwrap_err().code, "not-json");
            }
        }
    }
}
