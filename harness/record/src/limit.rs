//! The size limit of an event.
//!
//! Invariant: what comes out is at most [`MAX`] bytes of JSON, and says so where something was left out.

use serde_json::Value;

/// The most bytes of one event's data.
pub(crate) const MAX: usize = 16 * 1024;

/// List items kept at the head and at the tail of a list that is too long.
const HEAD: usize = 16;
const TAIL: usize = 48;

/// Cuts long strings, and then long lists, until the value fits. `whole` names the file that holds all of it.
/// Returns whether anything was cut.
pub(crate) fn fit(data: &mut Value, whole: &str) -> bool {
    if size(data) <= MAX {
        return false;
    }
    let mut longest = 4096;
    while longest >= 64 {
        cut_strings(data, longest, whole);
        if size(data) <= MAX {
            return true;
        }
        if longest == 512 {
            cut_lists(data, HEAD, TAIL);
        }
        longest /= 2;
    }
    cut_lists(data, 8, 8);
    if size(data) > MAX {
        *data = Value::String(format!("[too big for the run log; in {whole}]"));
    }
    true
}

fn size(data: &Value) -> usize {
    data.to_string().len()
}

fn cut_strings(value: &mut Value, longest: usize, whole: &str) {
    match value {
        Value::String(text) if text.len() > longest => *text = cut(text, longest, whole),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| cut_strings(item, longest, whole)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|item| cut_strings(item, longest, whole)),
        _ => {}
    }
}

/// The head and the tail of a text with a note between; the end of a message often says most.
fn cut(text: &str, longest: usize, whole: &str) -> String {
    let head = floor(text, longest / 2);
    let tail = ceil(text, text.len() - longest / 4);
    format!(
        "{} [… {} bytes cut, all in {whole} …] {}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn cut_lists(value: &mut Value, head: usize, tail: usize) {
    match value {
        Value::Array(items) => {
            if items.len() > head + tail {
                items.drain(head..items.len() - tail);
            }
            items.iter_mut().for_each(|item| cut_lists(item, head, tail));
        }
        Value::Object(map) => map.values_mut().for_each(|item| cut_lists(item, head, tail)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_small_event_is_untouched() {
        let mut data = json!({"message": "x".repeat(10_000)});
        let before = data.clone();
        assert!(!fit(&mut data, "f"));
        assert_eq!(data, before);
    }

    #[test]
    fn a_long_string_keeps_its_head_and_tail_and_says_what_was_cut() {
        let mut data = json!({"message": format!("first {} last", "ä".repeat(20_000)), "short": "kept"});
        assert!(fit(&mut data, "overflow/3.json"));
        let text = data["message"].as_str().unwrap();
        assert!(text.starts_with("first ä") && text.ends_with(" last"), "{text}");
        assert!(text.contains("bytes cut, all in overflow/3.json"), "{text}");
        assert_eq!(data["short"], "kept");
        assert!(size(&data) <= MAX);
    }

    #[test]
    fn a_long_list_keeps_its_ends() {
        let items: Vec<Value> = (0..20_000)
            .map(|n| json!({"at_ms": n, "seen": "a state"}))
            .collect();
        let mut data = json!({"history": items});
        assert!(fit(&mut data, "f"));
        let kept = data["history"].as_array().unwrap();
        assert_eq!(kept[0]["at_ms"], 0);
        assert_eq!(kept.last().unwrap()["at_ms"], 19_999);
        assert!(size(&data) <= MAX);
    }

    #[test]
    fn what_cannot_be_cut_is_replaced_by_a_note() {
        let map: serde_json::Map<_, _> = (0..5_000).map(|n| (format!("k{n}"), json!(n))).collect();
        let mut data = Value::Object(map);
        assert!(fit(&mut data, "overflow/3.json"));
        assert!(data.as_str().unwrap().contains("overflow/3.json"));
    }
}
