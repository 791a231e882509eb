//! A look at CEL's text without its grammar: where strings end, where brackets match.
//!
//! Invariant: positions are byte offsets on character boundaries; a string that isn't closed reaches to the end.

/// The end of the CEL string literal whose quote stands at `at`.
pub(super) fn string_end(source: &str, at: usize) -> usize {
    let bytes = source.as_bytes();
    let quote = bytes[at];
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let prefix_start = bytes[..at]
        .iter()
        .rposition(|b| !is_word(*b))
        .map_or(0, |before| before + 1);
    let prefix = &source[prefix_start..at];
    let raw = prefix.len() <= 2 && prefix.contains(['r', 'R']);
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let mut next = at + if triple { 3 } else { 1 };
    while next < bytes.len() {
        if bytes[next] == b'\\' && !raw {
            next += 2;
        } else if bytes[next] == quote && !triple {
            return next + 1;
        } else if triple && bytes[next..].starts_with(&[quote; 3]) {
            return next + 3;
        } else {
            next += 1;
        }
    }
    source.len()
}

/// The offsets and bytes of a source outside its string literals.
pub(super) fn code(source: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = source.as_bytes();
    let mut next = 0;
    std::iter::from_fn(move || {
        while next < bytes.len() && matches!(bytes[next], b'"' | b'\'') {
            next = string_end(source, next);
        }
        let byte = *bytes.get(next)?;
        next += 1;
        Some((next - 1, byte))
    })
}

/// How many operators, dots and brackets a source has.
pub(super) fn operators(source: &str) -> usize {
    let signs = code(source)
        .filter(|(_, b)| !b.is_ascii_alphanumeric() && !b.is_ascii_whitespace() && *b != b'_')
        .count();
    let words = source
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| *word == "in")
        .count();
    signs + words
}

/// How deep brackets nest.
pub(super) fn depth(source: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for (_, byte) in code(source) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Grows a range of a source until its brackets match.
pub(super) fn balance(source: &str, start: usize, end: usize) -> (usize, usize) {
    let mut open = 0usize;
    let mut missing_open = 0usize;
    let brackets: Vec<(usize, u8)> = code(source).filter(|(_, b)| b"()[]{}".contains(b)).collect();
    for (at, byte) in &brackets {
        if *at < start || *at >= end {
            continue;
        }
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            _ if open > 0 => open -= 1,
            _ => missing_open += 1,
        }
    }
    let mut grown = (start, end);
    let mut level = 0usize;
    for (at, byte) in brackets.iter().rev().filter(|(at, _)| *at < start) {
        if missing_open == 0 {
            break;
        }
        match byte {
            b')' | b']' | b'}' => level += 1,
            _ if level > 0 => level -= 1,
            _ => {
                missing_open -= 1;
                grown.0 = *at;
            }
        }
    }
    level = 0;
    for (at, byte) in brackets.iter().filter(|(at, _)| *at >= end) {
        if open == 0 {
            break;
        }
        match byte {
            b'(' | b'[' | b'{' => level += 1,
            _ if level > 0 => level -= 1,
            _ => {
                open -= 1;
                grown.1 = *at + 1;
            }
        }
    }
    grown
}

/// The end of the identifier that stands at or after `at`, after white space, a `?` or a backtick quote.
pub(super) fn word_end(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    let skipped = rest.len()
        - rest
            .trim_start_matches(|c: char| c.is_whitespace() || c == '?')
            .len();
    let word = &rest[skipped..];
    let length = match word.strip_prefix('`') {
        Some(quoted) => quoted.find('`').map_or(word.len(), |end| end + 2),
        None => word
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(word.len()),
    };
    at + skipped + length
}

/// The start of the identifier that ends before `at`, white space between left out.
pub(super) fn word_start(source: &str, at: usize) -> usize {
    let before = source[..at].trim_end();
    before
        .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
        .map_or(0, |end| {
            end + before[end..].chars().next().map_or(1, char::len_utf8)
        })
}

/// The end of the character that starts at `at`.
pub(super) fn after(source: &str, at: usize) -> usize {
    let mut end = (at + 1).min(source.len());
    while !source.is_char_boundary(end) {
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_where_cel_ends_them() {
        for (source, end) in [
            ("'a' b", 3),
            ("'a\\'b' c", 6),
            ("'''a'b''' c", 9),
            ("\"a", 2),
            ("'\\", 2),
        ] {
            assert_eq!(string_end(source, 0).min(source.len()), end, "{source}");
        }
        assert_eq!(string_end("r'\\' + x", 1), 4);
    }

    #[test]
    fn ranges_grow_to_whole_brackets() {
        let source = "(a || b) && f(c[0])";
        assert_eq!(balance(source, 1, 8), (0, 8));
        assert_eq!(balance(source, 12, 16), (12, 19));
        assert_eq!(depth(source), 2);
        assert_eq!(depth("'((('"), 0);
    }
}
