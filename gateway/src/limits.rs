//! The options for how many tunnels and handshakes there may be.

use clap::Args;
use tower_upgrade_proxy::UpgradeProxyLayer;

/// A limit of the layer.
type Set = fn(UpgradeProxyLayer, usize) -> UpgradeProxyLayer;

#[derive(Args)]
pub(crate) struct Limits {
    /// Answer 503 when this many tunnels are open [default: 65536]
    #[arg(long, value_name = "N")]
    max_tunnels: Option<usize>,

    /// Answer 429 when this many tunnels of one client are open; a client is an IPv4 address, or the /64 of
    /// an IPv6 address, behind the proxies of --trust too [default: no limit]
    #[arg(long, value_name = "N")]
    max_tunnels_per_client: Option<usize>,

    /// Answer 503 when this many tunnels to one upstream are open [default: no limit]
    #[arg(long, value_name = "N")]
    max_tunnels_per_upstream: Option<usize>,

    /// Answer 503 when this many upgrades wait for their upstream's answer [default: 1024]
    #[arg(long, value_name = "N")]
    max_handshakes: Option<usize>,
}

impl Limits {
    /// The layer with those that were given. All who clone it count together.
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
        let limits: [(Option<usize>, Set); 4] = [
            (self.max_tunnels, UpgradeProxyLayer::max_tunnels),
            (self.max_tunnels_per_client, UpgradeProxyLayer::max_tunnels_per_client),
            (self.max_tunnels_per_upstream, UpgradeProxyLayer::max_tunnels_per_upstream),
            (self.max_handshakes, UpgradeProxyLayer::max_handshakes),
        ];
        limits.into_iter().fold(layer, |layer, (limit, set)| match limit {
            Some(limit) => set(layer, limit),
            None => layer,
        })
    }
}
