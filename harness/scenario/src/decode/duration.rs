//! Durations as Go writes them: `30s`, `2m`, `1h30m`, `500ms`, `1.5h`.
//!
//! Invariant: a number without a unit is no duration (except `0`).

use std::time::Duration;

use super::DecodeError;

const NANOS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration in the form of Go's `time.ParseDuration`, without a sign.
///
/// # Errors
/// [`DecodeError`] for a missing unit, an unknown unit, a sign, or more than about 580 years.
pub fn parse_duration(text: &str) -> Result<Duration, DecodeError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    if rest.is_empty() {
        return Err(DecodeError::new(
            "a duration can't be empty: write it as 30s, 2m or 1h30m",
        ));
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(DecodeError::new(format!(
                "`{text}` is no duration: write it as 30s, 2m, 1h30m or 500ms"
            )));
        }
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(DecodeError::new(format!(
                "`{text}` has no unit: write {number}s for seconds, {number}m for minutes"
            )));
        }
        let Some((_, nanos)) = NANOS.iter().find(|(name, _)| *name == unit) else {
            return Err(DecodeError::new(format!(
                "`{unit}` is no unit of time: use h, m, s or ms"
            )));
        };
        let too_long = || DecodeError::new(format!("`{text}` is too long for a duration"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| too_long())?
        };
        total = whole
            .checked_mul(*nanos)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_long)?;
        let mut scale = *nanos;
        for digit in fraction.bytes() {
            scale /= 10;
            total += u128::from(digit - b'0') * scale;
        }
        if total > u128::from(u64::MAX) {
            return Err(too_long());
        }
        rest = next;
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| DecodeError::new(format!("`{text}` is too long for a duration")))
}

/// Writes a duration in the form that [`parse_duration`] reads: `1h30m`, `90s` as `1m30s`, `500ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let millis = duration.subsec_millis();
    let mut out = String::new();
    for (value, unit) in [
        (seconds / 3600, "h"),
        (seconds % 3600 / 60, "m"),
        (seconds % 60, "s"),
    ] {
        if value > 0 {
            out.push_str(&format!("{value}{unit}"));
        }
    }
    if millis > 0 {
        out.push_str(&format!("{millis}ms"));
    }
    if out.is_empty() {
        out.push_str("0s");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_how_to_write_one() {
        assert!(parse_duration("30").unwrap_err().0.contains("write 30s"));
        assert!(parse_duration("1d").unwrap_err().0.contains("`d` is no unit"));
        for text in [
            "",
            "s",
            "-3s",
            "1..5s",
            "1 s",
            ".",
            "99999999999999999999h",
            "5 min",
            "1h30",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for text in ["30s", "2m", "1h30m", "500ms", "1m30s", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}
