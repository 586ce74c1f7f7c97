//! [`UpgradeProxyLayer`]: the layer and its settings.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, Uri, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    allow_origin::AllowOrigin,
    authorize::{Authorize, Authorized, Rejection},
    config::Config,
    connect::{StallWatch, connection_auth::ConnectionAuth, h2::Http2},
    error::{BoxError, Error},
    forward::Forward,
    handshake::Protocols,
    on_tunnel::OnTunnel,
    pool::{Pool, Target},
    registry::{Tunnels, Watcher},
    rewrite::{forwarded::Forwarded, host::Host, path::PathRewrite},
    service::UpgradeProxy,
    tunnel::{ClosePolicy, KeepAlive, TunnelConfig},
    upgrade_required::UpgradeRequired,
    upstream::Upstream,
};

/// A layer that proxies upgrade requests to an upstream and passes all other requests to the inner service.
///
/// The [crate's documentation](crate) describes the stages of a request. The counts of the limits are shared
/// by all clones of the layer and all services it wraps.
///
/// ```
/// use axum::Router;
/// use std::time::Duration;
/// use tower_upgrade_proxy::{Host, PathRewrite, UpgradeProxyLayer};
///
/// let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
///     .host(Host::upstream())
///     .path(PathRewrite::original_uri()) // with the /ws that `nest_service` removes
///     .idle_timeout(Duration::from_secs(86_400)) // proxy_read_timeout 86400
///     .max_tunnels(10_000);
/// let app: Router = Router::new().nest_service("/ws", proxy.into_service());
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
///
/// # Scope
///
/// The layer proxies every upgrade that reaches it. In an axum application, the place decides which those are:
///
/// | place | upgrades at |
/// | --- | --- |
/// | `router.nest_service("/ws", proxy.into_service())` or `proxy.forward()` | `/ws` and every path below it |
/// | `router.route("/ws", get(handler).layer(proxy))` | `/ws` only |
/// | `router.fallback_service(proxy.forward())` | every path without a route |
/// | `router.layer(proxy)` | **every path**, with a route or without |
///
/// A layer that checks credentials must be outside of this one. `get(handler).layer(proxy).route_layer(auth)` checks
/// `GET` only, and not the `CONNECT` of HTTP/2. [`authorize`](Self::authorize) checks every request that is proxied.
/// `docs/mounting.md` has the measured tables. Fields that a layer outside adds need
/// [`SanitizeRequestLayer`](crate::SanitizeRequestLayer) outside of both, as a client could have them removed.
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeProxyLayer(Arc<Config>);

impl UpgradeProxyLayer {
    /// Creates a layer whose upgrades go to `upstream`. An [`Upstream`] in the extensions of a request
    /// overrides it.
    pub fn new(upstream: Upstream) -> Self {
        Self(Arc::new(Config::new(Some(Target::One(upstream)))))
    }

    /// Creates a layer whose upgrades go to the [`Upstream`] in the extensions of each request. Upgrade
    /// requests without one get a 503.
    pub fn per_request() -> Self {
        Self(Arc::new(Config::new(None)))
    }

    /// Creates a layer whose upgrades go to the endpoints of a pool. An [`Upstream`] or a [`Pool`] in the extensions of a
    /// request overrides it.
    pub fn pool(pool: &Pool) -> Self {
        Self(Arc::new(Config::new(Some(Target::Pool(pool.clone())))))
    }

    /// Sets the pool, for example to use the same settings for several locations.
    pub fn upstream_pool(self, pool: &Pool) -> Self {
        self.with(|config| config.target = Some(Target::Pool(pool.clone())))
    }

    /// Sets the upstream, for example to use the same settings for several locations.
    pub fn upstream(self, upstream: Upstream) -> Self {
        self.with(|config| config.target = Some(Target::One(upstream)))
    }

    /// Sets the protocols that are allowed. Default [`Protocols::websocket`].
    pub fn protocols(self, protocols: Protocols) -> Self {
        self.with(|config| config.protocols = protocols)
    }

    /// Sets the policy for the origins of web pages. Upgrades from other origins get a 403. Default
    /// [`AllowOrigin::any`].
    pub fn allow_origin(self, origins: AllowOrigin) -> Self {
        self.with(|config| config.allow_origin = origins)
    }

    /// Sets the hook that decides whether a request is proxied, like nginx's `auth_request`. Default none: all are.
    ///
    /// The hook gets the head of the client's request, with its extensions, before the proxy connects to an upstream.
    /// It applies to every request that this layer proxies: to upgrades in HTTP/1.1 with any method, to extended
    /// CONNECT in HTTP/2, and with [`forward`](Self::forward) also to ordinary requests. Requests that go to an inner
    /// service of the application are not checked.
    ///
    /// With [`Authorized`], the hook can set fields of the upstream request that the client can neither forge nor
    /// remove, choose the upstream, and label the tunnel. A [`Rejection`] is the response to the client.
    ///
    /// ```
    /// use axum::{Router, http::{HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION, request::Parts}};
    /// use tower_upgrade_proxy::{Authorized, PathRewrite, Rejection, TunnelLabel, UpgradeProxyLayer};
    /// # #[derive(Clone)] struct Users;
    /// # impl Users { async fn find(&self, token: &str) -> Option<String> { Some(token.to_owned()) } }
    ///
    /// async fn authorize(head: Parts, users: Users) -> Result<Authorized, Rejection> {
    ///     let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    ///     let user = users.find(token.ok_or(StatusCode::UNAUTHORIZED)?).await.ok_or(StatusCode::FORBIDDEN)?;
    ///     let value = HeaderValue::try_from(&user).map_err(|_| StatusCode::FORBIDDEN)?;
    ///     Ok(Authorized::new().header(HeaderName::from_static("x-user"), value).label(TunnelLabel::new(user)))
    /// }
    ///
    /// # let users = Users;
    /// let location = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
    ///     .path(PathRewrite::original_uri())
    ///     .authorize(move |head| authorize(head, users.clone()))
    ///     .forward();
    /// let app: Router = Router::new().nest_service("/ws", location);
    /// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
    /// ```
    ///
    /// The head is as the layer receives it:
    ///
    /// - In HTTP/2, the method of a WebSocket is `CONNECT`, not `GET`.
    /// - Within axum's `nest_service`, the URI lacks the prefix; the extension `OriginalUri` has the whole one.
    /// - Fields that name a user or a role may come from the client, unless the hook sets or removes them.
    ///
    /// For credentials that browsers send on their own, such as cookies, check the origin too:
    /// [`allow_origin`](Self::allow_origin). It is checked before, and so are the drain and the limits, except that of
    /// the upstream. While it waits for the hook, a request counts as a handshake and a tunnel. A hook that takes longer
    /// than the [handshake timeout](Self::handshake_timeout) is dropped, and the client gets a 504; it is dropped
    /// too when the client disconnects. A panic propagates to the server, as one of a handler does.
    pub fn authorize<F>(self, hook: impl Fn(Parts) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Authorized, Rejection>> + Send + 'static,
    {
        self.with(|config| config.hooks.authorize = Some(Authorize::new(hook)))
    }

    /// Sets the policy for the `Host` field of upstream requests. Default [`Host::preserve`].
    pub fn host(self, host: Host) -> Self {
        self.with(|config| config.rewrite.host = host)
    }

    /// Sets the policy for the forwarding fields (`X-Forwarded-For` and others). Default [`Forwarded::none`],
    /// which passes them unchanged.
    pub fn forwarded(self, forwarded: Forwarded) -> Self {
        self.with(|config| config.rewrite.forwarded = forwarded)
    }

    /// Sets the policy for the path of upstream requests. Default [`PathRewrite::keep`].
    pub fn path(self, path: PathRewrite) -> Self {
        self.with(|config| config.rewrite.path = path)
    }

    /// Sets a hook that may change the head of each upstream request. It is called with the client's head and
    /// with the complete head for the upstream, after the removal of hop-by-hop fields and after all
    /// policies. Changes are sent as they are; of the URI, only the path and the query are used. Default
    /// none.
    ///
    /// Trailers cannot have a field that the hook sets, but a field that it only removes may be among them.
    /// [`Authorized::remove_header`](crate::Authorized::remove_header) removes it there too.
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

    /// Sets a connector in place of the built-in one. It is called with the scheme and authority of the
    /// upstream, but not for unix sockets.
    ///
    /// Its connections must use HTTP/1.1: a TLS connector must not offer `h2` in ALPN. For upstreams marked
    /// [`http2`](Upstream::http2) they must use HTTP/2. [`auto`](Upstream::auto) is the same as HTTP/1.1.
    pub fn connector<C>(self, connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        self.with(|config| config.connector.set_custom(connector))
    }

    /// Sets the TLS settings for `https://` upstreams: which root certificates are trusted. Default
    /// [`Tls::webpki_roots`](crate::Tls::webpki_roots).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls(self, tls: crate::connect::tls::Tls) -> Self {
        self.with(|config| config.connector.set_tls(tls))
    }

    /// Sets the settings of HTTP/2 connections to upstreams. Default [`Http2::new`].
    pub fn http2(self, http2: Http2) -> Self {
        self.with(|config| config.connector.set_http2(http2))
    }

    /// Preserves the case of field names in responses of HTTP/1.1 upstreams, for clients that treat field
    /// names as case-sensitive. Default off: names are sent in lower case.
    ///
    /// The case of field names in requests does not depend on this setting: it is preserved if the server has
    /// preserved it (hyper's `preserve_header_case`, which `axum::serve` does not enable). Names added by the
    /// proxy are in lower case, or in title case with [`title_case_headers`](Self::title_case_headers).
    pub fn preserve_header_case(self) -> Self {
        self.with(|config| config.connector.header_case.preserve = true)
    }

    /// Sends field names to HTTP/1.1 upstreams in title case (`Sec-WebSocket-Key`), for servers that treat
    /// field names as case-sensitive. The fields of a 101 for HTTP/1.1 clients are in title case too; for other fields, the
    /// server must enable it (hyper's `title_case_headers`). Names whose case the server has preserved (see
    /// [`preserve_header_case`](Self::preserve_header_case)) are not changed. Default off: names are sent in
    /// lower case.
    pub fn title_case_headers(self) -> Self {
        self.with(|config| config.connector.header_case.title = true)
    }

    /// Sets the timeout for connecting to the upstream: name resolution, TCP and TLS together. When it
    /// expires, the client gets a 504. Default 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.connect = timeout)
    }

    /// Sets the timeout of the handshake: from the established connection to the complete head of the
    /// upstream's response, including the request body for protocols that allow one. When it expires, the
    /// client gets a 504, or a 408 if the rest of its body is outstanding. Default 30 s.
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.handshake = timeout)
    }

    /// Sets the timeout for the upgrade of the client's connection, after the layer has returned the 101.
    /// When it expires, the upstream connection is closed. Default 10 s.
    pub fn upgrade_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.upgrade = timeout)
    }

    /// Sets the timeout for the head of the response to an ordinary request ([`Forward`]). It restarts with
    /// each frame of the request body. When it expires, the client gets a 504, or a 408 if the rest of its body is
    /// outstanding. Default 60 s.
    pub fn header_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.header = timeout)
    }

    /// Sets the timeout between two frames of a response body, for ordinary requests ([`Forward`]) and
    /// refused upgrades. When it expires, the client's connection is aborted. Default 60 s, as for nginx's
    /// `proxy_read_timeout`; `None` disables it, for event streams with longer pauses.
    pub fn body_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|config| config.timeouts.body.frame = timeout.into())
    }

    /// Sets the time after which a response ends of which the client takes nothing, like nginx's `send_timeout`: the
    /// upstream connection is closed, or its stream reset. For ordinary requests ([`Forward`]) and refused upgrades;
    /// a tunnel has its [`idle_timeout`](Self::idle_timeout). Default 60 s; `None` disables it. A response ends at
    /// most a quarter of this time later.
    ///
    /// What counts is that the server takes the next part of the body, which it does when the client has taken those
    /// before: a client that takes a few bytes now and then does not keep a response. A part has 64 KiB in HTTP/1. In
    /// HTTP/2 each stream has a time of its own, and a part has 256 bytes for each second of it, at least 1 KiB and at
    /// most 16 KiB: a stream that takes 256 bytes a second continues. The client's connection belongs to the
    /// server: it is aborted once the client reads on, but a client that never does keeps it open, with what the server
    /// has queued for it. [`SendTimeout`](crate::SendTimeout) limits that too.
    pub fn send_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|config| config.timeouts.body.send = StallWatch::new(timeout.into()))
    }

    /// Sets the timeout for relaying the whole body of a refused upgrade, independently of the pace of upstream and
    /// client. When it expires, the upstream connection is closed and the client's connection is aborted. Default
    /// 60 s.
    ///
    /// A refusal counts as a tunnel for the limits until its body has been relayed, and a client without use
    /// for the body could otherwise delay its end forever. With protocols other than WebSocket, a client may use the
    /// response ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)): raise this timeout and
    /// [`max_refusal_size`](Self::max_refusal_size) for an upstream that answers such requests with large ones.
    pub fn refusal_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.refusal.timeout = timeout)
    }

    /// Sets the maximum size of the body of a refused upgrade, in bytes. If the upstream
    /// announces a larger body, the client gets a 502; if it sends a larger one, the client's connection is
    /// aborted. Default 16 MiB.
    pub fn max_refusal_size(self, bytes: u64) -> Self {
        self.with(|config| config.refusal.size = bytes)
    }

    /// Sets all timeouts for data from the upstream, like nginx's `proxy_read_timeout`:
    /// [`handshake_timeout`](Self::handshake_timeout), [`header_timeout`](Self::header_timeout),
    /// [`body_timeout`](Self::body_timeout) and [`idle_timeout`](Self::idle_timeout).
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.handshake_timeout(timeout).header_timeout(timeout).body_timeout(timeout).idle_timeout(timeout)
    }

    /// Sets the timeout after which unused upstream connections are closed: those of ordinary requests, and
    /// all HTTP/2 connections. Default 30 s.
    pub fn pool_idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.timeouts.pool_idle = timeout)
    }

    /// Sets the maximum number of idle HTTP/1.1 connections to one upstream, like nginx's `keepalive`. Above it, the
    /// connection that was idle for longest is closed. Connections in use are not limited by it, but by
    /// [`max_requests`](Self::max_requests). Counted for each service made by [`forward`](Self::forward). Default 128;
    /// 0 disables the reuse of connections.
    pub fn pool_max_idle_per_upstream(self, connections: usize) -> Self {
        self.with(|config| config.pool.per_upstream = connections)
    }

    /// Sets the maximum number of idle HTTP/1.1 connections to all upstreams together, like
    /// [`pool_max_idle_per_upstream`](Self::pool_max_idle_per_upstream). Default 512.
    pub fn pool_max_idle(self, connections: usize) -> Self {
        self.with(|config| config.pool.total = connections)
    }

    /// Sets the policy for upstream connections with connection-based authentication, NTLM or Negotiate. Default
    /// [`ConnectionAuth::Private`]: they are used for one client only.
    pub fn connection_auth(self, policy: ConnectionAuth) -> Self {
        self.with(|config| config.connector.connection_auth = policy)
    }

    /// Sets all settings of the tunnels: timeouts, keep-alive, limits, and the Close frames sent at the end
    /// of a WebSocket. Overrides earlier calls of [`idle_timeout`](Self::idle_timeout),
    /// [`half_close_timeout`](Self::half_close_timeout), [`close_timeout`](Self::close_timeout),
    /// [`max_lifetime`](Self::max_lifetime), [`idle_probe`](Self::idle_probe), [`keep_alive`](Self::keep_alive) and
    /// [`close_policy`](Self::close_policy). Default [`TunnelConfig::new`].
    pub fn tunnel(self, tunnel: TunnelConfig) -> Self {
        self.with(|config| config.tunnel = Arc::new(tunnel))
    }

    /// Sets [`TunnelConfig::idle_timeout`](crate::TunnelConfig::idle_timeout). Default 60 s; `None` disables
    /// it.
    pub fn idle_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.idle_timeout(timeout))
    }

    /// Sets [`TunnelConfig::half_close_timeout`](crate::TunnelConfig::half_close_timeout). Default 30 s; with
    /// `None`, only the idle timeout applies.
    pub fn half_close_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.half_close_timeout(timeout))
    }

    /// Sets [`TunnelConfig::close_timeout`](crate::TunnelConfig::close_timeout). Default 5 s.
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.with_tunnel(|tunnel| tunnel.close_timeout(timeout))
    }

    /// Sets [`TunnelConfig::max_lifetime`](crate::TunnelConfig::max_lifetime). Default `None`: no limit.
    pub fn max_lifetime(self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.with_tunnel(|tunnel| tunnel.max_lifetime(lifetime))
    }

    /// Sets [`TunnelConfig::idle_probe`](crate::TunnelConfig::idle_probe): pings to both sides of a WebSocket before the
    /// [idle timeout](Self::idle_timeout) would end it. Default off.
    pub fn idle_probe(self) -> Self {
        self.with_tunnel(TunnelConfig::idle_probe)
    }

    /// Sets [`TunnelConfig::close_policy`](crate::TunnelConfig::close_policy): the Closes that the sides of a WebSocket get
    /// when the proxy ends their tunnel. Default [`ClosePolicy::transparent`]: none to clients.
    pub fn close_policy(self, close_policy: ClosePolicy) -> Self {
        self.with_tunnel(|tunnel| tunnel.close_policy(close_policy))
    }

    /// Sets [`TunnelConfig::keep_alive`](crate::TunnelConfig::keep_alive): pings to idle sides of a WebSocket. The
    /// answers count as traffic for the [idle timeout](Self::idle_timeout). Default none.
    pub fn keep_alive(self, keep_alive: KeepAlive) -> Self {
        self.with_tunnel(|tunnel| tunnel.keep_alive(keep_alive))
    }

    /// Sets the maximum number of concurrent tunnels, including handshakes. Upgrades above it get a 503 with
    /// `Retry-After`. The count covers all services wrapped by this layer and its clones. Default 65,536;
    /// `usize::MAX` for no limit.
    pub fn max_tunnels(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_tunnels(tunnels))
    }

    /// Sets the maximum number of concurrent tunnels of one client, including handshakes. Upgrades above it
    /// get a 429 ([RFC 6585, 4](https://www.rfc-editor.org/rfc/rfc6585#section-4)) with `Retry-After`.
    /// Counted like [`max_tunnels`](Self::max_tunnels). Default no limit.
    ///
    /// A client is an IPv4 address, or the /64 network of an IPv6 address, which one client commonly owns as
    /// a whole. Behind your own proxies, the address is [that of their forwarding
    /// fields](Forwarded#the-clients-address), if [`forwarded`](Self::forwarded) trusts them. Requests
    /// without a known address, that is, without a [`Peer`](crate::Peer) and axum's `ConnectInfo`, count as one client, and
    /// are one warning in the log.
    pub fn max_tunnels_per_client(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_per_client(tunnels))
    }

    /// Sets the maximum number of concurrent tunnels to one upstream, including handshakes. Upgrades above it
    /// get a 503 with `Retry-After`. Upstreams are distinguished by scheme, host and port as written, or by
    /// the path of the socket, but not by their base paths. Counted like [`max_tunnels`](Self::max_tunnels).
    /// Default no limit.
    pub fn max_tunnels_per_upstream(self, tunnels: usize) -> Self {
        self.with(|config| config.limits.set_per_upstream(tunnels))
    }

    /// Sets the maximum number of concurrent handshakes, each from the client's request to the upstream's
    /// response. Upgrades above it get a 503 with `Retry-After`. This bounds the backlog of a slow upstream,
    /// or of clients that all reconnect at once. Counted like [`max_tunnels`](Self::max_tunnels). Default
    /// 1,024; `usize::MAX` for no limit.
    pub fn max_handshakes(self, handshakes: usize) -> Self {
        self.with(|config| config.limits.set_handshakes(handshakes))
    }

    /// Sets the maximum number of concurrent ordinary requests ([`Forward`]), each from its arrival until the body of
    /// its response has ended. Requests above it get a 503 with `Retry-After`, before the proxy connects to the
    /// upstream. Counted like [`max_tunnels`](Self::max_tunnels). Default 4,096; `usize::MAX` for no limit.
    ///
    /// An event stream or a long poll counts as long as it is open: raise the limit for an upstream with many of them.
    pub fn max_requests(self, requests: usize) -> Self {
        self.with(|config| config.limits.set_requests(requests))
    }

    /// Sets a hook that is called when a tunnel opens and when it ends. Default none.
    pub fn on_tunnel(self, hook: impl OnTunnel) -> Self {
        self.with(|config| config.hooks.on_tunnel = Some(Arc::new(hook)))
    }

    /// Sets the registry in which tunnels are listed while they are open. Several layers may share one
    /// registry. Default none.
    pub fn tunnels(self, tunnels: &Tunnels) -> Self {
        self.with(|config| config.registry = Some(tunnels.clone()))
    }

    /// Sets the [`Drain`](crate::Drain) that ends the tunnels of this layer. Once it has begun, new upgrades
    /// get a 503 with `Retry-After` before the proxy connects to the upstream, and every open tunnel is
    /// requested to shut down. The tunnels are listed in [`Drain::tunnels`](crate::Drain::tunnels). Default
    /// none.
    pub fn drain(self, watcher: Watcher) -> Self {
        self.with(|config| config.drain = Some(watcher))
    }

    /// Sets the function that builds the responses for failures of the proxy itself. Default: the status of
    /// [`Error::status`] with one line of text. In both cases the [`Error`] is added to the response's
    /// extensions.
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

    /// Creates a service that proxies upgrades only. Ordinary requests get a 426.
    ///
    /// ```
    /// # use tower_upgrade_proxy::UpgradeProxyLayer;
    /// # let layer = UpgradeProxyLayer::per_request();
    /// let app: axum::Router = axum::Router::new().nest_service("/ws", layer.into_service());
    /// ```
    #[must_use]
    pub fn into_service(self) -> UpgradeProxy<UpgradeRequired> {
        let inner = UpgradeRequired::new();
        self.layer(inner)
    }

    /// Creates a service that proxies upgrades and ordinary requests to the same upstream, with the same
    /// rewrite rules, like a location of nginx. See [`Forward`].
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

/// Creates a service that proxies upgrades and ordinary requests to `upstream`, like a location of nginx.
///
/// Equivalent to `UpgradeProxyLayer::new(upstream).forward()`, which allows other settings.
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
