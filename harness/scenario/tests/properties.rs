//! What must hold for any text: nodes keep what was written, and no file makes the loader panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use muster_model::{Diagnostics, SourceFile};
use muster_scenario::lint::lint;
use muster_scenario::lower;
use muster_scenario::node::{Node, NodeKind, parse_manifest, parse_scenario};
use proptest::prelude::*;

/// What a node tree says, places and styles aside.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Text(String),
    List(Vec<Said>),
    Map(BTreeMap<String, Said>),
}

fn said() -> impl Strategy<Value = Said> {
    // Any text that YAML can hold, and the ones that it could take for something else.
    let text = prop_oneof![
        "[ -~äß€😀\n\t]{0,12}",
        "(yes|null|~|0x1F|-|\\? |: |# |\\$\\{\\{ x \\}\\}|<<|%|@)"
    ];
    text.clone()
        .prop_map(Said::Text)
        .prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Said::List),
                prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(Said::Map),
            ]
        })
}

fn flow(said: &Said) -> String {
    match said {
        Said::Text(text) => quoted(text),
        Said::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Said::Map(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn block(said: &Said, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match said {
        Said::List(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{margin}-\n"));
                block(item, indent + 2, out);
            }
        }
        Said::Map(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("{margin}{}:\n", quoted(key)));
                block(value, indent + 2, out);
            }
        }
        leaf => out.push_str(&format!("{margin}{}\n", flow(leaf))),
    }
}

fn read(node: &Node) -> Said {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Said::Text(text.clone()),
        NodeKind::Sequence(items) => Said::List(items.iter().map(read).collect()),
        NodeKind::Mapping(entries) => Said::Map(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), read(&entry.value)))
                .collect(),
        ),
    }
}

/// Parses, lowers and lints a text; every place must lie in it.
fn load(text: &str) {
    let mut out = Diagnostics::new();
    let file = SourceFile::new("any.yaml", text);
    for document in parse_scenario(&file, &mut out) {
        if let Some(scenario) = lower::scenario(&document, Path::new("tests/good"), &mut out) {
            lint(&scenario, &mut out);
        }
    }
    parse_manifest(&file, &mut out);
    for diagnostic in &out.list {
        let places = diagnostic
            .related
            .iter()
            .map(|(place, _)| place)
            .chain([&diagnostic.place]);
        for place in places {
            assert!(
                place.file.text().get(place.span.clone()).is_some(),
                "{diagnostic}"
            );
        }
    }
}

const WORDS: &[&str] = &[
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "\n",
    "\n  ",
    "- ",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "${{ ",
    " }}",
    "$matches",
    "scenario: x\n",
    "---\n",
    "\t",
    "|\n",
    ">-\n",
    "ä",
    "~",
    "true",
    "30s",
    "-1",
    "expect:",
    "match: {}",
];

proptest! {
    #[test]
    fn what_is_written_in_flow_style_is_read(said in said()) {
        let mut out = Diagnostics::new();
        let documents = parse_scenario(&SourceFile::new("t.yaml", flow(&said)), &mut out);
        prop_assert_eq!(out.list, vec![]);
        prop_assert_eq!(read(&documents[0]), said);
    }

    #[test]
    fn what_is_written_in_block_style_is_read(said in said()) {
        let mut text = String::new();
        block(&said, 0, &mut text);
        let mut out = Diagnostics::new();
        let documents = parse_scenario(&SourceFile::new("t.yaml", text), &mut out);
        prop_assert_eq!(out.list, vec![]);
        prop_assert_eq!(read(&documents[0]), said);
    }

    #[test]
    fn no_damaged_scenario_makes_the_loader_panic(
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, prop::sample::select(WORDS)), 1..5)
    ) {
        let mut text = include_str!("good/every-key.yaml").to_owned();
        for (at, length, word) in damages {
            let mut start = at.index(text.len());
            while !text.is_char_boundary(start) {
                start -= 1;
            }
            let end = text[start..].char_indices().nth(length).map_or(text.len(), |(end, _)| start + end);
            text.replace_range(start..end, word);
        }
        load(&text);
    }

    #[test]
    fn no_text_makes_the_loader_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..30)) {
        load(&words.concat());
    }
}
