//! What a lab could leave on a machine.
//!
//! Invariant: looking is complete for mounts, links, routes, rules and files of the lab; of processes and cgroups, on
//! a machine where others work too, those count that a lab could have made.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Everything that was there at one time, one line each.
pub(crate) struct Machine(BTreeSet<String>);

impl Machine {
    /// Looks at the machine.
    pub(crate) fn look() -> Self {
        let mut all = BTreeSet::new();
        let mut add =
            |kind: &str, lines: Vec<String>| all.extend(lines.into_iter().map(|l| format!("{kind} {l}")));
        add("mount", column("/proc/self/mountinfo", 4));
        add(
            "link",
            run("ip", &["-o", "link"])
                .iter()
                .filter_map(|l| l.split(": ").nth(1).map(String::from))
                .collect(),
        );
        add("route", run("ip", &["route", "show", "table", "all"]));
        // The tables themselves, empty, stay once iptables has been used.
        add(
            "rule",
            run("iptables-save", &[])
                .into_iter()
                .filter(|l| l.starts_with("-A") || is_own_chain(l))
                .collect(),
        );
        add("cgroup", cgroups());
        add("process", processes());
        for name in SYSCTLS {
            add(name, column(&format!("/proc/sys/{name}"), 0));
        }
        let files = [
            "/run/muster",
            "/var/lib/muster/lab/muster-test",
            "/tmp/hostpath_pv",
        ];
        add(
            "file",
            files
                .into_iter()
                .filter(|f| Path::new(f).exists())
                .map(String::from)
                .collect(),
        );
        Machine(all)
    }

    /// What is here and was not there.
    pub(crate) fn more_than(&self, before: &Machine) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

/// Settings of the whole machine that components of a lab change.
const SYSCTLS: [&str; 7] = [
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

fn run(program: &str, args: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} failed");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|l| l.trim().to_owned())
        .collect()
}

fn column(file: &str, index: usize) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|l| l.split_whitespace().nth(index).map(String::from))
        .collect()
}

/// Built-in chains have a policy, others `-`.
fn is_own_chain(line: &str) -> bool {
    line.starts_with(':') && line.split_whitespace().nth(1) == Some("-")
}

/// The top folders of every hierarchy, and whatever has the lab's name.
fn cgroups() -> Vec<String> {
    let output = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ours = |l: &&str| l.contains("/muster") || l.contains("kubepods") || l.matches('/').count() <= 5;
    text.lines().filter(ours).map(String::from).collect()
}

/// Whether a process has ended and only waits to be reaped, which is the business of its parent.
fn ended(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
}

/// Living processes in another process namespace, or whose command line is one of a lab's.
fn processes() -> Vec<String> {
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    let words = ["__muster-child", "muster-test", "--propagation"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        if ended(&entry.path()) {
            continue;
        }
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        let elsewhere = std::fs::read_link(entry.path().join("ns/pid"))
            .ok()
            .filter(|n| Some(n) != namespace.as_ref());
        if pid != std::process::id() && (elsewhere.is_some() || words.iter().any(|w| cmdline.contains(w))) {
            found.push(format!("{pid} {cmdline}"));
        }
    }
    found
}
