//! The hidden helper: what this very program does when it is started as a part of a lab.
//!
//! - `lab-exec CGROUP PROGRAM ARG..`: leaves the terminal, joins a cgroup and becomes the program.
//! - `lab-bind SOURCE TARGET PROGRAM ARG..`: in a mount namespace of its own, puts SOURCE over TARGET and becomes
//!   the program.
//! - `lab-node-init FILE`: the first process of a node. Makes the mounts, says so by a line on standard output,
//!   then reaps; it ends on SIGTERM, and the kernel ends everything else in the node with it.
//!
//! Invariant: a helper never returns to the caller of [`enter_if_child`].

use std::convert::Infallible;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::WaitOptions;

use crate::lab::{Hierarchies, InitSpec};

/// The first argument of a helper.
pub(crate) const CHILD: &str = "__muster-child";
pub(crate) const EXEC: &str = "lab-exec";
pub(crate) const BIND: &str = "lab-bind";
pub(crate) const NODE_INIT: &str = "lab-node-init";

/// Acts as a lab's helper and exits, when this process was started as one; else returns at once.
///
/// To be called first in every `main` of a program that uses [`Lab`](crate::Lab), also that of a test: the lab
/// starts its own executable again.
pub fn enter_if_child() {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        [CHILD, EXEC, cgroup, program, rest @ ..] => exec_in_cgroup(cgroup, program, rest),
        [CHILD, BIND, source, target, program, rest @ ..] => exec_with_bind(source, target, program, rest),
        [CHILD, NODE_INIT, file] => node_init(Path::new(file)),
        _ => return,
    };
    let Err(message) = result;
    // Standard error is the log of the part that this helper was to become.
    let _ = writeln!(std::io::stderr(), "muster: {message}");
    exit(127)
}

type Never = Result<Infallible, String>;

fn exec_in_cgroup(cgroup: &str, program: &str, args: &[&str]) -> Never {
    Hierarchies::discover()
        .and_then(|h| h.join(cgroup))
        .map_err(|e| e.to_string())?;
    // Fails only for a process that leads its group already: then it is detached enough.
    let _ = rustix::process::setsid();
    exec(program, args)
}

fn exec_with_bind(source: &str, target: &str, program: &str, args: &[&str]) -> Never {
    // Opened before, because it may lie below the target.
    let file = std::fs::File::open(program).map_err(|e| format!("can't open {program}: {e}"))?;
    mount_bind(source, target).map_err(|e| format!("can't put {source} over {target}: {e}"))?;
    let error = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .arg0(program)
        .args(args)
        .exec();
    Err(format!("can't start {program}: {error}"))
}

fn exec(program: &str, args: &[&str]) -> Never {
    let error = Command::new(program).args(args).exec();
    Err(format!("can't start {program}: {error}"))
}

fn node_init(file: &Path) -> Never {
    let text = std::fs::read_to_string(file).map_err(|e| format!("can't read {}: {e}", file.display()))?;
    let spec: InitSpec =
        serde_json::from_str(&text).map_err(|e| format!("{} is no node: {e}", file.display()))?;
    make_mounts(&spec)?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(|e| format!("can't set the host name: {e}"))?;
    for (name, value) in &spec.sysctls {
        let path = format!("/proc/sys/{name}");
        std::fs::write(&path, value).map_err(|e| format!("can't set {path} to {value}: {e}"))?;
    }
    // Signals must be caught before anyone is told that this process can be told to end.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("can't wait for signals: {e}"))?
        .block_on(reap())
}

/// Reaps what ends, until SIGTERM.
async fn reap() -> Never {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| format!("can't wait for signals: {e}"));
    let (mut child, mut end) = (listen(SignalKind::child())?, listen(SignalKind::terminate())?);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready")
        .and_then(|()| stdout.flush())
        .map_err(|e| format!("can't say ready: {e}"))?;
    // The pipe has served; from now on there is only the log.
    rustix::stdio::dup2_stdout(std::io::stderr()).map_err(|e| format!("can't let the pipe go: {e}"))?;
    loop {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        tokio::select! {
            _ = child.recv() => {}
            _ = end.recv() => exit(0),
        }
    }
}

/// Gives the node its own `/proc`, `/sys`, `/run`, `/var` and what else it is told, then shares all mounts with the
/// namespaces of its containers, so that mounts pass between them (mountPropagation).
fn make_mounts(spec: &InitSpec) -> Result<(), String> {
    let none = MountFlags::empty();
    mount("proc", "/proc", "proc", none, None).map_err(|e| format!("can't mount /proc: {e}"))?;
    let clone = |path: &str, more: OpenTreeFlags| {
        open_tree(
            CWD,
            path,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | more,
        )
        .map_err(|e| format!("can't take {path} along: {e}"))
    };
    // Held as detached mounts, because their places are about to be covered.
    let cgroups = clone("/sys/fs/cgroup", OpenTreeFlags::AT_RECURSIVE)?;
    let mut held = Vec::new();
    for bind in &spec.binds {
        held.push((clone(&bind.source, OpenTreeFlags::empty())?, bind.target.as_str()));
    }

    // What the host has mounted there is copied into this namespace and would be kept busy by it.
    let mounts =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("can't list mounts: {e}"))?;
    let mut points: Vec<&str> = mounts
        .lines()
        .filter_map(|l| l.split_whitespace().nth(4))
        .collect();
    points.reverse();
    for point in points
        .into_iter()
        .filter(|p| ["/run/", "/var/", "/sys/"].iter().any(|top| p.starts_with(top)))
    {
        // Those below a mount that went already are gone with it.
        let _ = unmount(point, UnmountFlags::DETACH);
    }
    let _ = unmount("/sys", UnmountFlags::DETACH);

    mount(
        "tmpfs",
        "/run",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=755"),
    )
    .map_err(|e| format!("can't mount /run: {e}"))?;
    for dir in ["/run/lock", "/run/netns", "/run/containerd", crate::lab::NODE_BIN] {
        std::fs::create_dir_all(dir).map_err(|e| format!("can't make {dir}: {e}"))?;
    }
    let put = |fd: &std::os::fd::OwnedFd, target: &str| {
        move_mount(fd, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| format!("can't mount {target}: {e}"))
    };
    for (fd, target) in &held {
        put(fd, target)?;
    }
    mount(
        "sysfs",
        "/sys",
        "sysfs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None,
    )
    .map_err(|e| format!("can't mount /sys: {e}"))?;
    put(&cgroups, "/sys/fs/cgroup")?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(|e| format!("can't share the mounts: {e}"))
}
