//! Configuration of a layer, shared by the services it makes.
//!
//! The fields are grouped by the stage that reads them. A stage takes its group, not the [`Config`].

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http::{Extensions, Response, request::Parts};
use http_body_util::Full;

use crate::{
    allow_origin::AllowOrigin,
    authorize::{Authorize, Failure},
    connect::{ConnectTimeouts, Connector, StallWatch, body::BodyTimeouts, h1::pool::IdleLimits},
    error::{Error, Kind},
    handshake::Protocols,
    limits::Limits,
    on_tunnel::OnTunnel,
    pool::Target,
    refusal::BodyLimits,
    registry::{HandshakeGuard, Tunnels, Watcher},
    rewrite::{Rewrite, forwarded::Peer},
    trace::UnknownAddress,
    tunnel::TunnelConfig,
};

/// Limit of the connect timeout while another endpoint can be tried.
const RETRIED_CONNECT: Duration = Duration::from_secs(1);

/// Settings of a layer.
#[derive(Clone)]
pub(crate) struct Config {
    /// Used by requests that carry no target of their own.
    pub(crate) target: Option<Target>,
    pub(crate) protocols: Protocols,
    pub(crate) allow_origin: AllowOrigin,
    pub(crate) rewrite: Rewrite,
    pub(crate) connector: Connector,
    pub(crate) timeouts: Timeouts,
    pub(crate) pool: PoolSize,
    /// Limits on the body of a refused upgrade.
    pub(crate) refusal: BodyLimits,
    pub(crate) tunnel: Arc<TunnelConfig>,
    /// Counted over all services of the layer.
    pub(crate) limits: Limits,
    pub(crate) hooks: Hooks,
    pub(crate) registry: Option<Tunnels>,
    pub(crate) drain: Option<Watcher>,
    pub(crate) unknown_address: Arc<UnknownAddress>,
}

/// Timeouts of the stages before a tunnel, and of forwarded requests.
#[derive(Clone, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) upgrade: Duration,
    pub(crate) header: Duration,
    pub(crate) body: BodyTimeouts,
    pub(crate) pool_idle: Duration,
}

/// Maximum numbers of idle HTTP/1.1 connections of a service that forwards requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSize {
    pub(crate) per_upstream: usize,
    pub(crate) total: usize,
}

/// Functions of the application.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) authorize: Option<Authorize>,
    pub(crate) on_tunnel: Option<Arc<dyn OnTunnel>>,
    pub(crate) error_response: Option<ErrorResponse>,
}

/// Hook that makes the response for a failure.
pub(crate) type ErrorResponse = Arc<dyn Fn(&Error) -> Response<Full<bytes::Bytes>> + Send + Sync>;

impl Config {
    pub(crate) fn new(target: Option<Target>) -> Self {
        Self {
            target,
            protocols: Protocols::default(),
            allow_origin: AllowOrigin::default(),
            rewrite: Rewrite::default(),
            connector: Connector::default(),
            timeouts: Timeouts::default(),
            pool: PoolSize { per_upstream: 128, total: 512 },
            refusal: BodyLimits { timeout: Duration::from_secs(60), size: 16 << 20 },
            tunnel: Arc::default(),
            limits: Limits::default(),
            hooks: Hooks::default(),
            registry: None,
            drain: None,
            unknown_address: Arc::default(),
        }
    }

    /// Returns the bounds of idle connections.
    pub(crate) fn idle_limits(&self) -> IdleLimits {
        let PoolSize { per_upstream, total } = self.pool;
        IdleLimits { per_upstream, total, timeout: self.timeouts.pool_idle }
    }

    /// Returns the address of the client. If it is unknown although a setting depends on it, that is reported once.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let forwarded = &self.rewrite.forwarded;
        let client = forwarded.client(parts);
        if client.is_none() && Peer::from_extensions(&parts.extensions).is_none() {
            if forwarded.needs_address() {
                self.unknown_address.in_fields();
            }
            if self.limits.needs_client() {
                self.unknown_address.in_limit();
            }
        }
        client
    }

    /// Begins a handshake. `None` without a drain.
    ///
    /// # Errors
    ///
    /// If the drain has begun.
    pub(crate) fn begin_handshake(&self) -> Result<Option<HandshakeGuard>, Error> {
        let begin = |drain: &Watcher| drain.begin_handshake().ok_or_else(|| Error::new(Kind::Draining));
        self.drain.as_ref().map(begin).transpose()
    }

    /// Calls the `authorize` hook, which may set the upstream and the label in the extensions of `parts`.
    ///
    /// # Errors
    ///
    /// If the hook rejects the request, or takes longer than the handshake timeout.
    pub(crate) async fn authorize(&self, parts: &mut Parts) -> Result<(), Failure> {
        match &self.hooks.authorize {
            Some(authorize) => authorize.check(parts, self.timeouts.handshake).await,
            None => Ok(()),
        }
    }

    /// Returns the target of the request, or else that of the layer.
    ///
    /// # Errors
    ///
    /// If there is neither.
    pub(crate) fn select(&self, extensions: &Extensions) -> Result<Target, Error> {
        let target = Target::from_extensions(extensions).or_else(|| self.target.clone());
        target.ok_or_else(|| Error::new(Kind::NoUpstream))
    }
}

impl Timeouts {
    /// Returns the timeouts of an attempt. Another one may follow if it `may_retry`: then it does not take long.
    pub(crate) fn connecting(&self, may_retry: bool) -> ConnectTimeouts {
        let connect = if may_retry { self.connect.min(RETRIED_CONNECT) } else { self.connect };
        ConnectTimeouts { connect, pool_idle: self.pool_idle }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(30),
            upgrade: Duration::from_secs(10),
            header: Duration::from_secs(60),
            body: BodyTimeouts {
                frame: Some(Duration::from_secs(60)),
                send: StallWatch::new(Some(Duration::from_secs(60))),
            },
            pool_idle: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("target", &self.target)
            .field("protocols", &self.protocols)
            .field("allow_origin", &self.allow_origin)
            .field("host", &self.rewrite.host)
            .field("path", &self.rewrite.path)
            .field("forwarded", &self.rewrite.forwarded)
            .field("timeouts", &self.timeouts)
            .field("tunnel", &self.tunnel)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
