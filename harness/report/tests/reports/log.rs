//! A run log made by hand: the builder, and the stories that all reports are shown on.

use muster_model::event::{CleanupDeed, FORMAT, Failure, Phase, PlannedStep, Requests, Transition, Verdict};
use muster_model::{Event, EventKind, Mismatch, ObjectRef, PlaceRef, Scope};

const FILE: &str = "scenarios/spire/postgres-ssl.yaml";

/// Events with a clock that moves only when told.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    now_ms: u64,
    scope: Scope,
    began_ms: [u64; 2],
}

pub(crate) fn place(line: usize, column: usize) -> PlaceRef {
    PlaceRef {
        file: FILE.into(),
        line,
        column,
    }
}

pub(crate) fn object(kind: &str, name: &str, namespace: Option<&str>) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    }
}

impl Log {
    /// A run of some scenarios on a lab.
    pub(crate) fn run(scenarios: usize) -> Self {
        let mut log = Self {
            events: Vec::new(),
            now_ms: 0,
            scope: Scope::run(),
            began_ms: [0, 0],
        };
        log.push(EventKind::RunStarted {
            run: "20261124-113005-x7k2".into(),
            version: "0.1.0".into(),
            scenarios,
        });
        log.wait(40).push(EventKind::ClusterConnected {
            name: "lab".into(),
            server: "https://127.0.0.1:6443".into(),
            version: "v1.34.4".into(),
            nodes: 1,
        });
        log.wait(900).push(EventKind::Prepared {
            what: "fixtures/manifests/operator.yaml".into(),
            elapsed_ms: 900,
        });
        log
    }

    pub(crate) fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    pub(crate) fn push(&mut self, kind: EventKind) -> &mut Self {
        let scope = self.scope.clone();
        self.at(&scope, kind)
    }

    pub(crate) fn at(&mut self, scope: &Scope, kind: EventKind) -> &mut Self {
        let began: jiff::Timestamp = "2026-11-24T11:30:05Z".parse().unwrap();
        let offset = jiff::SignedDuration::from_millis(i64::try_from(self.now_ms).unwrap());
        self.events.push(Event {
            v: FORMAT,
            seq: self.events.len() as u64,
            t: began.checked_add(offset).unwrap(),
            mono_us: self.now_ms * 1000,
            scope: scope.clone(),
            kind,
        });
        self
    }

    pub(crate) fn scenario(&mut self, index: usize, title: &str, steps: &[&str]) -> &mut Self {
        self.scope = Scope::scenario(index);
        self.began_ms[0] = self.now_ms;
        self.push(EventKind::ScenarioStarted {
            title: title.into(),
            place: place(2, 1),
            labels: [
                ("area".into(), "datastore".into()),
                ("severity".into(), "blocker".into()),
            ]
            .into(),
            steps: steps
                .iter()
                .enumerate()
                .map(|(n, name)| PlannedStep {
                    name: (*name).into(),
                    place: place(10 + n * 10, 5),
                    phase: Phase::Steps,
                })
                .collect(),
        });
        self.wait(100).push(EventKind::NamespaceReady {
            alias: "db".into(),
            name: "postgresql".into(),
            created: true,
        })
    }

    pub(crate) fn step(&mut self, index: usize, name: &str) -> &mut Self {
        self.scope = Scope::scenario(self.scope.scenario.unwrap()).step(index);
        self.began_ms[1] = self.now_ms;
        self.push(EventKind::StepStarted {
            name: name.into(),
            place: place(10 + index * 10, 5),
            phase: Phase::Steps,
        })
    }

    pub(crate) fn action(&mut self, doing: &str, done: &str, ms: u64) -> &mut Self {
        self.push(EventKind::ActionStarted {
            summary: doing.into(),
        });
        self.wait(ms).push(EventKind::ActionFinished {
            summary: done.into(),
            elapsed_ms: ms,
        })
    }

    fn expecting(&mut self, index: usize, kind: EventKind) -> &mut Self {
        let scope = self.scope.expect(index);
        self.at(&scope, kind)
    }

    pub(crate) fn waits(
        &mut self,
        index: usize,
        subject: &str,
        within_ms: u64,
        seen: &[(u64, &str)],
    ) -> &mut Self {
        self.expecting(
            index,
            EventKind::WaitStarted {
                subject: subject.into(),
                place: place(13, 9),
                within_ms,
            },
        );
        for (ms, seen) in seen {
            self.wait(*ms)
                .expecting(index, EventKind::Observed { seen: (*seen).into() });
        }
        self
    }

    pub(crate) fn holds(&mut self, index: usize, subject: &str, seen: &str, ms: u64) -> &mut Self {
        self.expecting(
            index,
            EventKind::ExpectationFinished {
                subject: subject.into(),
                verdict: Verdict::Passed,
                held_before: ms == 0,
                elapsed_ms: ms,
                seen: seen.into(),
                failure: None,
            },
        )
    }

    pub(crate) fn fails(&mut self, index: usize, subject: &str, ms: u64, failure: Failure) -> &mut Self {
        self.expecting(
            index,
            EventKind::ExpectationFinished {
                subject: subject.into(),
                verdict: Verdict::Failed,
                held_before: false,
                elapsed_ms: ms,
                seen: String::new(),
                failure: Some(Box::new(failure)),
            },
        )
    }

    pub(crate) fn ends(
        &mut self,
        verdict: Verdict,
        failure: Option<Failure>,
        reason: Option<&str>,
    ) -> &mut Self {
        let elapsed_ms = self.now_ms - self.began_ms[1];
        self.push(EventKind::StepFinished {
            verdict,
            elapsed_ms,
            requests: Requests { sent: 7, retried: 1 },
            failure: failure.map(Box::new),
            reason: reason.map(str::to_owned),
        })
    }

    pub(crate) fn skips(&mut self, index: usize, reason: &str) -> &mut Self {
        self.step(index, STEPS[index]).push(EventKind::StepFinished {
            verdict: Verdict::Skipped,
            elapsed_ms: 0,
            requests: Requests::default(),
            failure: None,
            reason: Some(reason.into()),
        })
    }

    pub(crate) fn scenario_ends(
        &mut self,
        title: &str,
        verdict: Verdict,
        failure: Option<Failure>,
    ) -> &mut Self {
        let elapsed_ms = self.now_ms - self.began_ms[0];
        self.leave_step().push(EventKind::ScenarioFinished {
            title: title.into(),
            verdict,
            elapsed_ms,
            requests: Requests { sent: 42, retried: 1 },
            failure: failure.map(Box::new),
            reason: None,
        })
    }

    pub(crate) fn leave_step(&mut self) -> &mut Self {
        self.scope = Scope {
            step: None,
            ..self.scope.clone()
        };
        self
    }

    pub(crate) fn cleaned(&mut self, object: ObjectRef, deed: CleanupDeed, note: &str) -> &mut Self {
        self.leave_step().push(EventKind::CleanedUp {
            object,
            deed,
            note: note.into(),
        })
    }

    pub(crate) fn evidence(&mut self, path: &str, what: &str) -> &mut Self {
        self.push(EventKind::EvidenceTaken {
            path: path.into(),
            what: what.into(),
        })
    }

    pub(crate) fn run_ends(
        &mut self,
        exit_code: u8,
        counts: [usize; 4],
        failure: Option<Failure>,
    ) -> Vec<Event> {
        let [passed, failed, skipped, errors] = counts;
        let elapsed_ms = self.now_ms;
        self.at(
            &Scope::run(),
            EventKind::RunFinished {
                exit_code,
                passed,
                failed,
                skipped,
                errors,
                elapsed_ms,
                failure: failure.map(Box::new),
            },
        );
        self.events.clone()
    }
}

const SSL: &str = "SPIRE server refuses a Postgres without TLS, recovers, and agents re-attest";
const STEPS: [&str; 4] = [
    "deploy Postgres without TLS",
    "move the server to Postgres, leaving sslmode to the driver",
    "allow plain text",
    "rotate the agents",
];

fn deploys(log: &mut Log) {
    log.step(0, STEPS[0])
        .action(
            "apply 6 objects from fixtures/manifests/postgres.yaml",
            "applied 6 objects",
            420,
        )
        .waits(
            0,
            "ready deployment/postgresql",
            120_000,
            &[(200, "0 of 1 pods ready"), (11_000, "1 of 1 pods ready")],
        )
        .holds(0, "ready deployment/postgresql", "1 of 1 pods ready", 11_200)
        .holds(
            1,
            "object persistentvolumeclaim/postgresql",
            "status.phase Bound",
            0,
        )
        .ends(Verdict::Passed, None, None);
}

/// All steps pass.
pub(crate) fn passing() -> Vec<Event> {
    let mut log = Log::run(1);
    log.scenario(0, SSL, &STEPS[..2]);
    deploys(&mut log);
    log.step(1, STEPS[1])
        .action("patch spireserver/cluster", "patched spireserver/cluster", 35)
        .waits(
            0,
            "crash pod/spire-server-0",
            120_000,
            &[(900, "0 of 2 ends"), (21_000, "1 of 2 ends")],
        )
        .wait(19_700)
        .holds(
            0,
            "crash pod/spire-server-0",
            "2 ends of spire-server, exit code 1",
            41_600,
        )
        .push(EventKind::Noted {
            message: "the server sent 429 twice; muster waited 2s".into(),
            place: None,
        })
        .ends(Verdict::Passed, None, None)
        .wait(3_000)
        .cleaned(
            object("Deployment", "postgresql", Some("postgresql")),
            CleanupDeed::Deleted,
            "",
        )
        .cleaned(object("Namespace", "postgresql", None), CleanupDeed::Deleted, "")
        .cleaned(object("SpireServer", "cluster", None), CleanupDeed::Restored, "")
        .scenario_ends(SSL, Verdict::Passed, None)
        .run_ends(0, [1, 0, 0, 0], None)
}

fn wrong_word() -> Failure {
    Failure {
        message: "log pod/spire-server-0 did not come true within 30s".into(),
        place: Some(place(23, 14)),
        source: "      - log: pod/spire-server-0".into(),
        expected: "a line of spire-server that matches /pq: SSL is not enabled on the servr/".into(),
        mismatches: vec![
            Mismatch::new(
                "error",
                "a match of /pq: SSL is not enabled on the servr/",
                "\"pq: SSL is not enabled on the server\"",
            )
            .hint("did you mean \"server\"?"),
            Mismatch::new("level", "\"error\"", "\"warn\""),
        ],
        nearest: "time=\"2026-11-24T11:30:27Z\" level=warn msg=\"Fatal run error\" \
                  error=\"<script>alert('pq')</script> \u{1b}[31mSSL is not enabled on the server\""
            .into(),
        history: [
            (0, "no line yet"),
            (1_200, "12 lines, none matches"),
            (21_400, "31 lines, none matches"),
        ]
        .map(|(at_ms, seen)| Transition {
            at_ms,
            seen: seen.into(),
        })
        .into(),
        causes: vec!["pod/spire-server-0: container spire-server ended with exit code 1, 4 times".into()],
        help: vec!["compare the pattern with the nearest line".into()],
    }
}

/// One scenario fails in a wait, one in clean-up, one is skipped.
pub(crate) fn failing() -> Vec<Event> {
    let mut log = Log::run(3);
    log.scenario(0, SSL, &STEPS);
    deploys(&mut log);
    log.step(1, STEPS[1])
        .action("patch spireserver/cluster", "patched spireserver/cluster", 35)
        .holds(
            0,
            "object spireserver/cluster",
            "status.conditions[type=Ready].status \"False\"",
            2_400,
        )
        .waits(
            1,
            "log pod/spire-server-0",
            30_000,
            &[(1_200, "12 lines, none matches")],
        )
        .wait(30_000)
        .fails(1, "log pod/spire-server-0", 30_000, wrong_word())
        .ends(Verdict::Failed, Some(wrong_word()), None)
        .skips(2, "an earlier step failed")
        .skips(3, "an earlier step failed")
        .leave_step()
        .evidence("evidence/0/pod-spire-server-0.yaml", "object pod/spire-server-0")
        .evidence(
            "evidence/0/pod-spire-server-0.spire-server.log",
            "log of spire-server",
        )
        .wait(2_000)
        .cleaned(object("Namespace", "postgresql", None), CleanupDeed::Deleted, "")
        .cleaned(
            object("SpireServer", "cluster", None),
            CleanupDeed::LeftChanged,
            "spec.datastore was changed by kubectl",
        )
        .scenario_ends(SSL, Verdict::Failed, None);

    let volumes = "Postgres keeps its data over a restart";
    log.scenario(1, volumes, &["write a row"])
        .step(0, "write a row")
        .action(
            "run the statement on db",
            "ran the statement on db: 1 row changed",
            60,
        )
        .ends(Verdict::Passed, None, None)
        .leave_step()
        .wait(120_000)
        .push(EventKind::CleanupFailed {
            object: object("PersistentVolumeClaim", "postgresql", Some("postgresql")),
            message:
                "still there after 2m: finalizer kubernetes.io/pvc-protection waits for pod/postgresql-0"
                    .into(),
        })
        .scenario_ends(
            volumes,
            Verdict::Failed,
            Some(Failure {
                message: "clean-up left 1 object behind".into(),
                help: vec!["muster clean --run 20261124-113005-x7k2".into()],
                ..Failure::default()
            }),
        );

    log.scenario(2, "Routes of OpenShift reach the OIDC provider", &[]);
    log.leave_step().push(EventKind::ScenarioFinished {
        title: "Routes of OpenShift reach the OIDC provider".into(),
        verdict: Verdict::Skipped,
        elapsed_ms: 100,
        requests: Requests { sent: 1, retried: 0 },
        failure: None,
        reason: Some("the cluster has no routes.route.openshift.io".into()),
    });
    log.run_ends(1, [0, 2, 1, 0], None)
}

/// The cluster can't be reached.
pub(crate) fn unreachable() -> Vec<Event> {
    let mut log = Log::run(1);
    log.events.truncate(1);
    log.run_ends(
        3,
        [0, 0, 0, 0],
        Some(Failure {
            message: "failed to connect to cluster lab at https://127.0.0.1:6443: connection refused".into(),
            help: vec!["start it: muster cluster up lab".into()],
            ..Failure::default()
        }),
    )
}

/// A run that was killed in a wait.
pub(crate) fn killed() -> Vec<Event> {
    let mut log = Log::run(1);
    log.scenario(0, SSL, &STEPS);
    deploys(&mut log);
    log.step(1, STEPS[1])
        .action("patch spireserver/cluster", "patched spireserver/cluster", 35)
        .waits(0, "crash pod/spire-server-0", 120_000, &[(900, "0 of 2 ends")]);
    log.events.clone()
}

/// Two scenarios whose steps come between each other.
pub(crate) fn side_by_side() -> Vec<Event> {
    let mut log = Log::run(2);
    log.scenario(0, "first", &["a", "b"])
        .step(0, "a")
        .ends(Verdict::Passed, None, None);
    log.scenario(1, "second", &["c"])
        .step(0, "c")
        .wait(500)
        .ends(Verdict::Passed, None, None);
    log.scope = Scope::scenario(0);
    log.step(1, "b").wait(500).ends(Verdict::Passed, None, None);
    log.scenario_ends("first", Verdict::Passed, None);
    log.scope = Scope::scenario(1);
    log.scenario_ends("second", Verdict::Passed, None);
    log.run_ends(0, [2, 0, 0, 0], None)
}
