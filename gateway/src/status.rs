//! `--status`: how much there is at the moment, for who watches over the program.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Response, StatusCode};
use tokio::runtime::{Handle, RuntimeMetrics};
use tower_upgrade_proxy::Tunnels;

use crate::{Body, plain};

/// The counts of all workers together.
#[derive(Clone)]
pub(crate) struct Status {
    tunnels: Tunnels,
    workers: Arc<Mutex<Vec<RuntimeMetrics>>>,
}

impl Status {
    pub(crate) fn new(tunnels: &Tunnels) -> Self {
        Self { tunnels: tunnels.clone(), workers: Arc::default() }
    }

    /// From here on the worker that calls this is counted.
    pub(crate) fn join(&self) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Handle::current().metrics());
    }

    /// In Prometheus's text format.
    pub(crate) fn answer(&self) -> Response<Body> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = workers.len();
        let tasks = workers.iter().map(RuntimeMetrics::num_alive_tasks).sum::<usize>();
        plain(
            StatusCode::OK,
            &format!(
                "# HELP gateway_tunnels Tunnels that stand, from the verified 101 to the end.\n\
                 # TYPE gateway_tunnels gauge\n\
                 gateway_tunnels {}\n\
                 # HELP gateway_tasks Tasks of all workers: connections, tunnels, listeners.\n\
                 # TYPE gateway_tasks gauge\n\
                 gateway_tasks {tasks}\n\
                 # HELP gateway_workers Threads that serve.\n\
                 # TYPE gateway_workers gauge\n\
                 gateway_workers {number}\n",
                self.tunnels.len()
            ),
        )
    }
}
