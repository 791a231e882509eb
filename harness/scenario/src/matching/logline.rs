//! Fields of log lines: JSON, logfmt, klog.
//!
//! Invariant: fields are strings except JSON's own types, and no name is invented: a field is there if the line has it
//! (klog's header and message, which have no names, are `level`, `time`, `pid`, `caller` and `msg`).

use serde_json::{Map, Value};

/// The fields of a line, as a JSON object; `None` if it is in none of the three forms.
pub fn parse(line: &str) -> Option<Value> {
    let line = line.trim();
    let fields = match line.as_bytes().first()? {
        b'{' => match serde_json::from_str(line).ok()? {
            Value::Object(map) => map,
            _ => return None,
        },
        _ => klog(line).or_else(|| logfmt(line))?,
    };
    Some(Value::Object(fields))
}

/// `time="..." level=error msg="Fatal run error" error="..."`: at least one `key=value`, nothing else on the line but
/// bare words between them.
fn logfmt(line: &str) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    let mut rest = line;
    // The first word must be a pair: other text is no logfmt, though it may hold a = somewhere.
    let mut first = true;
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', '=']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        match after.strip_prefix('=') {
            Some(after) if is_key(key) => {
                let (value, after) = field_value(after)?;
                fields.insert(key.to_owned(), Value::String(value));
                rest = after.trim_start();
            }
            Some(_) => return None,
            None if first => return None,
            None => rest = after.trim_start(),
        }
        first = false;
    }
    (!fields.is_empty()).then_some(fields)
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && !key.contains([
            '"', '\'', '{', '}', '[', ']', '(', ')', ',', ';', '&', '?', '<', '>',
        ])
}

/// A value, quoted or bare, and the rest behind it.
fn field_value(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    }
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => {
                let (at, escaped) = chars.next()?;
                match escaped {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'x' | 'u' | 'U' => {
                        let length = match escaped {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let digits = text.get(at + 1..at + 1 + length)?;
                        let code = u32::from_str_radix(digits, 16).ok()?;
                        value.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        for _ in 0..length {
                            chars.next();
                        }
                    }
                    other => value.push(other),
                }
            }
            other => value.push(other),
        }
    }
    None
}

/// `E1124 11:11:11.123456       1 file.go:12] "msg" key="v"` (klog's header: level and date, time, thread, caller).
fn klog(line: &str) -> Option<Map<String, Value>> {
    let level = match line.as_bytes().first()? {
        b'I' => "info",
        b'W' => "warning",
        b'E' => "error",
        b'F' => "fatal",
        _ => return None,
    };
    let (header, message) = line
        .split_once("] ")
        .or_else(|| Some((line.strip_suffix(']')?, "")))?;
    let mut words = header.split_ascii_whitespace();
    let date = words.next()?.get(1..)?;
    let time = words.next()?;
    let pid = words.next()?;
    let caller = words.next()?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if date.len() != 4
        || !digits(date)
        || !time.starts_with(|c: char| c.is_ascii_digit())
        || !time.contains(':')
        || !digits(pid)
        || !caller.contains(':')
        || words.next().is_some()
    {
        return None;
    }
    let mut fields = Map::new();
    let mut add = |key: &str, value: &str| {
        fields.insert(key.to_owned(), Value::String(value.to_owned()));
    };
    add("level", level);
    add("time", &format!("{date} {time}"));
    add("pid", pid);
    add("caller", caller);
    let structured = message
        .starts_with('"')
        .then(|| field_value(message))
        .flatten()
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '));
    match structured {
        Some((text, rest)) => {
            add("msg", &text);
            if let Some(more) = logfmt(rest.trim()) {
                for (key, value) in more {
                    fields.entry(key).or_insert(value);
                }
            }
        }
        None => add("msg", message.trim_end()),
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spire_lines_are_read() {
        let line = r#"time="2026-11-24T10:11:12Z" level=error msg="Fatal run error" error="datastore-sql: pq: SSL is not enabled on the server""#;
        assert_eq!(
            parse(line).unwrap(),
            json!({"time": "2026-11-24T10:11:12Z", "level": "error", "msg": "Fatal run error",
                   "error": "datastore-sql: pq: SSL is not enabled on the server"})
        );
        let line = r#"level=info msg="a \"b\" = c\n\td\\e\u00e4" count=3 empty= subsystem_name=x.y"#;
        assert_eq!(
            parse(line).unwrap(),
            json!({"level": "info", "msg": "a \"b\" = c\n\td\\eä", "count": "3", "empty": "", "subsystem_name": "x.y"})
        );
    }

    #[test]
    fn json_lines_keep_their_types() {
        assert_eq!(
            parse("  {\"level\":\"info\",\"n\":1,\"ok\":true}\n").unwrap(),
            json!({"level": "info", "n": 1, "ok": true})
        );
        assert_eq!(parse("{not json"), None);
        assert_eq!(parse("[1]"), None);
    }

    #[test]
    fn klog_lines_are_read() {
        let line = r#"E1124 11:11:11.123456       1 leader.go:12] "Failed to update lock" err="connection refused" name="x""#;
        assert_eq!(
            parse(line).unwrap(),
            json!({"level": "error", "time": "1124 11:11:11.123456", "pid": "1", "caller": "leader.go:12",
                   "msg": "Failed to update lock", "err": "connection refused", "name": "x"})
        );
        let line = "I1124 11:11:11.123456   12345 main.go:1] starting: a=b";
        assert_eq!(parse(line).unwrap()["msg"], json!("starting: a=b"));
        assert_eq!(
            parse("W1124 11:11:11.1 1 a.go:1] ").unwrap()["level"],
            json!("warning")
        );
    }

    #[test]
    fn other_text_has_no_fields() {
        for line in [
            "",
            "   ",
            "Error: something = wrong",
            "2026-11-24 LOG: connection authorized: user=admin",
            "Installing a-package",
            "Error",
            "http://x/?a=b c=d",
            "key=\"unclosed",
            "E1124 no klog",
            "=x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[EIW]?[0-9a-z=\"\\\\ :.{}ä\\]]{0,60}") {
            let _ = parse(&line);
        }

        #[test]
        fn what_is_written_as_logfmt_is_read_back(value in "[ -~ä\\n\\t]{0,30}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
            let fields = parse(&format!("a=1 msg=\"{quoted}\" b=2")).unwrap();
            proptest::prop_assert_eq!(fields["msg"].as_str().unwrap(), value);
        }
    }
}
