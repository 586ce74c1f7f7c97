//! The tunnels that are open, and how they are ended from outside.

mod config;
mod drain;
mod drain_summary;
mod registration;
#[allow(clippy::module_inception, reason = "prototype")]
mod registry;
mod schedule;
mod status;
mod tracker;
pub(crate) mod tunnels;
mod watcher;

pub use config::DrainConfig;
pub use drain::Drain;
pub use drain_summary::DrainSummary;
pub(crate) use registration::Registration;
pub use status::TunnelStatus;
pub use tunnels::Tunnels;
pub(crate) use watcher::HandshakeGuard;
pub use watcher::Watcher;
