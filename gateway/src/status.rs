//! `--status`: current numbers of tunnels and tasks, for operators.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Response, StatusCode};
use tokio::runtime::{Handle, RuntimeMetrics};
use tower_upgrade_proxy::Tunnels;

use crate::{Body, plain};

/// Counts of all workers together.
#[derive(Clone)]
pub(crate) struct Status {
    tunnels: Tunnels,
    workers: Arc<Mutex<Vec<RuntimeMetrics>>>,
}

impl Status {
    pub(crate) fn new(tunnels: &Tunnels) -> Self {
        Self { tunnels: tunnels.clone(), workers: Arc::default() }
    }

    /// Adds the calling worker to the counts.
    pub(crate) fn add_worker(&self) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Handle::current().metrics());
    }

    /// Response in Prometheus's text format.
    pub(crate) fn report(&self, method: &Method) -> Response<Body> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "405 Method Not Allowed: only GET is served here\n",
            );
        }
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = workers.len();
        let tasks = workers.iter().map(RuntimeMetrics::num_alive_tasks).sum::<usize>();
        plain(
            StatusCode::OK,
            &format!(
                "# HELP gateway_tunnels Open tunnels, from the verified 101 to the end.\n\
                 # TYPE gateway_tunnels gauge\n\
                 gateway_tunnels {}\n\
                 # HELP gateway_tasks Tasks of all workers: connections, tunnels, listeners.\n\
                 # TYPE gateway_tasks gauge\n\
                 gateway_tasks {tasks}\n\
                 # HELP gateway_workers Worker threads.\n\
                 # TYPE gateway_workers gauge\n\
                 gateway_workers {number}\n",
                self.tunnels.len()
            ),
        )
    }
}
