//! The clean-up ledger survives its process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt as _;

use muster_model::{Object, ObjectRef};
use muster_record::{ClusterKey, Deed, Intent, Ledger, LedgerError, Outcome};
use serde_json::json;

fn intent(name: &str, scenario: usize, before: Option<Object>) -> Intent {
    Intent {
        object: ObjectRef {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("db".into()),
            name: name.into(),
        },
        deed: Deed::Patch,
        scenario: Some(scenario),
        before,
    }
}

#[test]
fn what_a_killed_run_did_is_read_back_newest_first() {
    let runs = tempfile::tempdir().unwrap();
    let before = Object(json!({"kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"x": "1"}}));
    let after = Object(json!({"kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"x": "2"}}));
    let key = ClusterKey {
        context: Some("lab".into()),
        server: "https://127.0.0.1:6443".into(),
        ..ClusterKey::default()
    };
    {
        let ledger = Ledger::create(runs.path(), "r1").unwrap();
        ledger.on_cluster(key.clone()).unwrap();
        let a = ledger.intend(intent("a", 0, None)).unwrap();
        let b = ledger.intend(intent("b", 0, Some(before.clone()))).unwrap();
        ledger.intend(intent("c", 1, None)).unwrap();
        let d = ledger.intend(intent("d", 1, None)).unwrap();
        let e = ledger.intend(intent("e", 1, None)).unwrap();
        ledger.outcome(a, Outcome::Created { uid: "u1".into() }).unwrap();
        ledger
            .outcome(
                b,
                Outcome::Existing {
                    uid: "u2".into(),
                    after: Some(after.clone()),
                },
            )
            .unwrap();
        ledger
            .outcome(
                d,
                Outcome::Failed {
                    message: "forbidden".into(),
                },
            )
            .unwrap();
        ledger.undone(e).unwrap();
    }
    assert_eq!(Ledger::left_over(runs.path()).unwrap(), ["r1"]);
    let ledger = Ledger::open(runs.path(), "r1").unwrap();
    assert_eq!(ledger.cluster(), Some(key));
    let names = |entries: Vec<muster_record::Entry>| {
        entries
            .into_iter()
            .map(|e| e.intent.object.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(ledger.pending(None)), ["c", "b", "a"]);
    assert_eq!(names(ledger.pending(Some(0))), ["b", "a"]);
    let entries = ledger.entries();
    assert_eq!(entries[1].intent.before, Some(before));
    assert_eq!(
        entries[1].outcome,
        Some(Outcome::Existing {
            uid: "u2".into(),
            after: Some(after)
        })
    );
    assert_eq!(entries[2].outcome, None);
}

#[test]
fn only_its_owner_can_read_it() {
    let runs = tempfile::tempdir().unwrap();
    let _ledger = Ledger::create(&runs.path().join("deep"), "r1").unwrap();
    let mode = |path: &str| {
        std::fs::metadata(runs.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("deep/r1"), 0o700);
    assert_eq!(mode("deep/r1/ledger.jsonl"), 0o600);
}

#[test]
fn it_is_kept_until_everything_is_undone() {
    let runs = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(runs.path(), "r1").unwrap();
    let id = ledger.intend(intent("a", 0, None)).unwrap();
    let error = ledger.remove().unwrap_err();
    assert!(
        error.to_string().contains("configmap/a in namespace db"),
        "{error}"
    );
    let ledger = Ledger::open(runs.path(), "r1").unwrap();
    ledger.undone(id).unwrap();
    ledger.remove().unwrap();
    assert!(Ledger::left_over(runs.path()).unwrap().is_empty());
    assert!(matches!(
        Ledger::open(runs.path(), "r1"),
        Err(LedgerError::Unknown { .. })
    ));
}

#[test]
fn the_ledger_of_a_live_run_is_not_opened() {
    let runs = tempfile::tempdir().unwrap();
    let _live = Ledger::create(runs.path(), "r1").unwrap();
    assert!(matches!(
        Ledger::open(runs.path(), "r1"),
        Err(LedgerError::Running { .. })
    ));
}

#[test]
fn a_torn_last_line_is_dropped_and_written_over() {
    let runs = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(runs.path(), "r1").unwrap();
    ledger.intend(intent("a", 0, None)).unwrap();
    drop(ledger);
    let path = runs.path().join("r1/ledger.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(r#"{"line":"intent","id":1,"t":"20"#);
    std::fs::write(&path, text).unwrap();
    let ledger = Ledger::open(runs.path(), "r1").unwrap();
    assert_eq!(ledger.entries().len(), 1);
    ledger.intend(intent("b", 0, None)).unwrap();
    drop(ledger);
    assert_eq!(Ledger::open(runs.path(), "r1").unwrap().entries().len(), 2);
}

#[test]
fn a_ledger_that_cannot_be_made_says_what_to_do() {
    let runs = tempfile::tempdir().unwrap();
    std::fs::write(runs.path().join("file"), "").unwrap();
    let error = Ledger::create(&runs.path().join("file"), "r1").err().unwrap();
    assert!(error.to_string().contains("set XDG_STATE_HOME"), "{error}");
}
