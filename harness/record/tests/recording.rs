//! A run is recorded and read back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use muster_model::event::{Phase, PlannedStep, Requests, Verdict};
use muster_model::{Emit as _, Event, EventKind, PlaceRef, Scope, Secrets};
use muster_record::{RecordError, Recorder, Run, RunFolder, read};

fn recorder(out: &Path, secrets: &Secrets) -> Recorder {
    Recorder::start(RunFolder::create(out, "run-1").unwrap(), secrets.clone()).unwrap()
}

fn noted(message: &str) -> EventKind {
    EventKind::Noted {
        message: message.into(),
        place: None,
    }
}

fn place(line: usize) -> PlaceRef {
    PlaceRef {
        file: "a.yaml".into(),
        line,
        column: 3,
    }
}

#[test]
fn events_of_many_threads_have_no_gaps_and_reach_log_and_sinks_in_one_order() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    let seen = Arc::new(Mutex::new(Vec::<Event>::new()));
    let sink = Arc::clone(&seen);
    recorder.add_sink(Box::new(move |event| sink.lock().unwrap().push(event.clone())));
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let recorder = &recorder;
            threads.spawn(move || {
                for n in 0..50 {
                    recorder.emit(&Scope::scenario(thread), noted(&format!("note {n}")));
                }
            });
        }
    });
    recorder.finish().unwrap();
    let events = read(&out.path().join("latest")).unwrap();
    assert_eq!(
        events.iter().map(|e| e.seq).collect::<Vec<_>>(),
        (0..200).collect::<Vec<_>>()
    );
    assert!(events.windows(2).all(|pair| pair[0].mono_us <= pair[1].mono_us));
    assert_eq!(events, *seen.lock().unwrap());
}

#[test]
fn a_secret_reaches_neither_log_nor_sink_nor_evidence() {
    let out = tempfile::tempdir().unwrap();
    let secrets = Secrets::new();
    secrets.register("vars.password", "hunter2hunter2").unwrap();
    let recorder = recorder(out.path(), &secrets);
    let seen = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&seen);
    recorder.add_sink(Box::new(move |event| {
        sink.lock().unwrap().push_str(&format!("{event:?}"))
    }));
    recorder.emit(&Scope::run(), noted("dsn postgres://admin:hunter2hunter2@db"));
    // Base64 of "admin:hunter2hunter2", as a Secret would hold it.
    recorder.emit(&Scope::run(), noted("YWRtaW46aHVudGVyMmh1bnRlcjI="));
    let path = recorder
        .evidence(
            &Scope::scenario(0),
            "logs/hunter2hunter2.log",
            "log",
            b"password=hunter2hunter2\n",
        )
        .unwrap();
    recorder.finish().unwrap();
    let log = std::fs::read_to_string(out.path().join("run-1/events.jsonl")).unwrap();
    let evidence = std::fs::read_to_string(out.path().join("run-1").join(&path)).unwrap();
    for text in [&log, &evidence, &path, &*seen.lock().unwrap()] {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyM"), "{text}");
    }
    assert!(log.contains("admin:«vars.password»@db"), "{log}");
    assert_eq!(evidence, "password=«vars.password»\n");
}

#[test]
fn a_secret_that_becomes_known_late_is_masked_at_the_end_and_said() {
    let out = tempfile::tempdir().unwrap();
    let secrets = Secrets::new();
    let recorder = recorder(out.path(), &secrets);
    recorder.emit(&Scope::run(), noted("read hunter2hunter2"));
    recorder
        .evidence(&Scope::run(), "dump.txt", "dump", b"hunter2hunter2")
        .unwrap();
    secrets.register("db", "hunter2hunter2").unwrap();
    recorder.finish().unwrap();
    // The log was replaced: later events must still reach it.
    recorder.emit(&Scope::run(), noted("after"));
    let run = out.path().join("run-1");
    assert_eq!(
        std::fs::read_to_string(run.join("evidence/dump.txt")).unwrap(),
        "«db»"
    );
    let log = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(!log.contains("hunter2"), "{log}");
    let messages: Vec<String> = read(&run)
        .unwrap()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Noted { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(
        messages,
        [
            "read «db»",
            "events.jsonl held a secret that became known only later; it was masked",
            "evidence/dump.txt held a secret that became known only later; it was masked",
            "after"
        ]
    );
}

#[test]
fn an_event_that_is_too_big_is_cut_and_kept_whole_beside() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    recorder.emit(&Scope::run(), noted(&"x".repeat(100_000)));
    recorder.finish().unwrap();
    let run = out.path().join("run-1");
    let log = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(
        log.len() < 17 * 1024 && log.contains("overflow/000000.json"),
        "{log}"
    );
    let whole = std::fs::read_to_string(run.join("overflow/000000.json")).unwrap();
    assert!(whole.len() > 100_000);
}

#[test]
fn two_files_of_evidence_of_one_name_are_both_kept() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    let first = recorder
        .evidence(&Scope::run(), "../pod.log", "log", b"1")
        .unwrap();
    let second = recorder.evidence(&Scope::run(), "pod.log", "log", b"2").unwrap();
    assert_eq!(
        (first.as_str(), second.as_str()),
        ("evidence/pod.log", "evidence/pod-2.log")
    );
    assert_eq!(
        std::fs::read(out.path().join("run-1").join(second)).unwrap(),
        b"2"
    );
}

#[test]
fn a_torn_last_line_is_dropped_and_a_broken_one_before_is_an_error() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    recorder.emit(&Scope::run(), noted("one"));
    recorder.emit(&Scope::run(), noted("two"));
    let log = out.path().join("run-1/events.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, &text[..text.len() - 20]).unwrap();
    assert_eq!(read(&out.path().join("run-1")).unwrap().len(), 1);
    std::fs::write(&log, format!("nonsense\n{text}")).unwrap();
    let error = read(&out.path().join("run-1")).unwrap_err();
    assert!(
        error.to_string().contains("events.jsonl:1 is not an event"),
        "{error}"
    );
}

#[test]
fn a_folder_without_a_log_is_no_run() {
    let out = tempfile::tempdir().unwrap();
    let error = read(out.path()).unwrap_err();
    assert!(
        matches!(error, RecordError::NoRun { .. }) && error.to_string().contains("runs/latest"),
        "{error}"
    );
}

#[test]
fn evidence_that_cannot_be_written_is_an_error_and_no_event_names_it() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    std::fs::write(out.path().join("run-1/evidence"), "in the way").unwrap();
    let error = recorder
        .evidence(&Scope::run(), "a.log", "log", b"x")
        .unwrap_err();
    assert!(
        error.to_string().contains("failed to write evidence to"),
        "{error}"
    );
    assert_eq!(read(&out.path().join("run-1")).unwrap(), []);
}

#[test]
fn a_run_that_was_killed_reads_as_interrupted_and_skipped() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    let scenario = Scope::scenario(0);
    recorder.emit(
        &scenario,
        EventKind::ScenarioStarted {
            title: "story".into(),
            place: place(1),
            labels: [].into(),
            steps: ["one", "two", "three"]
                .map(|name| PlannedStep {
                    name: name.into(),
                    place: place(2),
                    phase: Phase::Steps,
                })
                .into(),
        },
    );
    let started = |name: &str| EventKind::StepStarted {
        name: name.into(),
        place: place(2),
        phase: Phase::Steps,
    };
    recorder.emit(&scenario.step(0), started("one"));
    recorder.emit(
        &scenario.step(0),
        EventKind::StepFinished {
            verdict: Verdict::Passed,
            elapsed_ms: 5,
            requests: Requests::default(),
            failure: None,
            reason: None,
        },
    );
    recorder.emit(&scenario.step(1), started("two"));
    recorder.emit(
        &scenario.step(1).expect(0),
        EventKind::WaitStarted {
            subject: "ready pod/x".into(),
            place: place(4),
            within_ms: 30_000,
        },
    );
    recorder.emit(
        &scenario.step(1).expect(0),
        EventKind::Observed {
            seen: "not ready".into(),
        },
    );
    let run = Run::from_events(&read(&out.path().join("run-1")).unwrap());
    let story = &run.scenarios[&0];
    assert_eq!(story.verdict, Some(Verdict::Interrupted));
    let verdicts: Vec<_> = story.steps.iter().map(|step| step.verdict.unwrap()).collect();
    assert_eq!(
        verdicts,
        [Verdict::Passed, Verdict::Interrupted, Verdict::Skipped]
    );
    assert_eq!(
        story.steps[1].expectations[&0].verdict,
        Some(Verdict::Interrupted)
    );
    assert_eq!(story.steps[1].expectations[&0].seen, "not ready");
    assert_eq!(run.counts().errors, 1);
}

#[test]
fn what_a_step_puts_back_counts_as_clean_up() {
    let out = tempfile::tempdir().unwrap();
    let recorder = recorder(out.path(), &Secrets::new());
    let object = muster_model::ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: None,
        name: "a".into(),
    };
    recorder.emit(
        &Scope::scenario(0).step(2),
        EventKind::CleanedUp {
            object,
            deed: muster_model::event::CleanupDeed::Restored,
            note: String::new(),
        },
    );
    let run = Run::from_events(&read(&out.path().join("run-1")).unwrap());
    assert_eq!(run.scenarios[&0].cleaned.len(), 1);
}
