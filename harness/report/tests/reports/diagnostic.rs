//! Diagnostics as text.

use std::sync::Arc;

use muster_model::{Diagnostic, Diagnostics, Place, SourceFile};
use muster_report::diagnostic::render;

const TEXT: &str = "scenario: größer\nsteps:\n  - name: a\n    appply: {files: [x.yaml]}\n    expect:\n      - ready: deployment/x\n        whitin: 30s\n  - name: a\n    pause: 1s\n";

fn at(file: &Arc<SourceFile>, text: &str) -> Place {
    let start = file.text().rfind(text).unwrap();
    Place::new(Arc::clone(file), start..start + text.len())
}

fn some() -> Diagnostics {
    let file = SourceFile::new("scenarios/a.yaml", TEXT);
    let included = SourceFile::new("scenarios/common.yaml", "inputs:\n  name: string\n");
    let first = Place::new(
        Arc::clone(&file),
        TEXT.find("a\n    app").unwrap()..TEXT.find("a\n    app").unwrap() + 1,
    );
    let whole = Place::new(Arc::clone(&file), TEXT.find("- ready").unwrap()..TEXT.len());
    let mut diagnostics = Diagnostics::new();
    for diagnostic in [
        Diagnostic::error("unknown-key", "unknown key `appply`", &at(&file, "appply"))
            .label("not a key of a step")
            .help("did you mean `apply`?"),
        Diagnostic::error(
            "duplicate-name",
            "two steps are named `a`",
            &at(&file, "a\n    pause"),
        )
        .label("this one")
        .related(&first, "first named here"),
        Diagnostic::warning("no-edge", "`ready` holds already", &whole).help("add `edge: true`"),
        Diagnostic::error("missing-input", "input `name` is missing", &at(&file, "größer"))
            .related(&at(&included, "name"), "declared here"),
        Diagnostic::error(
            "no-such-file",
            "there is no file x.yaml",
            &Place::nowhere("--var"),
        )
        .help("create it"),
        Diagnostic::error(
            "empty",
            "the file ends here",
            &Place::new(file.clone(), TEXT.len()..TEXT.len()),
        ),
    ] {
        diagnostics.push(diagnostic);
    }
    diagnostics
}

#[test]
fn each_shows_its_line_its_caret_and_a_remedy() {
    insta::assert_snapshot!(render(&some(), false));
}

#[test]
fn colour_is_only_colour() {
    let coloured = render(&some(), true);
    assert!(coloured.contains("\x1b["));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, render(&some(), false));
}

#[test]
fn none_is_nothing() {
    assert_eq!(render(&Diagnostics::new(), false), "");
}
