//! What is measured. Each file is one kind of work, and says what its figures are.

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

/// Tunnels that are opened at the same time.
const WAVE: usize = 64;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Memory and CPU time of tunnels that are open and silent
    Idle,
    /// The same as streams of one HTTP/2 connection
    IdleH2,
    /// The same to an upstream that speaks HTTP/2
    IdleH2Upstream,
    /// Messages of 125 bytes there and back
    EchoSmall,
    /// The same as streams of four HTTP/2 connections
    EchoH2,
    /// The same to an upstream that speaks HTTP/2
    EchoH2Upstream,
    /// Messages of 64 KiB there and back
    EchoLarge,
    /// A long stream from the upstream
    Bulk,
    /// A long stream to the upstream
    BulkUp,
    /// Open, one message there and back, close
    Connect,
    /// Ordinary GET requests on connections that stay
    Requests,
    /// Memory of tunnels whose client does not read
    Stalled,
    /// Memory, messages and new connections with so many tunnels open
    #[value(skip)]
    Scaling(usize),
}

/// A table of the report: what was done, and the columns. The first is the one that is compared.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sheet {
    pub(crate) name: String,
    pub(crate) heading: String,
    pub(crate) columns: Vec<Column>,
    /// The sheet whose first column is the same without HTTP/2.
    #[serde(default)]
    pub(crate) beside: Option<String>,
}

impl Scenario {
    pub(crate) fn name(self) -> String {
        match (self, self.to_possible_value()) {
            (Self::Scaling(tunnels), _) => format!("scaling-{tunnels}"),
            (_, value) => value.map(|value| value.get_name().to_owned()).unwrap_or_default(),
        }
    }

    /// Whether it says anything without a proxy.
    pub(crate) fn suits_direct(self) -> bool {
        match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream | Self::Stalled | Self::Scaling(_) => false,
            // Its client speaks HTTP/1.1: that would be `EchoSmall`.
            Self::EchoH2Upstream => false,
            _ => true,
        }
    }

    /// Who speaks HTTP/2.
    pub(crate) fn http2(self) -> Http2 {
        match self {
            Self::IdleH2 | Self::EchoH2 => Http2::Client,
            Self::IdleH2Upstream | Self::EchoH2Upstream => Http2::Upstream,
            _ => Http2::Neither,
        }
    }

    /// The scenario that does the same without.
    fn beside(self) -> Option<Self> {
        match self {
            Self::EchoH2 | Self::EchoH2Upstream => Some(Self::EchoSmall),
            _ => None,
        }
    }

    /// How many tunnels it holds open, if they are more than a few dozen.
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
            Self::Bulk => bulk::sheet(sizes, bulk::Way::Down),
            Self::BulkUp => bulk::sheet(sizes, bulk::Way::Up),
            Self::Connect => connect::sheet(sizes),
            Self::Requests => requests::sheet(sizes),
            Self::Stalled => stalled::sheet(sizes),
            Self::Scaling(tunnels) => scaling::sheet(sizes, tunnels),
        };
        let columns = columns.iter().map(|(key, title)| Column::new(key, title)).collect();
        Sheet { name: self.name(), heading, columns, beside: self.beside().map(Self::name) }
    }

    pub(crate) async fn measure(self, trial: &Trial, sizes: &Sizes) -> Result<Figures> {
        match self {
            Self::Idle | Self::IdleH2 | Self::IdleH2Upstream => idle::measure(trial, sizes).await,
            Self::EchoSmall | Self::EchoH2 | Self::EchoH2Upstream => {
                echo::measure(trial, sizes, &echo::SMALL).await
            }
            Self::EchoLarge => echo::measure(trial, sizes, &echo::LARGE).await,
            Self::Bulk => bulk::measure(trial, sizes, bulk::Way::Down).await,
            Self::BulkUp => bulk::measure(trial, sizes, bulk::Way::Up).await,
            Self::Connect => connect::measure(trial, sizes).await,
            Self::Requests => requests::measure(trial, sizes).await,
            Self::Stalled => stalled::measure(trial, sizes).await,
            Self::Scaling(tunnels) => scaling::measure(trial, sizes, tunnels).await,
        }
    }
}

/// What a sheet is made of: the heading, and keys and titles.
type Outline = (String, &'static [(&'static str, &'static str)]);
