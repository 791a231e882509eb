//! Redaction of what is not an event: bytes of evidence, and files found by the last scan.
//!
//! Invariant: bytes that are not UTF-8 stay as they are; all text between them is redacted.

use muster_model::Secrets;
use serde_json::Value;

/// The bytes with each secret masked.
pub(crate) fn redact_bytes(secrets: &Secrets, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(secrets.redact(chunk.valid()).as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// One line of a run log with each string of its `data` masked; numbers, time and scope are not touched, so that a
/// secret made of digits can't break a line.
pub(crate) fn redact_line(secrets: &Secrets, line: &[u8]) -> Vec<u8> {
    let Ok(mut event) = serde_json::from_slice::<Value>(line) else {
        return redact_bytes(secrets, line);
    };
    let before = event.get("data").cloned();
    if let Some(data) = event.get_mut("data") {
        secrets.redact_value(data);
    }
    if event.get("data") == before.as_ref() {
        return line.to_vec();
    }
    event.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_between_other_bytes_is_redacted() {
        let secrets = Secrets::new();
        secrets.register("s", "hunter2hunter2").unwrap();
        assert_eq!(
            redact_bytes(&secrets, b"\xff\xfehunter2hunter2\xff"),
            [b"\xff\xfe".as_slice(), "«s»".as_bytes(), b"\xff"].concat()
        );
    }

    #[test]
    fn a_secret_of_digits_does_not_break_a_line() {
        let secrets = Secrets::new();
        secrets.register("pin", "12345678").unwrap();
        let line = br#"{"v":1,"seq":1,"mono_us":123456789,"data":{"message":"pin 12345678"}}"#;
        let line = String::from_utf8(redact_line(&secrets, line)).unwrap();
        assert!(line.contains("\"mono_us\":123456789"), "{line}");
        assert!(line.contains("pin «pin»"), "{line}");
    }
}
