//! Which lab runs on this machine, and the lock that `up`, `load` and `down` hold.
//!
//! Invariant: `lab.json` in the machine's folder names a lab from before its first process until after its last.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::layout::{RUN, make_dir, remove_all, write_file};
use super::options::default_state;
use crate::ProvisionError;
use crate::error::FileContext;

/// The lab that is (or was, when its processes are gone) on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) state: PathBuf,
}

fn path() -> PathBuf {
    Path::new(RUN).join("lab.json")
}

impl Registration {
    /// The registered lab, if any.
    pub(crate) fn current() -> Result<Option<Self>, ProvisionError> {
        let path = path();
        match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).at("read", path),
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|e| ProvisionError::BadRecord {
                    path,
                    reason: e.to_string(),
                }),
        }
    }

    /// No lab is on this machine any more.
    pub(crate) fn remove() -> Result<(), ProvisionError> {
        remove_all(&path())
    }

    pub(crate) fn write(&self) -> Result<(), ProvisionError> {
        let text = serde_json::to_string(self).map_err(|e| ProvisionError::BadRecord {
            path: path(),
            reason: e.to_string(),
        })?;
        write_file(&path(), &text)
    }
}

/// The state folder of the lab of that name: the registered one, else the default.
pub(crate) fn state_of(name: &str) -> Result<PathBuf, ProvisionError> {
    let registered = Registration::current()?.filter(|r| r.name == name);
    Ok(registered.map_or_else(|| default_state(name), |r| r.state))
}

/// Held while a lab is changed.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for other muster processes, at most `limit`.
    pub(crate) async fn take(limit: Duration) -> Result<Self, ProvisionError> {
        let path = Path::new(RUN).join("lock");
        let end = tokio::time::Instant::now() + limit;
        loop {
            make_dir(Path::new(RUN))?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .at("open", &path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // A holder that took the lab away removed the file: then this lock is one of nothing.
                Ok(()) if same_file(&file, &path) => return Ok(Lock { _file: file }),
                Ok(()) => continue,
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(e) => return Err(e).at("lock", path),
            }
            if tokio::time::Instant::now() >= end {
                return Err(ProvisionError::Busy {
                    lock: path,
                    waited: limit,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a muster process holds the lock now.
    pub(crate) fn held() -> bool {
        let Ok(file) = File::open(Path::new(RUN).join("lock")) else {
            return false;
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }
}

impl Drop for Lock {
    /// Without a lab there is nothing to lock: the folder goes too.
    fn drop(&mut self) {
        if !path().exists()
            && let Err(e) = remove_all(Path::new(RUN))
        {
            tracing::warn!("{e}");
        }
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}
