//! Kubernetes quantities: `500m`, `1Gi`, `2e3`, `1.5`.
//!
//! Invariant: comparing is exact down to 10⁻⁹, the smallest unit that Kubernetes keeps
//! (apimachinery `pkg/api/resource`: what is smaller is rounded up).

use super::DecodeError;

const NANO: i128 = 1_000_000_000;

/// An amount of something, in 10⁻⁹ parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nanos: i128,
}

impl Quantity {
    /// Reads a quantity as Kubernetes' `resource.ParseQuantity` does.
    ///
    /// # Errors
    /// [`DecodeError`] if the number or the suffix is not of that form, or the amount is beyond 10²⁷.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        let wrong = || {
            DecodeError::new(format!(
                "`{text}` is no quantity: write it as 500m, 2, 1.5, 100Mi or 1Gi"
            ))
        };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let digits = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(wrong());
        }
        let (numerator, denominator): (i128, i128) = match suffix {
            "n" => (1, NANO),
            "u" => (1, 1_000_000),
            "m" => (1, 1_000),
            "" => (1, 1),
            "k" => (1_000, 1),
            "M" => (1_000_000, 1),
            "G" => (1_000_000_000, 1),
            "T" => (1_000_000_000_000, 1),
            "P" => (1_000_000_000_000_000, 1),
            "E" => (1_000_000_000_000_000_000, 1),
            "Ki" => (1 << 10, 1),
            "Mi" => (1 << 20, 1),
            "Gi" => (1 << 30, 1),
            "Ti" => (1 << 40, 1),
            "Pi" => (1 << 50, 1),
            "Ei" => (1 << 60, 1),
            _ => {
                let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(wrong)?;
                let exponent: i32 = exponent.parse().map_err(|_| wrong())?;
                let power = 10i128.checked_pow(exponent.unsigned_abs()).ok_or_else(wrong)?;
                if exponent < 0 { (1, power) } else { (power, 1) }
            }
        };
        // More than 18 digits after the point make no difference to a value that is kept to 9 of them.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
        let scale = 10i128
            .checked_pow(u32::try_from(fraction.len()).map_err(|_| wrong())?)
            .ok_or_else(wrong)?;
        let top = mantissa
            .checked_mul(numerator)
            .and_then(|top| top.checked_mul(NANO))
            .ok_or_else(wrong)?;
        let bottom = denominator.checked_mul(scale).ok_or_else(wrong)?;
        let nanos = top / bottom + i128::from(top % bottom != 0);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
        })
    }

    /// The amount in 10⁻⁹ parts.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// The amount as an integer, if it is one and fits.
    pub fn as_integer(self) -> Option<i64> {
        (self.nanos % NANO == 0)
            .then(|| i64::try_from(self.nanos / NANO).ok())
            .flatten()
    }

    /// The amount as a floating-point number.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn the_same_amount_in_other_units_is_equal() {
        for (a, b) in [
            ("500m", "0.5"),
            ("1Gi", "1024Mi"),
            ("1Gi", "1073741824"),
            ("2e3", "2k"),
            ("1E", "1e18"),
            ("1500m", "1.5"),
            ("+1", "1"),
            ("1e-3", "1m"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert_eq!(quantity(a), quantity(b), "{a} and {b}");
        }
        assert!(quantity("1Gi") > quantity("1G"));
        assert!(quantity("-1") < quantity("0"));
    }

    #[test]
    fn integers_and_fractions_are_told_apart() {
        assert_eq!(quantity("1Ki").as_integer(), Some(1024));
        assert_eq!(quantity("100m").as_integer(), None);
        assert!((quantity("100m").as_f64() - 0.1).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_quantity_is_an_error() {
        for text in [
            "", "Gi", "1gi", "1.2.3", "abc", "1 Gi", "--1", "1e", "1e99999", "9e99", ".",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
