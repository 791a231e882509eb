use muster_model::{Diagnostics, Mismatch, Place, SourceFile};
use serde_json::{Value, json};

use super::{Bound, Outcome, Pattern};
use crate::expr::Scope;
use crate::expr::tests_support::{list, map, plain, quoted};
use crate::node::{Entry, Node, NodeKind, Style};

/// A pattern as flow YAML would be: JSON whose strings are quoted, whose other scalars are plain.
fn node(value: &Value) -> Node {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => list(items.iter().map(node).collect()),
        Value::Object(entries) => map(entries
            .iter()
            .map(|(key, value)| (key.as_str(), node(value)))
            .collect()),
        other => plain(&other.to_string()),
    }
}

fn lower(value: &Value) -> Result<Pattern, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let pattern = Pattern::lower(&node(value), &mut diagnostics);
    if diagnostics.has_errors() {
        Err(diagnostics)
    } else {
        Ok(pattern)
    }
}

fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.set("vars", json!({"host": "a.b", "n": 3, "list": [1], "min": "1Gi"}));
    scope
}

fn bound(value: &Value) -> Bound {
    lower(value)
        .unwrap_or_else(|d| panic!("{value}: {d:?}"))
        .bind(&scope())
        .unwrap()
}

fn check(expected: Value, actual: Value) -> Outcome {
    bound(&expected).check(&actual)
}

#[track_caller]
fn holds(expected: Value, actual: Value) {
    let outcome = check(expected.clone(), actual.clone());
    assert_eq!(outcome, Outcome::Holds, "{expected} against {actual}");
}

#[track_caller]
fn differs(expected: Value, actual: Value) -> Vec<String> {
    match check(expected.clone(), actual.clone()) {
        Outcome::Differs(mismatches) => texts(&mismatches),
        other => panic!("{expected} against {actual}: {other:?}"),
    }
}

#[track_caller]
fn invalid(expected: Value, actual: Value) -> Vec<String> {
    match check(expected.clone(), actual.clone()) {
        Outcome::Invalid(mismatches) => texts(&mismatches),
        other => panic!("{expected} against {actual}: {other:?}"),
    }
}

fn texts(mismatches: &[Mismatch]) -> Vec<String> {
    mismatches.iter().map(ToString::to_string).collect()
}

fn codes(value: Value) -> Vec<&'static str> {
    match lower(&value) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.list.iter().map(|d| d.code).collect(),
    }
}

#[test]
fn maps_match_in_part() {
    holds(json!({"a": 1}), json!({"a": 1, "b": 2}));
    holds(json!({}), json!({"a": 1}));
    assert_eq!(
        differs(json!({"a": {"b": 2}}), json!({"a": {"b": 3}})),
        ["a.b: expected 2, found 3"]
    );
    assert_eq!(
        differs(json!({"status": {"phase": "Bound"}}), json!({"spec": 1})),
        ["status: expected phase \"Bound\", found nothing"]
    );
    assert_eq!(
        differs(json!({"a": {}}), json!({})),
        ["a: expected a map, found nothing"]
    );
    assert_eq!(
        differs(
            json!({"data": {"server.conf": "x"}}),
            json!({"data": {"server.conf": "y"}})
        ),
        ["data[\"server.conf\"]: expected \"x\", found \"y\""]
    );
}

#[test]
fn numbers_compare_as_numbers() {
    holds(json!({"a": 1}), json!({"a": 1.0}));
    holds(json!(1.5), json!(1.5));
    holds(
        json!(18_446_744_073_709_551_615_u64),
        json!(18_446_744_073_709_551_615_u64),
    );
    assert_eq!(
        differs(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)).len(),
        1
    );
}

#[test]
fn a_scalar_of_another_type_can_never_match() {
    assert_eq!(
        invalid(json!({"status": false}), json!({"status": "False"})),
        ["status: expected false, found \"False\" (it is a string: quote it, as in \"False\")"]
    );
    assert_eq!(
        invalid(json!({"port": 5432}), json!({"port": "5432"})),
        ["port: expected 5432, found \"5432\" (it is a string: quote it, as in \"5432\")"]
    );
    assert!(invalid(json!({"n": "1"}), json!({"n": 1}))[0].contains("write 1 without quotes"));
    assert!(invalid(json!({"n": "true"}), json!({"n": true}))[0].contains("write true without quotes"));
    // A map where a scalar is expected may be replaced by one.
    assert_eq!(differs(json!({"a": "x"}), json!({"a": {"b": 1}})).len(), 1);
    assert_eq!(differs(json!({"a": {"b": 1}}), json!({"a": "x"})).len(), 1);
}

#[test]
fn invalid_differences_come_first() {
    let texts = invalid(json!({"a": 1, "b": false}), json!({"a": 2, "b": "False"}));
    assert!(texts[0].starts_with("b: "), "{texts:?}");
    assert_eq!(texts.len(), 2);
}

#[test]
fn null_matches_absent_or_null() {
    holds(json!({"a": null}), json!({}));
    holds(json!({"a": null}), json!({"a": null}));
    holds(json!({"a": {"b": null}}), json!({}));
    assert_eq!(
        differs(json!({"a": null}), json!({"a": 1})),
        ["a: expected nothing, found 1"]
    );
    assert_eq!(
        differs(json!({"a": 1}), json!({"a": null})),
        ["a: expected 1, found null"]
    );
}

#[test]
fn lists_match_in_any_order_each_element_another() {
    holds(json!([1, 2]), json!([2, 3, 1]));
    assert_eq!(differs(json!([1, 1]), json!([1, 2])).len(), 1);
    // The first expected element fits both: it must give way.
    holds(
        json!([{"a": 1}, {"a": 1, "b": 2}]),
        json!([{"a": 1, "b": 2}, {"a": 1}]),
    );
    assert_eq!(
        differs(json!({"args": ["-x"]}), json!({"args": ["-y", "-z"]})),
        ["args: expected an element \"-x\", found [\"-y\",\"-z\"]"]
    );
    assert_eq!(differs(json!({"a": [1]}), json!({"a": "x"})).len(), 1);
    assert_eq!(
        differs(json!({"a": [1]}), json!({})),
        ["a: expected 1, found nothing"]
    );
}

#[test]
fn elements_are_named_by_their_kubernetes_key() {
    let actual = json!({"status": {"conditions": [
        {"type": "Available", "status": "True"}, {"type": "Ready", "status": "True", "reason": "x"}]}});
    assert_eq!(
        differs(
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            actual.clone()
        ),
        ["status.conditions[type=Ready].status: expected \"False\", found \"True\""]
    );
    assert_eq!(
        differs(
            json!({"status": {"conditions": [{"status": "False", "type": "Upgradeable"}]}}),
            actual.clone()
        ),
        [
            "status.conditions[type=Upgradeable]: expected {status \"False\", type \"Upgradeable\"}, \
          found nothing; there are Available, Ready"
        ]
    );
    assert_eq!(
        invalid(
            json!({"status": {"conditions": [{"type": "Ready", "status": false}]}}),
            actual
        ),
        [
            "status.conditions[type=Ready].status: expected false, found \"True\" \
          (it is a string: quote it, as in \"False\")"
        ]
    );
}

#[test]
fn the_nearest_of_several_candidates_is_reported() {
    let rows = json!([
        {"name": "x", "a": 1, "b": 1, "c": 1},
        {"name": "y", "a": 1, "b": 2, "c": 3},
    ]);
    assert_eq!(
        differs(json!([{"a": 1, "b": 2, "c": 4}]), rows),
        ["[1].c: expected 4, found 3"]
    );
}

#[test]
fn exactly_wants_length_and_order() {
    holds(json!({"a": {"$exactly": [1, 2]}}), json!({"a": [1, 2]}));
    assert_eq!(
        differs(json!({"a": {"$exactly": [1, 2]}}), json!({"a": [2, 1]})),
        ["a[0]: expected 1, found 2", "a[1]: expected 2, found 1"]
    );
    assert_eq!(
        differs(json!({"a": {"$exactly": [1]}}), json!({"a": [1, 2]})),
        [
            "a: expected exactly 1 element, found 2 elements: [1,2]",
            "a[1]: expected no such element, found 2"
        ]
    );
    assert_eq!(
        differs(json!({"a": {"$exactly": [1, 2]}}), json!({"a": [1]})).len(),
        2
    );
    holds(json!({"a": {"$exactly": []}}), json!({}));
}

fn rows(expected: Value, ordered: bool) -> Bound {
    let mut diagnostics = Diagnostics::new();
    let pattern = Pattern::lower_rows(&node(&expected), ordered, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    pattern.bind(&scope()).unwrap()
}

#[test]
fn rows_are_a_whole_result() {
    let actual = json!([{"n": 1}, {"n": 2}]);
    assert_eq!(
        rows(json!([{"n": 2}, {"n": 1}]), false).check(&actual),
        Outcome::Holds
    );
    let Outcome::Differs(mismatches) = rows(json!([{"n": 2}]), false).check(&actual) else {
        panic!("a row too many holds");
    };
    assert_eq!(
        texts(&mismatches),
        [
            "expected 1 element, found 2 elements: [{\"n\":1},{\"n\":2}]",
            "[0]: expected no such element, found {\"n\":1}"
        ]
    );
    let Outcome::Differs(mismatches) = rows(json!(["a", "b", "c"]), false).check(&json!(["c", "a"])) else {
        panic!("a missing row holds");
    };
    assert_eq!(
        texts(&mismatches)[1],
        "expected an element \"b\", found no element left of [\"c\",\"a\"]"
    );
    assert!(matches!(
        rows(json!([{"n": 2}, {"n": 1}]), true).check(&actual),
        Outcome::Differs(_)
    ));
    assert_eq!(
        rows(json!([{"n": 1}, {"n": 2}]), true).check(&actual),
        Outcome::Holds
    );
    assert_eq!(rows(json!([]), false).check(&json!([])), Outcome::Holds);
    assert!(matches!(
        rows(json!([]), false).check(&actual),
        Outcome::Differs(_)
    ));
    assert!(rows(json!([]), false).is_negative());
    assert_eq!(
        rows(json!({"$len": 2, "$each": {"n": {"$gt": 0}}}), false).check(&actual),
        Outcome::Holds
    );
    assert_eq!(
        rows(json!({"$contains": [{"n": 2}]}), false).check(&actual),
        Outcome::Holds
    );
    let mut diagnostics = Diagnostics::new();
    Pattern::lower_rows(&node(&json!({"n": 1})), false, &mut diagnostics);
    Pattern::lower_rows(&node(&json!("x")), false, &mut diagnostics);
    assert_eq!(diagnostics.errors(), 2);
}

#[test]
fn text_operators() {
    holds(
        json!({"$matches": "sslmode=disable$"}),
        json!("x?sslmode=disable"),
    );
    assert_eq!(
        differs(json!({"$matches": "^b"}), json!("ab")),
        ["expected a match of /^b/, found \"ab\""]
    );
    holds(json!({"$contains": "b"}), json!("abc"));
    holds(json!({"$contains": ["a", "c"]}), json!("abc"));
    assert_eq!(
        differs(json!({"$contains": ["a", "x"]}), json!("abc")),
        ["expected containing \"x\", found \"abc\""]
    );
    assert!(invalid(json!({"$contains": 1}), json!("a1"))[0].contains("as in \"1\""));
    assert_eq!(invalid(json!({"$matches": "1"}), json!(1)).len(), 1);
    assert_eq!(invalid(json!({"$contains": "a"}), json!({"a": 1})).len(), 1);
    assert_eq!(differs(json!({"a": {"$matches": "x"}}), json!({})).len(), 1);
}

#[test]
fn list_operators() {
    holds(
        json!({"$contains": {"a": 1}}),
        json!([{"a": 2}, {"a": 1, "b": 1}]),
    );
    holds(json!({"$contains": [1, 2]}), json!([2, 1, 0]));
    holds(json!({"$each": {"$gt": 0}}), json!([1, 2]));
    assert_eq!(
        differs(json!({"$each": {"a": 1}}), json!([{"a": 1}, {"a": 2}])),
        ["[1].a: expected 1, found 2"]
    );
    assert_eq!(
        differs(json!({"$each": 1}), json!([])),
        ["expected each 1, found no elements"]
    );
    holds(json!({"$some": {"a": 2}}), json!([{"a": 1}, {"a": 2}]));
    assert_eq!(
        differs(
            json!({"$some": {"a": 3, "b": 1}}),
            json!([{"a": 1}, {"a": 2, "b": 1}])
        ),
        ["[1].a: expected 3, found 2"]
    );
    holds(json!({"$none": {"a": 3}}), json!([{"a": 1}]));
    holds(json!({"c": {"$none": {"a": 3}}}), json!({}));
    assert_eq!(
        differs(json!({"$none": {"a": 1}}), json!([{"a": 2}, {"a": 1}])),
        ["[1]: expected none {a 1}, found {\"a\":1}"]
    );
    holds(json!({"$each": 1}), json!({"x": 1, "y": 1}));
    for operator in ["$each", "$some", "$none"] {
        assert_eq!(invalid(json!({operator: 1}), json!(1)).len(), 1, "{operator}");
    }
}

#[test]
fn a_negation_does_not_hold_by_a_slip_of_the_type() {
    holds(json!({"$ne": "a"}), json!("b"));
    assert_eq!(
        differs(json!({"$ne": "a"}), json!("a")),
        ["expected not \"a\", found \"a\""]
    );
    assert_eq!(invalid(json!({"$ne": false}), json!("False")).len(), 1);
    assert_eq!(
        differs(json!({"a": {"$ne": "x"}}), json!({})),
        ["a: expected not \"x\", found nothing"]
    );
    holds(json!({"a": {"$ne": null}}), json!({"a": 1}));
    assert_eq!(differs(json!({"a": {"$ne": null}}), json!({})).len(), 1);
    assert_eq!(
        invalid(
            json!({"$none": {"type": "Ready", "status": false}}),
            json!([{"type": "Ready", "status": "False"}])
        )
        .len(),
        1
    );
}

#[test]
fn comparisons() {
    holds(json!({"$gt": 1, "$lte": 3}), json!(3));
    assert_eq!(
        differs(json!({"$gt": 1, "$lt": 3}), json!(3)),
        ["expected < 3, found 3"]
    );
    holds(json!({"$gte": 1.5}), json!(2));
    holds(json!({"$gte": "${{ vars.n }}"}), json!(10));
    holds(json!({"$gte": "${{ vars.n }}"}), json!("4"));
    holds(
        json!({"$gt": "2026-01-01T00:00:00Z"}),
        json!("2026-01-02T00:00:00Z"),
    );
    assert!(invalid(json!({"$gt": 1}), json!("2"))[0].contains("use $quantity"));
    assert_eq!(invalid(json!({"$gt": 1}), json!(true)).len(), 1);
    assert_eq!(differs(json!({"a": {"$gt": 1}}), json!({"a": null})).len(), 1);
}

#[test]
fn choices_and_presence() {
    holds(json!({"$in": ["a", "b"]}), json!("b"));
    assert_eq!(
        differs(json!({"$in": ["a", "b"]}), json!("c")),
        ["expected one of \"a\", \"b\", found \"c\""]
    );
    assert_eq!(invalid(json!({"$in": [1, 2]}), json!("1")).len(), 1);
    assert_eq!(differs(json!({"$in": [1, "x"]}), json!("1")).len(), 1);
    holds(json!({"a": {"$exists": true}}), json!({"a": 0}));
    holds(json!({"a": {"$exists": false}}), json!({"a": null}));
    assert_eq!(
        differs(json!({"a": {"$exists": true}}), json!({})),
        ["a: expected present, found nothing"]
    );
    assert_eq!(
        differs(json!({"a": {"$exists": false}}), json!({"a": 1})),
        ["a: expected absent, found 1"]
    );
}

#[test]
fn lengths() {
    holds(json!({"$len": 2}), json!([1, 2]));
    holds(json!({"$len": {"$gte": 2}}), json!("ää"));
    holds(json!({"a": {"$len": 0}}), json!({}));
    holds(json!({"$len": "${{ vars.n }}"}), json!([1, 2, 3]));
    assert_eq!(
        differs(json!({"$len": 1}), json!([1, 2])),
        ["expected length 1, found length 2: [1,2]"]
    );
    assert_eq!(invalid(json!({"$len": 1}), json!(1)).len(), 1);
}

#[test]
fn amounts() {
    holds(json!({"$quantity": "1Gi"}), json!("1024Mi"));
    holds(json!({"$quantity": {"$gte": "500m", "$lt": 1}}), json!("0.75"));
    holds(json!({"$quantity": {"$lt": "${{ vars.min }}"}}), json!(1024));
    assert_eq!(
        differs(json!({"$quantity": {"$gt": "1Gi"}}), json!("1G")),
        ["expected a quantity > 1Gi, found \"1G\""]
    );
    holds(json!({"$duration": {"$lte": "5m"}}), json!("300s"));
    assert_eq!(invalid(json!({"$duration": "5m"}), json!("x")).len(), 1);
    assert_eq!(codes(json!({"$quantity": "abc"})), ["wrong-type"]);
    assert_eq!(codes(json!({"$duration": 30})), ["wrong-type"]);
    assert_eq!(
        codes(json!({"$quantity": {"$matches": "x"}})),
        ["unknown-operator"]
    );
}

#[test]
fn cel_over_the_observed_value() {
    holds(
        json!({"spec": {"$cel": "self.replicas == vars.n"}}),
        json!({"spec": {"replicas": 3}}),
    );
    assert_eq!(
        differs(
            json!({"spec": {"$cel": "self.replicas == vars.n"}}),
            json!({"spec": {"replicas": 2}})
        ),
        ["spec: expected `self.replicas == vars.n`, found self.replicas = 2, vars.n = 3"]
    );
    assert_eq!(
        differs(json!({"$cel": "self.nosuch == 1"}), json!({"a": 1})).len(),
        1
    );
    assert!(invalid(json!({"$cel": "self.a / 0 == 1"}), json!({"a": 1}))[0].contains("division by zero"));
    assert_eq!(
        codes(json!({"$cel": "self.a == ${{ vars.n }}"})),
        ["template-in-cel"]
    );
}

#[test]
fn decoded_values_are_matched_again() {
    let config = json!({"data": {"server.conf": "{\"plugins\": {\"DataStore\": [{\"sql\": {\"type\": \"postgres\"}}]}}"}});
    holds(
        json!({"data": {"server.conf": {"$json": {"plugins": {"DataStore": [{"sql": {"type": "postgres"}}]}}}}}),
        config.clone(),
    );
    assert_eq!(
        differs(
            json!({"data": {"server.conf": {"$json": {"plugins": {"DataStore": [{"sql": {"type": "x"}}]}}}}}),
            config
        ),
        ["data[\"server.conf\"].$json.plugins.DataStore[0].sql.type: expected \"x\", found \"postgres\""]
    );
    holds(json!({"$base64": {"$json": {"a": 1}}}), json!("eyJhIjoxfQ=="));
    holds(
        json!({"$url": {"host": "h", "query": {"sslmode": "disable"}}}),
        json!("postgresql://u@h/db?sslmode=disable"),
    );
    holds(json!({"$yaml": {"a": [1]}}), json!("a: [1]\n"));
    assert!(differs(json!({"$json": {"a": 1}}), json!("{"))[0].contains("not JSON"));
    assert_eq!(invalid(json!({"$json": {"a": 1}}), json!({"a": 1})).len(), 1);
}

#[test]
fn templates_are_filled_in() {
    holds(json!({"host": "${{ vars.host }}"}), json!({"host": "a.b"}));
    let typed = map(vec![
        ("n", plain("${{ vars.n }}")),
        ("l", plain("${{ vars.list }}")),
    ]);
    let bound = Pattern::lower(&typed, &mut Diagnostics::new())
        .bind(&scope())
        .unwrap();
    assert_eq!(bound.check(&json!({"n": 3, "l": [1, 2]})), Outcome::Holds);
    // Quoted: a string.
    assert_eq!(invalid(json!({"n": "${{ vars.n }}"}), json!({"n": 3})).len(), 1);
    // Escaped in a pattern.
    holds(json!({"$matches": "^${{ vars.host }}$"}), json!("a.b"));
    assert_eq!(
        differs(json!({"$matches": "^${{ vars.host }}$"}), json!("axb")).len(),
        1
    );
    holds(json!({"$matches": "^${{ regex(vars.host) }}$"}), json!("axb"));
    holds(json!({"${{ vars.host }}": 1}), json!({"a.b": 1}));
}

#[test]
fn a_pattern_names_what_it_reads() {
    let pattern = lower(&json!({"a": "${{ vars.x }}", "b": {"$cel": "self.y > saved.z"}, "c": {"$matches": "${{ vars.r }}1"}}))
        .unwrap();
    let paths: Vec<String> = pattern.references().iter().map(|r| r.path.join(".")).collect();
    assert_eq!(paths, ["vars.x", "self.y", "saved.z", "vars.r"]);
    assert_eq!(pattern.programs().len(), 3);
}

#[test]
fn a_filled_in_pattern_may_not_match_everything() {
    let mut scope = scope();
    scope.set("vars", json!({"e": "", "r": "("}));
    let bind = |value: Value| lower(&value).unwrap().bind(&scope);
    assert!(
        bind(json!({"$matches": "${{ vars.e }}"}))
            .unwrap_err()
            .message
            .contains("matches everything")
    );
    assert!(
        bind(json!({"$matches": "${{ regex(vars.r) }}"}))
            .unwrap_err()
            .message
            .contains("not a regular expression")
    );
    assert!(bind(json!({"$contains": "${{ vars.e }}"})).is_err());
    assert!(bind(json!({"$gt": "${{ vars.x }}"})).unwrap_err().not_yet);
}

#[test]
fn wrong_patterns_do_not_load() {
    for (pattern, code) in [
        (json!({"$matches": "("}), "bad-regex"),
        (json!({"$matches": "a*"}), "matches-everything"),
        (json!({"$matches": ""}), "matches-everything"),
        (json!({"$matches": "x|"}), "matches-everything"),
        (json!({"$matches": "(${{ vars.x }}"}), "bad-regex"),
        (json!({"$matches": ["a"]}), "wrong-type"),
        (json!({"$matches": "${{ vars.x"}), "unclosed-template"),
        (json!({"$contains": ""}), "matches-everything"),
        (json!({"$contains": []}), "matches-everything"),
        (json!({"a": []}), "matches-everything"),
        (json!({"$in": []}), "matches-nothing"),
        (json!({"$in": "a"}), "wrong-type"),
        (json!({"$exactly": 1}), "wrong-type"),
        (json!({"$exists": "yes"}), "wrong-type"),
        (json!({"$len": "three"}), "wrong-type"),
        (json!({"$len": -1}), "wrong-type"),
        (json!({"$gt": [1]}), "wrong-type"),
        (json!({"$gt": true}), "wrong-type"),
        (json!({"$gt": 1, "a": 2}), "mixed-operators"),
        (json!({"$match": "a"}), "unknown-operator"),
        (json!({"$nosuchthing": "a"}), "unknown-operator"),
        (json!({"$x509": {}}), "unsupported"),
        (json!({"$cel": "self ="}), "cel-syntax"),
    ] {
        assert_eq!(codes(pattern.clone()), [code], "{pattern}");
    }
    let diagnostics = lower(&json!({"$match": "a"})).unwrap_err();
    assert!(
        diagnostics.list[0]
            .to_string()
            .contains("did you mean `$matches`?")
    );
    let plain_booleans = map(vec![("a", plain("yes"))]);
    let mut diagnostics = Diagnostics::new();
    Pattern::lower(&plain_booleans, &mut diagnostics);
    assert_eq!(diagnostics.list[0].code, "ambiguous-boolean");
}

#[test]
fn a_doubled_dollar_is_a_literal_key() {
    holds(json!({"$$schema": "x"}), json!({"$schema": "x"}));
}

#[test]
fn a_huge_pattern_is_an_error_not_a_crash() {
    assert_eq!(codes(json!({"$matches": "(a{1000}){1000}"})), ["bad-regex"]);
    assert_eq!(codes(json!({"$matches": "(".repeat(5000)})), ["bad-regex"]);
}

#[test]
fn negative_patterns_say_so() {
    for negative in [
        json!({"a": null}),
        json!({"a": {"$ne": 1}}),
        json!({"a": {"$none": {"b": 1}}}),
        json!({"a": {"$exists": false}}),
        json!([{"a": {"$len": 0}}]),
        json!({"$json": {"a": null}}),
        json!({"$quantity": {"$ne": "1"}}),
    ] {
        assert!(bound(&negative).is_negative(), "{negative}");
    }
    for positive in [
        json!({"a": 1}),
        json!({"$len": 2}),
        json!({"$exists": true}),
        json!({"$each": [{"a": "x"}]}),
    ] {
        assert!(!bound(&positive).is_negative(), "{positive}");
    }
}

#[test]
fn summaries_are_one_line() {
    for (pattern, text) in [
        (
            json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
            "status.conditions[type=Ready].status \"False\"",
        ),
        (
            json!({"status": {"conditions": [{"type": "Ready"}]}}),
            "status.conditions[type=Ready]",
        ),
        (
            json!({"error": {"$matches": "^pq: "}, "level": "error"}),
            "error a match of /^pq: /, level \"error\"",
        ),
        (
            json!({"$each": {"a": true, "b": "x"}, "$len": 3}),
            "each {a true, b \"x\"}, length 3",
        ),
        (json!(1), "1"),
        (json!({"a": {"$gte": 1, "$lt": 5}}), "a >= 1, a < 5"),
        (json!({"a": {"$json": {"b": 1}}}), "a.$json.b 1"),
        (json!({"a": null}), "a nothing"),
        (json!({"a": ["x", "y"]}), "a \"x\", a \"y\""),
        (json!({"$cel": "self > 1"}), "`self > 1`"),
        (json!({"$quantity": {"$gt": "1Gi"}}), "a quantity > 1Gi"),
    ] {
        assert_eq!(bound(&pattern).summary(), text, "{pattern}");
    }
    assert_eq!(rows(json!(["a", "b"]), false).summary(), "[\"a\", \"b\"]");
    let long = bound(&json!({"a": "x".repeat(500)})).summary();
    assert_eq!(long.chars().count(), 120);
    assert!(
        differs(json!({"a": "x"}), json!({"a": "y".repeat(500)}))[0]
            .chars()
            .count()
            < 150
    );
}

#[test]
fn unkeyed_elements_of_keyed_lists_are_found() {
    let lint = |value: Value| {
        let mut diagnostics = Diagnostics::new();
        lower(&value).unwrap().lint_keyed(&mut diagnostics);
        diagnostics
            .list
            .into_iter()
            .map(|d| d.to_string())
            .collect::<Vec<_>>()
    };
    let spec = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let found = lint(spec(json!([{"image": "x"}])));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("add `name`"), "{found:?}");
    assert_eq!(
        lint(spec(
            json!([{"name": "a", "env": [{"value": "x"}], "ports": [{"containerPort": 1}]}])
        ))
        .len(),
        1
    );
    assert_eq!(
        lint(json!({"status": {"conditions": {"$each": {"status": "True"}}}})).len(),
        0
    );
    assert_eq!(lint(spec(json!({"$some": {"image": "x"}}))).len(), 0);
    assert_eq!(lint(json!({"rules": [{"verbs": ["get"]}]})).len(), 0);
    assert_eq!(lint(spec(json!([{"name": "a"}, "b"]))).len(), 0);
}

#[test]
fn places_point_at_the_operand() {
    let text = "match: {a: {$matches: \"(\"}}";
    let file = SourceFile::new("s.yaml", text);
    let at = |start: usize, length: usize| Place::new(std::sync::Arc::clone(&file), start..start + length);
    let regex = Node {
        place: at(22, 3),
        kind: NodeKind::Scalar {
            text: "(".to_owned(),
            style: Style::Quoted,
        },
    };
    let operator = Node {
        place: at(11, 15),
        kind: NodeKind::Mapping(vec![Entry {
            key: "$matches".to_owned(),
            key_place: at(12, 8),
            value: regex,
        }]),
    };
    let mut diagnostics = Diagnostics::new();
    Pattern::lower(&operator, &mut diagnostics);
    assert_eq!(diagnostics.list[0].place.text(), "\"(\"");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// JSON without empty lists (they don't load as patterns) and without `$` keys.
    fn values() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "[a-zA-Z0-9 ._:/-]{0,12}".prop_map(Value::from),
            Just(Value::Null),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
                prop::collection::btree_map("[a-e]|name|type|conditions|containers", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The value with one key left out, for each key of each map in it.
    fn thinned(value: &Value) -> Vec<Value> {
        match value {
            Value::Object(map) => map
                .iter()
                .flat_map(|(key, member)| {
                    let mut without = map.clone();
                    without.remove(key);
                    let mut all = vec![Value::Object(without)];
                    all.extend(thinned(member).into_iter().map(|member| {
                        let mut changed = map.clone();
                        changed.insert(key.clone(), member);
                        Value::Object(changed)
                    }));
                    all
                })
                .collect(),
            Value::Array(items) => (0..items.len())
                .flat_map(|index| {
                    thinned(&items[index]).into_iter().map(move |item| {
                        let mut changed = items.clone();
                        changed[index] = item;
                        Value::Array(changed)
                    })
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn every_value_matches_itself(value in values()) {
            let bound = bound(&value);
            prop_assert_eq!(bound.check(&value), Outcome::Holds);
            let _ = bound.summary();
        }

        #[test]
        fn leaving_out_an_expected_key_never_makes_a_match_fail(value in values()) {
            for thin in thinned(&value) {
                prop_assert_eq!(bound(&thin).check(&value), Outcome::Holds, "{} against {}", thin, value);
            }
        }

        #[test]
        fn any_two_values_are_compared_without_a_panic(a in values(), b in values()) {
            let outcome = bound(&a).check(&b);
            if let Outcome::Differs(mismatches) | Outcome::Invalid(mismatches) = outcome {
                prop_assert!(!mismatches.is_empty());
                prop_assert!(mismatches.iter().all(|m| !m.expected.is_empty() && !m.found.is_empty()));
            }
        }

        #[test]
        fn the_order_of_a_list_does_not_matter(mut items in prop::collection::vec(values(), 1..5), by in 0usize..5) {
            let expected = bound(&Value::from(items.clone()));
            let length = items.len();
            items.rotate_left(by % length);
            prop_assert_eq!(expected.check(&Value::from(items)), Outcome::Holds);
        }

        #[test]
        fn any_operator_over_any_value_is_no_panic(
            operator in prop::sample::select(crate::matching::OPERATORS.iter().map(|o| o.0).collect::<Vec<_>>()),
            operand in values(),
            actual in values(),
        ) {
            let mut diagnostics = Diagnostics::new();
            let pattern = Pattern::lower(&node(&json!({operator: operand})), &mut diagnostics);
            if !diagnostics.has_errors() && let Ok(bound) = pattern.bind(&scope()) {
                let _ = bound.check(&actual);
                let _ = bound.summary();
            }
        }
    }
}
