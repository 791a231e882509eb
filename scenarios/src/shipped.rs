//! A shipped scenario file and what must become of it.
//!
//! Invariant: a file that must fail says where and why in its first line; a file without such a line must pass.

use std::path::{Path, PathBuf};

use regex::Regex;

/// The folder of files that must fail.
const MUST_FAIL: &str = "must-fail";

/// A scenario file.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// Its path from this package's folder, such as `conformance/apply.yaml`.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// What must become of it.
    pub demand: Demand,
}

/// What must become of a file's scenarios.
#[derive(Debug, Clone)]
pub enum Demand {
    /// They pass.
    Pass,
    /// `# must fail at "STEP": PATTERN`: this step fails first, and its failure matches.
    FailAt {
        /// The step's name.
        step: String,
        /// What the failure must say.
        pattern: Regex,
    },
    /// `# must not start: PATTERN`: no step runs, and the scenario's failure matches.
    NotStart {
        /// What the failure must say.
        pattern: Regex,
    },
}

/// Why the suite can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// A file or folder can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that must fail doesn't say how.
    #[error("{}: the first line must be `# must fail at \"STEP\": REGEX` or `# must not start: REGEX`", path.display())]
    NoDemand {
        /// Which.
        path: PathBuf,
    },
    /// Its pattern is none.
    #[error("{}: {source}", path.display())]
    BadPattern {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: regex::Error,
    },
}

/// All scenario files below a folder, in the order of their names.
///
/// # Errors
/// [`ShippedError`]
pub fn shipped(root: &Path) -> Result<Vec<Shipped>, ShippedError> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let text = read(&path)?;
        // A run configuration or a manifest may lie beside scenarios.
        if !text.lines().any(|line| line.starts_with("scenario:")) {
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let demand = demand(&path, &text)?;
        all.push(Shipped { name, path, demand });
    }
    Ok(all)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ShippedError> {
    let unreadable = |source| ShippedError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ShippedError> {
    std::fs::read_to_string(path).map_err(|source| ShippedError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn demand(path: &Path, text: &str) -> Result<Demand, ShippedError> {
    let in_folder = path
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|folder| folder == MUST_FAIL);
    if !in_folder {
        return Ok(Demand::Pass);
    }
    let no_demand = || ShippedError::NoDemand {
        path: path.to_owned(),
    };
    let compile = |pattern: &str| {
        Regex::new(pattern).map_err(|source| ShippedError::BadPattern {
            path: path.to_owned(),
            source,
        })
    };
    let first = text.lines().next().unwrap_or_default();
    if let Some(pattern) = first.strip_prefix("# must not start: ") {
        return Ok(Demand::NotStart {
            pattern: compile(pattern)?,
        });
    }
    let rest = first.strip_prefix("# must fail at \"").ok_or_else(no_demand)?;
    let (step, pattern) = rest.split_once("\": ").ok_or_else(no_demand)?;
    Ok(Demand::FailAt {
        step: step.to_owned(),
        pattern: compile(pattern)?,
    })
}
