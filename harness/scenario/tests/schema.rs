//! The published schemas: as the tables say, and accepting what loads.
//!
//! `MUSTER_BLESS=1 cargo test -p muster-scenario` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use muster_model::{Diagnostics, SourceFile};
use muster_scenario::expr::{Reading, Scope, Tree};
use muster_scenario::node::parse_scenario;
use muster_scenario::schema::{Need, config_schema, constructs, json_schema, reference_markdown};
use serde_json::Value;

/// `path` is from the repository's root.
fn published(path: &str, now: &str) {
    let file = Path::new("../..").join(path);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        fs::write(&file, now).unwrap();
    }
    let stands = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        stands == now,
        "{path} is not what the tables say: run the tests with MUSTER_BLESS=1"
    );
}

fn pretty(schema: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(schema).unwrap())
}

#[test]
fn the_published_files_are_what_the_tables_say() {
    published("harness/schema/scenario.schema.json", &pretty(&json_schema()));
    published("harness/schema/muster.schema.json", &pretty(&config_schema()));
    published("docs/reference.md", &reference_markdown());
}

/// A document as an editor sees it: `${{ }}` is text.
fn documents(path: &Path) -> Vec<Value> {
    let mut out = Diagnostics::new();
    let file = SourceFile::new(
        path.display().to_string(),
        fs::read_to_string(path).unwrap().replace("${{", "$${{"),
    );
    let documents = parse_scenario(&file, &mut out);
    documents
        .iter()
        .map(|node| {
            Tree::lower(node, Reading::Scenario, &mut out)
                .eval(&Scope::default())
                .unwrap()
        })
        .collect()
}

fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(schema).unwrap();
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_accepts_every_good_scenario() {
    let schema = json_schema();
    for entry in fs::read_dir("tests/good").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        for document in documents(&path) {
            assert_eq!(
                errors(&schema, &document),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn the_schema_refuses_unknown_missing_and_wrong_ones() {
    let schema = json_schema();
    let wrong = [
        "unknown-key",
        "unknown-key-step",
        "unknown-key-expectation",
        "missing-title",
        "missing-steps",
        "missing-keys",
        "wrong-type",
        "not-a-list",
        "two-subjects",
        "no-subject",
        "unsupported",
        "sslmode-missing",
        "condition",
        "words",
    ];
    for name in wrong {
        let path = Path::new("tests/wrong").join(name).with_extension("yaml");
        let found: Vec<_> = documents(&path)
            .iter()
            .flat_map(|document| errors(&schema, document))
            .collect();
        assert!(!found.is_empty(), "{name}");
    }
}

#[test]
fn every_key_in_the_tables_is_read_by_the_lowering() {
    let text = fs::read_to_string("tests/good/every-key.yaml").unwrap();
    let unused: Vec<String> = constructs()
        .into_iter()
        .flat_map(|construct| construct.keys.iter().map(move |key| (construct.id, key)))
        .filter(|(_, key)| key.need != Need::Unsupported && !text.contains(&format!("{}:", key.name)))
        .map(|(id, key)| format!("{id}.{}", key.name))
        .collect();
    assert_eq!(
        unused,
        Vec::<String>::new(),
        "tests/good/every-key.yaml must use them"
    );
}
