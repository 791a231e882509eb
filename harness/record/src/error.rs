//! Errors of the run folder.
//!
//! Invariant: each says what was tried, on which path, and what to do next.

use std::io;
use std::path::PathBuf;

/// The run folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A run with this id was recorded already.
    #[error("run folder {} exists already: choose another run id, or another folder with --out", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder could not be written.
    #[error("failed to {deed} {}: {source}; check that the folder is writable and the disk not full, or choose another with --out", path.display())]
    Write {
        /// Such as `create the run folder`.
        deed: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds no run.
    #[error("{} is not a run folder (it has no events.jsonl): name a folder that `muster run` wrote, such as runs/latest", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is not the last one is no event.
    #[error("{}:{line} is not an event of a run log: {source}; was the file edited, or written by a later muster?", path.display())]
    Malformed {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}
