//! Options for open tunnels.

use std::{num::NonZeroU64, time::Duration};

use clap::{Args, ValueEnum};
use tower_upgrade_proxy::{ClosePolicy, KeepAlive, RateLimit, Side, TunnelConfig, UpgradeProxyLayer};

use super::values::{Limit, bytes};

#[derive(Args)]
pub(crate) struct TunnelOptions {
    /// End a tunnel after this time without a byte in either direction, or `off`
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    idle_timeout: Limit,

    /// Ping both sides of a WebSocket at three quarters of --idle-timeout, so that it stays open as long as one of them answers
    #[arg(long)]
    idle_probe: bool,

    /// End a half-closed tunnel after this time without a byte from the open side, or `off`
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    half_close_timeout: Limit,

    /// Maximum age of a tunnel, or `off`
    #[arg(long, value_name = "DURATION", default_value = "off")]
    max_lifetime: Limit,

    /// Ping each side of a WebSocket from which nothing was received for this time; the answers count for --idle-timeout
    /// [default: no pings]
    #[arg(long, value_name = "INTERVAL", value_parser = humantime::parse_duration)]
    ping: Option<Duration>,

    /// End a WebSocket if a side sends nothing for this time after a ping [default: 20s]
    #[arg(long, value_name = "DURATION", requires = "ping", value_parser = humantime::parse_duration)]
    ping_timeout: Option<Duration>,

    /// Close that a client gets when the gateway ends its WebSocket, or its upstream has gone. none: the connection ends, as with
    /// nginx, and all clients that reconnect at all do so. restart: 1012 on SIGTERM and at --max-lifetime. going-away: 1001,
    /// and 1011 if the upstream has gone. Upstreams get 1001
    #[arg(long, value_enum, value_name = "POLICY", default_value = "none")]
    close: Close,

    /// End a WebSocket with Close 1009 at a message with more bytes than this, as they are sent (compressed or not); units
    /// k, m and g [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_message_size: Option<NonZeroU64>,

    /// Maximum bytes per second of each direction of a tunnel, with bursts of a tenth of it, but at least 16 KiB; units k, m
    /// and g [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    rate_limit: Option<NonZeroU64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Close {
    None,
    Restart,
    GoingAway,
}

impl Close {
    fn policy(self) -> ClosePolicy {
        match self {
            Self::None => ClosePolicy::transparent(),
            Self::Restart => ClosePolicy::service_restart(),
            Self::GoingAway => ClosePolicy::going_away(),
        }
    }
}

impl TunnelOptions {
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
        let mut pings = KeepAlive::new().client(self.ping).upstream(self.ping);
        if let Some(timeout) = self.ping_timeout {
            pings = pings.timeout(timeout);
        }
        let rate = self.rate_limit.map(RateLimit::bytes_per_second);
        let tunnel = TunnelConfig::new()
            .idle_timeout(self.idle_timeout.0)
            .half_close_timeout(self.half_close_timeout.0)
            .max_lifetime(self.max_lifetime.0)
            .keep_alive(pings)
            .close_policy(self.close.policy())
            .max_message_size(self.max_message_size.map(NonZeroU64::get))
            .rate_limit(Side::Client, rate)
            .rate_limit(Side::Upstream, rate);
        layer.tunnel(if self.idle_probe { tunnel.idle_probe() } else { tunnel })
    }
}
