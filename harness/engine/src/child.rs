//! Local commands through a hidden helper in the same binary.
//!
//! Invariant: the helper outlives every process that the command started, and none of them outlives muster: when the
//! command ends, its time is up, or the lifeline (the helper's standard input) closes, all descendants are killed. A
//! script may hold secrets, so no command line shows its text.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

/// The first argument that makes a muster binary the helper.
const ARGUMENT: &str = "__muster-script";
/// How much of each stream is kept: its end.
const KEPT: usize = 1 << 20;
/// How long pipes are drained after the end.
const DRAIN: Duration = Duration::from_secs(1);

/// How a command ended.
pub(crate) enum Ended {
    /// By itself.
    Code {
        /// The exit code; 128 + n for signal n, as shells say it.
        code: i64,
        /// The end of what it printed.
        stdout: String,
        /// The end of what it printed.
        stderr: String,
    },
    /// It was killed since its time was up.
    OutOfTime {
        /// The end of what it printed.
        stderr: String,
    },
    /// It was killed since the run was interrupted.
    Interrupted,
}

/// Runs the shell script of a file in a folder with an environment on top of muster's own.
///
/// # Errors
/// The operating system's, if the helper can't be started.
pub(crate) async fn run(
    script: &Path,
    env: &[(String, String)],
    folder: &Path,
    time: Duration,
    interrupt: &CancellationToken,
) -> std::io::Result<Ended> {
    let mut helper = tokio::process::Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .arg(script)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal is for muster, which then closes the lifeline.
        .process_group(0)
        .spawn()?;
    let lifeline = helper.stdin.take();
    let stdout = tokio::spawn(tail(helper.stdout.take()));
    let stderr = tokio::spawn(tail(helper.stderr.take()));
    let ended = tokio::select! {
        status = helper.wait() => Some(status?),
        () = tokio::time::sleep(time) => None,
        () = interrupt.cancelled() => None,
    };
    drop(lifeline);
    let status = match ended {
        Some(status) => Some(status),
        None => {
            helper.wait().await?;
            None
        }
    };
    let collect = |task: tokio::task::JoinHandle<Vec<u8>>| async {
        match tokio::time::timeout(DRAIN, task).await {
            Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        }
    };
    let (stdout, stderr) = (collect(stdout).await, collect(stderr).await);
    Ok(match status {
        Some(status) => Ended::Code {
            code: status.code().map_or(-1, i64::from),
            stdout,
            stderr,
        },
        None if interrupt.is_cancelled() => Ended::Interrupted,
        None => Ended::OutOfTime { stderr },
    })
}

async fn tail(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    if kept.len() > KEPT {
        kept.drain(..kept.len() - KEPT);
    }
    kept
}

/// Becomes the helper if the arguments say so, and never returns then. Every main calls it first.
pub fn enter_if_child() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let script = arguments.next().unwrap_or_default();
    std::process::exit(help(&script));
}

fn help(script: &OsStr) -> i32 {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    // Orphans of the command become children of this process, so that they can be found.
    let me = rustix::process::getpid();
    if rustix::process::set_child_subreaper(Some(me)).is_err() {
        return 126;
    }
    let child = std::process::Command::new("sh")
        .arg("-eu")
        .arg(script)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let Ok(mut child) = child else { return 127 };
    std::thread::spawn(move || {
        let mut lifeline = std::io::stdin();
        let mut byte = [0; 64];
        while matches!(lifeline.read(&mut byte), Ok(count) if count > 0) {}
        kill_descendants(me);
        std::process::exit(137);
    });
    let code = match child.wait() {
        Ok(status) => status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        Err(_) => 126,
    };
    kill_descendants(me);
    code
}

/// Kills all children, and what they leave, until there are none. Bounded: what can't be killed is the kernel's.
fn kill_descendants(me: Pid) {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let children = children_of(me);
        if children.is_empty() {
            return;
        }
        for child in children {
            if let Some(pid) = Pid::from_raw(child) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn children_of(me: Pid) -> Vec<i32> {
    let me = me.as_raw_nonzero().get();
    let mut all = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{me}/task")) else {
        return all;
    };
    for task in tasks.flatten() {
        if let Ok(text) = std::fs::read_to_string(task.path().join("children")) {
            all.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    all
}
