//! Processes that outlive muster: started detached, recognised again by process id and start time.
//!
//! Invariant: a signal goes only to a process whose start time is the recorded one, or that is in the lab's cgroup.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::command::search_path;
use crate::ProvisionError;
use crate::error::FileContext;

/// A process of this machine, told from a later one with the same number by its start time (clock ticks since
/// boot, field 22 of `/proc/PID/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: u32,
    pub(crate) start: u64,
}

struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name may hold spaces and parentheses: the fields start after the last `)`.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

impl ProcessId {
    /// The process that has this number now; none when there is none or when it has ended (a zombie).
    pub(crate) fn of(pid: u32) -> Option<Self> {
        stat(pid)
            .filter(|s| !matches!(s.state, 'Z' | 'X'))
            .map(|s| ProcessId { pid, start: s.start })
    }

    /// Whether this very process lives.
    pub(crate) fn alive(&self) -> bool {
        ProcessId::of(self.pid) == Some(*self)
    }

    /// Sends a signal if this very process lives.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.alive() {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may end in between; then there is nothing to signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

fn all_pids() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    all_pids()
        .filter(|p| stat(*p).is_some_and(|s| s.parent == pid))
        .collect()
}

/// The process with the number `inner` in the process namespace of `init`.
fn in_namespace_of(init: u32, inner: u32) -> Option<u32> {
    let namespace = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(init)?;
    all_pids().find(|pid| {
        namespace(*pid).as_ref() == Some(&wanted)
            && std::fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|s| inner_pid(&s) == Some(inner))
    })
}

/// The number of a process in its innermost process namespace, from `/proc/PID/status`.
fn inner_pid(status: &str) -> Option<u32> {
    status
        .lines()
        .find_map(|l| l.strip_prefix("NSpid:"))?
        .split_whitespace()
        .last()?
        .parse()
        .ok()
}

/// A process to start: in its own session, without a terminal, its output appended to a log, in a cgroup.
pub(crate) struct Daemon {
    /// What it is called in records and messages.
    pub(crate) role: String,
    /// The program, as its namespaces see it.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// On the host.
    pub(crate) log: PathBuf,
    /// Below the root of every cgroup hierarchy, e.g. `muster/control`.
    pub(crate) cgroup: String,
}

impl Daemon {
    fn command(&self) -> Result<tokio::process::Command, ProvisionError> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .at("open", &self.log)?;
        let mut command = tokio::process::Command::new("/proc/self/exe");
        command
            .args([crate::child::CHILD, crate::child::EXEC, &self.cgroup])
            .env("PATH", search_path())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().at("open", &self.log)?)
            .stderr(log);
        Ok(command)
    }

    fn failed(&self, status: impl ToString, stderr: impl ToString) -> ProvisionError {
        ProvisionError::Command {
            doing: format!("start {}", self.role),
            command: self.program.display().to_string(),
            status: status.to_string(),
            stderr: stderr.to_string(),
        }
    }

    fn died(&self) -> ProvisionError {
        died(&self.role, &self.log)
    }

    /// Starts it in the host's namespaces.
    pub(crate) fn start(&self) -> Result<ProcessId, ProvisionError> {
        let child = self
            .command()?
            .arg(&self.program)
            .args(&self.args)
            .spawn()
            .map_err(|e| self.failed("not started", e))?;
        child.id().and_then(ProcessId::of).ok_or_else(|| self.died())
    }

    /// Starts it, and waits until it prints a line: all that its standard output is for.
    pub(crate) async fn start_and_hear(&self, limit: Duration) -> Result<ProcessId, ProvisionError> {
        let mut child = self
            .command()?
            .arg(&self.program)
            .args(&self.args)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| self.failed("not started", e))?;
        let process = child.id().and_then(ProcessId::of).ok_or_else(|| self.died())?;
        let mut stdout = child.stdout.take().ok_or_else(|| self.failed("no pipe", ""))?;
        let mut byte = [0_u8; 1];
        match tokio::time::timeout(limit, stdout.read(&mut byte)).await {
            Ok(Ok(1)) => Ok(process),
            Ok(_) => Err(self.died()),
            Err(_) => Err(ProvisionError::NotReady {
                what: self.role.clone(),
                waited: limit,
                last: "it said nothing".into(),
                log: self.log.clone(),
            }),
        }
    }

    /// Starts it in the namespaces of the process `init`, as a child of their first process.
    pub(crate) async fn start_in(&self, init: ProcessId) -> Result<ProcessId, ProvisionError> {
        // The shell ends at once, so the program becomes a child of the namespace's init, which reaps it.
        let output = self
            .command()?
            .args(["nsenter", "--target", &init.pid.to_string()])
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--",
            ])
            .args(["sh", "-c", r#""$@" >&2 </dev/null & echo $!"#, "sh"])
            .arg(&self.program)
            .args(&self.args)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| self.failed("not started", e))?
            .wait_with_output()
            .await
            .map_err(|e| self.failed("lost", e))?;
        let inner = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .map_err(|_| self.died())?;
        in_namespace_of(init.pid, inner)
            .and_then(ProcessId::of)
            .ok_or_else(|| self.died())
    }
}

/// The error for a process that has ended although it was needed.
pub(crate) fn died(role: &str, log: &Path) -> ProvisionError {
    ProvisionError::Died {
        role: role.to_owned(),
        log: log.to_owned(),
        tail: super::layout::tail(log, 12),
    }
}

/// Waits until none of them lives or the time is up; returns those that live.
pub(crate) async fn wait_gone(mut processes: Vec<ProcessId>, limit: Duration) -> Vec<ProcessId> {
    let end = tokio::time::Instant::now() + limit;
    loop {
        processes.retain(ProcessId::alive);
        if processes.is_empty() || tokio::time::Instant::now() >= end {
            return processes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start), ('S', 7, 987_654));
    }

    #[test]
    fn a_reused_process_number_is_not_the_recorded_process() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.alive());
        assert!(
            !ProcessId {
                start: me.start + 1,
                ..me
            }
            .alive()
        );
    }

    #[tokio::test]
    async fn an_ended_process_is_not_alive_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while ProcessId::of(child.id()).is_some() {
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_innermost_number_is_the_last_one() {
        assert_eq!(inner_pid("Name:\tx\nNSpid:\t4711\t17\t3\nThreads:\t1\n"), Some(3));
        assert_eq!(inner_pid("Name:\tx\n"), None);
    }
}
