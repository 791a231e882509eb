//! Trees: free YAML (manifests, patches, `with`) with templates in its scalars and keys.
//!
//! Invariant: literal parts were read once, when the file was loaded.

use muster_model::{Diagnostic, Diagnostics, Place};
use serde_json::{Map, Value};

use super::reference::Reference;
use super::scalar::{Reading, read_plain};
use super::scope::{EvalError, Scope};
use super::template::{Template, has_template};
use crate::node::{Entry, Node, NodeKind, Style};

/// A free tree (manifest, patch, `with`) with templates in its scalars.
#[derive(Debug, Clone)]
pub struct Tree {
    place: Place,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Literal(Value),
    Template(Template),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

#[derive(Debug, Clone)]
enum Key {
    Literal(String),
    Template(Template),
}

impl Tree {
    /// Lowers a node; what can't be read is null and has a diagnostic.
    pub fn lower(node: &Node, reading: Reading, diagnostics: &mut Diagnostics) -> Self {
        lower(node, reading, true, diagnostics)
    }

    /// Lowers a manifest whose templates are not expanded: `${{` is text like any other.
    pub fn literal_manifest(node: &Node, diagnostics: &mut Diagnostics) -> Self {
        lower(node, Reading::Manifest, false, diagnostics)
    }

    /// The place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value in a scope.
    ///
    /// # Errors
    /// As [`Template::eval`]; two keys that come out the same.
    pub fn eval(&self, scope: &Scope) -> Result<Value, EvalError> {
        Ok(match &self.kind {
            Kind::Literal(value) => value.clone(),
            Kind::Template(template) => template.eval(scope)?,
            Kind::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.eval(scope))
                    .collect::<Result<_, _>>()?,
            ),
            Kind::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let key = match key {
                        Key::Literal(key) => key.clone(),
                        Key::Template(template) => template.eval_text(scope)?,
                    };
                    if map.contains_key(&key) {
                        return Err(EvalError::fatal(
                            format!("the key `{key}` comes out twice"),
                            &value.place,
                        ));
                    }
                    map.insert(key, value.eval(scope)?);
                }
                Value::Object(map)
            }
        })
    }

    /// The names it reads.
    pub fn references(&self) -> Vec<Reference> {
        self.templates()
            .into_iter()
            .flat_map(Template::references)
            .collect()
    }

    /// The templates in it, in the written order.
    pub fn templates(&self) -> Vec<&Template> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    /// The value, if no template stands in it.
    pub fn literal(&self) -> Option<Value> {
        self.literal_ref().cloned()
    }

    /// A member of a map, by its literal key.
    pub fn get(&self, key: &str) -> Option<Tree> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find_map(|(k, value)| match k {
                Key::Literal(k) if k == key => Some(value.clone()),
                _ => None,
            }),
            Kind::Literal(Value::Object(map)) => map.get(key).map(|value| Self {
                place: self.place.clone(),
                kind: Kind::Literal(value.clone()),
            }),
            _ => None,
        }
    }

    fn literal_ref(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    fn collect<'t>(&'t self, found: &mut Vec<&'t Template>) {
        match &self.kind {
            Kind::Literal(_) => {}
            Kind::Template(template) => found.push(template),
            Kind::List(items) => items.iter().for_each(|item| item.collect(found)),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if let Key::Template(template) = key {
                        found.push(template);
                    }
                    value.collect(found);
                }
            }
        }
    }
}

fn lower(node: &Node, reading: Reading, expand: bool, diagnostics: &mut Diagnostics) -> Tree {
    let kind = match &node.kind {
        NodeKind::Scalar { text, style } => scalar(text, *style, &node.place, reading, expand, diagnostics),
        NodeKind::Sequence(items) => {
            let items: Vec<Tree> = items
                .iter()
                .map(|item| lower(item, reading, expand, diagnostics))
                .collect();
            match items
                .iter()
                .map(|item| item.literal())
                .collect::<Option<Vec<_>>>()
            {
                Some(values) => Kind::Literal(Value::Array(values)),
                None => Kind::List(items),
            }
        }
        NodeKind::Mapping(entries) => mapping(entries, reading, expand, diagnostics),
    };
    Tree {
        place: node.place.clone(),
        kind,
    }
}

fn mapping(entries: &[Entry], reading: Reading, expand: bool, diagnostics: &mut Diagnostics) -> Kind {
    let mut lowered: Vec<(Key, Tree)> = Vec::new();
    for entry in entries {
        let Some(key) = key(entry, reading, expand, diagnostics) else {
            continue;
        };
        if let Key::Literal(name) = &key
            && lowered
                .iter()
                .any(|(known, _)| matches!(known, Key::Literal(known) if known == name))
        {
            diagnostics.push(Diagnostic::error(
                "duplicate-key",
                format!("the key `{name}` is there twice"),
                &entry.key_place,
            ));
            continue;
        }
        lowered.push((key, lower(&entry.value, reading, expand, diagnostics)));
    }
    let literal: Option<Map<String, Value>> = lowered
        .iter()
        .map(|(key, tree)| match key {
            Key::Literal(name) => Some((name.clone(), tree.literal()?)),
            Key::Template(_) => None,
        })
        .collect();
    literal.map_or(Kind::Map(lowered), |map| Kind::Literal(Value::Object(map)))
}

/// A key as a string: templates stay, and in a manifest `0644:` is `"420"` and `on:` is `"true"` as kubectl has it.
fn key(entry: &Entry, reading: Reading, expand: bool, diagnostics: &mut Diagnostics) -> Option<Key> {
    if expand && has_template(&entry.key) {
        return match Template::parse(&entry.key, Style::Quoted, &entry.key_place) {
            Ok(template) => Some(match template.literal() {
                Some(literal) => Key::Literal(literal.to_owned()),
                None => Key::Template(template),
            }),
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                None
            }
        };
    }
    let quoted = entry.key_place.text().starts_with(['"', '\'']);
    if reading == Reading::Scenario || quoted {
        return Some(Key::Literal(entry.key.clone()));
    }
    match read_plain(&entry.key, reading) {
        Ok(Value::Null) => {
            diagnostics.push(
                Diagnostic::error("null-key", "a key can't be null", &entry.key_place).help("quote it"),
            );
            None
        }
        Ok(Value::String(name)) => Some(Key::Literal(name)),
        Ok(other) => Some(Key::Literal(other.to_string())),
        Err(_) => Some(Key::Literal(entry.key.clone())),
    }
}

fn scalar(
    text: &str,
    style: Style,
    place: &Place,
    reading: Reading,
    expand: bool,
    diagnostics: &mut Diagnostics,
) -> Kind {
    if expand && has_template(text) {
        return match Template::parse(text, style, place) {
            Ok(template) => match template.literal() {
                Some(literal) => Kind::Literal(Value::String(literal.to_owned())),
                None => Kind::Template(template),
            },
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                Kind::Literal(Value::Null)
            }
        };
    }
    if style != Style::Plain {
        return Kind::Literal(Value::String(text.to_owned()));
    }
    match read_plain(text, reading) {
        Ok(value) => Kind::Literal(value),
        Err(refused) => {
            diagnostics.push(Diagnostic::error(refused.code, refused.message, place).help(refused.help));
            Kind::Literal(Value::Null)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::tests_support::{list, map, plain, quoted};
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set("vars", json!({"n": 3, "s": "x", "o": {"a": 1}, "nothing": null}));
        scope
    }

    fn eval(node: &Node, reading: Reading) -> Value {
        let mut diagnostics = Diagnostics::new();
        let tree = Tree::lower(node, reading, &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        tree.eval(&scope()).unwrap()
    }

    #[test]
    fn a_plain_template_keeps_its_type_and_a_quoted_one_is_a_string() {
        let node = map(vec![
            ("plain", plain("${{ vars.n }}")),
            ("quoted", quoted("${{ vars.n }}")),
            ("object", plain("${{ vars.o }}")),
            ("nothing", plain("${{ vars.nothing }}")),
            ("mixed", plain("a${{ vars.n }}b${{ vars.o }}")),
            ("${{ vars.s }}-key", list(vec![plain("1"), quoted("1")])),
        ]);
        assert_eq!(
            eval(&node, Reading::Scenario),
            json!({"plain": 3, "quoted": "3", "object": {"a": 1}, "nothing": null, "mixed": "a3b{\"a\":1}",
                   "x-key": [1, "1"]})
        );
    }

    #[test]
    fn the_two_readings_differ_in_plain_scalars_only() {
        let node = map(vec![
            ("mode", plain("0644")),
            ("on", plain("yes")),
            ("q", quoted("yes")),
        ]);
        assert_eq!(
            eval(&node, Reading::Manifest),
            json!({"mode": 420, "true": true, "q": "yes"})
        );
        let mut diagnostics = Diagnostics::new();
        Tree::lower(&node, Reading::Scenario, &mut diagnostics);
        let codes: Vec<_> = diagnostics.list.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["ambiguous-number", "ambiguous-boolean"]);
    }

    #[test]
    fn a_manifest_without_inputs_keeps_its_dollars() {
        let mut diagnostics = Diagnostics::new();
        let node = map(vec![
            ("a", plain("${{ not cel")),
            ("${{ k }}", plain("$${{ x }}")),
        ]);
        let tree = Tree::literal_manifest(&node, &mut diagnostics);
        assert!(!diagnostics.has_errors());
        assert_eq!(
            tree.literal(),
            Some(json!({"a": "${{ not cel", "${{ k }}": "$${{ x }}"}))
        );
    }

    #[test]
    fn a_tree_without_templates_is_a_literal() {
        let mut diagnostics = Diagnostics::new();
        let tree = Tree::lower(
            &list(vec![plain("$${{ x }}")]),
            Reading::Scenario,
            &mut diagnostics,
        );
        assert_eq!(tree.literal(), Some(json!(["${{ x }}"])));
        let tree = Tree::lower(
            &list(vec![plain("${{ vars.n }}")]),
            Reading::Scenario,
            &mut diagnostics,
        );
        assert_eq!(tree.literal(), None);
        assert_eq!(tree.references()[0].path, ["vars", "n"]);
    }

    #[test]
    fn keys_that_come_out_the_same_are_an_error() {
        let mut diagnostics = Diagnostics::new();
        let node = map(vec![("x", plain("1")), ("${{ vars.s }}", plain("2"))]);
        let tree = Tree::lower(&node, Reading::Scenario, &mut diagnostics);
        assert!(
            tree.eval(&scope())
                .unwrap_err()
                .message
                .contains("`x` comes out twice")
        );
        Tree::lower(
            &map(vec![("1", plain("a")), ("0x1", plain("b"))]),
            Reading::Manifest,
            &mut diagnostics,
        );
        assert_eq!(diagnostics.list[0].code, "duplicate-key");
    }
}
