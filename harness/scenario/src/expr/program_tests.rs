use super::*;
use muster_model::SourceFile;
use serde_json::json;

fn parse(source: &str) -> Result<Program, Diagnostic> {
    let text = format!("when: {source}\n");
    let place = Place::new(SourceFile::new("s.yaml", text), 6..6 + source.len());
    Program::parse(source, &place)
}

fn program(source: &str) -> Program {
    parse(source).unwrap_or_else(|d| panic!("{source}: {d}"))
}

fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.set(
        "vars",
        json!({"n": 3, "s": "x", "big": 18_446_744_073_709_551_615_u64, "f": 1.5}),
    );
    scope.set("namespace", json!("db"));
    scope.with_self(json!({
        "metadata": {"name": "postgresql", "namespace": "postgresql"},
        "spec": {"replicas": 2, "nothing": null},
        "status": {"readyReplicas": 1, "conditions": [
            {"type": "Ready", "status": "False"}, {"type": "Progressing", "status": "True"}]},
    }))
}

fn eval(source: &str) -> Result<Value, EvalError> {
    program(source).eval(&scope())
}

#[test]
fn integers_of_json_are_ints() {
    assert_eq!(eval("vars.n + 1").unwrap(), json!(4));
    assert_eq!(
        eval("self.spec.replicas - self.status.readyReplicas").unwrap(),
        json!(1)
    );
    assert_eq!(eval("vars.f * 2.0").unwrap(), json!(3.0));
    assert_eq!(eval("vars.big").unwrap(), json!(18_446_744_073_709_551_615_u64));
}

#[test]
fn values_come_back_as_json() {
    for (source, value) in [
        ("[1, 'a', null, true]", json!([1, "a", null, true])),
        ("{'a': {'b': 1}}", json!({"a": {"b": 1}})),
        ("duration('90s')", json!("90s")),
        ("duration('1500ms')", json!("1.5s")),
        ("timestamp('2026-01-01T00:00:00Z')", json!("2026-01-01T00:00:00Z")),
        ("b'hi'", json!("aGk=")),
        ("self.?nosuch", json!(null)),
        ("self.?spec.replicas", json!(2)),
        (
            "self.status.conditions.map(c, c.type)",
            json!(["Ready", "Progressing"]),
        ),
        ("regex('a+')", json!("a+")),
    ] {
        assert_eq!(eval(source).unwrap(), value, "{source}");
    }
}

#[test]
fn the_root_name_that_cel_reserves_can_be_used() {
    assert_eq!(
        eval("namespace + '-' + self.metadata.namespace").unwrap(),
        json!("db-postgresql")
    );
    assert_eq!(eval("{'namespace': namespace}.namespace").unwrap(), json!("db"));
    assert_eq!(
        eval("self.metadata.?namespace.orValue(namespace)").unwrap(),
        json!("postgresql")
    );
    assert_eq!(
        program("'namespace' + namespace").references()[0].path,
        ["namespace"]
    );
}

#[test]
fn now_is_the_time_unless_it_is_set() {
    assert_eq!(
        eval("now > timestamp('2020-01-01T00:00:00Z')").unwrap(),
        json!(true)
    );
    let mut scope = scope();
    scope.set("now", json!("2020-01-01T00:00:00Z"));
    assert_eq!(
        program("now").eval(&scope).unwrap(),
        json!("2020-01-01T00:00:00Z")
    );
}

#[test]
fn what_does_not_exist_is_not_yet() {
    for source in [
        "self.status.phase == 'Bound'",
        "self.nosuch.deep.er",
        "self.status.conditions[7].type",
        "self.status.conditions.exists(c, c.reason == 'x')",
        "self.spec.nothing.x == 1",
        "self['a-b']",
    ] {
        let error = eval(source).unwrap_err();
        assert!(error.not_yet, "{source}: {error}");
    }
}

#[test]
fn what_waiting_can_not_mend_is_final() {
    for source in [
        "1/0",
        "1 % 0",
        "'a' + 1",
        "int('x')",
        "quantity('x')",
        "nosuchroot.a",
        "nosuch(1)",
        "9223372036854775807 + 1",
        "self.metadata.name > 1",
        "self.metadata.name.x",
        "'a'.matches('(')",
        "0.0 / 0.0",
    ] {
        let error = eval(source).unwrap_err();
        assert!(!error.not_yet, "{source}: {error}");
    }
}

#[test]
fn an_error_names_the_part_that_failed() {
    let error = eval("self.spec.replicas == 2 && self.status.phse == 'x'").unwrap_err();
    assert_eq!(error.place.text(), "self.status.phse");
    assert_eq!(
        error.message,
        "`self.status.phse`: there is no `phse`, only conditions, readyReplicas"
    );
    let error = eval("2 > 1 && [1][0] / (vars.n - 3) > 1").unwrap_err();
    assert_eq!(error.message, "`[1][0] / (vars.n - 3)`: division by zero");
    let error = eval("size(int('x')) > 1").unwrap_err();
    assert_eq!(error.place.text(), "int('x')");
}

#[test]
fn only_a_boolean_is_a_boolean() {
    assert!(
        program("self.spec.replicas == 2")
            .eval_bool(&scope())
            .unwrap()
            .value
    );
    let error = program("self.spec.replicas").eval_bool(&scope()).unwrap_err();
    assert!(error.message.contains("not a boolean"), "{error}");
}

fn because(source: &str) -> Vec<String> {
    let truth = program(source).eval_bool(&scope()).unwrap();
    assert!(!truth.value, "{source}");
    truth
        .because
        .iter()
        .map(|(text, value)| format!("{text} = {value}"))
        .collect()
}

#[test]
fn a_false_boolean_shows_the_values_of_its_parts() {
    assert_eq!(
        because("self.spec.replicas == self.status.readyReplicas"),
        ["self.spec.replicas = 2", "self.status.readyReplicas = 1"]
    );
    assert_eq!(
        because("self.spec.replicas == 2 && (self.status.readyReplicas == 2 || vars.s == 'y')"),
        [
            "self.status.readyReplicas == 2 = false",
            "self.status.readyReplicas = 1",
            "vars.s == 'y' = false",
            "vars.s = \"x\"",
        ]
    );
    assert_eq!(because("!(vars.n == 3)"), ["vars.n = 3"]);
    assert_eq!(because("vars.s.startsWith('y')"), ["vars.s = \"x\""]);
    assert_eq!(
        because("self.status.conditions.all(c, c.status == 'True')")[1..],
        [
            "c = {\"status\":\"False\",\"type\":\"Ready\"}",
            "c.status = \"False\""
        ]
    );
    assert!(
        because("self.status.conditions.exists(c, c.type == 'X')")[0]
            .starts_with("self.status.conditions = [")
    );
    assert_eq!(
        because("size(self.status.conditions) > 2"),
        ["size(self.status.conditions) = 2"]
    );
    assert_eq!(
        because("vars.n > 5 ? true : vars.s == 'y'"),
        ["vars.n > 5 = false", "vars.s = \"x\""]
    );
    assert_eq!(because("has(self.nosuch)"), ["has(self.nosuch) = false"]);
}

#[test]
fn references_leave_out_local_variables_and_what_may_be_missing() {
    let paths = |source: &str| -> Vec<String> {
        program(source)
            .references()
            .iter()
            .map(|r| r.path.join("."))
            .collect()
    };
    assert_eq!(paths("vars.a.b + saved['x'].y[0].z"), ["vars.a.b", "saved.x.y"]);
    assert_eq!(
        paths("self.items.map(x, x.name + vars.n)"),
        ["self.items", "vars.n"]
    );
    assert_eq!(paths("has(vars.a.b)"), ["vars.a"]);
    assert_eq!(paths("vars.?a.b.orValue(1)"), ["vars"]);
    assert_eq!(paths("base64.encode(b'x') + type(vars.x) == int"), ["vars.x"]);
    assert_eq!(paths("vars.list.exists(vars, vars.x == 1)"), ["vars.list"]);
}

#[test]
fn a_syntax_error_stands_at_its_token() {
    for (source, before, words) in [
        ("vars.n +", "vars.n +", "ends too early"),
        ("vars.s = 'x'", "vars.s ", "CEL compares with =="),
        (
            "vars.n == 1 and vars.s == 'x'",
            "vars.n == 1 ",
            "CEL writes && for and",
        ),
        ("'ä' + vars.n)", "'ä' + vars.n", "`)` is unexpected"),
        ("if (x)", "", "`if` is a reserved word"),
        ("vars.n == #", "vars.n == ", "`#` is unexpected"),
        ("size('a' > 1", "size('a' > 1", "a `)` is missing at its end"),
        ("vars.n = 1", "vars.n ", "`=` is unexpected"),
    ] {
        let diagnostic = parse(source).unwrap_err();
        assert_eq!(diagnostic.code, "cel-syntax");
        assert_eq!(
            diagnostic.place.span.start,
            6 + before.len(),
            "{source}: {diagnostic}"
        );
        assert!(diagnostic.to_string().contains(words), "{source}: {diagnostic}");
    }
}

#[test]
fn limits_hold() {
    let long = format!("'{}' == vars.s", "x".repeat(LONGEST));
    assert_eq!(parse(&long).unwrap_err().code, "cel-too-long");
    let four = "[1].all(a, [a].all(b, [b].all(c, [c].all(d, d > 0))))";
    assert_eq!(parse(four).unwrap_err().code, "cel-too-deep");
    assert!(parse("[1].all(a, [a].all(b, [b].all(c, c > 0)))").is_ok());
    assert!(parse("[1].map(a, a).filter(a, a > 0).map(a, a).all(a, a > 0)").is_ok());
    for source in [
        "(".repeat(2000),
        "[".repeat(2000),
        "!".repeat(4000),
        "-".repeat(4000),
        format!("1{}", "+1".repeat(2000)),
        format!("a{}", ".a".repeat(2000)),
        format!("a{}", "[0]".repeat(1300)),
        format!("{}1", "a?1:".repeat(1000)),
        format!("1{}", " in 1".repeat(800)),
    ] {
        assert!(parse(&source).is_err());
    }
}

#[test]
fn what_is_just_within_the_limits_is_evaluated() {
    for source in [
        format!("1{}", "+1".repeat(OPERATORS)),
        format!("self{}", ".a".repeat(OPERATORS)),
        format!("{}1{}", "(".repeat(BRACKETS), ")".repeat(BRACKETS)),
        format!("{}1{}", "[".repeat(BRACKETS), "]".repeat(BRACKETS)),
        format!("{}true", "!".repeat(OPERATORS)),
        format!("{}1", "true?1:".repeat(OPERATORS / 2)),
        format!("true{}", "||true".repeat(OPERATORS / 2)),
    ] {
        if let Ok(program) = parse(&source) {
            let _ = program.eval(&scope());
            let _ = program.check(&["self"]);
        }
    }
}

#[test]
fn bare_cel_refuses_templates_and_maps() {
    use crate::expr::tests_support::{map, plain};
    let mut diagnostics = Diagnostics::new();
    assert!(Program::lower(&plain("${{ vars.n }} == 1"), &mut diagnostics).is_none());
    assert!(Program::lower(&map(vec![]), &mut diagnostics).is_none());
    assert!(Program::lower(&plain("vars.n == 1"), &mut diagnostics).is_some());
    let codes: Vec<_> = diagnostics.list.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["template-in-cel", "wrong-type"]);
    assert!(diagnostics.list[0].help[0].contains("bare CEL"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    #[test]
    fn no_source_makes_it_panic(source in "[a-c0-2 .,'\"?:()\\[\\]{}!&|=<>+*/%\\\\ä-]{0,40}") {
        if let Ok(program) = parse(&source) {
            let _ = program.eval(&scope());
            let _ = program.eval_bool(&scope());
            let _ = program.check(&["self"]);
            let _ = program.references();
        }
    }

    #[test]
    fn no_sequence_of_words_makes_it_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "self", ".", "status", "conditions", "(", ")", "[", "]", "0", "1", "'a'", "&&", "||", "!", "==", ">",
                "+", "-", "/", "?", ":", ".exists(c, ", ".map(x, ", ".all(x, ", "x", "c", ".type", "has(", "size(",
                ",", "{", "}", "in", "namespace", "now", "vars", ".n", ".?", "[?", "b'x'", "null", "true", "duration(",
                ".f()", "base64.encode(", "`x`", "u", "1u", "1.5", "a.b{c: 1}",
            ]),
            0..14,
        )
    ) {
        let source = words.concat();
        if let Ok(program) = parse(&source) {
            let _ = program.eval(&scope());
            let _ = program.eval_bool(&scope());
            let _ = program.check(&["self"]);
            let _ = program.references();
        }
    }
}
