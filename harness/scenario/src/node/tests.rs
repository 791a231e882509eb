//! Nodes from whole texts.
//!
//! Invariant: what is refused is refused with its place, and read on.

use muster_model::{Diagnostic, Diagnostics, SourceFile};

use super::*;

fn scenario(text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::new();
    let nodes = parse_scenario(&SourceFile::new("t.yaml", text), &mut diagnostics);
    (nodes, diagnostics.list)
}

fn manifest(text: &str) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::new();
    let nodes = parse_manifest(&SourceFile::new("t.yaml", text), &mut diagnostics);
    (nodes, diagnostics.list)
}

#[test]
fn places_cover_scalars_and_the_first_line_of_collections() {
    let (nodes, diagnostics) =
        scenario("a:\n  b: \"x y\" # c\n  c: {d: 1,\n      e: 2}\n  f:\nl:\n  - 1\n  - 2\n");
    assert!(diagnostics.is_empty());
    let a = nodes[0].get("a").unwrap();
    assert_eq!(a.place.text(), "b: \"x y\" # c");
    assert_eq!(a.get("b").unwrap().place.text(), "\"x y\"");
    assert_eq!(a.get("c").unwrap().place.text(), "{d: 1,");
    assert_eq!(a.entry("c").unwrap().key_place.line_column(), (3, 3));
    let missing = a.get("f").unwrap();
    assert!(missing.is_null());
    assert_eq!(missing.place.text(), "f");
    assert_eq!(nodes[0].get("l").unwrap().place.text(), "- 1");
}

#[test]
fn a_repeated_key_is_reported_with_both_places_and_the_first_is_kept() {
    let (nodes, diagnostics) = scenario("a: 1\nb: 2\na: 3\n");
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(diagnostics[0].code, "duplicate-key");
    assert_eq!(diagnostics[0].place.line_column(), (3, 1));
    assert_eq!(diagnostics[0].related[0].0.line_column(), (1, 1));
    assert_eq!(nodes[0].get("a").unwrap().scalar(), Some("1"));
}

#[test]
fn scenarios_refuse_anchors_aliases_tags_and_merges_all_at_once() {
    let (_, diagnostics) = scenario("a: &x {b: 1}\nc: *x\nd: !!str 1\n<<: *x\n");
    let found: Vec<_> = diagnostics
        .iter()
        .map(|d| (d.code, d.place.text().to_owned()))
        .collect();
    let expected = [
        ("anchor", "&x"),
        ("anchor", "*x"),
        ("tag", "!!str"),
        ("anchor", "<<"),
        ("anchor", "*x"),
    ];
    assert_eq!(found, expected.map(|(code, text)| (code, text.to_owned())));
}

#[test]
fn manifests_resolve_aliases_merges_and_core_tags() {
    let (nodes, diagnostics) =
        manifest("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nagain: *b\nzip: !!str 0123\n");
    assert_eq!(diagnostics, []);
    let merged = nodes[0].get("use").unwrap();
    assert_eq!(merged.get("x").unwrap().scalar(), Some("1"));
    assert_eq!(merged.get("y").unwrap().scalar(), Some("3"));
    assert_eq!(
        nodes[0].get("again").unwrap().get("y").unwrap().scalar(),
        Some("2")
    );
    assert!(matches!(&nodes[0].get("zip").unwrap().kind,
        NodeKind::Scalar { text, style: Style::Quoted } if text == "0123"));
}

#[test]
fn aliases_that_multiply_are_cut_off_with_an_error() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let before = level - 1;
        let list = format!("*a{before},").repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let (_, diagnostics) = manifest(&text);
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics[0].message.contains("more than"));
}

#[test]
fn an_alias_inside_what_it_names_is_an_error() {
    let (_, diagnostics) = manifest("a: &a {b: *a}\n");
    assert_eq!(diagnostics[0].message, "this alias stands inside what it names");
}

#[test]
fn a_document_with_a_syntax_error_does_not_hide_the_others() {
    let (nodes, diagnostics) = scenario("a: 1\n---\nb: [1\n---\nc: 1\n---\nd: \"x\n");
    assert_eq!(nodes.len(), 2);
    let lines: Vec<_> = diagnostics.iter().map(|d| d.place.line_column().0).collect();
    assert_eq!(lines, [3, 7]);
}

#[test]
fn a_syntax_error_beside_a_template_says_quote_it() {
    for text in [
        "a: {p: ${{ vars.x }}}\n",
        "a: ${{ x ? 'a: b' : c }}\n",
        "a: \"${{ x[\"y\"] }}\"\n",
    ] {
        let (_, diagnostics) = scenario(text);
        assert_eq!(diagnostics.len(), 1, "{text}");
        assert!(diagnostics[0].help[0].starts_with("quote it"), "{text}");
    }
}

#[test]
fn an_empty_document_and_a_file_without_content_give_nothing() {
    assert_eq!(scenario("").0.len(), 0);
    assert_eq!(scenario("# nothing\n").0.len(), 0);
    assert_eq!(scenario("a: 1\n---\n").0.len(), 1);
}

#[test]
fn a_helm_template_as_a_value_is_told_about_templates() {
    let (_, diagnostics) = manifest("a: {{ .Values.x }}\n");
    assert_eq!(diagnostics[0].code, "key-type");
    assert!(diagnostics[0].help[0].contains("${{ ... }}"));
}
