//! [`UpgradeProxyLayer`]: the builder.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, Uri, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    allow_origin::AllowOrigin, config::Config, connect::h2::Http2, error::BoxError, error::Error,
    forward::Forward, handshake::Protocols, on_tunnel::OnTunnel, registry::Tunnels, registry::Watcher,
    rewrite::forwarded::Forwarded, rewrite::host::Host, rewrite::path::PathRewrite, service::UpgradeProxy,
    tunnel::TunnelConfig, upgrade_required::UpgradeRequired, upstream::Upstream,
};

/// Sends upgrade requests to an upstream and everything else to the inner service.
///
/// See the [crate's documentation](crate) for what happens to a request. Cloning the layer, and
/// wrapping several services with it, shares the counts of its limits.
///
/// ```
/// use axum::{Router, routing::get};
/// use std::time::Duration;
/// use tower_upgrade_proxy::{Host, UpgradeProxyLayer};
///
/// let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
///     .host(Host::upstream())
///     .idle_timeout(Duration::from_secs(86_400)) // proxy_read_timeout 86400
///     .max_tunnels(10_000);
/// let app: Router = Router::new().route("/ws/", get("no upgrade")).layer(proxy);
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeProxyLayer(Arc<Config>);

impl UpgradeProxyLayer {
    /// Tunnels go to `upstream`, unless a request carries another [`Upstream`] in its extensions.
    pub fn new(upstream: Upstream) -> Self {
        Self(Arc::new(Config::new(Some(upstream))))
    }

    /// Tunnels go where the [`Upstream`] in the request's extensions says. An upgrade request
    /// without one is answered with 503.
    pub fn per_request() -> Self {
        Self(Arc::new(Config::new(None)))
    }

    /// Tunnels go to `upstream` from here on: to give several locations the same settings.
    pub fn upstream(self, upstream: Upstream) -> Self {
        self.with(|config| config.upstream = Some(upstream))
    }

    /// The protocols that may be upgraded to. Default [`Protocols::websocket`].
    pub fn protocols(self, protocols: Protocols) -> Self {
        self.with(|config| config.protocols = protocols)
    }

    /// Which web pages may open tunnels; others get 403. Default [`AllowOrigin::any`].
    pub fn allow_origin(self, origins: AllowOrigin) -> Self {
        self.with(|config| config.allow_origin = origins)
    }

    /// The `Host` the upstream sees. Default [`Host::preserve`].
    pub fn host(self, host: Host) -> Self {
        self.with(|config| config.rewrite.host = host)
    }

    /// What the upstream is told of the client. Default [`Forwarded::none`].
    pub fn forwarded(self, forwarded: Forwarded) -> Self {
        self.with(|config| config.rewrite.forwarded = forwarded)
    }

    /// The path the upstream sees. Default [`PathRewrite::keep`].
    pub fn path(self, path: PathRewrite) -> Self {
        self.with(|config| config.rewrite.path = path)
    }

    /// Called for every upgrade with the client's head and the one for the upstream, when that is
    /// complete: hop-by-hop fields removed, policies applied. What the hook sets is sent. Of the
    /// URI, only path and query are.
    ///
    /// ```
    /// # use tower_upgrade_proxy::UpgradeProxyLayer;
    /// use http::HeaderValue;
    ///
    /// # let layer = UpgradeProxyLayer::per_request();
    /// let layer = layer.on_request(|inbound, outbound| {
    ///     let from = inbound.extensions.get::<std::net::SocketAddr>();
    ///     if let Some(Ok(from)) = from.map(|from| HeaderValue::try_from(from.to_string())) {
    ///         outbound.headers.insert("x-client", from);
    ///     }
    /// });
    /// ```
    pub fn on_request(self, hook: impl Fn(&Parts, &mut Parts) + Send + Sync + 'static) -> Self {
        self.with(|config| config.rewrite.on_request = Some(Arc::new(hook)))
    }

    /// Connects with `connector` instead of the built-in one. It receives scheme and authority of
    /// the upstream. Unix sockets do not go through it.
    ///
    /// The connection must speak HTTP/1.1: a TLS connector must not offer `h2`. For an upstream
    /// marked [`http2`](Upstream::http2) it must speak HTTP/2, and [`auto`](Upstream::auto) means
    /// HTTP/1.1.
    pub fn connector<C>(self, connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        self.with(|config| config.connector.set_custom(connector))
    }

    /// The certificates `https://` upstreams may show. Default [`Tls::webpki_roots`](crate::Tls).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls(self, tls: crate::connect::tls::Tls) -> Self {
        self.with(|config| config.connector.set_tls(tls))
    }

    /// How upstreams that speak HTTP/2 are spoken to. Default [`Http2::new`].
    pub fn http2(self, http2: Http2) -> Self {
        self.with(|config| config.connector.set_http2(http2))
    }

    /// Answers of upstreams in HTTP/1.1 keep the case in which the names of their fields were written, for
    /// clients that compare them with regard to it. Default off: names are in lower case.
    ///
    /// Those of requests keep theirs without this, as soon as the server in front has kept it (hyper's
    /// `preserve_header_case`, which `axum::serve` leaves off). A name that the proxy adds is written in
    /// lower case, or as [`title_case_headers`](Self::title_case_headers) says.
    pub fn preserve_header_case(self) -> Self {
        self.with(|config| config.connector.header_case.preserve = true)
    }

    /// Upstreams in HTTP/1.1 get the names of fields as `Sec-Websocket-Key`, for servers that compare them
    /// with regard to case. A name that the server in front has kept as it came
    /// (see [`preserve_header_case`](Self::preserve_header_case)) stays like that. Default off: names
    /// are in lower case.
    pub fn title_case_headers(self) -> Self {
        self.with(|config| config.connector.header_case.title = true)
    }

    /// How long name look-up, TCP and TLS may take together; then 504. Default 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.connect = timeout)
    }

    /// How long the upstream may take, once connected, until the head of its answer is complete;
    /// then 504. A request body, for protocols that have one, is sent within it. Default 30 s.
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.handshake = timeout)
    }

    /// How long the client's connection may take to become a tunnel once the 101 was returned from
    /// this layer; then the upstream is closed. Default 10 s.
    pub fn upgrade_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.upgrade = timeout)
    }

    /// For ordinary requests: how long the upstream may take until the head of its answer is
    /// complete; then 504. The time starts anew with each piece of the request's body. Default 60 s.
    pub fn header_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.header = timeout)
    }

    /// How long the upstream may take for the next piece of a body, in the answer to an ordinary
    /// request or when it refuses an upgrade; then the client's connection is aborted. Default 60 s,
    /// like nginx's `proxy_read_timeout`; `None` switches it off, for event streams that may be silent
    /// for longer.
    pub fn body_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|config| config.timeouts.body = timeout.into())
    }

    /// How long the answer to a refused WebSocket handshake may take to be passed on, from its head to its
    /// end, however slowly the upstream sends and the client reads; then the upstream is closed, and the
    /// client's connection is aborted. Default 60 s.
    ///
    /// A client has no use for that answer, but may keep it coming for ever. Until it has come, it counts
    /// among the tunnels. Of other protocols it may be what the client goes on with
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)): it is limited by
    /// [`body_timeout`](Self::body_timeout) alone.
    pub fn refusal_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.refusal.timeout = timeout)
    }

    /// How many bytes the body of such an answer may have. One that announces more is answered with 502, and
    /// where more come, the client's connection is aborted. Default 16 MiB.
    pub fn max_refusal_size(self, bytes: u64) -> Self {
        self.with(|config| config.refusal.size = bytes)
    }

    /// nginx's `proxy_read_timeout`: sets [`handshake_timeout`](Self::handshake_timeout),
    /// [`header_timeout`](Self::header_timeout), [`body_timeout`](Self::body_timeout) and
    /// [`idle_timeout`](Self::idle_timeout), all the waits for the upstream to say something.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.handshake_timeout(timeout).header_timeout(timeout).body_timeout(timeout).idle_timeout(timeout)
    }

    /// How long an unused connection to the upstream is kept: those of ordinary requests, and those
    /// in HTTP/2. Default 30 s.
    pub fn pool_idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.pool_idle = timeout)
    }

    /// Everything that concerns the tunnels themselves: timeouts, keep-alive, limits, what the sides of
    /// a WebSocket are told at the end. Takes the place of what [`idle_timeout`](Self::idle_timeout) and
    /// the like have set before. Default [`TunnelConfig::new`].
    pub fn tunnel(self, tunnel: TunnelConfig) -> Self {
        self.with(|config| config.tunnel = Arc::new(tunnel))
    }

    /// See [`TunnelConfig::idle_timeout`](crate::TunnelConfig::idle_timeout). Default 60 s; `None`
    /// switches it off.
    pub fn idle_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.idle_timeout(timeout))
    }

    /// See [`TunnelConfig::half_close_timeout`](crate::TunnelConfig::half_close_timeout). Default
    /// 30 s; `None` leaves it to the idle timeout.
    pub fn half_close_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.half_close_timeout(timeout))
    }

    /// See [`TunnelConfig::close_timeout`](crate::TunnelConfig::close_timeout). Default 5 s.
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.with_tunnel(|tunnel| tunnel.close_timeout(timeout))
    }

    /// See [`TunnelConfig::max_lifetime`](crate::TunnelConfig::max_lifetime). Default `None`.
    pub fn max_lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.max_lifetime(lifetime))
    }

    /// At most this many tunnels at a time, handshakes included; more are answered with 503 and
    /// `Retry-After`. Counted over everything this layer and its clones wrap. Default 65,536; `usize::MAX` for
    /// no limit.
    pub fn max_tunnels(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_tunnels(tunnels))
    }

    /// At most this many tunnels of one client at a time, handshakes included; more are answered with
    /// 429 ([RFC 6585, 4](https://www.rfc-editor.org/rfc/rfc6585#section-4)) and `Retry-After`. Counted
    /// like [`max_tunnels`](Self::max_tunnels). Default no limit.
    ///
    /// A client is an IPv4 address, or the /64 of an IPv6 address, as one client commonly has the whole
    /// of that. Behind proxies of your own it is [whom they name](Forwarded#the-clients-address), if
    /// [`forwarded`](Self::forwarded) trusts them. A request of which the server told no address is not
    /// limited: it needs a [`Peer`](crate::Peer) or axum's `ConnectInfo`.
    pub fn max_tunnels_per_client(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_per_client(tunnels))
    }

    /// At most this many tunnels to one upstream at a time, handshakes included, whatever their base
    /// paths; more are answered with 503 and `Retry-After`. An upstream is a scheme with host and port
    /// as written, or a socket's path. Counted like [`max_tunnels`](Self::max_tunnels). Default no limit.
    pub fn max_tunnels_per_upstream(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_per_upstream(tunnels))
    }

    /// At most this many handshakes in flight at a time, from the client's request to the upstream's
    /// answer; more are answered with 503 and `Retry-After`. So a slow upstream, or clients that all come
    /// back at once, can't pile up. Counted like [`max_tunnels`](Self::max_tunnels). Default 1,024;
    /// `usize::MAX` for no limit.
    pub fn max_handshakes(self, handshakes: usize) -> Self {
        self.with(|config| config.limits.set_handshakes(handshakes))
    }

    /// Called when a tunnel opens and when it ends.
    pub fn on_tunnel(self, hook: impl OnTunnel) -> Self {
        self.with(|config| config.hooks.on_tunnel = Some(Arc::new(hook)))
    }

    /// Every tunnel is in `tunnels` from now on, as long as it stands. Several layers may have one
    /// registry in common. Default none.
    pub fn tunnels(self, tunnels: &Tunnels) -> Self {
        self.with(|config| config.registry = Some(tunnels.clone()))
    }

    /// Takes part in a [`Drain`](crate::Drain): once it has begun, upgrades are answered with 503 and
    /// `Retry-After` before anything is dialled, and every tunnel is told to end. The tunnels are listed in
    /// [`Drain::tunnels`](crate::Drain::tunnels). Default none.
    pub fn drain(self, watcher: Watcher) -> Self {
        self.with(|config| config.drain = Some(watcher))
    }

    /// Makes the responses for the proxy's own failures. The default is the status of
    /// [`Error::status`] with a line of text. The [`Error`] is put into the extensions either way.
    ///
    /// ```
    /// # use tower_upgrade_proxy::UpgradeProxyLayer;
    /// # let layer = UpgradeProxyLayer::per_request();
    /// let layer = layer.error_response(|error| {
    ///     let mut response = http::Response::new(format!(r#"{{"status":{}}}"#, error.status().as_u16()));
    ///     *response.status_mut() = error.status();
    ///     response
    /// });
    /// ```
    pub fn error_response<B>(self, make: impl Fn(&Error) -> Response<B> + Send + Sync + 'static) -> Self
    where
        B: Into<Bytes>,
    {
        let make = move |error: &Error| make(error).map(|body| http_body_util::Full::new(body.into()));
        self.with(|config| config.hooks.error_response = Some(Arc::new(make)))
    }

    /// A service that is only a proxy: an ordinary request is answered with 426.
    ///
    /// ```
    /// # use tower_upgrade_proxy::UpgradeProxyLayer;
    /// # let layer = UpgradeProxyLayer::per_request();
    /// let app: axum::Router = axum::Router::new().route_service("/ws", layer.into_service());
    /// ```
    #[must_use]
    pub fn into_service(self) -> UpgradeProxy<UpgradeRequired> {
        let inner = UpgradeRequired::new();
        self.layer(inner)
    }

    /// A whole location: upgrades become tunnels, ordinary requests go to the same upstream by the
    /// same rules. See [`Forward`].
    ///
    /// ```
    /// use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};
    ///
    /// let location = UpgradeProxyLayer::new("http://127.0.0.1:3000".parse()?)
    ///     .forwarded(Forwarded::nginx())
    ///     .forward();
    /// let app: axum::Router = axum::Router::new().fallback_service(location);
    /// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
    /// ```
    #[must_use]
    pub fn forward(self) -> UpgradeProxy<Forward> {
        let inner = Forward::with(Arc::clone(&self.0));
        self.layer(inner)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    fn with_tunnel(self, change: impl FnOnce(TunnelConfig) -> TunnelConfig) -> Self {
        self.with(|config| config.tunnel = Arc::new(change((*config.tunnel).clone())))
    }
}

/// A whole nginx location: upgrades become tunnels to `upstream`, ordinary requests are forwarded
/// to it.
///
/// The same as `UpgradeProxyLayer::new(upstream).forward()`; use that for other settings.
///
/// ```
/// use axum::Router;
/// use tower_upgrade_proxy::proxy_pass;
///
/// // location / { proxy_pass http://127.0.0.1:3000; ... }
/// let app: Router = Router::new().fallback_service(proxy_pass("http://127.0.0.1:3000".parse()?));
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[must_use]
pub fn proxy_pass(upstream: Upstream) -> UpgradeProxy<Forward> {
    UpgradeProxyLayer::new(upstream).forward()
}

impl<S> Layer<S> for UpgradeProxyLayer {
    type Service = UpgradeProxy<S>;

    fn layer(&self, inner: S) -> UpgradeProxy<S> {
        UpgradeProxy::new(inner, Arc::clone(&self.0))
    }
}
