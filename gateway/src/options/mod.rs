//! Command line.

mod balance;
mod clients;
mod idle;
mod route;
mod trust;
mod tunnels;
mod values;

use std::{error::Error, net::SocketAddr, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use ipnet::IpNet;
use tower_upgrade_proxy::{
    Forwarded, Host, InvalidProtocol, Pool, Protocol, Protocols, UpgradeProxyLayer, Upstream,
};

use balance::Balancing;
use clients::Clients;
use idle::IdleConnections;
use route::Route;
use trust::Trust;
use tunnels::TunnelOptions;
use values::Limit;

use crate::{limits::Limits, origins::Origins, serve::Http, shutdown::Times};

/// Gateway that routes requests to upstreams by path prefix; upgrades (WebSocket, and the protocols of --allow)
/// become tunnels
#[derive(Parser)]
#[command(
    name = "upgrade-gateway",
    version,
    after_help = "Log lines go to stderr, and are lost and counted if nobody reads it. Of repeated warnings, one a second is \
                  written, with the number of the others. RUST_LOG=debug writes all of them, and adds a line for each tunnel that \
                  opens or ends, and for each refused request."
)]
pub(crate) struct Options {
    /// Address to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Upstream for paths that start with PREFIX; repeatable, the longest prefix wins. UPSTREAM
    /// is `http://HOST:PORT`, `https://HOST` or `unix:/PATH`. Several upstreams, with commas between them, share the tunnels and
    /// requests; `;weight=N` after one is its share [default: 1]
    #[arg(long = "route", value_name = "PREFIX=UPSTREAM", required = true)]
    routes: Vec<Route>,

    #[command(flatten)]
    balancing: Balancing,

    /// Worker threads, each with its own listening socket and runtime [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// Strip the route's prefix from the path of forwarded requests
    #[arg(long)]
    pub(crate) strip_prefix: bool,

    /// Serve https and wss with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Address of a plain http listener that redirects to https
    #[arg(long, value_name = "ADDR", requires = "tls_cert")]
    pub(crate) redirect_http: Option<SocketAddr>,

    /// Address of a listener that reports the number of tunnels and tasks in Prometheus's text format (nginx's
    /// `stub_status`), without authentication. `/alive` answers 200, and `/ready` 200, or 503 from SIGTERM on; it answers until
    /// the process exits
    #[arg(long, value_name = "ADDR")]
    pub(crate) status: Option<SocketAddr>,

    /// Host field for upstreams: the client's (preserve), or the address of the upstream (upstream)
    #[arg(long, value_enum, default_value = "preserve")]
    host: HostPolicy,

    /// Fields about the client that are added for upstreams. nginx: X-Real-IP, X-Forwarded-For and -Proto. all: these,
    /// X-Forwarded-Host and -Prefix, Forwarded and Via
    #[arg(long, value_enum, default_value = "none")]
    forwarded: ForwardedPolicy,

    /// Peers whose X-Forwarded-* and similar fields are trusted, for the client's address and scheme; repeatable. With
    /// --forwarded, valid values of these peers are kept, and X-Real-IP is the client's address
    #[arg(long = "trust", value_name = "CIDR")]
    trusted: Vec<IpNet>,

    /// Protocol to allow in addition to websocket, with any method and a request body; repeatable
    #[arg(long = "allow", value_name = "PROTOCOL", value_parser = protocol)]
    allowed: Vec<Protocol>,

    #[command(flatten)]
    origins: Origins,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    clients: Clients,

    #[command(flatten)]
    tunnels: TunnelOptions,

    #[command(flatten)]
    trust: Trust,

    /// Use HTTP/2 to upstreams: `always` (without TLS, by prior knowledge), or `auto` (if ALPN selects it)
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_value = "never",
        default_missing_value = "always"
    )]
    http2_upstream: Http2Upstream,

    /// Timeout for connecting to an upstream
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    connect_timeout: Duration,

    /// Timeout for an upstream's response to an upgrade
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    handshake_timeout: Duration,

    /// Timeout for the head of an upstream's response to an ordinary request
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    header_timeout: Duration,

    /// Timeout for the next part of an upstream's response body, or `off`
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    body_timeout: Limit,

    #[command(flatten)]
    idle: IdleConnections,

    /// Grace period for tunnels and requests on SIGTERM or Ctrl-C, after which the remaining ones are aborted; a second
    /// signal aborts them immediately. Kubernetes kills a process after 30 s
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = humantime::parse_duration)]
    drain: Duration,

    /// Grace period for ordinary requests, at most --drain, after which the remaining ones are aborted; on HTTP/2 connections
    /// with tunnels they have --drain
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    drain_requests: Duration,

    /// Time from SIGTERM to the drain, in which everything is still served, but `/ready` on the --status address answers 503, so
    /// that a load balancer sends new clients elsewhere
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    lame_duck: Duration,

    /// Time over which tunnels are ended on SIGTERM, at most half of --drain, so that clients do not all reconnect at once
    /// [default: a second for each 2000 tunnels, and at least one]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    drain_jitter: Option<Duration>,
}

/// A route with what its requests go to. Workers share it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) prefix: String,
    pub(crate) upstream: Upstreams,
}

#[derive(Clone)]
pub(crate) enum Upstreams {
    One(Upstream),
    Several(Pool),
}

#[derive(Clone, ValueEnum)]
enum Http2Upstream {
    Never,
    Auto,
    Always,
}

#[derive(Clone, ValueEnum)]
enum HostPolicy {
    Preserve,
    Upstream,
}

#[derive(Clone, ValueEnum)]
enum ForwardedPolicy {
    None,
    Nginx,
    All,
}

impl Options {
    /// Parses the command line. Exits the process if it is invalid.
    pub(crate) fn from_args() -> Self {
        let options = Self::parse();
        options.reject_useless();
        options
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// Times of the shutdown.
    pub(crate) fn shutdown(&self) -> Times {
        Times {
            lame_duck: self.lame_duck,
            tunnels: self.drain,
            requests: self.drain_requests,
            jitter: self.drain_jitter,
        }
    }

    /// Maximum numbers of tunnels and of connections, for the limit of open files.
    pub(crate) fn most_open(&self) -> (usize, usize) {
        (self.limits.tunnels(), self.clients.connections())
    }

    /// HTTP settings for clients.
    pub(crate) fn http(&self) -> Http {
        self.clients.http()
    }

    /// The routes, with upstreams of the selected version of HTTP.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let version = |upstream: Upstream| match self.http2_upstream {
            Http2Upstream::Never => upstream,
            Http2Upstream::Auto => upstream.auto(),
            Http2Upstream::Always => upstream.http2(),
        };
        let target = |route: &Route| {
            let upstream = match &route.upstreams[..] {
                [one] => Upstreams::One(version(one.upstream.clone())),
                all => Upstreams::Several(self.balancing.pool(all.iter().map(|one| one.endpoint(version)))),
            };
            Target { prefix: route.prefix.clone(), upstream }
        };
        self.routes.iter().map(target).collect()
    }

    /// Layer with the settings common to all routes.
    pub(crate) fn layer(&self) -> Result<UpgradeProxyLayer, Box<dyn Error>> {
        let protocols = self.allowed.iter().cloned().fold(Protocols::websocket(), Protocols::allow);
        let host = match self.host {
            HostPolicy::Preserve => Host::preserve(),
            HostPolicy::Upstream => Host::upstream(),
        };
        let forwarded = match self.forwarded {
            ForwardedPolicy::None => Forwarded::none(),
            ForwardedPolicy::Nginx => Forwarded::nginx(),
            ForwardedPolicy::All => Forwarded::all(),
        };
        let layer = UpgradeProxyLayer::per_request()
            .protocols(protocols)
            .allow_origin(self.origins.allow())
            .host(host)
            .forwarded(forwarded.trust(self.trusted.iter().copied()))
            .connect_timeout(self.connect_timeout)
            .handshake_timeout(self.handshake_timeout)
            .header_timeout(self.header_timeout)
            .body_timeout(self.body_timeout.0);
        let layer = self.idle.set(self.limits.set(layer));
        self.trust.set(self.clients.set(self.tunnels.set(layer)))
    }

    /// Rejects options without effect: certificates without an https upstream, and two routes with the same prefix, of
    /// which the second would never be used.
    fn reject_useless(&self) {
        let mut upstreams = self.routes.iter().flat_map(|route| &route.upstreams);
        if self.trust.is_set() && !upstreams.any(|upstream| upstream.is_https) {
            let message = "--upstream-ca and --upstream-native-roots need a route to an https upstream";
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        if self.balancing.is_set() && self.routes.iter().all(|route| route.upstreams.len() == 1) {
            let message = "--balance, --retry, --retry-on, --outlier, --sticky and --slow-start need a route with several upstreams";
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        for (index, route) in self.routes.iter().enumerate() {
            if self.routes[..index].iter().any(|earlier| earlier.prefix == route.prefix) {
                let message = format!("two routes have the prefix {:?}", route.prefix);
                Self::command().error(ErrorKind::ValueValidation, message).exit();
            }
        }
    }
}

fn protocol(name: &str) -> Result<Protocol, InvalidProtocol> {
    Protocol::new(name).map(Protocol::with_request_body)
}
