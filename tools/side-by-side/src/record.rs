//! Record of all measurements, and its file format.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    figures::{Figures, median},
    machine::Machine,
    proxies::{Proxy, Role},
    scenario::Sheet,
};

/// Measurements of one or more runs of this program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: Machine,
    #[serde(rename = "contestants")]
    pub(crate) proxies: Vec<ProxyInfo>,
    /// Messages about proxies that were not installed.
    pub(crate) missing: Vec<String>,
    pub(crate) sheets: Vec<Sheet>,
    pub(crate) measurements: Vec<Measurement>,
}

/// Identification of a measured proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProxyInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(rename = "side")]
    pub(crate) role: Role,
}

/// Single measurement of one proxy in one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) sheet: String,
    pub(crate) proxy: String,
    pub(crate) round: usize,
    pub(crate) outcome: Outcome,
}

/// Result of a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Figures(Figures),
    /// The error message.
    Failed(String),
    /// The proxy does not support the scenario.
    Unsupported,
}

/// Median and range of a figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl From<&Proxy> for ProxyInfo {
    fn from(proxy: &Proxy) -> Self {
        Self { name: proxy.name.clone(), version: proxy.version.clone(), role: proxy.role }
    }
}

impl Record {
    /// Summary of a column; `None` without a figure, or if a measurement failed.
    pub(crate) fn summary(&self, sheet: &str, proxy: &str, key: &str) -> Option<Summary> {
        if self.failure(sheet, proxy).is_some() {
            return None;
        }
        let values: Vec<f64> = self
            .outcomes(sheet, proxy)
            .filter_map(|outcome| match outcome {
                Outcome::Figures(figures) => figures.get(key).copied(),
                Outcome::Failed(_) | Outcome::Unsupported => None,
            })
            .collect();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Summary { median: median(values)?, min, max })
    }

    /// Error message of the first failed measurement.
    pub(crate) fn failure(&self, sheet: &str, proxy: &str) -> Option<&str> {
        self.outcomes(sheet, proxy).find_map(|outcome| match outcome {
            Outcome::Failed(error) => Some(error.as_str()),
            Outcome::Figures(_) | Outcome::Unsupported => None,
        })
    }

    /// Returns true if the proxy does not support the scenario.
    pub(crate) fn unsupported(&self, sheet: &str, proxy: &str) -> bool {
        self.outcomes(sheet, proxy).any(|outcome| matches!(outcome, Outcome::Unsupported))
    }

    fn outcomes(&self, sheet: &str, proxy: &str) -> impl Iterator<Item = &Outcome> {
        let matching = self.measurements.iter().filter(move |it| it.sheet == sheet && it.proxy == proxy);
        matching.map(|measurement| &measurement.outcome)
    }

    /// Number of rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.measurements.iter().map(|measurement| measurement.round).max().unwrap_or_default()
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        fs::write(file, json).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    fn read(file: &Path) -> Result<Self> {
        let json = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        serde_json::from_slice(&json).map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// Reads the records of several runs, and appends their rounds to those of the first, which also determines machine and
    /// versions.
    pub(crate) fn merged(files: &[PathBuf]) -> Result<Self> {
        let [first, others @ ..] = files else { return Err("merge: no files".into()) };
        let mut merged = Self::read(first)?;
        for file in others {
            let other = Self::read(file)?;
            let rounds = merged.rounds();
            let new = |proxy: &ProxyInfo| !merged.proxies.iter().any(|it| it.name == proxy.name);
            let proxies: Vec<_> = other.proxies.into_iter().filter(new).collect();
            merged.proxies.extend(proxies);
            let new = |sheet: &Sheet| !merged.sheets.iter().any(|it| it.name == sheet.name);
            let sheets: Vec<_> = other.sheets.into_iter().filter(new).collect();
            merged.sheets.extend(sheets);
            let later =
                |measurement: Measurement| Measurement { round: measurement.round + rounds, ..measurement };
            merged.measurements.extend(other.measurements.into_iter().map(later));
        }
        Ok(merged)
    }
}
