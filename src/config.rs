//! Everything a layer was told, shared by the services it makes.

use std::{fmt, sync::Arc, time::Duration};

use http::{Extensions, Response};
use http_body_util::Full;

use crate::{
    allow_origin::AllowOrigin, connect::Connector, connect::Timeouts, connect::h1::HeaderCase, error::Error,
    error::Kind, handshake::Protocols, limits::Limits, on_tunnel::OnTunnel, refusal,
    registry::HandshakeGuard, registry::Tunnels, registry::Watcher, rewrite::Rewrite, tunnel::TunnelConfig,
    upstream::Upstream,
};

/// What makes the response for a failure.
pub(crate) type ErrorHook = Arc<dyn Fn(&Error) -> Response<Full<bytes::Bytes>> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) upstream: Option<Upstream>,
    pub(crate) protocols: Protocols,
    pub(crate) allow_origin: AllowOrigin,
    pub(crate) rewrite: Rewrite,
    pub(crate) connector: Connector,
    pub(crate) header_case: HeaderCase,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) upgrade_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) refusal: refusal::BodyLimits,
    pub(crate) pool_idle_timeout: Duration,
    pub(crate) tunnel: Arc<TunnelConfig>,
    /// Counted over all services of the layer.
    pub(crate) limits: Limits,
    pub(crate) on_tunnel: Option<Arc<dyn OnTunnel>>,
    pub(crate) registry: Option<Tunnels>,
    pub(crate) drain: Option<Watcher>,
    pub(crate) error_response: Option<ErrorHook>,
}

impl Config {
    pub(crate) fn new(upstream: Option<Upstream>) -> Self {
        Self {
            upstream,
            protocols: Protocols::default(),
            allow_origin: AllowOrigin::default(),
            rewrite: Rewrite::default(),
            connector: Connector::default(),
            header_case: HeaderCase::default(),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            upgrade_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            body_timeout: Some(Duration::from_secs(60)),
            refusal: refusal::BodyLimits { timeout: Duration::from_secs(60), size: 16 << 20 },
            pool_idle_timeout: Duration::from_secs(30),
            tunnel: Arc::default(),
            limits: Limits::default(),
            on_tunnel: None,
            registry: None,
            drain: None,
            error_response: None,
        }
    }

    /// What connecting is limited by.
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, idle: self.pool_idle_timeout }
    }

    /// Leave to begin a handshake: refused while draining, and nothing without a drain.
    pub(crate) fn begin_handshake(&self) -> Result<Option<HandshakeGuard>, Error> {
        let guard = self
            .drain
            .as_ref()
            .map(|drain| drain.begin_handshake().ok_or_else(|| Error::new(Kind::Draining)));
        guard.transpose()
    }

    /// The request's own upstream, else the layer's.
    pub(crate) fn select(&self, extensions: &Extensions) -> Result<Upstream, Error> {
        let upstream = extensions.get::<Upstream>().or(self.upstream.as_ref());
        upstream.cloned().ok_or_else(|| Error::new(Kind::NoUpstream))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("upstream", &self.upstream)
            .field("protocols", &self.protocols)
            .field("allow_origin", &self.allow_origin)
            .field("host", &self.rewrite.host)
            .field("path", &self.rewrite.path)
            .field("forwarded", &self.rewrite.forwarded)
            .field("connect_timeout", &self.connect_timeout)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("upgrade_timeout", &self.upgrade_timeout)
            .field("tunnel", &self.tunnel)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
