//! Scenarios. Each file has one kind of work, and defines the columns of its table.

mod bulk;
mod connect;
mod echo;
mod idle;
mod opening;
mod requests;
mod scaling;
mod sizes;
mod stalled;

use clap::ValueEnum;

use crate::{
    Result,
    figures::{Column, Figures},
    http2::Http2,
    trial::Trial,
};

pub(crate) use scaling::STEPS;
pub(crate) use sizes::Sizes;

/// Number of tunnels that are opened concurrently.
const CONCURRENCY: usize = 64;

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Memory and CPU time of idle tunnels
    Idle,
    /// The same with tunnels as streams of one HTTP/2 connection
    IdleH2,
    /// The same to an HTTP/2 upstream
    IdleH2Upstream,
    /// Echoes of 125 bytes
    EchoSmall,
    /// The same with tunnels as streams of four HTTP/2 connections
    EchoH2,
    /// The same to an HTTP/2 upstream
    EchoH2Upstream,
    /// Echoes of 64 KiB
    EchoLarge,
    /// Bulk transfer from the upstream
    Bulk,
    /// Bulk transfer to the upstream
    BulkUp,
    /// Opening a tunnel, one echo, closing it
    Connect,
    /// Ordinary GET requests on persistent connections
    Requests,
    /// Memory of tunnels with a client that does not read
    Stalled,
    /// Memory, echoes and new connections with this number of open tunnels
    #[value(skip)]
    Scaling(usize),
}

/// Table of the report: a description of the work, and the columns. The first column is compared.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sheet {
    pub(crate) name: String,
    pub(crate) heading: String,
    pub(crate) columns: Vec<Column>,
    /// Name of the sheet with the same work without HTTP/2.
    #[serde(default, rename = "beside")]
    pub(crate) baseline: Option<String>,
}

impl Scenario {
    pub(crate) fn name(self) -> String {
        match (self, self.to_possible_value()) {
            (Self::Scaling(tunnels), _) => format!("scaling-{tunnels}"),
            (_, value) => value.map(|value| value.get_name().to_owned()).unwrap_or_default(),
        }
    }

    /// Returns true if the scenario is meaningful without a proxy.
    pub(crate) fn applies_to_direct(self) -> bool {
        match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream | Self::Stalled | Self::Scaling(_) => false,
            // The client uses HTTP/1.1, so this would be `EchoSmall`.
            Self::EchoH2Upstream => false,
            _ => true,
        }
    }

    /// Side with HTTP/2.
    pub(crate) fn http2(self) -> Http2 {
        match self {
            Self::IdleH2 | Self::EchoH2 => Http2::Client,
            Self::IdleH2Upstream | Self::EchoH2Upstream => Http2::Upstream,
            _ => Http2::Neither,
        }
    }

    /// Scenario with the same work without HTTP/2.
    fn baseline(self) -> Option<Self> {
        match self {
            Self::EchoH2 | Self::EchoH2Upstream => Some(Self::EchoSmall),
            _ => None,
        }
    }

    /// Number of concurrent tunnels, or 0 if it is only a few dozen.
    pub(crate) fn tunnels(self, sizes: &Sizes) -> usize {
        match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream => sizes.tunnels,
            Self::Stalled => sizes.stalled,
            Self::Scaling(tunnels) => tunnels,
            _ => 0,
        }
    }

    pub(crate) fn sheet(self, sizes: &Sizes) -> Sheet {
        let (heading, columns) = match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream => idle::sheet(sizes, self.http2()),
            Self::EchoSmall | Self::EchoH2 | Self::EchoH2Upstream => {
                echo::sheet(sizes, &echo::SMALL, self.http2())
            }
            Self::EchoLarge => echo::sheet(sizes, &echo::LARGE, Http2::Neither),
            Self::Bulk => bulk::sheet(sizes, bulk::Direction::Down),
            Self::BulkUp => bulk::sheet(sizes, bulk::Direction::Up),
            Self::Connect => connect::sheet(sizes),
            Self::Requests => requests::sheet(sizes),
            Self::Stalled => stalled::sheet(sizes),
            Self::Scaling(tunnels) => scaling::sheet(sizes, tunnels),
        };
        let columns = columns.iter().map(|(key, title)| Column::new(key, title)).collect();
        Sheet { name: self.name(), heading, columns, baseline: self.baseline().map(Self::name) }
    }

    pub(crate) async fn measure(self, trial: &Trial, sizes: &Sizes) -> Result<Figures> {
        match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream => idle::measure(trial, sizes).await,
            Self::EchoSmall | Self::EchoH2 | Self::EchoH2Upstream => {
                echo::measure(trial, sizes, &echo::SMALL).await
            }
            Self::EchoLarge => echo::measure(trial, sizes, &echo::LARGE).await,
            Self::Bulk => bulk::measure(trial, sizes, bulk::Direction::Down).await,
            Self::BulkUp => bulk::measure(trial, sizes, bulk::Direction::Up).await,
            Self::Connect => connect::measure(trial, sizes).await,
            Self::Requests => requests::measure(trial, sizes).await,
            Self::Stalled => stalled::measure(trial, sizes).await,
            Self::Scaling(tunnels) => scaling::measure(trial, sizes, tunnels).await,
        }
    }
}

/// Heading of a sheet, and keys and titles of its columns.
type Layout = (String, &'static [(&'static str, &'static str)]);
