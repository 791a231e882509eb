//! JSON Schema (draft 2020-12) for editors.
//!
//! Invariant: it accepts every file that loads; it is made from the tables and from nothing else.

use serde_json::{Map, Value, json};

use super::config_keys::{self, CONFIG};
use super::expectations::{COMMON, SUBJECTS};
use super::index::constructs;
use super::table::{Construct, Key, Need, Shape};
use super::{ACTIONS, SCENARIO, STEP};

/// The schema of a scenario file.
pub fn json_schema() -> Value {
    let parts: Vec<_> = constructs()
        .into_iter()
        .filter(|part| !std::ptr::eq(*part, &ACTIONS) && !is_subject(part))
        .collect();
    document("A muster scenario", &SCENARIO, &parts)
}

/// The schema of `muster.yaml`.
pub fn config_schema() -> Value {
    let mut parts: Vec<_> = constructs()
        .into_iter()
        .filter(|part| !std::ptr::eq(*part, &ACTIONS) && !is_subject(part))
        .collect();
    let used = ["expectation", "target", "fails", "sql-ask"];
    parts.retain(|part| used.contains(&part.id));
    parts.extend([
        &CONFIG,
        &config_keys::CLUSTER,
        &config_keys::PREPARE,
        &config_keys::TIMEOUTS,
    ]);
    document("muster.yaml", &CONFIG, &parts)
}

fn is_subject(part: &Construct) -> bool {
    SUBJECTS.iter().any(|subject| std::ptr::eq(*subject, part))
}

fn document(title: &str, root: &Construct, parts: &[&'static Construct]) -> Value {
    let definitions: Map<String, Value> = parts
        .iter()
        .map(|part| (part.id.to_owned(), definition(part)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": reference(root.id),
        "$defs": definitions,
    })
}

fn reference(id: &str) -> String {
    format!("#/$defs/{id}")
}

fn definition(part: &'static Construct) -> Value {
    if std::ptr::eq(part, &COMMON) {
        return expectation();
    }
    let mut keys: Vec<&Key> = part.keys.iter().collect();
    if std::ptr::eq(part, &STEP) {
        keys.extend(ACTIONS.keys);
    }
    object(part.doc, &keys)
}

fn object(doc: &str, keys: &[&Key]) -> Value {
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.need == Need::Required)
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": doc,
        "properties": properties(keys.iter().copied()),
        "required": required,
        "additionalProperties": false,
    })
}

fn properties<'a>(keys: impl Iterator<Item = &'a Key>) -> Map<String, Value> {
    keys.filter(|key| key.need != Need::Unsupported)
        .map(|key| {
            let mut schema = shape(&key.shape);
            if let Value::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), json!(key.doc));
            }
            (key.name.to_owned(), schema)
        })
        .collect()
}

/// One object with the keys of all subjects, for completion; which of them go together says `allOf`.
fn expectation() -> Value {
    let subjects: Vec<(&str, Vec<&Key>)> = SUBJECTS
        .iter()
        .filter_map(|subject| Some((subject.keys.first()?.name, subject.keys.iter().collect())))
        .collect();
    let all = COMMON
        .keys
        .iter()
        .chain(subjects.iter().flat_map(|(_, keys)| keys.iter().copied()));
    let one_of: Vec<Value> = subjects
        .iter()
        .map(|(name, _)| json!({"required": [name]}))
        .collect();
    let together: Vec<Value> = subjects
        .iter()
        .map(|(name, keys)| {
            let names = COMMON.keys.iter().chain(keys.iter().copied());
            let names: Vec<&str> = names
                .filter(|key| key.need != Need::Unsupported)
                .map(|key| key.name)
                .collect();
            json!({"if": {"required": [name]}, "then": {"propertyNames": {"enum": names}}})
        })
        .collect();
    json!({
        "type": "object",
        "description": COMMON.doc,
        "properties": properties(all),
        "oneOf": one_of,
        "allOf": together,
        "additionalProperties": false,
    })
}

const SCALAR: &[&str] = &["string", "number", "boolean"];

fn shape(shape: &Shape) -> Value {
    let templated = json!({"type": "string", "pattern": "\\$\\{\\{"});
    match shape {
        Shape::Text | Shape::Template => json!({"type": SCALAR}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::False => json!({"const": false}),
        Shape::Integer => {
            json!({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]+$"}, templated]})
        }
        Shape::Duration => json!({"anyOf": [
            {"type": "string", "pattern": "^(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)$"},
            {"const": 0},
            templated,
        ]}),
        Shape::Cel => json!({"type": SCALAR}),
        Shape::Target => json!({"anyOf": [
            {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9.-]*/."},
            {"$ref": reference("target")},
        ]}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::OpenWords(words) => json!({"anyOf": [{"enum": words}, templated]}),
        Shape::Condition => json!({"type": "string", "pattern": "^[^=]+=\\s*(True|False|Unknown)\\s*$"}),
        Shape::Texts | Shape::Programs => {
            json!({"type": "object", "additionalProperties": {"type": SCALAR}})
        }
        Shape::Tree | Shape::Pattern => json!({}),
        Shape::TreeMap => json!({"type": "object"}),
        Shape::Credential => json!({"anyOf": [{"type": SCALAR}, {"$ref": reference("secret-key")}]}),
        Shape::Of(part) => json!({"$ref": reference(part.id)}),
        Shape::List(of) => json!({"type": "array", "minItems": 1, "items": self::shape(of)}),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": self::shape(of)}),
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()})
        }
        Shape::Expectation => json!({"$ref": reference("expectation")}),
    }
}
