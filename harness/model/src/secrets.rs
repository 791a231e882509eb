//! Secrets: values that may appear in no output, and the redactor that keeps them out.
//!
//! Invariant: what passed through [`Secrets::redact`] contains no registered value: not raw, not as base64 (at any
//! of its three alignments), not URL-escaped and not JSON-escaped.

use std::sync::{Arc, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use serde_json::Value;

/// The shortest value that can be masked by its text: a shorter one would blank out unrelated words.
pub const SHORTEST: usize = 8;

/// A secret that cannot be masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "secret {name} has {length} characters, and a value under {SHORTEST} can't be masked without hiding other text: use a longer one, or drop `secret: true`"
)]
pub struct TooShort {
    /// The name of the secret.
    pub name: String,
    /// Its length in characters.
    pub length: usize,
}

#[derive(Default)]
struct Table {
    /// (form, name), in order of registration.
    forms: Vec<(String, String)>,
    automaton: Option<AhoCorasick>,
}

/// The registered secrets of a run. Cheap to clone; clones share the table.
#[derive(Clone, Default)]
pub struct Secrets {
    table: Arc<RwLock<Table>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Masks `value` as `«name»` from now on, in all its forms.
    ///
    /// # Errors
    /// [`TooShort`] if the value has fewer than [`SHORTEST`] characters.
    pub fn register(&self, name: &str, value: &str) -> Result<(), TooShort> {
        let length = value.chars().count();
        if length < SHORTEST {
            return Err(TooShort {
                name: name.to_owned(),
                length,
            });
        }
        let mut table = match self.table.write() {
            Ok(table) => table,
            Err(poisoned) => poisoned.into_inner(),
        };
        for form in forms(value) {
            if form.len() >= SHORTEST && !table.forms.iter().any(|(known, _)| *known == form) {
                table.forms.push((form, name.to_owned()));
            }
        }
        table.automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(table.forms.iter().map(|(form, _)| form))
            .ok();
        Ok(())
    }

    /// The text with each secret replaced by `«name»`.
    pub fn redact(&self, text: &str) -> String {
        let table = match self.table.read() {
            Ok(table) => table,
            Err(poisoned) => poisoned.into_inner(),
        };
        let Some(automaton) = &table.automaton else {
            return text.to_owned();
        };
        let mut masked = String::with_capacity(text.len());
        automaton.replace_all_with(text, &mut masked, |found, _, out| {
            out.push('«');
            out.push_str(&table.forms[found.pattern().as_usize()].1);
            out.push('»');
            true
        });
        masked
    }

    /// Redacts every string of a JSON value, keys too.
    pub fn redact_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            Value::Object(map) => {
                let old = std::mem::take(map);
                for (key, mut item) in old {
                    self.redact_value(&mut item);
                    map.insert(self.redact(&key), item);
                }
            }
            _ => {}
        }
    }
}

/// All forms in which a value may turn up.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    let json = Value::String(value.to_owned()).to_string();
    forms.push(json[1..json.len() - 1].to_owned());
    forms.push(url_escape(value));
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    for shift in 0..3usize {
        // The characters that also hold bits of the neighbours are cut off at both ends.
        let mut bytes = vec![0u8; shift];
        bytes.extend_from_slice(value.as_bytes());
        let text = engine.encode(&bytes);
        let first = [0, 2, 3][shift];
        let whole = bytes.len() * 8 / 6;
        if let Some(middle) = text.get(first..whole) {
            forms.push(middle.to_owned());
            forms.push(middle.replace('+', "-").replace('/', "_"));
        }
    }
    forms
}

fn url_escape(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_form() {
        let secrets = Secrets::new();
        secrets.register("vars.password", "p@ss\"word/1").unwrap();
        for text in [
            "p@ss\"word/1".to_owned(),
            "p%40ss%22word%2F1".to_owned(),
            r#"p@ss\"word/1"#.to_owned(),
        ] {
            assert_eq!(secrets.redact(&format!("a {text} b")), "a «vars.password» b");
        }
        for before in ["", "x", "xy", "xyz"] {
            let encoded =
                base64::engine::general_purpose::STANDARD.encode(format!("{before}p@ss\"word/1 and more"));
            assert!(
                secrets.redact(&encoded).contains("«vars.password»"),
                "{before}: {encoded}"
            );
        }
    }

    #[test]
    fn the_longest_of_two_secrets_wins() {
        let secrets = Secrets::new();
        secrets.register("short", "abcdefgh").unwrap();
        secrets.register("long", "abcdefghij").unwrap();
        assert_eq!(secrets.redact("abcdefghij abcdefgh"), "«long» «short»");
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(Secrets::new().register("vars.pin", "1234567").is_err());
    }

    #[test]
    fn keys_and_nested_strings_are_masked() {
        let secrets = Secrets::new();
        secrets.register("s", "hunter2hunter2").unwrap();
        let mut value = serde_json::json!({"a": ["x hunter2hunter2"], "hunter2hunter2": 1});
        secrets.redact_value(&mut value);
        assert_eq!(value, serde_json::json!({"a": ["x «s»"], "«s»": 1}));
    }
}
