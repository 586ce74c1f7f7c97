//! Options that limit the number of tunnels, handshakes and requests.

use clap::Args;
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Setter of a limit of the layer.
type Set = fn(UpgradeProxyLayer, usize) -> UpgradeProxyLayer;

#[derive(Args)]
pub(crate) struct Limits {
    /// Maximum number of open tunnels; 503 above it [default: 65536]
    #[arg(long, value_name = "N")]
    max_tunnels: Option<usize>,

    /// Maximum number of open tunnels per client; 429 above it. A client is an IPv4 address, or the /64 of
    /// an IPv6 address, also behind the proxies of --trust [default: no limit]
    #[arg(long, value_name = "N")]
    max_tunnels_per_client: Option<usize>,

    /// Maximum number of open tunnels per upstream; 503 above it [default: no limit]
    #[arg(long, value_name = "N")]
    max_tunnels_per_upstream: Option<usize>,

    /// Maximum number of upgrades that wait for their upstream's response; 503 above it [default: 1024]
    #[arg(long, value_name = "N")]
    max_handshakes: Option<usize>,

    /// Maximum number of ordinary requests in progress; 503 above it. Event streams and long polls count as long as they are
    /// open [default: 4096]
    #[arg(long, value_name = "N")]
    max_requests: Option<usize>,
}

/// Maximum number of open tunnels without the option.
const DEFAULT_TUNNELS: usize = 65_536;

impl Limits {
    /// Maximum number of open tunnels.
    pub(crate) fn tunnels(&self) -> usize {
        self.max_tunnels.unwrap_or(DEFAULT_TUNNELS)
    }

    /// Sets the given limits on the layer. Clones of the layer share their counts.
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
        let limits: [(Option<usize>, Set); 5] = [
            (self.max_tunnels, UpgradeProxyLayer::max_tunnels),
            (self.max_tunnels_per_client, UpgradeProxyLayer::max_tunnels_per_client),
            (self.max_tunnels_per_upstream, UpgradeProxyLayer::max_tunnels_per_upstream),
            (self.max_handshakes, UpgradeProxyLayer::max_handshakes),
            (self.max_requests, UpgradeProxyLayer::max_requests),
        ];
        limits.into_iter().fold(layer, |layer, (limit, set)| match limit {
            Some(limit) => set(layer, limit),
            None => layer,
        })
    }
}
