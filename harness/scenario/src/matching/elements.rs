//! Lists: which expected element is which observed one, and what to say of one that is missing.
//!
//! Invariant: of several candidates the nearest is reported, and no observed element stands for two expected ones.

use serde_json::Value;

use super::assign::largest;
use super::bound::Expect;
use super::check::{accepts, differ, differences, is_container};
use super::difference::{Differences, Path, Step};
use super::show;

pub(super) fn exact(items: &[Expect], elements: &[Value], path: &Path<'_>, out: &mut Differences) {
    if items.len() != elements.len() {
        out.push(
            path,
            &format!("exactly {}", count(items.len())),
            format!("{}: {}", count(elements.len()), shown(elements)),
        );
    }
    for (index, item) in items.iter().enumerate() {
        match elements.get(index) {
            Some(element) => differ(item, Some(element), &path.element(index, element), out),
            None => out.push(&path.to(Step::Index(index)), &show::summary(item), "nothing"),
        }
    }
    for (index, element) in elements.iter().enumerate().skip(items.len()) {
        out.push(
            &path.to(Step::Index(index)),
            "no such element",
            show::found(Some(element)),
        );
    }
}

fn count(elements: usize) -> String {
    match elements {
        1 => "1 element".to_owned(),
        n => format!("{n} elements"),
    }
}

fn shown(elements: &[Value]) -> String {
    let mut text = String::from("[");
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if text.len() > 4 * show::LONGEST {
            break;
        }
        text.push_str(&element.to_string());
    }
    text.push(']');
    text
}

pub(super) fn list(
    items: &[Expect],
    elements: &[Value],
    whole: bool,
    path: &Path<'_>,
    out: &mut Differences,
) {
    let given = largest(items.len(), elements.len(), |item, element| {
        accepts(&items[item], elements.get(element))
    });
    let mut left: Vec<usize> = (0..elements.len())
        .filter(|e| !given.contains(&Some(*e)))
        .collect();
    if whole && items.len() != elements.len() {
        out.push(
            path,
            &count(items.len()),
            format!("{}: {}", count(elements.len()), shown(elements)),
        );
    }
    for (item, _) in items.iter().zip(&given).filter(|(_, given)| given.is_none()) {
        nearest(item, elements, &mut left, path, out);
    }
    if whole {
        for index in left {
            out.push(
                &path.element(index, &elements[index]),
                "no such element",
                show::found(elements.get(index)),
            );
        }
    }
}

/// Reports an expected element that no observed one matches, by the one that is nearest; takes that out of `left`.
fn nearest(item: &Expect, elements: &[Value], left: &mut Vec<usize>, path: &Path<'_>, out: &mut Differences) {
    if let Some((key, wanted)) = show::identity(path.name(), item) {
        let same: Vec<usize> = left
            .iter()
            .copied()
            .filter(|index| {
                elements[*index]
                    .get(key)
                    .is_some_and(|found| accepts(&Expect::Literal(wanted.clone()), Some(found)))
            })
            .collect();
        if same.is_empty() {
            let others: Vec<String> = elements
                .iter()
                .filter_map(|e| e.get(key))
                .map(show::plain)
                .collect();
            let found = if others.is_empty() {
                "nothing".to_owned()
            } else {
                format!("nothing; there are {}", others.join(", "))
            };
            out.push(&path.to(Step::Element(key, wanted)), &show::inner(item), found);
            return;
        }
        report_nearest(item, elements, &same, left, path, out);
        return;
    }
    let candidates = left.clone();
    report_nearest(item, elements, &candidates, left, path, out);
}

fn report_nearest(
    item: &Expect,
    elements: &[Value],
    candidates: &[usize],
    left: &mut Vec<usize>,
    path: &Path<'_>,
    out: &mut Differences,
) {
    let best = candidates
        .iter()
        .map(|index| {
            let element = &elements[*index];
            (
                *index,
                differences(item, Some(element), &path.element(*index, element)),
            )
        })
        .min_by_key(|(_, differences)| differences.list.len());
    let Some((index, best)) = best else {
        let found = if elements.is_empty() {
            "an empty list".to_owned()
        } else {
            format!("no element left of {}", shown(elements))
        };
        out.push(path, &format!("an element {}", show::inner(item)), found);
        return;
    };
    left.retain(|other| *other != index);
    let element = &elements[index];
    let scalar = !is_container(element) && matches!(item, Expect::Literal(_));
    // Another element may come; only an element that is meant and can never match ends the wait.
    let invalid = best.all_invalid() && (!scalar || same_text(item, element));
    if scalar && !invalid {
        out.push(
            path,
            &format!("an element {}", show::inner(item)),
            shown(elements),
        );
        return;
    }
    for difference in best.list {
        out.add(difference.mismatch, invalid);
    }
}

/// Whether a scalar is the expected one but for its type.
pub(super) fn same_text(item: &Expect, element: &Value) -> bool {
    match item {
        Expect::Literal(value) => show::plain(value).eq_ignore_ascii_case(&show::plain(element)),
        _ => false,
    }
}
