//! Upstreams: one that works, one with faulty responses, one that restarts, and a port without a listener.

pub(crate) mod faulty;
mod restarting;
mod working;

use std::{io, net::SocketAddr};

use test_support::ReservedPort;
use tokio::task::JoinSet;

/// All upstreams; they end when this is dropped.
pub(crate) struct Upstreams {
    routes: [(&'static str, SocketAddr); 4],
    _refusing: ReservedPort,
    _running: JoinSet<()>,
}

impl Upstreams {
    pub(crate) async fn start() -> io::Result<Self> {
        let refusing = ReservedPort::new();
        let mut running = JoinSet::new();
        let routes = [
            ("/", working::start(&mut running).await?),
            ("/faulty/", faulty::start(&mut running).await?),
            ("/outage/", restarting::start(&mut running)),
            ("/refuse/", refusing.address),
        ];
        Ok(Self { routes, _refusing: refusing, _running: running })
    }

    pub(crate) fn routes(&self) -> [(&'static str, SocketAddr); 4] {
        self.routes
    }
}
