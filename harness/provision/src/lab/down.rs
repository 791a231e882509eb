//! Takes a lab away.
//!
//! Invariant: what is removed is found by the lab's names, cgroups and folder; the record only makes it gentler.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;
use rustix::process::Signal;

use super::cgroup::{Hierarchies, TOP};
use super::control::{self, CGROUP};
use super::layout::{Layout, remove_all};
use super::options::{require_root, validate_name};
use super::process::{ProcessId, wait_gone};
use super::registry::{Lock, Registration, state_of};
use super::state::Record;
use super::up::{FORWARDING, LOCK_LIMIT, SYSCTLS};
use super::{images, network};
use crate::ProvisionError;

/// What `down` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Whether there was anything of that lab.
    pub existed: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Time for the control plane to end by itself.
const GRACE: Duration = Duration::from_millis(800);
/// Time for killed processes to be gone, and cgroups after them.
const KILL_LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn down(name: &str) -> Result<Down, ProvisionError> {
    let begun = Instant::now();
    validate_name(name)?;
    require_root("take down")?;
    let registered = Registration::current()?.is_some_and(|r| r.name == name);
    let layout = Layout::new(&state_of(name)?);
    if !registered && !layout.root().exists() {
        return Ok(Down {
            existed: false,
            elapsed: begun.elapsed(),
        });
    }
    let _lock = Lock::take(LOCK_LIMIT).await?;
    // It may have become another lab's while we waited.
    let registered = Registration::current()?;
    let ours = registered.as_ref().is_none_or(|r| r.name == name);
    if ours {
        // A record that can't be read must not keep anything alive.
        let record = Record::read(&layout).ok().flatten();
        teardown(name, &layout, record.as_ref(), false).await?;
        Registration::remove()?;
    } else {
        remove_all(layout.root())?;
    }
    Ok(Down {
        existed: true,
        elapsed: begun.elapsed(),
    })
}

/// Ends and removes everything of the lab. `keep_logs`: its folder, logs and registration stay.
pub(crate) async fn teardown(
    name: &str,
    layout: &Layout,
    record: Option<&Record>,
    keep_logs: bool,
) -> Result<(), ProvisionError> {
    let cgroups = Hierarchies::discover()?;
    end_processes(name, &cgroups, record).await?;
    network::host_down().await?;
    remove_cgroups(name, &cgroups).await?;
    if let Some(record) = record {
        restore_sysctls(record);
    }
    remove_all(&images::import_folder())?;
    remove_all(&control::etcd_socket())?;
    unmount_below(layout.root());
    if keep_logs {
        for path in ["nodes", "etcd", "pki", "etc", "tmp", "kubeconfig"] {
            remove_all(&layout.root().join(path))?;
        }
        return Ok(());
    }
    remove_all(layout.root())?;
    // The folders of all labs, when this was the last one.
    for above in layout
        .root()
        .ancestors()
        .skip(1)
        .take(2)
        .filter(|p| p.starts_with("/var/lib/muster"))
    {
        let _ = std::fs::remove_dir(above);
    }
    Ok(())
}

fn processes(cgroups: &Hierarchies, cgroup: &str) -> Vec<ProcessId> {
    cgroups
        .processes(cgroup)
        .into_iter()
        .filter_map(ProcessId::of)
        .collect()
}

async fn end_processes(
    name: &str,
    cgroups: &Hierarchies,
    record: Option<&Record>,
) -> Result<(), ProvisionError> {
    let recorded: Vec<ProcessId> = record
        .iter()
        .flat_map(|r| &r.processes)
        .map(|p| p.process)
        .collect();
    // The first process of a node takes all others of the node with it.
    let inits = record
        .iter()
        .flat_map(|r| &r.processes)
        .filter(|p| p.role == "init")
        .map(|p| p.process);
    let mut gentle: Vec<ProcessId> = processes(cgroups, CGROUP);
    gentle.extend(inits);
    for process in &gentle {
        process.signal(Signal::TERM);
    }
    wait_gone(gentle, GRACE).await;
    let end = Instant::now() + KILL_LIMIT;
    loop {
        let mut left = processes(cgroups, TOP);
        left.extend(
            recorded
                .iter()
                .copied()
                .filter(|p| p.alive() && !left.contains(p))
                .collect::<Vec<_>>(),
        );
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let pids: Vec<String> = left.iter().map(|p| p.pid.to_string()).collect();
            let left = format!("processes {} don't end", pids.join(", "));
            return Err(ProvisionError::Leftover {
                name: name.to_owned(),
                left,
            });
        }
        for process in &left {
            process.signal(Signal::KILL);
        }
        wait_gone(left, Duration::from_millis(200)).await;
    }
}

/// The kernel lets go of a cgroup a moment after its last process.
async fn remove_cgroups(name: &str, cgroups: &Hierarchies) -> Result<(), ProvisionError> {
    let end = Instant::now() + KILL_LIMIT;
    loop {
        let left = cgroups.remove(TOP);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let left = format!(
                "cgroup {}",
                left.first().map(|p| p.display().to_string()).unwrap_or_default()
            );
            return Err(ProvisionError::Leftover {
                name: name.to_owned(),
                left,
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Puts kernel settings back where they still are what the lab made of them.
fn restore_sysctls(record: &Record) {
    for (name, set) in SYSCTLS {
        let Some(before) = record.sysctls.get(name).filter(|b| *b != set) else {
            continue;
        };
        // A container engine that was started meanwhile found forwarding on and relies on it.
        if name == FORWARDING && network::other_bridges() {
            continue;
        }
        let path = format!("/proc/sys/{name}");
        if std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == set)
            && let Err(e) = std::fs::write(&path, before)
        {
            tracing::warn!("can't set {path} back to {before}: {e}");
        }
    }
}

/// The lab mounts nothing in the host's namespace; should somebody have, removing files must not go through it.
fn unmount_below(root: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points: Vec<&str> = mounts
        .lines()
        .filter_map(|l| l.split_whitespace().nth(4))
        .collect();
    for point in points
        .iter()
        .rev()
        .filter(|p| Path::new(p).starts_with(root) && Path::new(p) != root)
    {
        if let Err(e) = rustix::mount::unmount(*point, UnmountFlags::DETACH) {
            tracing::warn!("can't unmount {point}: {e}");
        }
    }
}
