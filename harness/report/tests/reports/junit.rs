//! The JUnit report.

use muster_report::junit::from_events;

use crate::log;

#[test]
fn a_failing_run() {
    insta::assert_snapshot!(from_events(&log::failing()).unwrap());
}

#[test]
fn a_passing_run() {
    insta::assert_snapshot!(from_events(&log::passing()).unwrap());
}

#[test]
fn an_unreachable_cluster_is_an_error() {
    let xml = from_events(&log::unreachable()).unwrap();
    assert!(
        xml.contains("<error message=\"failed to connect to cluster lab"),
        "{xml}"
    );
    assert!(xml.contains("errors=\"1\""), "{xml}");
}

#[test]
fn a_killed_run_has_an_error_where_it_was_killed_and_skips_what_is_left() {
    let xml = from_events(&log::killed()).unwrap();
    assert!(
        xml.contains("tests=\"4\" skipped=\"2\" errors=\"1\" failures=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("type=\"interrupted\""), "{xml}");
}

#[test]
fn a_scenario_that_failed_is_never_green() {
    use muster_model::event::Verdict;
    let mut log = log::Log::run(1);
    log.scenario(0, "story", &["a"])
        .step(0, "a")
        .ends(Verdict::Passed, None, None);
    let events = log
        .scenario_ends("story", Verdict::Failed, None)
        .run_ends(1, [0, 1, 0, 0], None);
    let xml = from_events(&events).unwrap();
    assert!(
        xml.contains("tests=\"2\" skipped=\"0\" errors=\"0\" failures=\"1\""),
        "{xml}"
    );
}
