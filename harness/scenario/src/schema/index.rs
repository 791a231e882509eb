//! Finding one's way in the tables.
//!
//! Invariant: every construct is in the list.

use super::expectations::{self, COMMON, SUBJECTS};
use super::scenario_keys::{
    CONNECTION, LEASE, NAMESPACE, POSTGRES, REQUIRES, SCENARIO, SECRET_KEY, STEP, TARGET, VAR,
};
use super::table::{Construct, Need};
use super::{ACTIONS, APPLY, DELETE, EXEC, FAILS, PATCH, PAUSE, RESTART, SCALE, SCRIPT};

/// All constructs of a scenario file, in the order of the reference.
pub fn constructs() -> Vec<&'static Construct> {
    let mut all = vec![
        &SCENARIO,
        &REQUIRES,
        &NAMESPACE,
        &LEASE,
        &VAR,
        &CONNECTION,
        &POSTGRES,
        &SECRET_KEY,
        &STEP,
        &ACTIONS,
        &TARGET,
        &APPLY,
        &PATCH,
        &DELETE,
        &SCALE,
        &RESTART,
        &EXEC,
        &SCRIPT,
        &PAUSE,
        &FAILS,
        &COMMON,
    ];
    all.extend(SUBJECTS);
    all.push(&expectations::SQL_ASK);
    all
}

/// What has this key, for "`within` is a key of an expectation".
pub(crate) fn homes(key: &str) -> Vec<&'static str> {
    if SUBJECTS
        .iter()
        .any(|subject| subject.keys.first().is_some_and(|first| first.name == key))
    {
        return vec!["an expectation"];
    }
    let mut homes: Vec<&'static str> = constructs()
        .into_iter()
        .filter(|construct| {
            construct
                .key(key)
                .is_some_and(|key| key.need != Need::Unsupported)
        })
        .map(|construct| construct.what)
        .collect();
    homes.dedup();
    homes
}
