//! What a lab is asked to be, and how its coming up is told.
//!
//! Invariant: a name that passes [`LabOptions::validate`] is safe as a part of a path.

use std::path::PathBuf;
use std::time::Duration;

use super::address::MOST_NODES;
use crate::ProvisionError;

/// What a lab is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabOptions {
    /// The lab's name, `muster` unless told.
    pub name: String,
    /// How many nodes, from 1.
    pub nodes: u32,
    /// Whether the API server writes an audit log (metadata of every request) to `logs/audit.log` in the state
    /// folder.
    pub audit: bool,
    /// The cache: `lab/current/bin` holds the Kubernetes binaries, `images/current` the image archives; the lab
    /// keeps its image template here.
    pub cache: PathBuf,
    /// The lab's own folder. Made by `up`, removed by `down`.
    pub state: PathBuf,
}

impl LabOptions {
    /// One node, no audit log, the default folders.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        let state = default_state(&name);
        LabOptions {
            name,
            nodes: 1,
            audit: false,
            cache: default_cache(),
            state,
        }
    }

    /// Refuses names and numbers that can't be.
    pub(crate) fn validate(&self) -> Result<(), ProvisionError> {
        validate_name(&self.name)?;
        if !(1..=MOST_NODES).contains(&self.nodes) {
            return Err(ProvisionError::BadNodes {
                asked: self.nodes,
                most: MOST_NODES,
            });
        }
        let refuse = |reason| {
            Err(ProvisionError::BadState {
                state: self.state.clone(),
                reason,
            })
        };
        match &self.state {
            state if !state.is_absolute() => refuse("it is no absolute path"),
            state if state.starts_with("/tmp") => refuse("the parts of a lab have a /tmp of their own"),
            _ => Ok(()),
        }
    }

    /// Where the Kubernetes binaries are.
    pub(crate) fn bin(&self) -> PathBuf {
        self.cache.join("lab/current/bin")
    }

    /// Where the image archives are.
    pub(crate) fn archives(&self) -> PathBuf {
        self.cache.join("images/current")
    }
}

impl Default for LabOptions {
    fn default() -> Self {
        LabOptions::named("muster")
    }
}

pub(crate) fn validate_name(name: &str) -> Result<(), ProvisionError> {
    let good = (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        Ok(())
    } else {
        Err(ProvisionError::BadName {
            name: name.to_owned(),
        })
    }
}

/// A lab's record, sockets and processes are root's.
pub(crate) fn require_root(doing: &'static str) -> Result<(), ProvisionError> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(ProvisionError::NotRoot { doing })
    }
}

/// `/var/lib/muster/lab/NAME`: the lab needs root anyway, and this survives a change of `HOME` by sudo.
pub(crate) fn default_state(name: &str) -> PathBuf {
    PathBuf::from("/var/lib/muster/lab").join(name)
}

/// `$MUSTER_CACHE`, else `$XDG_CACHE_HOME/muster`, else `~/.cache/muster`.
fn default_cache() -> PathBuf {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("MUSTER_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|p| p.join("muster")))
        .or_else(|| var("HOME").map(|p| p.join(".cache/muster")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/muster"))
}

/// One thing that was reached on the way up, told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// A short word for the step, e.g. `images`.
    pub step: &'static str,
    /// What happened, for people.
    pub detail: String,
    /// Time since `up` was called.
    pub elapsed: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_state_folder_are_refused() {
        for bad in ["", "..", "a/b", "-a", "1a", "A", "a b", &"a".repeat(33)] {
            assert!(validate_name(bad).is_err(), "{bad:?}");
        }
        for good in ["muster", "ci-7", "a"] {
            assert!(validate_name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_state_folder_that_parts_of_the_lab_could_not_see_is_refused() {
        for bad in ["lab", "/tmp/lab"] {
            let options = LabOptions {
                state: bad.into(),
                ..LabOptions::default()
            };
            assert!(
                matches!(options.validate(), Err(ProvisionError::BadState { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_lab_without_nodes_is_refused() {
        let options = LabOptions {
            nodes: 0,
            ..LabOptions::default()
        };
        assert!(matches!(
            options.validate(),
            Err(ProvisionError::BadNodes { asked: 0, .. })
        ));
    }
}
