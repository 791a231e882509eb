//! The lab on this machine: up, used, broken in every way, down, and nothing left.
//!
//! Needs root, the lab's binaries and images, and a machine on which no other lab runs; else the trials are ignored
//! and say why. One after the other, because a machine has one lab.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use machine::Machine;
use muster_provision::{Lab, LabOptions, LabPhase, LabUp, ProvisionError, check, enter_if_child};

const NAME: &str = "muster-test";
/// Makes this program bring the lab up, so that a trial can interrupt it.
const UP: &str = "__up";
/// Makes this program try to take the lab down, so that a trial can do it as another user.
const DOWN: &str = "__down";

fn main() -> ExitCode {
    enter_if_child();
    if std::env::args().nth(1).as_deref() == Some(UP) {
        let result = block_on(Lab::up(&options(), &|p| eprintln!("step {}", p.step)));
        return if result.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    if std::env::args().nth(1).as_deref() == Some(DOWN) {
        let error = block_on(Lab::down(NAME)).err();
        eprintln!("{}", error.map(|e| e.to_string()).unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let reason = reason_to_ignore();
    let trial = |name: &str, run: fn() -> Result<(), Failed>| {
        let trial = Trial::test(name, run).with_ignored_flag(reason.is_some());
        match &reason {
            Some(reason) => trial.with_kind(reason.as_str()),
            None => trial,
        }
    };
    let trials = vec![
        trial(
            "a_lab_runs_pods_with_names_and_volumes_and_leaves_nothing",
            runs_pods,
        ),
        trial("three_nodes_reach_each_others_pods", three_nodes),
        trial("a_second_lab_is_refused_and_told_which_one_runs", second_lab),
        trial(
            "a_killed_process_makes_a_lab_half_dead_until_up_mends_it",
            half_dead,
        ),
        trial("a_lab_whose_processes_were_all_killed_is_removed", all_killed),
        trial(
            "an_interrupted_up_is_removed_at_whatever_step_it_was",
            interrupted,
        ),
        trial("a_failed_up_says_why_and_leaves_only_its_logs", failed),
        trial("a_machine_without_the_binaries_is_told_all_that_it_lacks", unfit),
        trial("a_plain_user_is_told_to_become_root", plain_user),
        trial("a_folder_that_holds_something_else_is_not_taken", foreign_folder),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn options() -> LabOptions {
    LabOptions::named(NAME)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn reason_to_ignore() -> Option<String> {
    let findings = block_on(check(&options()));
    let missing = findings.into_iter().find(|f| !f.ok)?;
    Some(format!("needed: {}: {}", missing.what, missing.remedy))
}

fn up(options: &LabOptions) -> Result<LabUp, ProvisionError> {
    block_on(Lab::up(options, &|_| {}))
}

fn phase() -> LabPhase {
    block_on(Lab::status(NAME)).unwrap().phase
}

/// Runs a trial's body; takes the lab down whatever happens, and compares the machine before and after.
fn leaving_nothing(body: impl FnOnce() + std::panic::UnwindSafe) -> Result<(), Failed> {
    let before = Machine::look();
    let result = std::panic::catch_unwind(body);
    let down = block_on(Lab::down(NAME));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    down?;
    let left = Machine::look().more_than(&before);
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("left on the machine:\n{}", left.join("\n")).into())
    }
}

/// kubectl of the lab under test.
fn kubectl(up: &LabUp, args: &[&str]) -> Result<String, String> {
    let output = Command::new(options().cache.join("lab/current/bin/kubectl"))
        .arg("--kubeconfig")
        .arg(&up.kubeconfig)
        .args(args)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn apply(up: &LabUp, manifest: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    kubectl(up, &["apply", "-f", file.path().to_str().unwrap()]).unwrap();
}

fn pod(name: &str, node: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  nodeName: {node}\n  \
         terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: ghcr.io/muster-test/tools:1\n    \
         imagePullPolicy: Never\n    command: [sh, -c, {command:?}]\n    volumeMounts: [{{name: data, mountPath: /data}}]\n  \
         volumes:\n  - name: data\n    persistentVolumeClaim: {{claimName: data}}\n---\n"
    )
}

const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  \
    accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Mi}}\n---\n";

/// Waits for a pod to run; the error is what kubectl says of it.
fn await_pod(up: &LabUp, name: &str) {
    let pod = format!("pod/{name}");
    if let Err(error) = kubectl(up, &["wait", "--for=condition=Ready", "--timeout=30s", &pod]) {
        panic!(
            "{error}\n{}",
            kubectl(up, &["describe", &pod]).unwrap_or_default()
        );
    }
}

fn runs_pods() -> Result<(), Failed> {
    leaving_nothing(|| {
        let first = up(&options()).unwrap();
        assert!(!first.existed);
        assert_eq!(first.nodes, ["node1"]);
        let second = up(&options()).unwrap();
        assert!(second.existed, "a ready lab was built anew");

        apply(
            &first,
            &(CLAIM.to_owned()
                + &pod(
                    "one",
                    "node1",
                    "echo written > /data/file; echo started; sleep 600",
                )),
        );
        await_pod(&first, "one");
        let bound = kubectl(&first, &["get", "pvc", "data", "-o", "jsonpath={.status.phase}"]).unwrap();
        assert_eq!(bound, "Bound");
        let exec = |command: &str| kubectl(&first, &["exec", "one", "--", "sh", "-c", command]).unwrap();
        assert_eq!(exec("cat /data/file"), "written\n");
        let address = exec("getent hosts kubernetes.default");
        assert!(address.starts_with("10.96.0.1 "), "{address}");
        assert_eq!(kubectl(&first, &["logs", "one"]).unwrap(), "started\n");

        let archive = options().cache.join("images/current/pause.tar");
        assert_eq!(
            block_on(Lab::load(NAME, &[archive])).unwrap(),
            ["registry.k8s.io/pause:3.10"]
        );
        let missing = block_on(Lab::load(NAME, &[PathBuf::from("/no/such.tar")]))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("/no/such.tar"), "{missing}");
        let broken = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(broken.path(), "no archive").unwrap();
        let error = block_on(Lab::load(NAME, &[broken.path().to_owned()]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(broken.path().to_str().unwrap()), "{error}");

        let status = block_on(Lab::status(NAME)).unwrap();
        assert_eq!(status.phase, LabPhase::Ready);
        assert!(
            status.images.iter().any(|i| i == "registry.k8s.io/pause:3.10"),
            "{:?}",
            status.images
        );
        assert!(status.processes.iter().all(|p| p.alive));
        // Taken down with the pod running and its volume mounted.
    })
}

fn three_nodes() -> Result<(), Failed> {
    leaving_nothing(|| {
        let up = up(&LabOptions {
            nodes: 3,
            audit: true,
            ..options()
        })
        .unwrap();
        assert_eq!(up.nodes, ["node1", "node2", "node3"]);
        let serve = "while true; do hostname | nc -l -p 8080 -q 0; done";
        let manifest =
            CLAIM.to_owned() + &pod("server", "node2", serve) + &pod("client", "node3", "sleep 600");
        apply(&up, &manifest);
        await_pod(&up, "server");
        await_pod(&up, "client");
        kubectl(&up, &["label", "pod", "server", "app=server"]).unwrap();
        kubectl(
            &up,
            &["expose", "pod", "server", "--port=80", "--target-port=8080"],
        )
        .unwrap();
        let ask = |host: &str| {
            let command = format!(
                "for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 2 {host} </dev/null && exit 0; sleep 0.3; done; exit 1"
            );
            kubectl(&up, &["exec", "client", "--", "sh", "-c", &command]).unwrap()
        };
        let ip = kubectl(&up, &["get", "pod", "server", "-o", "jsonpath={.status.podIP}"]).unwrap();
        assert!(ip.starts_with("10.244.2."), "{ip}");
        assert_eq!(ask(&format!("{ip} 8080")), "server\n");
        assert_eq!(ask("server 80"), "server\n");
        let log = std::fs::read_to_string(options().state.join("logs/audit.log")).unwrap();
        assert!(
            log.contains(r#""userAgent":"kubectl"#),
            "no request of kubectl in the audit log"
        );
        let differs = block_on(Lab::up(&options(), &|_| {})).unwrap_err();
        assert!(matches!(differs, ProvisionError::Differs { .. }), "{differs}");
    })
}

fn second_lab() -> Result<(), Failed> {
    leaving_nothing(|| {
        up(&options()).unwrap();
        let error = up(&LabOptions::named("muster-other")).unwrap_err();
        assert!(matches!(error, ProvisionError::Occupied { .. }), "{error}");
        assert!(error.to_string().contains(NAME), "{error}");
        assert!(!block_on(Lab::down("muster-other")).unwrap().existed);
        assert_eq!(phase(), LabPhase::Ready);
    })
}

fn kill(pid: u32) {
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn half_dead() -> Result<(), Failed> {
    leaving_nothing(|| {
        up(&options()).unwrap();
        for title in ["kubelet of node1", "etcd", "init of node1"] {
            let status = block_on(Lab::status(NAME)).unwrap();
            kill(status.processes.iter().find(|p| p.title == title).unwrap().pid);
            let deadline = Instant::now() + Duration::from_secs(5);
            while !matches!(phase(), LabPhase::HalfDead(gone) if gone.iter().any(|g| g == title)) {
                assert!(
                    Instant::now() < deadline,
                    "{title} was killed, but the lab is {:?}",
                    phase()
                );
            }
            let error = block_on(Lab::load(
                NAME,
                &[options().cache.join("images/current/pause.tar")],
            ));
            assert!(
                title != "init of node1" || matches!(error, Err(ProvisionError::HalfDead { .. })),
                "{error:?}"
            );
            assert!(!up(&options()).unwrap().existed);
            assert_eq!(phase(), LabPhase::Ready);
        }
    })
}

fn all_killed() -> Result<(), Failed> {
    leaving_nothing(|| {
        let lab = up(&options()).unwrap();
        apply(&lab, &(CLAIM.to_owned() + &pod("one", "node1", "sleep 600")));
        await_pod(&lab, "one");
        let status = block_on(Lab::status(NAME)).unwrap();
        for process in &status.processes {
            // The node's processes end with its first one.
            let _ = Command::new("kill")
                .args(["-9", &process.pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        assert!(matches!(phase(), LabPhase::HalfDead(_)));
    })
}

fn interrupted() -> Result<(), Failed> {
    use std::io::BufRead;
    for step in ["prepared", "nodes", "api", "started"] {
        leaving_nothing(move || {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .arg(UP)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
            let reached = lines
                .map_while(Result::ok)
                .any(|line| line == format!("step {step}"));
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(reached, "up ended before the step {step}");
            assert_eq!(phase(), LabPhase::Interrupted, "at {step}");
        })
        .map_err(|e| Failed::from(format!("at {step}: {}", e.message().unwrap_or_default())))?;
    }
    leaving_nothing(|| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(UP)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !options().state.join("lab.json").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            !up(&options()).unwrap().existed,
            "the remains of an interrupted up were taken for a lab"
        );
    })
}

/// A cache like the real one, in which a component is another program.
fn cache_with(component: &str, program: &str) -> tempfile::TempDir {
    let (real, dir) = (options().cache, tempfile::tempdir().unwrap());
    let bin = dir.path().join("lab/current/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for entry in std::fs::read_dir(real.join("lab/current/bin")).unwrap().flatten() {
        let target = if entry.file_name() == component {
            Path::new(program).to_owned()
        } else {
            entry.path()
        };
        std::os::unix::fs::symlink(target, bin.join(entry.file_name())).unwrap();
    }
    std::os::unix::fs::symlink(real.join("images"), dir.path().join("images")).unwrap();
    dir
}

fn failed() -> Result<(), Failed> {
    leaving_nothing(|| {
        let before = Machine::look();
        let cache = cache_with("kube-scheduler", "/bin/false");
        let error = up(&LabOptions {
            cache: cache.path().to_owned(),
            ..options()
        })
        .unwrap_err();
        assert!(
            matches!(&error, ProvisionError::Died { role, .. } if role == "kube-scheduler"),
            "{error}"
        );
        assert_eq!(phase(), LabPhase::Failed);
        assert!(options().state.join("logs/kube-apiserver.log").exists());
        let left = Machine::look().more_than(&before);
        assert!(left.iter().all(|l| l.starts_with("file ")), "{left:?}");
    })
}

fn unfit() -> Result<(), Failed> {
    leaving_nothing(|| {
        let cache = tempfile::tempdir().unwrap();
        let error = up(&LabOptions {
            cache: cache.path().to_owned(),
            ..options()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("run fixtures/lab/build") && error.contains("run fixtures/images/build"),
            "{error}"
        );
        assert_eq!(phase(), LabPhase::Absent);
    })
}

fn plain_user() -> Result<(), Failed> {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    leaving_nothing(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("lab");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let output = Command::new(&program)
            .arg(DOWN)
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("needs root"), "{said}");
    })
}

fn foreign_folder() -> Result<(), Failed> {
    leaving_nothing(|| {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::write(folder.path().join("letter"), "mine").unwrap();
        let error = up(&LabOptions {
            state: folder.path().to_owned(),
            ..options()
        })
        .unwrap_err();
        assert!(matches!(error, ProvisionError::BadState { .. }), "{error}");
        assert!(folder.path().join("letter").exists());
    })
}
