//! `--status`: probes, and current numbers of tunnels and tasks, for operators.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::{Method, Response, StatusCode};
use tokio::runtime::{Handle, RuntimeMetrics};
use tower_upgrade_proxy::{EndpointState, EndpointStatus, Pool, Tunnels};

use crate::{
    Body,
    options::{Target, Upstreams},
    plain,
    shutdown::Shutdown,
};

/// Counts of all workers together.
#[derive(Clone)]
pub(crate) struct Status {
    tunnels: Tunnels,
    is_stopping: Arc<AtomicBool>,
    workers: Arc<Mutex<Vec<RuntimeMetrics>>>,
    /// Routes with several upstreams.
    pools: Arc<[(String, Pool)]>,
}

impl Status {
    pub(crate) fn new(shutdown: &Shutdown, targets: &[Target]) -> Self {
        let is_stopping = Arc::clone(shutdown.is_stopping());
        let pool = |target: &Target| match &target.upstream {
            Upstreams::One(_) => None,
            Upstreams::Several(pool) => Some((target.prefix.clone(), pool.clone())),
        };
        let pools = targets.iter().filter_map(pool).collect();
        Self { tunnels: shutdown.tunnels().clone(), is_stopping, workers: Arc::default(), pools }
    }

    /// Adds the calling worker to the counts.
    pub(crate) fn add_worker(&self) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Handle::current().metrics());
    }

    /// Response for this path: `/alive`, `/ready`, or the numbers in Prometheus's text format.
    pub(crate) fn report(&self, method: &Method, path: &str) -> Response<Body> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "405 Method Not Allowed: only GET is served here\n",
            );
        }
        match path {
            "/alive" => plain(StatusCode::OK, "alive\n"),
            "/ready" if self.is_stopping.load(Ordering::Relaxed) => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            }
            "/ready" => plain(StatusCode::OK, "ready\n"),
            _ => self.numbers(),
        }
    }

    fn numbers(&self) -> Response<Body> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = workers.len();
        let tasks = workers.iter().map(RuntimeMetrics::num_alive_tasks).sum::<usize>();
        let mut text = format!(
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
        );
        self.endpoints(&mut text);
        plain(StatusCode::OK, &text)
    }

    /// Adds the gauges of routes with several upstreams.
    fn endpoints(&self, text: &mut String) {
        if self.pools.is_empty() {
            return;
        }
        let endpoints: Vec<_> = self
            .pools
            .iter()
            .flat_map(|(route, pool)| pool.endpoints().into_iter().map(move |endpoint| (route, endpoint)))
            .collect();
        let mut gauge = |name: &str, help: &str, value: fn(&EndpointStatus) -> usize| {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
            for (route, endpoint) in &endpoints {
                let (route, id, value) = (escaped(route), escaped(endpoint.id()), value(endpoint));
                text.push_str(&format!("{name}{{route=\"{route}\",endpoint=\"{id}\"}} {value}\n"));
            }
        };
        gauge(
            "gateway_endpoint_load",
            "Open tunnels, handshakes and requests of an upstream on a route with several.",
            EndpointStatus::load,
        );
        gauge(
            "gateway_endpoint_ready",
            "1 if such an upstream is in use, 0 if it is left out because it has failed.",
            |endpoint| usize::from(endpoint.state() == EndpointState::Ready),
        );
    }
}

/// Escapes the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
