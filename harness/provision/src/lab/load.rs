//! Imports image archives into a running lab.
//!
//! Invariant: every node gets every archive, or the error says which node did not.

use std::path::PathBuf;

use futures::future::try_join_all;

use super::images;
use super::layout::Layout;
use super::node::runtime_socket;
use super::options::{require_root, validate_name};
use super::registry::{Lock, state_of};
use super::state::{Phase, Record};
use super::up::LOCK_LIMIT;
use crate::ProvisionError;
use crate::error::FileContext;

pub(crate) async fn load(name: &str, archives: &[PathBuf]) -> Result<Vec<String>, ProvisionError> {
    validate_name(name)?;
    require_root("load images into")?;
    for archive in archives {
        std::fs::File::open(archive).at("open the image archive", archive)?;
    }
    let none = || ProvisionError::NoLab {
        name: name.to_owned(),
    };
    let layout = Layout::new(&state_of(name)?);
    if Record::read(&layout)?.is_none() {
        return Err(none());
    }
    let _lock = Lock::take(LOCK_LIMIT).await?;
    let record = Record::read(&layout)?
        .filter(|r| r.phase == Phase::Ready)
        .ok_or_else(none)?;
    let mut inits = Vec::new();
    for process in record
        .processes
        .iter()
        .filter(|p| p.role == "init" || p.role == "containerd")
    {
        if !process.process.alive() {
            return Err(ProvisionError::HalfDead {
                name: name.to_owned(),
                gone: process.title(),
            });
        }
        if process.role == "init" {
            inits.push(process.process);
        }
    }
    let mut names: Vec<String> = Vec::new();
    for archive in archives {
        let outputs = try_join_all(
            inits
                .iter()
                .map(|init| async { images::import(&runtime_socket(*init), archive).await }),
        )
        .await?;
        names.extend(outputs.first().into_iter().flat_map(|text| imported(text)));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The names in what `ctr images import` printed: `unpacking NAME (DIGEST)...done`.
fn imported(output: &str) -> Vec<String> {
    let name = |line: &str| {
        Some(
            line.strip_prefix("unpacking ")?
                .split_whitespace()
                .next()?
                .to_owned(),
        )
    };
    output.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_import() {
        let text = "unpacking docker.io/library/postgres:15 (sha256:ab)...done\nunpacking a/b:c (sha256:cd)...done\n";
        assert_eq!(imported(text), ["docker.io/library/postgres:15", "a/b:c"]);
    }
}
