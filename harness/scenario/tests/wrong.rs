//! The corpus of wrong scenarios: each file says in its first line which diagnostics it must give; the snapshot shows
//! how they read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use muster_model::{Diagnostic, Place, Severity};
use muster_scenario::load_file;

fn corpus() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/wrong")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// `path:line:column: error[code]: message`, the line, the caret with its label, other places, remedies.
fn render(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!(
        "{}: {severity}[{}]: {}\n",
        diagnostic.place, diagnostic.code, diagnostic.message
    );
    out.push_str(&excerpt(&diagnostic.place, &diagnostic.label));
    for (place, label) in &diagnostic.related {
        writeln!(out, "  {place}:").unwrap();
        out.push_str(&excerpt(place, label));
    }
    for help in &diagnostic.help {
        writeln!(out, "  help: {help}").unwrap();
    }
    out
}

fn excerpt(place: &Place, label: &str) -> String {
    let (line, column) = place.line_column();
    let text = place.file.text().lines().nth(line - 1).unwrap_or_default();
    let rest = text.chars().count().saturating_sub(column - 1);
    let width = place
        .text()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        .min(rest)
        .max(1);
    let caret = format!("{}{} {label}", " ".repeat(column - 1), "^".repeat(width));
    format!("    | {text}\n    | {}\n", caret.trim_end())
}

#[test]
fn each_wrong_scenario_says_what_is_wrong_where_and_what_to_do() {
    let mut wrong = Vec::new();
    for path in corpus() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let expected = text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("# expect: ")
            .expect("the first line says what to expect");
        let loaded = load_file(&path);
        let list = &loaded.diagnostics.list;
        let mut found: Vec<&str> = list.iter().map(|diagnostic| diagnostic.code).collect();
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        if found != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {found:?}"));
        }
        assert_eq!(
            loaded.scenarios.is_empty(),
            loaded.diagnostics.has_errors(),
            "{name}"
        );
        let rendered: Vec<String> = list.iter().map(render).collect();
        insta::assert_snapshot!(name, rendered.join("\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_place_lies_in_the_file_that_it_names() {
    for path in corpus() {
        for diagnostic in load_file(&path).diagnostics.list {
            let file = diagnostic.place.file.path();
            let text = fs::read_to_string(file).unwrap();
            assert_eq!(text, diagnostic.place.file.text(), "{file}");
            assert!(text.get(diagnostic.place.span.clone()).is_some(), "{diagnostic}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_no_text_is_an_error_that_names_it() {
    let loaded = load_file(Path::new("tests/wrong/nowhere.yaml"));
    assert_eq!(loaded.diagnostics.list[0].code, "file-missing");
    assert!(
        loaded.diagnostics.list[0]
            .message
            .contains("tests/wrong/nowhere.yaml")
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.yaml");
    fs::write(&path, b"scenario: caf\xe9\n").unwrap();
    assert_eq!(load_file(&path).diagnostics.list[0].code, "file-unreadable");
}
