//! Values of options.

use std::{num::NonZeroU64, str::FromStr, time::Duration};

/// Duration, or `off`.
#[derive(Clone)]
pub(super) struct Limit(pub(super) Option<Duration>);

impl FromStr for Limit {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { humantime::parse_duration(text).map(Some).map(Self) }
    }
}

/// Parses a number of bytes with an optional unit: `k`, `m`, `g` as in nginx, or `KiB`, `MiB`, `GiB`.
pub(super) fn bytes(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(format!("unknown unit {unit:?}; write a number of bytes, or 64k, 1m, 1MiB")),
    };
    let number = number.parse::<u64>().map_err(|error| error.to_string())?;
    let bytes = number.checked_mul(1 << shift).ok_or("the number is too large")?;
    NonZeroU64::new(bytes).ok_or_else(|| "the number must be at least 1".to_owned())
}
