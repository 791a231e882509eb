//! The difference between two states of an object, as far as a writer can put it back.
//!
//! Invariant: what the server or a controller writes (`status`, versions, managed fields) is never part of it; lists are
//! one value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A changed field: its path, and its value before and after; `None`: it wasn't there.
pub(super) type Changes = BTreeMap<Vec<String>, (Option<Value>, Option<Value>)>;

const SERVERS: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
];

/// The changes between two states.
pub(super) fn changes(before: &Value, after: &Value) -> Changes {
    let mut found = Changes::new();
    walk(&mut Vec::new(), Some(before), Some(after), &mut found);
    found.retain(|path, _| !is_servers(path));
    found
}

fn is_servers(path: &[String]) -> bool {
    match path {
        [first, ..] if first == "status" => true,
        [first, second, ..] => first == "metadata" && SERVERS.contains(&second.as_str()),
        _ => false,
    }
}

fn walk(path: &mut Vec<String>, before: Option<&Value>, after: Option<&Value>, found: &mut Changes) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in keys {
            path.push(key.clone());
            walk(path, old.get(key), new.get(key), found);
            path.pop();
        }
        return;
    }
    found.insert(path.clone(), (before.cloned(), after.cloned()));
}

/// Adds later changes: the first value before and the last value after remain. A change within a value that an
/// earlier one set, or of a value in which an earlier one changed something, becomes one change with it.
pub(super) fn merge(all: &mut Changes, later: Changes) {
    for (path, (before, after)) in later {
        if let Some(known) = all.get_mut(&path) {
            known.1 = after;
        } else if let Some((outer, known)) = all.iter_mut().find(|(outer, _)| path.starts_with(outer)) {
            put(&mut known.1, &path[outer.len()..], after);
        } else {
            let within: Vec<_> = all
                .keys()
                .filter(|inner| inner.starts_with(&path))
                .cloned()
                .collect();
            let mut first = before;
            for inner in within {
                if let Some((value, _)) = all.remove(&inner) {
                    put(&mut first, &inner[path.len()..], value);
                }
            }
            all.insert(path, (first, after));
        }
    }
}

/// Sets or removes a value within another. Where there is no map for it, others have changed it: nothing is done.
fn put(whole: &mut Option<Value>, path: &[String], value: Option<Value>) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let parent = whole
        .as_mut()
        .and_then(|whole| parents.iter().try_fold(whole, |value, key| value.get_mut(key)))
        .and_then(Value::as_object_mut);
    match (parent, value) {
        (Some(parent), Some(value)) => {
            parent.insert(last.clone(), value);
        }
        (Some(parent), None) => {
            parent.remove(last);
        }
        (None, _) => {}
    }
}

/// The merge patch that puts the changes back into a current state, and the paths that others changed since.
pub(super) fn restore(changes: &Changes, current: &Value) -> (Value, Vec<String>) {
    let mut patch = Map::new();
    let mut left = Vec::new();
    for (path, (before, after)) in changes {
        let now = path.iter().try_fold(current, |value, key| value.get(key));
        let states = States {
            before: before.as_ref(),
            after: after.as_ref(),
            now,
        };
        restore_field(&mut path.clone(), &states, &mut patch, &mut left);
    }
    (Value::Object(patch), left)
}

/// A field in three states.
struct States<'a> {
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    now: Option<&'a Value>,
}

/// Of a map in which others changed something too, the keys that they left alone are put back.
fn restore_field(
    path: &mut Vec<String>,
    states: &States<'_>,
    patch: &mut Map<String, Value>,
    left: &mut Vec<String>,
) {
    if states.now == states.before {
        return;
    }
    if states.now == states.after {
        return set(patch, path, states.before.cloned().unwrap_or(Value::Null));
    }
    let (Some(Value::Object(after)), Some(Value::Object(now)), None | Some(Value::Object(_))) =
        (states.after, states.now, states.before)
    else {
        return left.push(path.join("."));
    };
    let before = states.before.and_then(Value::as_object);
    let keys: std::collections::BTreeSet<_> = after
        .keys()
        .chain(before.into_iter().flat_map(Map::keys))
        .collect();
    for key in keys {
        let inner = States {
            before: before.and_then(|map| map.get(key)),
            after: after.get(key),
            now: now.get(key),
        };
        path.push(key.clone());
        // What the action did not change in the map is none of its business.
        if inner.before != inner.after {
            restore_field(path, &inner, patch, left);
        }
        path.pop();
    }
}

/// Adds the removal of a label to a merge patch.
pub(super) fn take_label(patch: &mut Value, label: &str) {
    if let Value::Object(patch) = patch {
        let path = ["metadata", "labels", label].map(str::to_owned);
        set(patch, &path, Value::Null);
    }
}

fn set(map: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            map.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = map
                .entry(first.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_changes_of_one_field_go_back_to_the_first_value_in_one_patch() {
        let first = json!({"spec": {"dsn": "sqlite", "keep": 1}, "status": {"x": 1}});
        let second = json!({"spec": {"dsn": "pg", "type": "postgres", "keep": 1}, "status": {"x": 2}});
        let third = json!({"spec": {"dsn": "pg?off", "type": "postgres", "keep": 1}, "status": {"x": 3}});
        let mut all = changes(&first, &second);
        merge(&mut all, changes(&second, &third));
        let (patch, left) = restore(&all, &third);
        assert_eq!(patch, json!({"spec": {"dsn": "sqlite", "type": null}}));
        assert!(left.is_empty());
    }

    #[test]
    fn a_map_that_was_added_and_then_grew_goes_away_whole() {
        let bare = json!({"metadata": {"name": "x"}});
        let added = json!({"metadata": {"name": "x", "annotations": {"a": "1"}}});
        let grown = json!({"metadata": {"name": "x", "annotations": {"a": "1", "b": "2"}}});
        let mut all = changes(&bare, &added);
        merge(&mut all, changes(&added, &grown));
        let (patch, left) = restore(&all, &grown);
        assert_eq!(patch, json!({"metadata": {"annotations": null}}));
        assert!(left.is_empty());
    }

    #[test]
    fn a_map_that_was_changed_and_then_removed_comes_back_as_it_was_first() {
        let first = json!({"spec": {"store": {"type": "sqlite", "keep": 1}}});
        let second = json!({"spec": {"store": {"type": "pg", "keep": 1}}});
        let third = json!({"spec": {}});
        let mut all = changes(&first, &second);
        merge(&mut all, changes(&second, &third));
        let (patch, left) = restore(&all, &third);
        assert_eq!(patch, first);
        assert!(left.is_empty());
    }

    #[test]
    fn what_others_changed_since_is_left_and_named() {
        let before = json!({"spec": {"a": 1, "b": 1}});
        let after = json!({"spec": {"a": 2, "b": 2}});
        let current = json!({"spec": {"a": 2, "b": 9}});
        let (patch, left) = restore(&changes(&before, &after), &current);
        assert_eq!(patch, json!({"spec": {"a": 1}}));
        assert_eq!(left, ["spec.b"]);
    }

    #[test]
    fn of_a_map_that_others_changed_too_the_own_keys_go_back() {
        let before = json!({"metadata": {"name": "x"}});
        let after = json!({"metadata": {"name": "x", "annotations": {"a": "1", "b": "1"}}});
        let current = json!({"metadata": {"name": "x", "annotations": {"a": "1", "b": "2", "c": "3"}}});
        let (patch, left) = restore(&changes(&before, &after), &current);
        assert_eq!(patch, json!({"metadata": {"annotations": {"a": null}}}));
        assert_eq!(left, ["metadata.annotations.b"]);
    }

    #[test]
    fn what_the_server_writes_is_no_change() {
        let before = json!({"metadata": {"generation": 1, "resourceVersion": "1", "labels": {"a": "1"}}});
        let after = json!({"metadata": {"generation": 2, "resourceVersion": "2", "labels": {"a": "2"}}});
        assert_eq!(changes(&before, &after).len(), 1);
    }
}
