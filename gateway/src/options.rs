//! Command line.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    thread,
    time::Duration,
};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use ipnet::IpNet;
use tower_upgrade_proxy::{
    Forwarded, Host, InvalidProtocol, Protocol, Protocols, UpgradeProxyLayer, Upstream,
};

use crate::{limits::Limits, origins::Origins, serve::Http};

/// Maximum client timeout, ten years: hyper panics if the end of a timeout is beyond the range of the clock.
const LONGEST_CLIENT_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

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
    /// is `http://HOST:PORT`, `https://HOST` or `unix:/PATH`
    #[arg(long = "route", value_name = "PREFIX=UPSTREAM", required = true)]
    pub(crate) routes: Vec<Route>,

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
    /// `stub_status`), without authentication
    #[arg(long, value_name = "ADDR")]
    pub(crate) status: Option<SocketAddr>,

    /// Host field for upstreams: the client's (preserve), or the address of the upstream (upstream)
    #[arg(long, value_enum, default_value = "preserve")]
    host: HostPolicy,

    /// Fields about the client that are added for upstreams. nginx: X-Real-IP, X-Forwarded-For and -Proto. all: these,
    /// X-Forwarded-Host and -Prefix, Forwarded and Via
    #[arg(long, value_enum, default_value = "none")]
    forwarded: ForwardedPolicy,

    /// Peers whose X-Forwarded-* and similar fields are trusted, also for the client's address; repeatable
    #[arg(long = "trust", value_name = "CIDR")]
    trusted: Vec<IpNet>,

    /// Protocol to allow in addition to websocket, with any method and a request body; repeatable
    #[arg(long = "allow", value_name = "PROTOCOL", value_parser = protocol)]
    allowed: Vec<Protocol>,

    #[command(flatten)]
    origins: Origins,

    #[command(flatten)]
    limits: Limits,

    /// Maximum number of concurrent streams on a client's HTTP/2 connection; each is a request or a tunnel
    #[arg(long, value_name = "N", default_value = "250")]
    http2_streams: NonZeroU32,

    /// Minimum time that a client's HTTP/2 connection stays open without a new request (nginx's `keepalive_timeout`);
    /// its tunnels continue
    #[arg(long, value_name = "DURATION", default_value = "75s", value_parser = humantime::parse_duration)]
    http2_keep_alive: Duration,

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

    /// Timeout for a client's TLS handshake, and for the head of a request (nginx's
    /// `client_header_timeout`)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    client_timeout: Duration,

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

    /// End a response of which the client takes nothing for this time, with its upstream connection (nginx's
    /// `send_timeout`), or `off`. It also ends a connection that takes nothing; tunnels are not subject to it
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    send_timeout: Limit,

    /// Time that an idle connection to an upstream is kept for the next ordinary request (nginx's `keepalive_timeout` of
    /// an `upstream`); it may be up to twice as long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pool_idle_timeout: Duration,

    /// End a tunnel after this time without a byte in either direction, or `off`
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    idle_timeout: Limit,

    /// End a half-closed tunnel after this time without a byte from the open side, or `off`
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    half_close_timeout: Limit,

    /// Maximum age of a tunnel, or `off`
    #[arg(long, value_name = "DURATION", default_value = "off")]
    max_lifetime: Limit,

    /// Grace period for tunnels and requests on SIGTERM or Ctrl-C, after which the remaining ones are aborted; a second
    /// signal aborts them immediately. Kubernetes kills a process after 30 s
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
}

/// Path prefix and its upstream.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    pub(crate) upstream: Upstream,
}

/// Duration, or `off`.
#[derive(Clone)]
struct Limit(Option<Duration>);

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
        options.reject_repeated();
        options
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// HTTP settings for clients.
    pub(crate) fn http(&self) -> Http {
        let client_timeout = self.client_timeout.min(LONGEST_CLIENT_TIMEOUT);
        Http::new(client_timeout, self.http2_keep_alive, self.send_timeout.0, self.http2_streams)
    }

    /// The route's upstream, with the HTTP version for it.
    pub(crate) fn upstream(&self, route: &Route) -> Upstream {
        let upstream = route.upstream.clone();
        match self.http2_upstream {
            Http2Upstream::Never => upstream,
            Http2Upstream::Auto => upstream.auto(),
            Http2Upstream::Always => upstream.http2(),
        }
    }

    /// Layer with the settings common to all routes.
    pub(crate) fn layer(&self) -> UpgradeProxyLayer {
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
            .body_timeout(self.body_timeout.0)
            .send_timeout(self.send_timeout.0)
            .pool_idle_timeout(self.pool_idle_timeout)
            .idle_timeout(self.idle_timeout.0)
            .half_close_timeout(self.half_close_timeout.0)
            .max_lifetime(self.max_lifetime.0);
        self.limits.set(layer)
    }

    /// Rejects two routes with the same prefix, because the second would never be used.
    fn reject_repeated(&self) {
        for (index, route) in self.routes.iter().enumerate() {
            if self.routes[..index].iter().any(|earlier| earlier.prefix == route.prefix) {
                let message = format!("two routes have the prefix {:?}", route.prefix);
                Self::command().error(ErrorKind::ValueValidation, message).exit();
            }
        }
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, upstream) = text
            .split_once('=')
            .ok_or("`=` is missing; write PREFIX=UPSTREAM, like /ws/=http://127.0.0.1:9000")?;
        if !prefix.starts_with('/') || prefix.contains(['?', '#']) {
            return Err(format!("the prefix {prefix:?} is not the start of a path, like /ws/"));
        }
        let upstream = upstream.parse::<Upstream>().map_err(|error| error.to_string())?;
        Ok(Self { prefix: prefix.to_owned(), upstream })
    }
}

impl FromStr for Limit {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self(None)) } else { humantime::parse_duration(text).map(Some).map(Self) }
    }
}

fn protocol(name: &str) -> Result<Protocol, InvalidProtocol> {
    Protocol::new(name).map(Protocol::with_request_body)
}
