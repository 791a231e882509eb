//! The clean-up ledger: what a run did to a cluster and how to undo it, kept outside the run folder.
//!
//! Invariant: an intent is on disk before its request is sent. The ledger may hold old values of secrets, so it is
//! readable by its owner only and is never an artefact; it goes when everything was undone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use muster_model::{Object, ObjectRef};
use serde::{Deserialize, Serialize};

const FILE: &str = "ledger.jsonl";

/// The ledger could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Neither variable is set.
    #[error(
        "no place for the clean-up ledger: neither XDG_STATE_HOME nor HOME is set to an absolute path; set one of them"
    )]
    NoHome,
    /// A file or folder could not be written.
    #[error("failed to {deed} {}: {source}; muster changes nothing that it could not undo, so make the folder writable or set XDG_STATE_HOME", path.display())]
    Write {
        /// Such as `create the clean-up ledger`.
        deed: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no ledger of that run.
    #[error("no clean-up ledger of run {run} at {}: the run was cleaned up completely, or ran as another user or on another machine", path.display())]
    Unknown {
        /// The run.
        run: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// The run's own process still holds it.
    #[error("run {run} is still running: end it first (SIGINT lets it clean up)")]
    Running {
        /// The run.
        run: String,
    },
    /// The file could not be read.
    #[error("failed to read the clean-up ledger {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line before the last one is not of a ledger.
    #[error("{}:{line} is no line of a clean-up ledger: {source}; look at the file, undo what it names by hand, then remove it", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Something was not undone yet.
    #[error(
        "the clean-up ledger of run {run} still names {pending} object(s), such as {first}: it is kept; `muster clean --run {run}` finishes it"
    )]
    Pending {
        /// The run.
        run: String,
        /// How many.
        pending: usize,
        /// The newest.
        first: String,
    },
}

/// What is about to be done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// POST.
    Create,
    /// Server-side apply.
    Apply,
    /// A patch.
    Patch,
    /// DELETE.
    Delete,
    /// A new number of replicas.
    Scale,
}

/// Something that is about to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// To which object.
    pub object: ObjectRef,
    /// What.
    pub deed: Deed,
    /// The scenario's index in the run; none for the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<usize>,
    /// The object as it was before; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Object>,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The object was made by this request.
    Created {
        /// Its uid: only this one may be deleted.
        uid: String,
    },
    /// The object was there before, and was changed or deleted.
    Existing {
        /// Its uid.
        uid: String,
        /// The object as the request left it; none if it was deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Object>,
    },
    /// The request was sent, but its answer got lost.
    Unknown,
    /// The request was refused: nothing to undo.
    Failed {
        /// Why.
        message: String,
    },
}

/// An intent with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number in the ledger, from 0.
    pub id: u64,
    /// When it was written.
    pub t: Timestamp,
    /// What was about to be done.
    pub intent: Intent,
    /// What became of it. None is to be treated as [`Outcome::Unknown`]: the process may have died after sending.
    pub outcome: Option<Outcome>,
    /// Whether it was undone.
    pub undone: bool,
}

impl Entry {
    /// Whether clean-up still has to look at it.
    pub fn is_pending(&self) -> bool {
        !self.undone && !matches!(self.outcome, Some(Outcome::Failed { .. }))
    }
}

/// How a later process finds the cluster of a run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterKey {
    /// The name in muster.yaml, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kubeconfig's absolute path; none if it is to be found by kubectl's rules, as for a list in `KUBECONFIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The API server's address: clean-up of another cluster of the same name is refused by it.
    pub server: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
enum Line {
    Cluster(ClusterKey),
    Intent {
        id: u64,
        t: Timestamp,
        #[serde(flatten)]
        intent: Intent,
    },
    Outcome {
        id: u64,
        #[serde(flatten)]
        outcome: Outcome,
    },
    Undone {
        id: u64,
    },
}

/// The ledger of one run. It is locked as long as it is open.
pub struct Ledger {
    run: String,
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    cluster: Option<ClusterKey>,
    entries: Vec<Entry>,
}

impl Ledger {
    /// `$XDG_STATE_HOME/muster/runs`, or `~/.local/state/muster/runs` (XDG base directory specification: a relative
    /// path in the variable is ignored).
    ///
    /// # Errors
    /// [`LedgerError::NoHome`].
    pub fn default_folder() -> Result<PathBuf, LedgerError> {
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|state| state.join("muster/runs"))
            .ok_or(LedgerError::NoHome)
    }

    /// Creates the ledger of a run in `runs`, the folder of all ledgers.
    ///
    /// # Errors
    /// [`LedgerError::Write`], also if the run has one already.
    pub fn create(runs: &Path, run: &str) -> Result<Self, LedgerError> {
        let folder = runs.join(run);
        let path = folder.join(FILE);
        let file = make_private(&folder)
            .and_then(|()| private(OpenOptions::new().append(true).read(true).create_new(true)).open(&path))
            .and_then(|file| file.try_lock().map_err(io::Error::from).map(|()| file))
            .map_err(|source| LedgerError::Write {
                deed: "create the clean-up ledger",
                path,
                source,
            })?;
        Ok(Self {
            run: run.to_owned(),
            folder,
            state: Mutex::new(State {
                file,
                cluster: None,
                entries: Vec::new(),
            }),
        })
    }

    /// Opens the ledger that a killed run left. A last line that was not finished is dropped: its request was not
    /// sent yet.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`], [`LedgerError::Running`], [`LedgerError::Read`], [`LedgerError::Malformed`].
    pub fn open(runs: &Path, run: &str) -> Result<Self, LedgerError> {
        let folder = runs.join(run);
        let path = folder.join(FILE);
        let file = match OpenOptions::new().append(true).read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LedgerError::Unknown {
                    run: run.to_owned(),
                    path,
                });
            }
            Err(source) => return Err(LedgerError::Read { path, source }),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(LedgerError::Running { run: run.to_owned() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(LedgerError::Read { path, source }),
        }
        let bytes = std::fs::read(&path).map_err(|source| LedgerError::Read {
            path: path.clone(),
            source,
        })?;
        let mut state = State {
            file,
            cluster: None,
            entries: Vec::new(),
        };
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for (index, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|source| LedgerError::Malformed {
                path: path.clone(),
                line: index + 1,
                source,
            })?;
            state.take(line);
        }
        // So that the next line does not join the torn one.
        state
            .file
            .set_len(whole as u64)
            .map_err(|source| LedgerError::Read { path, source })?;
        Ok(Self {
            run: run.to_owned(),
            folder,
            state: Mutex::new(state),
        })
    }

    /// The runs in `runs` that left a ledger, oldest first; empty if there is no such folder.
    ///
    /// # Errors
    /// [`LedgerError::Read`].
    pub fn left_over(runs: &Path) -> Result<Vec<String>, LedgerError> {
        let entries = match std::fs::read_dir(runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(LedgerError::Read {
                    path: runs.to_owned(),
                    source,
                });
            }
        };
        let mut runs: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join(FILE).is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        runs.sort();
        Ok(runs)
    }

    /// The run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Writes down which cluster the run works on.
    ///
    /// # Errors
    /// [`LedgerError::Write`].
    pub fn on_cluster(&self, cluster: ClusterKey) -> Result<(), LedgerError> {
        self.append(Line::Cluster(cluster))
    }

    /// The cluster that the run works on.
    pub fn cluster(&self) -> Option<ClusterKey> {
        self.lock().cluster.clone()
    }

    /// Writes an intent, before its request. Returns its number.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: then the request must not be sent.
    pub fn intend(&self, intent: Intent) -> Result<u64, LedgerError> {
        let mut state = self.lock();
        let id = state.entries.len() as u64;
        self.append_to(
            &mut state,
            Line::Intent {
                id,
                t: Timestamp::now(),
                intent,
            },
        )?;
        Ok(id)
    }

    /// Writes what became of an intent.
    ///
    /// # Errors
    /// [`LedgerError::Write`].
    pub fn outcome(&self, id: u64, outcome: Outcome) -> Result<(), LedgerError> {
        self.append(Line::Outcome { id, outcome })
    }

    /// Writes that an intent was undone, or that there is nothing left to undo.
    ///
    /// # Errors
    /// [`LedgerError::Write`].
    pub fn undone(&self, id: u64) -> Result<(), LedgerError> {
        self.append(Line::Undone { id })
    }

    /// All entries in the order written.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// What clean-up still has to look at, newest first. With a scenario: only its entries.
    pub fn pending(&self, scenario: Option<usize>) -> Vec<Entry> {
        self.lock()
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.is_pending() && (scenario.is_none() || entry.intent.scenario == scenario))
            .cloned()
            .collect()
    }

    /// Removes the ledger, once everything was undone.
    ///
    /// # Errors
    /// [`LedgerError::Pending`] if something was not, [`LedgerError::Write`] if it can't be removed.
    pub fn remove(self) -> Result<(), LedgerError> {
        let pending = self.pending(None);
        if let Some(first) = pending.first() {
            return Err(LedgerError::Pending {
                run: self.run.clone(),
                pending: pending.len(),
                first: first.intent.object.with_namespace(),
            });
        }
        std::fs::remove_dir_all(&self.folder).map_err(|source| LedgerError::Write {
            deed: "remove the clean-up ledger",
            path: self.folder.clone(),
            source,
        })
    }

    fn append(&self, line: Line) -> Result<(), LedgerError> {
        self.append_to(&mut self.lock(), line)
    }

    fn append_to(&self, state: &mut State, line: Line) -> Result<(), LedgerError> {
        serde_json::to_string(&line)
            .map_err(io::Error::from)
            .and_then(|mut text| {
                text.push('\n');
                state.file.write_all(text.as_bytes())
            })
            .map_err(|source| LedgerError::Write {
                deed: "write the clean-up ledger",
                path: self.folder.join(FILE),
                source,
            })?;
        state.take(line);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl State {
    fn take(&mut self, line: Line) {
        match line {
            Line::Cluster(cluster) => self.cluster = Some(cluster),
            Line::Intent { id, t, intent } => self.entries.push(Entry {
                id,
                t,
                intent,
                outcome: None,
                undone: false,
            }),
            Line::Outcome { id, outcome } => {
                if let Some(entry) = self.entry(id) {
                    entry.outcome = Some(outcome);
                }
            }
            Line::Undone { id } => {
                if let Some(entry) = self.entry(id) {
                    entry.undone = true;
                }
            }
        }
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(runs) = folder.parent() {
        std::fs::create_dir_all(runs)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}
