//! The numbers of one measurement, and what is made of many.

use std::{collections::BTreeMap, time::Duration};

use crate::usage::Cpu;

/// Numbers by the key of their column.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A column of a report.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Column {
    pub(crate) key: String,
    /// With the unit.
    pub(crate) title: String,
}

impl Column {
    pub(crate) fn new(key: &str, title: &str) -> Self {
        Self { key: key.to_owned(), title: title.to_owned() }
    }
}

/// Work that was done: so many units in this time.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) units: f64,
    pub(crate) elapsed: Duration,
    /// Of the proxy, if there is one.
    pub(crate) cpu: Option<Cpu>,
}

impl Work {
    /// `cpu`, `user`, `system` per unit, each times the scale (1e6 for microseconds), and `rate` per second.
    pub(crate) fn figures(&self, scale: f64) -> Figures {
        let mut figures = Figures::new();
        figures.insert("rate".to_owned(), self.units / self.elapsed.as_secs_f64());
        if let Some(cpu) = self.cpu {
            let per_unit = |seconds: f64| seconds * scale / self.units;
            figures.insert("cpu".to_owned(), per_unit(cpu.total));
            figures.insert("user".to_owned(), per_unit(cpu.total - cpu.in_kernel()));
            figures.insert("system".to_owned(), per_unit(cpu.in_kernel()));
        }
        figures
    }
}

/// Adds `p50` and `p99` in microseconds.
pub(crate) fn with_latency(mut figures: Figures, mut latencies: Vec<Duration>) -> Figures {
    latencies.sort_unstable();
    for (key, share) in [("p50", 0.50), ("p99", 0.99)] {
        if let Some(latency) = percentile(&latencies, share) {
            figures.insert(key.to_owned(), latency.as_secs_f64() * 1e6);
        }
    }
    figures
}

/// The smallest of these sorted values that this share does not exceed.
fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The value in the middle, or between the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    match values.len() % 2 {
        0 => Some(f64::midpoint(values[values.len() / 2 - 1], upper)),
        _ => Some(upper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<u32> = (1..=200).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99)), (Some(100), Some(198)));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
        assert_eq!(percentile(&[7], 0.99), Some(7));
    }

    #[test]
    fn work_is_divided_by_its_units() {
        let cpu = Cpu { total: 3.3, user: 1.0, system: 2.0 };
        let figures = Work { units: 1000.0, elapsed: Duration::from_secs(4), cpu: Some(cpu) }.figures(1e6);
        assert_eq!(
            (figures["cpu"].round(), figures["system"].round(), figures["rate"]),
            (3300.0, 2200.0, 250.0)
        );
    }
}
