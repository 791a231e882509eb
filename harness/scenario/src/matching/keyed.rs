//! Keyed lists: lists whose elements Kubernetes tells apart by a field.
//!
//! Invariant: the key of an element is one of the fields listed here, the first that it has.

use muster_model::{Diagnostic, Diagnostics};
use serde_json::Value;

use super::pattern::{Key, Kind, Operator, Pattern};

/// Lists by the name of their field, with the fields that tell elements apart
/// (merge keys and map keys of the Kubernetes API).
const KEYED: &[(&str, &[&str])] = &[
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("containerStatuses", &["name"]),
    ("initContainerStatuses", &["name"]),
    ("ephemeralContainerStatuses", &["name"]),
    ("env", &["name"]),
    ("ports", &["name", "containerPort", "port"]),
    ("volumes", &["name"]),
    ("volumeMounts", &["mountPath", "name"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("ownerReferences", &["uid", "name", "kind"]),
    ("addresses", &["type"]),
    ("subjects", &["name"]),
    ("taints", &["key"]),
];

/// The fields that tell elements of a list apart; none for a list of another kind.
pub(super) fn keys_of(list: &str) -> &'static [&'static str] {
    KEYED
        .iter()
        .find(|(name, _)| *name == list)
        .map_or(&[], |(_, keys)| keys)
}

/// The key of an observed element: `("type", "Ready")`.
pub(super) fn key_of<'v>(list: &str, element: &'v Value) -> Option<(&'static str, &'v Value)> {
    keys_of(list).iter().find_map(|key| {
        let value = element.get(key)?;
        (value.is_string() || value.is_number()).then_some((*key, value))
    })
}

impl Pattern {
    /// Reports elements of keyed lists (`containers`, `conditions`, `env`, `ports`...) that don't say which element
    /// they mean: code `unkeyed-element`. For patterns of Kubernetes objects.
    pub fn lint_keyed(&self, diagnostics: &mut Diagnostics) {
        match &self.kind {
            Kind::Value(_) => {}
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let keys = match key {
                        Key::Literal(name) => keys_of(name),
                        Key::Template(_) => &[],
                    };
                    if let (Key::Literal(name), [first, ..], Kind::List(items, _)) = (key, keys, &value.kind)
                    {
                        for item in items {
                            lint_element(item, name, keys, first, diagnostics);
                        }
                    }
                    value.lint_keyed(diagnostics);
                }
            }
            Kind::List(items, _) => items.iter().for_each(|item| item.lint_keyed(diagnostics)),
            Kind::All(operators) => {
                for operator in operators {
                    match operator {
                        Operator::Each(inner)
                        | Operator::Some(inner)
                        | Operator::None(inner)
                        | Operator::Not(inner) => inner.lint_keyed(diagnostics),
                        _ => {}
                    }
                }
            }
        }
    }
}

fn lint_element(item: &Pattern, list: &str, keys: &[&str], first: &str, diagnostics: &mut Diagnostics) {
    let Kind::Map(fields) = &item.kind else {
        return;
    };
    let keyed = fields.iter().any(|(field, _)| match field {
        Key::Literal(name) => keys.contains(&name.as_str()),
        Key::Template(_) => true,
    });
    if !keyed {
        diagnostics.push(
            Diagnostic::error(
                "unkeyed-element",
                format!("this element of `{list}` doesn't say which one it means"),
                &item.place,
            )
            .help(format!("add `{first}`, or use $each for all, $some for any")),
        );
    }
}
