//! The vocabulary of operators: their names, how amounts compare, what decoders read.
//!
//! Invariant: a comparison of two values of different kinds has no answer.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::decode::{self, DecodeError, Quantity, parse_duration};

/// The operators, each with what it takes and means, for docs and suggestions.
pub const OPERATORS: &[(&str, &str)] = &[
    ("$matches", "a regular expression that is found in the text"),
    ("$contains", "a part of the text, or elements of the list"),
    ("$ne", "is there, and doesn't match this"),
    ("$gt", "greater than"),
    ("$gte", "greater than or equal"),
    ("$lt", "less than"),
    ("$lte", "less than or equal"),
    ("$in", "matches one of these"),
    ("$len", "the length of the text, list or map"),
    ("$each", "each element matches, and there is one"),
    ("$some", "at least one element matches"),
    ("$none", "no element matches"),
    (
        "$exactly",
        "the list has these elements in this order and no more",
    ),
    ("$exists", "true: is there and not null; false: is not"),
    (
        "$quantity",
        "a Kubernetes quantity, or comparisons with quantities",
    ),
    ("$duration", "a duration, or comparisons with durations"),
    ("$cel", "a CEL expression over self, the observed value"),
    ("$json", "the text is JSON, and its value matches this"),
    ("$yaml", "the text is YAML, and its value matches this"),
    ("$base64", "the text is base64, and what it holds matches this"),
    ("$url", "the text is a URL, and its parts match this"),
];

/// Operators that the language names and this version doesn't have.
pub(super) const UNSUPPORTED: &[&str] = &["$pem", "$x509", "$jwt"];

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    /// The comparison that an operator names.
    pub(super) fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "$ne" => Self::NotEqual,
            "$gt" => Self::Greater,
            "$gte" => Self::GreaterOrEqual,
            "$lt" => Self::Less,
            "$lte" => Self::LessOrEqual,
            _ => return None,
        })
    }

    /// Whether it accepts how the observed value stands to the expected one.
    pub(super) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }

    /// Its sign before a value: `> `, and nothing for equality.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::NotEqual => "not ",
            Self::Greater => "> ",
            Self::GreaterOrEqual => ">= ",
            Self::Less => "< ",
            Self::LessOrEqual => "<= ",
        }
    }
}

/// A kind of amount that is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Quantity,
    Duration,
}

impl Measure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quantity => "quantity",
            Self::Duration => "duration",
        }
    }

    /// The amount in 10⁻⁹ parts of a value: a text, and for quantities a number too.
    pub(super) fn read(self, value: &Value) -> Result<i128, DecodeError> {
        let text = match (self, value) {
            (_, Value::String(text)) => text.clone(),
            (Self::Quantity, Value::Number(number)) => number.to_string(),
            _ => {
                return Err(DecodeError(format!("{value} is no {}", self.name())));
            }
        };
        match self {
            Self::Quantity => Quantity::parse(&text).map(Quantity::nanos),
            Self::Duration => {
                parse_duration(&text).map(|d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX))
            }
        }
    }
}

/// What text is decoded to before it is matched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    Json,
    Yaml,
    Base64,
    Url,
}

impl Decoder {
    /// The decoder that an operator names.
    pub(super) fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "$json" => Self::Json,
            "$yaml" => Self::Yaml,
            "$base64" => Self::Base64,
            "$url" => Self::Url,
            _ => return None,
        })
    }

    pub(super) fn operator(self) -> &'static str {
        match self {
            Self::Json => "$json",
            Self::Yaml => "$yaml",
            Self::Base64 => "$base64",
            Self::Url => "$url",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Base64 => "base64",
            Self::Url => "a URL",
        }
    }

    pub(super) fn decode(self, text: &str) -> Result<Value, DecodeError> {
        match self {
            Self::Json => decode::json(text),
            Self::Yaml => decode::yaml(text),
            Self::Base64 => decode::base64(text).map(Value::String),
            Self::Url => decode::url(text),
        }
    }
}

/// Numbers by value, whatever their form: 1 equals 1.0.
pub(super) fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Numbers by value, texts by their characters (so RFC 3339 times of one form by time).
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
