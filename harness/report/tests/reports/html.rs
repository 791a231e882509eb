//! The HTML report.

use muster_report::html::from_events;

use crate::log;

#[test]
fn it_holds_what_the_terminal_says_and_links_the_evidence() {
    let html = from_events(&log::failing()).unwrap();
    for words in [
        "2 failed, 1 skipped",
        "did not come true within 30s",
        "scenarios/spire/postgres-ssl.yaml:23:14",
        "+21.4s",
        "did you mean &quot;server&quot;?",
        "href=\"evidence&#x2f;0&#x2f;pod-spire-server-0.yaml\"",
        "the cluster has no routes.route.openshift.io",
        "finalizer kubernetes.io",
        "muster clean --run",
        "held before the action",
        "spec.datastore was changed by kubectl",
    ] {
        let escaped = words.replace('/', "&#x2f;");
        assert!(
            html.contains(words) || html.contains(&escaped),
            "{words} is missing"
        );
    }
}

#[test]
fn what_a_log_line_holds_is_text() {
    let html = from_events(&log::failing()).unwrap();
    assert!(!html.contains("<script"), "a script got in");
    assert!(html.contains("&lt;script&gt;alert("));
}

#[test]
fn a_skipped_step_has_no_time() {
    let html = from_events(&log::failing()).unwrap();
    assert_eq!(html.matches("<span class=\"num\">skipped</span>").count(), 2);
}

#[test]
fn it_needs_nothing_from_elsewhere() {
    let html = from_events(&log::passing()).unwrap();
    for outside in ["src=", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn a_run_without_scenarios_and_a_killed_one_have_a_report() {
    let html = from_events(&log::unreachable()).unwrap();
    assert!(html.contains("no scenario ran") && html.contains("connection refused"));
    let html = from_events(&log::killed()).unwrap();
    assert!(html.contains("interrupted"));
    assert!(from_events(&[]).unwrap().contains("no scenario ran"));
}
