//! The root name `namespace`, which CEL reserves.
//!
//! Invariant: the masked source is as long as the written one, so offsets agree.

use std::borrow::Cow;

use super::lex;

/// `namespace` is a reserved word of CEL and a root name of muster: it is parsed as this, which is as long.
pub(super) const MASK: &str = "__muster_";
pub(super) const MASKED: &str = "namespace";

/// The source with the root name `namespace` replaced by a name that CEL doesn't reserve.
pub(super) fn mask(source: &str) -> Cow<'_, str> {
    if !source.contains(MASKED) {
        return Cow::Borrowed(source);
    }
    let bytes = source.as_bytes();
    let is_word = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    let mut masked = source.to_owned();
    for (at, _) in lex::code(source) {
        if !bytes[at..].starts_with(MASKED.as_bytes())
            || is_word(at + MASKED.len())
            || (at > 0 && (is_word(at - 1) || bytes[at - 1] == b'`'))
        {
            continue;
        }
        let before = source[..at].trim_end();
        let is_member = before
            .strip_suffix('?')
            .map_or(before, str::trim_end)
            .ends_with('.');
        if !is_member {
            masked.replace_range(at..at + MASKED.len(), MASK);
        }
    }
    Cow::Owned(masked)
}

/// A name as the user wrote it.
pub(super) fn unmask(name: &str) -> &str {
    if name == MASK { MASKED } else { name }
}
