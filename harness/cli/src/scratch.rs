//! The folder for what child processes of a run read: kubeconfigs and scripts.
//!
//! Invariant: only its owner can read it, and it goes with the run.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where the folder of a run is.
pub(crate) fn path(run: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("muster-{run}"));
    // Scripts run in the folders of their scenarios.
    std::path::absolute(&path).unwrap_or(path)
}

/// The folder of a run; removed when this value goes.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it.
    ///
    /// # Errors
    /// The message for the user.
    pub(crate) fn create(run: &str) -> Result<Self, String> {
        let path = path(run);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(format!(
                "the folder {} for kubeconfigs and scripts could not be made: {error}; make room there, or set TMPDIR to another folder",
                path.display()
            )),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
