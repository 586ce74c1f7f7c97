//! The tunnels that are open, and how they are ended from outside.

mod config;
mod drain;
mod drain_summary;
mod plan;
mod presence;
#[allow(clippy::module_inception, reason = "prototype")]
mod registry;
mod status;
mod tally;
pub(crate) mod tunnels;
mod watcher;

pub use config::DrainConfig;
pub use drain::Drain;
pub use drain_summary::DrainSummary;
pub(crate) use presence::Presence;
pub use status::TunnelStatus;
pub use tunnels::Tunnels;
pub(crate) use watcher::Pass;
pub use watcher::Watcher;
