//! Figures of a measurement, and statistics over several.

use std::{collections::BTreeMap, time::Duration};

use crate::usage::Cpu;

/// Figures by the key of their column.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Column of a report.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Column {
    pub(crate) key: String,
    /// Title with the unit.
    pub(crate) title: String,
}

impl Column {
    pub(crate) fn new(key: &str, title: &str) -> Self {
        Self { key: key.to_owned(), title: title.to_owned() }
    }
}

/// Completed work, in units that depend on the scenario.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) units: f64,
    pub(crate) elapsed: Duration,
    /// CPU time of the proxy; `None` without a proxy.
    pub(crate) cpu: Option<Cpu>,
}

impl Work {
    /// Returns `cpu`, `user` and `system` in seconds per unit, multiplied by `scale` (1e6 for microseconds), and `rate` in
    /// units per second.
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

/// Adds the percentiles `p50` and `p99` of the latencies, in microseconds.
pub(crate) fn with_latency(mut figures: Figures, mut latencies: Vec<Duration>) -> Figures {
    latencies.sort_unstable();
    for (key, share) in [("p50", 0.50), ("p99", 0.99)] {
        if let Some(latency) = percentile(&latencies, share) {
            figures.insert(key.to_owned(), latency.as_secs_f64() * 1e6);
        }
    }
    figures
}

/// Smallest value that is not exceeded by the given share of the sorted values.
fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Middle value, or mean of the two middle values.
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
    fn median_is_the_middle_value() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn percentiles_are_measured_values() {
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
