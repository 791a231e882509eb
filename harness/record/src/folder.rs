//! The run folder: `OUT/RUN/` with `events.jsonl`, `evidence/` and, later, the reports.
//!
//! Invariant: a run folder is created exclusively: two runs never write into one.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;

use crate::error::RecordError;

/// The name of the link beside the run folders that points to the newest.
pub const LATEST: &str = "latest";

/// The name of the run log in a run folder.
pub const LOG: &str = "events.jsonl";

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    run: String,
    warning: Option<String>,
}

impl RunFolder {
    /// Creates `out/run` exclusively, with its parents, and points `out/latest` to it.
    ///
    /// # Errors
    /// [`RecordError::Exists`] if the folder is there already, [`RecordError::Write`] if it can't be made. A `latest`
    /// that can't be set is no error, but a [`warning`](Self::warning).
    pub fn create(out: &Path, run: &str) -> Result<Self, RecordError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RecordError::Write {
                deed: "create the run folder",
                path,
                source,
            }
        };
        std::fs::create_dir_all(out).map_err(failed(out))?;
        let path = out.join(run);
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RecordError::Exists { path });
            }
            Err(error) => return Err(failed(&path)(error)),
        }
        let warning = point_latest(out, run).err().map(|error| {
            format!(
                "{} could not be pointed to this run: {error}",
                out.join(LATEST).display()
            )
        });
        Ok(Self {
            path,
            run: run.to_owned(),
            warning,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's id, which is the folder's name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Why `latest` does not point here.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// A new run id, such as `20261124-113005-x7k2`: UTC time to the second and four random characters; a valid
/// Kubernetes label value and name.
pub fn new_run_id() -> String {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    let suffix: String = (0..4)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect();
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    format!("{}-{suffix}", now.strftime("%Y%m%d-%H%M%S"))
}

#[cfg(unix)]
fn point_latest(out: &Path, run: &str) -> io::Result<()> {
    let fresh = out.join(format!(".{LATEST}-{run}"));
    std::os::unix::fs::symlink(run, &fresh)?;
    std::fs::rename(&fresh, out.join(LATEST)).inspect_err(|_| {
        // The half-made link is of no use to anyone.
        let _ = std::fs::remove_file(&fresh);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_never_share_a_folder_and_latest_points_to_the_newer() {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("deep/out");
        let first = RunFolder::create(&out, "a").unwrap();
        assert_eq!(first.path(), out.join("a"));
        assert_eq!(std::fs::read_link(out.join("latest")).unwrap(), Path::new("a"));
        let second = RunFolder::create(&out, "b").unwrap();
        assert_eq!(std::fs::read_link(out.join("latest")).unwrap(), Path::new("b"));
        assert_eq!(second.warning(), None);
        let again = RunFolder::create(&out, "b").unwrap_err();
        assert!(again.to_string().contains("exists already"), "{again}");
    }

    #[test]
    fn a_latest_that_is_a_folder_is_left_alone_and_warned_of() {
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(out.path().join("latest/mine")).unwrap();
        let folder = RunFolder::create(out.path(), "a").unwrap();
        assert!(folder.warning().unwrap().contains("latest"));
        assert!(out.path().join("latest/mine").is_dir());
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_below_a_file_is_a_clear_error() {
        let out = tempfile::tempdir().unwrap();
        std::fs::write(out.path().join("file"), "").unwrap();
        let error = RunFolder::create(&out.path().join("file/out"), "a").unwrap_err();
        assert!(
            error.to_string().contains("failed to create the run folder"),
            "{error}"
        );
        assert!(error.to_string().contains("--out"), "{error}");
    }

    #[test]
    fn run_ids_sort_by_time_and_are_valid_names() {
        let id = new_run_id();
        assert_eq!(id.len(), "20261124-113005-x7k2".len());
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{id}"
        );
        assert_ne!(id, new_run_id());
    }
}
