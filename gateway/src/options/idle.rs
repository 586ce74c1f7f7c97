//! Options for upstream connections that are kept for further requests.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tower_upgrade_proxy::{ConnectionAuth, UpgradeProxyLayer};

#[derive(Args)]
pub(crate) struct IdleConnections {
    /// Time that an idle connection to an upstream is kept for the next ordinary request (nginx's `keepalive_timeout` of
    /// an `upstream`); it may be up to twice as long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pool_idle_timeout: Duration,

    /// Maximum number of idle HTTP/1.1 connections to one upstream, for each worker and route (nginx's `keepalive`); 0 closes
    /// each after its request
    #[arg(long, value_name = "N", default_value = "128")]
    pool_max_idle_per_upstream: usize,

    /// Maximum number of idle HTTP/1.1 connections to all upstreams of a route together, for each worker
    #[arg(long, value_name = "N", default_value = "512")]
    pool_max_idle: usize,

    /// Use of upstream connections that NTLM or Negotiate has authenticated. private: for that client's connection only
    /// (nginx's `ntlm`). shared: for all clients, who then get the pages of the authenticated user
    #[arg(long, value_enum, value_name = "USE", default_value = "private")]
    connection_auth: AuthPolicy,
}

#[derive(Clone, Copy, ValueEnum)]
enum AuthPolicy {
    Private,
    Shared,
}

impl IdleConnections {
    /// Sets the options on the layer.
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
        let auth = match self.connection_auth {
            AuthPolicy::Private => ConnectionAuth::Private,
            AuthPolicy::Shared => ConnectionAuth::Shared,
        };
        layer
            .pool_idle_timeout(self.pool_idle_timeout)
            .pool_max_idle_per_upstream(self.pool_max_idle_per_upstream)
            .pool_max_idle(self.pool_max_idle)
            .connection_auth(auth)
    }
}
