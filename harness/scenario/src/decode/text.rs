//! JSON, YAML, base64 and URLs.
//!
//! Invariant: the whole text is read; trailing garbage is an error.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::DecodeError;

/// Reads one JSON value.
///
/// # Errors
/// [`DecodeError`] with the parser's line and column.
pub fn json(text: &str) -> Result<Value, DecodeError> {
    serde_json::from_str(text).map_err(|e| DecodeError::new(format!("not JSON: {e}")))
}

/// Reads one YAML document, scalars by YAML 1.2.
///
/// # Errors
/// [`DecodeError`] with the parser's first line.
pub fn yaml(text: &str) -> Result<Value, DecodeError> {
    serde_saphyr::from_str(text).map_err(|e| {
        let message = e.to_string();
        let first = message.lines().next().unwrap_or_default();
        DecodeError::new(format!("not YAML: {first}"))
    })
}

const INDIFFERENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, INDIFFERENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, INDIFFERENT);

/// Decodes base64 (standard or URL alphabet, with or without padding, white space ignored) to text.
///
/// # Errors
/// [`DecodeError`] for a character outside the alphabet, or if the bytes are no UTF-8.
pub fn base64(text: &str) -> Result<String, DecodeError> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let engine = if compact.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let bytes = engine
        .decode(&compact)
        .map_err(|e| DecodeError::new(format!("not base64: {e}")))?;
    String::from_utf8(bytes).map_err(|_| DecodeError::new("the base64 holds bytes that are no UTF-8 text"))
}

/// Splits an absolute URL into `scheme`, `user`, `password`, `host`, `port` (a number), `path`, `query` (a map, a
/// repeated key as a list) and `fragment`; parts that are missing have no key.
///
/// # Errors
/// [`DecodeError`] if there is no `scheme://`, or the port is no number.
pub fn url(text: &str) -> Result<Value, DecodeError> {
    let wrong = || DecodeError::new("not an absolute URL: it should start like https:// or postgresql://");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let mut letters = scheme.chars();
    if !letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        || !letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return Err(wrong());
    }
    let mut parts = Map::new();
    parts.insert("scheme".into(), scheme.to_ascii_lowercase().into());
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (rest, None),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (userinfo, host_port) = match authority.rsplit_once('@') {
        Some((userinfo, host_port)) => (Some(userinfo), host_port),
        None => (None, authority),
    };
    if let Some(userinfo) = userinfo {
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        parts.insert("user".into(), percent_decode(user).into());
        if let Some(password) = password {
            parts.insert("password".into(), percent_decode(password).into());
        }
    }
    let port_at = match host_port.rfind(':') {
        Some(at) if !host_port[at..].contains(']') => Some(at),
        _ => None,
    };
    let (host, port) = match port_at {
        Some(at) => (&host_port[..at], host_port[at + 1..].to_owned()),
        None => (host_port, String::new()),
    };
    if !host.is_empty() {
        parts.insert("host".into(), host.into());
    }
    if !port.is_empty() {
        let port: u16 = port
            .parse()
            .map_err(|_| DecodeError::new(format!("`{port}` is no port of a URL")))?;
        parts.insert("port".into(), port.into());
    }
    if !path.is_empty() {
        parts.insert("path".into(), percent_decode(path).into());
    }
    if let Some(query) = query {
        parts.insert("query".into(), Value::Object(query_map(query)));
    }
    if let Some(fragment) = fragment {
        parts.insert("fragment".into(), percent_decode(fragment).into());
    }
    Ok(Value::Object(parts))
}

fn query_map(query: &str) -> Map<String, Value> {
    let mut map = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Value::String(percent_decode(&value.replace('+', " ")));
        match map.get_mut(&percent_decode(key)) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => {
                let values = vec![first.take(), value];
                *first = Value::Array(values);
            }
            None => {
                map.insert(percent_decode(key), value);
            }
        }
    }
    map
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match pair {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dsn_falls_into_its_parts() {
        assert_eq!(
            url("postgresql://admin:p%40ss@db.ns.svc:5432/sampledb?sslmode=disable&a=1&a=2#x").unwrap(),
            json!({"scheme": "postgresql", "user": "admin", "password": "p@ss", "host": "db.ns.svc", "port": 5432,
                   "path": "/sampledb", "query": {"sslmode": "disable", "a": ["1", "2"]}, "fragment": "x"})
        );
        assert_eq!(
            url("https://[::1]:8443").unwrap(),
            json!({"scheme": "https", "host": "[::1]", "port": 8443})
        );
        assert_eq!(
            url("spiffe://example.org/ns/a/sa/b").unwrap(),
            json!({"scheme": "spiffe", "host": "example.org", "path": "/ns/a/sa/b"})
        );
    }

    #[test]
    fn text_without_a_scheme_is_no_url() {
        for text in [
            "",
            "example.org",
            "://x",
            "1a://x",
            "http://h:port/",
            "http://h:99999",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn base64_is_read_in_both_alphabets_and_without_padding() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\nbG8="] {
            assert_eq!(base64(text).unwrap(), "hello");
        }
        assert_eq!(base64("w7_Dvw").unwrap(), base64("w7/Dvw==").unwrap());
        assert!(base64("a b!").is_err());
        assert!(base64("/w==").unwrap_err().0.contains("UTF-8"));
    }

    #[test]
    fn json_and_yaml_are_read_whole() {
        assert_eq!(json("{\"a\": [1]}").unwrap(), json!({"a": [1]}));
        assert!(json("{} x").unwrap_err().0.contains("line 1"));
        assert_eq!(yaml("a: [1, x]\n").unwrap(), json!({"a": [1, "x"]}));
        assert!(yaml("a: [").is_err());
    }
}
