//! What is measured. Each file is one kind of work, and says what its figures are.

mod bulk;
mod connect;
mod echo;
mod idle;
mod requests;
mod scaling;
mod sizes;
mod stalled;

use std::{net::SocketAddr, sync::Arc};

use clap::ValueEnum;

use crate::{
    Result,
    figures::{Column, Figures},
    trial::{Trial, at_once},
    websocket::{Check, Message, WebSocket},
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
    /// Messages of 125 bytes there and back
    EchoSmall,
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
        !matches!(self, Self::Idle | Self::Stalled | Self::Scaling(_))
    }

    /// How many tunnels it holds open, if they are more than a few dozen.
    pub(crate) fn tunnels(self, sizes: &Sizes) -> usize {
        match self {
            Self::Idle => sizes.tunnels,
            Self::Stalled => sizes.stalled,
            Self::Scaling(tunnels) => tunnels,
            _ => 0,
        }
    }

    pub(crate) fn sheet(self, sizes: &Sizes) -> Sheet {
        let (heading, columns) = match self {
            Self::Idle => idle::sheet(sizes),
            Self::EchoSmall => echo::sheet(sizes, &echo::SMALL),
            Self::EchoLarge => echo::sheet(sizes, &echo::LARGE),
            Self::Bulk => bulk::sheet(sizes, bulk::Way::Down),
            Self::BulkUp => bulk::sheet(sizes, bulk::Way::Up),
            Self::Connect => connect::sheet(sizes),
            Self::Requests => requests::sheet(sizes),
            Self::Stalled => stalled::sheet(sizes),
            Self::Scaling(tunnels) => scaling::sheet(sizes, tunnels),
        };
        let columns = columns.iter().map(|(key, title)| Column::new(key, title)).collect();
        Sheet { name: self.name(), heading, columns }
    }

    pub(crate) async fn measure(self, trial: &Trial, sizes: &Sizes) -> Result<Figures> {
        match self {
            Self::Idle => idle::measure(trial, sizes).await,
            Self::EchoSmall => echo::measure(trial, sizes, &echo::SMALL).await,
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

/// Opens so many tunnels to `/echo`, each with this message there and back, compared byte by byte.
async fn open_echoes(address: SocketAddr, count: usize, message: &Arc<Message>) -> Result<Vec<WebSocket>> {
    let share = move |task: usize| count / WAVE + usize::from(task < count % WAVE);
    let task = |task: usize| {
        let message = Arc::clone(message);
        async move {
            let mut opened = Vec::with_capacity(share(task));
            for _ in 0..share(task) {
                let mut tunnel = WebSocket::open(address, "/echo").await?;
                tunnel.echo(&message, Check::Whole).await?;
                opened.push(tunnel);
            }
            Ok(opened)
        }
    };
    Ok(at_once((0..WAVE).map(task)).await?.into_iter().flatten().collect())
}
