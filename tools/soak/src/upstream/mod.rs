//! The upstreams: one works, one is faulty, one stops and starts again, and one is unreachable.

pub(crate) mod faulty;
mod outage;
mod working;

use std::{io, net::SocketAddr};

use test_support::ReservedPort;
use tokio::task::JoinSet;

/// The upstreams, which end when this is dropped.
pub(crate) struct Upstreams {
    routes: [(&'static str, SocketAddr); 4],
    _unreachable: ReservedPort,
    _running: JoinSet<()>,
}

impl Upstreams {
    pub(crate) async fn start() -> io::Result<Self> {
        let unreachable = ReservedPort::new();
        let mut running = JoinSet::new();
        let routes = [
            ("/", working::start(&mut running).await?),
            ("/faulty/", faulty::start(&mut running).await?),
            ("/outage/", outage::start(&mut running)),
            ("/refuse/", unreachable.address),
        ];
        Ok(Self { routes, _unreachable: unreachable, _running: running })
    }

    pub(crate) fn routes(&self) -> [(&'static str, SocketAddr); 4] {
        self.routes
    }
}
