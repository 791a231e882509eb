//! JSON to CEL and back.
//!
//! Invariant: a JSON integer becomes a CEL int (not a uint), so that `n + 1` works; text is borrowed, not copied.

use std::collections::{BTreeMap, HashMap};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use cel::objects::OptionalValue;
use serde_json::Value;

use super::functions::RegexText;

/// Which members of a value an expression reads.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    all: bool,
    members: BTreeMap<String, Wanted>,
}

impl Wanted {
    /// Adds the end of a chain of members.
    pub(super) fn add(&mut self, chain: &[String]) {
        match chain {
            [] => self.all = true,
            [first, rest @ ..] => self.members.entry(first.clone()).or_default().add(rest),
        }
    }
}

/// The CEL value of what an expression reads of a JSON value.
pub(super) fn wanted_to_cel<'v>(value: &'v Value, wanted: &Wanted) -> Box<dyn Val + 'v> {
    match value {
        Value::Object(map) if !wanted.all => {
            let mut members: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
            for (name, wanted) in &wanted.members {
                if let Some((key, member)) = map.get_key_value(name) {
                    members.insert(CelMapKey::from(key.clone()), wanted_to_cel(member, wanted));
                }
            }
            Box::new(CelMap::from(members))
        }
        _ => to_cel(value),
    }
}

/// The CEL value of a JSON value.
pub(super) fn to_cel<'v>(value: &'v Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Box::new(CelInt::from(i)),
            (None, Some(u)) => Box::new(CelUInt::from(u)),
            (None, None) => Box::new(CelDouble::from(n.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(s) => Box::new(CelString::from(s.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>())),
        Value::Object(map) => Box::new(CelMap::from(
            map.iter()
                .map(|(key, member)| (CelMapKey::from(key.clone()), to_cel(member)))
                .collect::<HashMap<_, _>>(),
        )),
    }
}

/// The JSON value of a CEL value: bytes as base64, a timestamp as RFC 3339, a duration as `1.5s`, an absent optional
/// as null.
///
/// # Errors
/// What can't be JSON, in words: NaN, infinity, a function.
pub(super) fn to_json(value: &cel::Value) -> Result<Value, String> {
    use base64::Engine as _;
    use cel::Value as Cel;
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(b) => Value::Bool(*b),
        Cel::Int(i) => Value::from(*i),
        Cel::UInt(u) => Value::from(*u),
        Cel::Float(f) => serde_json::Number::from_f64(*f)
            .map(Value::Number)
            .ok_or_else(|| format!("the number {f}, which JSON doesn't have"))?,
        Cel::String(s) => Value::String(s.as_str().to_owned()),
        Cel::Bytes(b) => Value::String(base64::engine::general_purpose::STANDARD.encode(b.as_slice())),
        Cel::List(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Cel::Map(map) => Value::Object(
            map.map
                .iter()
                .map(|(key, member)| Ok((key.to_string(), to_json(member)?)))
                .collect::<Result<_, String>>()?,
        ),
        Cel::Timestamp(t) => {
            let text = t.to_rfc3339();
            Value::String(match text.strip_suffix("+00:00") {
                Some(utc) => format!("{utc}Z"),
                None => text,
            })
        }
        Cel::Duration(d) => {
            let nanos = i128::from(d.num_seconds()) * 1_000_000_000 + i128::from(d.subsec_nanos());
            let fraction = format!("{:09}", nanos.unsigned_abs() % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            Value::String(format!(
                "{}{}{}{fraction}s",
                if nanos < 0 { "-" } else { "" },
                nanos.unsigned_abs() / 1_000_000_000,
                if fraction.is_empty() { "" } else { "." },
            ))
        }
        Cel::Opaque(opaque) => {
            if let Some(optional) = opaque.downcast_ref::<OptionalValue>() {
                match optional.value() {
                    Some(value) => to_json(value)?,
                    None => Value::Null,
                }
            } else if let Some(regex) = opaque.downcast_ref::<RegexText>() {
                Value::String(regex.0.clone())
            } else {
                return Err(format!("a {}, which isn't data", opaque.runtime_type_name()));
            }
        }
        Cel::Function(name, _) => return Err(format!("the function {name}, which isn't data")),
        Cel::Struct(_) => return Err("a message, which isn't data".to_owned()),
    })
}
