use super::*;
use crate::expr::tests_support::node;
use serde_json::json;

fn parse(text: &str, style: Style) -> Result<Template, Diagnostic> {
    Template::parse(text, style, &node(text, style).place)
}

fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.set(
        "vars",
        json!({"s": "a.b", "n": 2, "f": 1.5, "w": 3.0, "t": true, "l": [1, "x"], "z": null}),
    );
    scope
}

fn text(source: &str) -> String {
    parse(source, Style::Plain).unwrap().eval_text(&scope()).unwrap()
}

#[test]
fn text_around_expressions_is_kept() {
    assert_eq!(text("x ${{ vars.s }}-${{vars.n}} }} {{ $ y"), "x a.b-2 }} {{ $ y");
    assert_eq!(
        text("${{ vars.f }} ${{ vars.w }} ${{ vars.t }} ${{ vars.l }}"),
        "1.5 3 true [1,\"x\"]"
    );
}

#[test]
fn an_expression_ends_outside_of_strings_and_braces() {
    assert_eq!(text("${{ {'a': {'b': 1}}.a.b }}!"), "1!");
    assert_eq!(text("${{ 'x}}y' }}!"), "x}}y!");
    assert_eq!(text("${{ \"it's }}\" }}"), "it's }}");
    assert_eq!(text("${{ r'\\' }}"), "\\");
    assert_eq!(text("${{ '\\'}}' }}"), "'}}");
    assert_eq!(text("${{ [1, 2].map(x, {'k': x})[1].k }}"), "2");
}

#[test]
fn a_doubled_dollar_is_an_escape() {
    assert_eq!(text("$${{ x }} ${{ vars.n }} $$ $${{"), "${{ x }} 2 $$ ${{");
    assert_eq!(parse("$${{ x", Style::Plain).unwrap().literal(), Some("${{ x"));
}

#[test]
fn an_unclosed_template_is_an_error_where_it_opens() {
    for source in [
        "ab ${{ vars.s",
        "ab ${{ vars.s }",
        "ab ${{ 'x }}",
        "ab ${{ {'a': 1 }}",
    ] {
        let diagnostic = parse(source, Style::Plain).unwrap_err();
        assert_eq!(diagnostic.code, "unclosed-template", "{source}");
        assert_eq!(diagnostic.place.span, 3..6, "{source}");
    }
}

#[test]
fn a_syntax_error_is_placed_inside_the_scalar() {
    for style in [Style::Plain, Style::Quoted, Style::Block] {
        let source = "ä ${{ vars.s }} ${{ vars.n + }}";
        let diagnostic = parse(source, style).unwrap_err();
        assert_eq!(diagnostic.code, "cel-syntax");
        let at = diagnostic.place.span.start;
        let raw = node(source, style).place.text().to_owned();
        assert!(raw[..at].ends_with("vars.n +"), "{style:?}: {at} in {raw}");
    }
    assert_eq!(parse("a ${{ }}", Style::Plain).unwrap_err().place.span, 2..8);
}

#[test]
fn a_scalar_with_escapes_falls_back_to_what_can_be_found() {
    // The raw text is "a\n${{ vars.n + }}", the scalar's text has a line feed.
    let raw = r#""a\n${{ vars.n + }}""#;
    let place = Place::new(muster_model::SourceFile::new("s.yaml", raw), 0..raw.len());
    let diagnostic = Template::parse("a\n${{ vars.n + }}", Style::Quoted, &place).unwrap_err();
    assert!(raw[..diagnostic.place.span.start].ends_with("vars.n +"));
    // Here the expression itself is escaped: the whole scalar is the place.
    let raw = r#""${{ \"x }}""#;
    let place = Place::new(muster_model::SourceFile::new("s.yaml", raw), 0..raw.len());
    let diagnostic = Template::parse("${{ \"x }}", Style::Quoted, &place).unwrap_err();
    assert_eq!(diagnostic.place.span, 0..raw.len());
}

#[test]
fn null_can_not_stand_in_a_text() {
    let error = parse("x ${{ vars.z }}", Style::Plain)
        .unwrap()
        .eval(&scope())
        .unwrap_err();
    assert!(error.message.contains("`vars.z` is null"), "{error}");
    assert_eq!(
        parse("${{ vars.z }}", Style::Plain)
            .unwrap()
            .eval(&scope())
            .unwrap(),
        json!(null)
    );
    assert!(
        parse("${{ vars.z }}", Style::Quoted)
            .unwrap()
            .eval(&scope())
            .is_err()
    );
}

#[test]
fn in_a_pattern_values_are_escaped_unless_they_are_patterns() {
    let template = parse("^${{ vars.s }}${{ regex('[0-9]+') }}$", Style::Plain).unwrap();
    assert_eq!(template.eval_regex(&scope()).unwrap(), "^a\\.b(?:[0-9]+)$");
}

#[test]
fn references_come_in_the_written_order_with_their_places() {
    let source = "${{ vars.s + saved['a-b'].c }} ${{ namespaces.db }}";
    let references = parse(source, Style::Plain).unwrap().references();
    let seen: Vec<(String, &str)> = references
        .iter()
        .map(|r| (r.path.join("/"), r.place.text()))
        .collect();
    assert_eq!(
        seen,
        [
            ("vars/s".to_owned(), "vars.s"),
            ("saved/a-b/c".to_owned(), "saved['a-b'].c"),
            ("namespaces/db".to_owned(), "namespaces.db"),
        ]
    );
}

proptest::proptest! {
    #[test]
    fn any_text_parses_or_is_an_error(source in "[${} a-z'\"\\\\.+()\\[\\]]{0,60}") {
        if let Ok(template) = parse(&source, Style::Plain) {
            let _ = template.eval(&scope());
        }
    }

    #[test]
    fn text_without_an_opening_is_kept(source in "[$ {}a-z\\n]{0,40}") {
        proptest::prop_assume!(!has_template(&source));
        proptest::prop_assert_eq!(text(&source), source);
    }
}
