//! Figures, and the checks on them.

use std::time::Duration;

/// Limit of the median of the round-trip times of live tunnels, whatever the others do; in a debug build, which takes several
/// times as long, only a failure of the principle exceeds it.
const ECHO_LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 10 });

/// Sorted round-trip times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Smallest value that is not exceeded by the given share; zero without any.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(0.5)
    }

    /// Median, 99th percentile and maximum in milliseconds.
    pub(crate) fn describe(&self) -> String {
        let [median, high, max] = [0.5, 0.99, 1.0].map(|share| milliseconds(self.percentile(share)));
        format!("{median} / {high} / {max} ms")
    }
}

/// Results of a scenario.
#[derive(Default)]
pub(crate) struct Sheet {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) checks: Vec<Check>,
    pub(crate) notes: Vec<String>,
}

/// Condition of a figure.
pub(crate) struct Check {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

impl Sheet {
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), ..Self::default() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub(crate) fn check(&mut self, holds: bool, text: String) {
        self.checks.push(Check { text, holds });
    }

    /// Checks that live tunnels were not slowed down.
    pub(crate) fn check_echo(&mut self, when: &str, echo: &Latencies) {
        let text = format!("{when}: median of the echo {} ms", milliseconds(echo.median()));
        self.check(echo.median() < ECHO_LIMIT, text);
    }

    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

/// Milliseconds with the digits that matter.
pub(crate) fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1e3;
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// Seconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let times = Latencies::new((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(times.median(), Duration::from_millis(100));
        assert_eq!(times.percentile(0.99), Duration::from_millis(198));
        assert_eq!(times.describe(), "100 / 198 / 200 ms");
        assert_eq!(Latencies::default().median(), Duration::ZERO);
    }
}
