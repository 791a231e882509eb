//! Runs the real binary in a folder of its own.
//!
//! Invariant: nothing of the caller's muster settings reaches it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How the binary ended.
pub(crate) struct Ended {
    /// The exit code; -1 for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts the exit code and that standard error says all of some texts.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, texts: &[&str]) {
        self.check(code, &self.stderr, texts);
    }

    /// As [`Self::says`], in what was printed on either stream.
    #[track_caller]
    pub(crate) fn shows(&self, code: i32, texts: &[&str]) {
        self.check(code, &format!("{}{}", self.stdout, self.stderr), texts);
    }

    #[track_caller]
    fn check(&self, code: i32, told: &str, texts: &[&str]) {
        let all = format!(
            "exit code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.stdout, self.stderr
        );
        assert_eq!(self.code, code, "{all}");
        for text in texts {
            assert!(told.contains(text), "{text:?} is missing\n{all}");
        }
    }
}

/// A folder with scenarios in it, away from any `muster.yaml`.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("muster-cli-").unwrap())
    }

    /// One with `scenario.yaml`.
    pub(crate) fn with(scenario: &str) -> Self {
        let folder = Self::new();
        folder.write("scenario.yaml", scenario);
        folder
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A file's text.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary, ready to run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name == "KUBECONFIG" || name.starts_with("MUSTER_") && name != "MUSTER_CACHE" {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary here.
    pub(crate) fn muster(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments))
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
