//! Runs the machine's programs (`ip`, `iptables-restore`, `ctr`, ...) and says what they said when they fail.
//!
//! Invariant: a program that fails is an error with its command line and its words; nothing is ignored silently.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use crate::ProvisionError;

/// Where root's programs are, also when `PATH` is that of a plain user.
const PLACES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The search path for every process of the lab.
pub(crate) fn search_path() -> String {
    let mut path = std::env::var("PATH").unwrap_or_default();
    for place in PLACES {
        if !path.split(':').any(|p| p == place) {
            if !path.is_empty() {
                path.push(':');
            }
            path.push_str(place);
        }
    }
    path
}

/// Finds a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    search_path()
        .split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|p| p.is_file())
}

/// A program to run to its end.
pub(crate) struct Run {
    command: tokio::process::Command,
    line: String,
    doing: String,
    input: Option<String>,
}

/// `doing` is a fragment after "can't", e.g. `make the bridge`.
pub(crate) fn run(doing: impl Into<String>, program: &str) -> Run {
    let mut command = tokio::process::Command::new(program);
    command
        .env("PATH", search_path())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Run {
        command,
        line: program.to_owned(),
        doing: doing.into(),
        input: None,
    }
}

impl Run {
    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(self, args: I) -> Self {
        args.into_iter().fold(self, Run::arg)
    }

    /// Text for its standard input.
    pub(crate) fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// A file for its standard input.
    pub(crate) fn input_file(mut self, file: std::fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Runs it and returns what it printed.
    pub(crate) async fn output(mut self) -> Result<String, ProvisionError> {
        let fail = |status: String, stderr: String| ProvisionError::Command {
            doing: self.doing.clone(),
            command: self.line.clone(),
            status,
            stderr,
        };
        let mut child = self
            .command
            .spawn()
            .map_err(|e| fail("not started".into(), e.to_string()))?;
        if let (Some(text), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // A program that ends without reading tells why in its own words below.
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|e| fail("lost".into(), e.to_string()))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(fail(
            output.status.to_string(),
            if stderr.is_empty() {
                stdout.trim().to_owned()
            } else {
                stderr
            },
        ))
    }

    /// Runs it; its output does not matter.
    pub(crate) async fn ok(self) -> Result<(), ProvisionError> {
        self.output().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_program_is_told_with_its_line_and_its_words() {
        let error = run("try it", "sh")
            .args(["-c", "echo no such thing >&2; exit 3"])
            .ok()
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("can't try it: `sh -c "), "{text}");
        assert!(text.ends_with("failed (exit status: 3): no such thing"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_program_is_told() {
        let error = run("try it", "muster-no-such-program").ok().await.unwrap_err();
        assert!(error.to_string().contains("not started"), "{error}");
    }

    #[tokio::test]
    async fn input_reaches_the_program() {
        assert_eq!(
            run("copy", "cat").input("a\nb\n").output().await.unwrap(),
            "a\nb\n"
        );
    }
}
