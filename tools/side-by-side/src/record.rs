//! All that was measured, as it is kept in a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    figures::{Figures, median},
    machine::Machine,
    proxies::{Proxy, Side},
    scenario::Sheet,
};

/// One run of this program, or several.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: Machine,
    pub(crate) contestants: Vec<Contestant>,
    /// Peers that were not installed.
    pub(crate) missing: Vec<String>,
    pub(crate) sheets: Vec<Sheet>,
    pub(crate) measurements: Vec<Measurement>,
}

/// Who took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) side: Side,
}

/// One proxy in one scenario, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) sheet: String,
    pub(crate) proxy: String,
    pub(crate) round: usize,
    pub(crate) outcome: Outcome,
}

/// The figures, or why there are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Figures(Figures),
    Failed(String),
    /// It cannot do this.
    Unsupported,
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl From<&Proxy> for Contestant {
    fn from(proxy: &Proxy) -> Self {
        Self { name: proxy.name.clone(), version: proxy.version.clone(), side: proxy.side }
    }
}

impl Record {
    /// The median of a column; `None` if there is nothing, or if it failed once.
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
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Summary { median: median(values)?, least, most })
    }

    /// Why it failed, if it did once.
    pub(crate) fn failure(&self, sheet: &str, proxy: &str) -> Option<&str> {
        self.outcomes(sheet, proxy).find_map(|outcome| match outcome {
            Outcome::Failed(why) => Some(why.as_str()),
            Outcome::Figures(_) | Outcome::Unsupported => None,
        })
    }

    /// Whether it cannot do this.
    pub(crate) fn unsupported(&self, sheet: &str, proxy: &str) -> bool {
        self.outcomes(sheet, proxy).any(|outcome| matches!(outcome, Outcome::Unsupported))
    }

    fn outcomes(&self, sheet: &str, proxy: &str) -> impl Iterator<Item = &Outcome> {
        let these = self.measurements.iter().filter(move |it| it.sheet == sheet && it.proxy == proxy);
        these.map(|measurement| &measurement.outcome)
    }

    /// How many rounds there were.
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

    /// The rounds of all these runs as those of one. The first tells machine and versions.
    pub(crate) fn merged(files: &[PathBuf]) -> Result<Self> {
        let [first, others @ ..] = files else { return Err("merge: no files".into()) };
        let mut merged = Self::read(first)?;
        for file in others {
            let other = Self::read(file)?;
            let rounds = merged.rounds();
            let new =
                |contestant: &Contestant| !merged.contestants.iter().any(|it| it.name == contestant.name);
            let contestants: Vec<_> = other.contestants.into_iter().filter(new).collect();
            merged.contestants.extend(contestants);
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
