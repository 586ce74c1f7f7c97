//! A [tower](https://docs.rs/tower) layer that proxies upgrade requests, such as WebSocket handshakes, to an
//! upstream server.
//!
//! An accepted upgrade becomes a *tunnel* between client and upstream. Every other request goes unchanged to
//! the inner service, or, with [`Forward`], to the same upstream.
//!
//! ```text
//! async fn(Request) -> Response
//!
//! request ─▶ detect ─▶ select ─▶ rewrite ─▶ connect ─▶ respond (101) ─▶ tunnel
//!              │                                          │
//!              └─ no upgrade: inner service               └─ any other response: relayed with its body
//! ```
//!
//! Start with [`UpgradeProxyLayer`], which has all settings, or with [`proxy_pass`], which proxies all
//! requests to one upstream with the default settings.
//!
//! # Example
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use std::time::Duration;
//! use tower_upgrade_proxy::{KeepAlive, PathRewrite, UpgradeProxyLayer};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?)
//!     .path(PathRewrite::original_uri()) // the upstream gets /ws/room, not /room
//!     .keep_alive(KeepAlive::new().client(Duration::from_secs(30))); // else 60 s without traffic end a tunnel
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "an ordinary page" }))
//!     .nest_service("/ws", proxy.into_service());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `nest_service` matches `/ws` and all paths below it. `.layer(proxy)` on a whole `Router` would proxy the upgrades of
//! every path: [`UpgradeProxyLayer`] describes the other ways. Only authorized requests are proxied with
//! [`authorize`](UpgradeProxyLayer::authorize), which no order of layers can bypass.
//!
//! With plain hyper, serve connections *with upgrades*: `with_upgrades` of hyper's HTTP/1 server, or
//! `serve_connection_with_upgrades` of `hyper_util::server::conn::auto::Builder`. Otherwise the client gets the 101, and
//! the connection ends ([`TunnelEnd::UpgradeFailed`]); a warning says so once. For WebSockets over HTTP/2, the server must
//! enable extended CONNECT (`enable_connect_protocol`); `axum::serve` does both.
//!
//! The crate requires tokio: it provides connections and timers, and every tunnel is a tokio task.
//!
//! # Stages of a request
//!
//! 1. **Detect.** A request is an upgrade request in two cases. In HTTP/1.1, a `Connection` line contains the
//!    token `upgrade`, and `Upgrade` names a protocol allowed by [`Protocols`] with the request's method
//!    ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)). In HTTP/2, the method is
//!    CONNECT, and `:protocol` names an allowed protocol
//!    ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)). Every other request goes to the inner service.
//! 2. **Select.** The request's `Origin` is checked against [`AllowOrigin`]. Then the limits are checked:
//!    handshakes in flight first, then tunnels in total and per client. The hook
//!    [`authorize`](UpgradeProxyLayer::authorize) accepts or rejects the request, and may choose the upstream;
//!    otherwise that is the [`Upstream`] in the request's extensions, else that of the layer. The limit per
//!    upstream is last. A rejected request does not count towards any limit.
//! 3. **Rewrite.** Hop-by-hop fields and all fields named by a `Connection` line are removed
//!    ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)). Then [`Forwarded`], [`Host`]
//!    and [`PathRewrite`] are applied, the fields of `authorize` are set, and the hook [`on_request`](UpgradeProxyLayer::on_request) is called.
//! 4. **Connect.** The proxy opens an HTTP/1.1 connection for this upgrade alone. If the upstream is marked
//!    [`http2`](Upstream::http2) or [`auto`](Upstream::auto), it may use a stream of a shared HTTP/2
//!    connection instead.
//! 5. **Respond.** A 101 of the upstream is verified: protocol, `Sec-WebSocket-Accept` and subprotocol
//!    ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)). In HTTP/2 the equivalent is a
//!    200. The client gets the response of its own HTTP version. Any other response is relayed with its body.
//! 6. **Tunnel.** Bytes are copied unchanged in both directions until both sides have finished, one side
//!    fails, or a timeout of [`TunnelConfig`] expires. The hook [`OnTunnel`] is called at the start and at
//!    the end, [`Tunnels`] lists the open tunnels, and [`Drain`] closes them before the program exits.
//!
//! # Ordinary requests
//!
//! Requests without an upgrade go to the inner service. [`Forward`] is an inner service that sends them to
//! the same upstream, through the stages 2 and 3 and over pooled connections, and streams the responses back.
//! [`UpgradeProxyLayer::forward`] and [`proxy_pass`] create it.
//!
//! # Failures
//!
//! The error type of the service is that of the inner service. Failures of the proxy itself are responses,
//! with the [`Error`] in their extensions:
//!
//! | status | cause |
//! | --- | --- |
//! | 400 | malformed handshake: `Host` or key missing, repeated or invalid; a body on an upgrade; a path that escapes its prefix |
//! | 403 | origin not allowed by [`AllowOrigin`] |
//! | any | a [`Rejection`] by the hook [`authorize`](UpgradeProxyLayer::authorize), with its status |
//! | 405 | `CONNECT` sent to [`Forward`]; the connection is closed |
//! | 408 | the client paused in the middle of its request body until the header or handshake timeout |
//! | 429 with `Retry-After` | limit per client reached: [`max_tunnels_per_client`](UpgradeProxyLayer::max_tunnels_per_client) |
//! | 501 | `CONNECT` with a `:protocol` that is not allowed, sent to [`Forward`] |
//! | 502 | no connection to the upstream, TLS failure, or a response that violates the protocol |
//! | 503 with `Retry-After` | a [`Drain`] has begun; a limit is reached: [`max_tunnels`](UpgradeProxyLayer::max_tunnels), [`max_tunnels_per_upstream`](UpgradeProxyLayer::max_tunnels_per_upstream), [`max_handshakes`](UpgradeProxyLayer::max_handshakes), [`max_requests`](UpgradeProxyLayer::max_requests); no upstream is set, or no endpoint of the [`Pool`] is in use; all HTTP/2 connections to the upstream are full; the process is out of file descriptors |
//! | 504 | connect, handshake or header timeout expired; `authorize` took longer than the handshake timeout |
//!
//! # Features
//!
//! - `axum` (default): [`PathRewrite::original_uri`]; [`Forwarded`] reads axum's `ConnectInfo`.
//! - `tracing` (default): events under the target `tower_upgrade_proxy`. Debug: requests with `Upgrade` that
//!   are not treated as upgrades, failures with a 4xx, tunnels opened and closed. Info: tunnels ended by a
//!   timeout or an error, invalid framing that was forwarded. Warn: failures with a 5xx, HTTP/2 connections to
//!   an upstream that are dead, a server that does not support upgrades. Each tunnel has a span that follows from the span of its request.
//! - `metrics`: counters, gauges and histograms of tunnels (opened, active, ended, refused), bytes, messages
//!   and times, through the crate [`metrics`](https://docs.rs/metrics), for the recorder that the application
//!   installs.
//! - `rustls`: `https://` and `wss://` upstreams, [`Tls`].
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(all(feature = "axum", feature = "rustls")), allow(rustdoc::broken_intra_doc_links))]

mod allow_origin;
mod authority;
mod authorize;
mod body;
mod config;
mod connect;
mod discard_unread;
mod error;
mod exchange;
mod fields;
mod forward;
mod future;
#[cfg(any(test, upgrade_proxy_fuzz))]
#[doc(hidden)]
pub mod fuzz_bridge;
mod handshake;
mod io;
mod layer;
mod limits;
mod metrics;
mod on_tunnel;
mod pool;
mod proxy;
mod received;
mod refusal;
mod registry;
mod respond;
mod rewrite;
mod sanitize;
mod service;
mod sync;
mod time;
mod trace;
mod tunnel;
mod tunnel_resource;
mod upgrade;
mod upgrade_required;
mod upstream;

pub use allow_origin::{AllowOrigin, InvalidOrigin};
pub use authorize::{Authorized, Rejection};
pub use body::{ResponseBody, discard::DiscardOnDrop};
#[cfg(feature = "rustls")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
pub use connect::tls::Tls;
pub use connect::{
    body::UpstreamBody,
    connection_auth::{ClientConnection, ConnectionAuth},
    h2::Http2,
};
pub use discard_unread::{DiscardUnreadBody, DiscardUnreadBodyLayer};
pub use error::Error;
pub use forward::{Forward, ForwardFuture};
pub use future::ResponseFuture;
pub use handshake::{InvalidProtocol, Protocol, Protocols};
pub use io::send_timeout::{BytesReceived, SendTimeout, SendTimeoutSwitch};
pub use layer::{UpgradeProxyLayer, proxy_pass};
pub use on_tunnel::{OnTunnel, TunnelInfo, TunnelLabel};
pub use pool::{
    Balance, Candidate, Choose, Endpoint, EndpointState, EndpointStatus, InvalidCookieName, Key, Outlier,
    Pool, Retry, Sticky,
};
pub use registry::{Drain, DrainConfig, DrainSummary, Watcher};
pub use registry::{TunnelStatus, Tunnels};
pub use rewrite::{
    forwarded::{Forwarded, ForwardedField, InvalidIdentifier, Peer},
    host::Host,
    path::PathRewrite,
};
pub use sanitize::{SanitizeRequest, SanitizeRequestLayer};
pub use service::UpgradeProxy;
pub use tunnel::{
    CloseCode, CloseFrame, ClosePolicy, Framing, Initiator, KeepAlive, RateLimit, Side, Told, Tunnel,
    TunnelConfig, TunnelEnd, TunnelHandle, TunnelState, TunnelSummary,
};
pub use tunnel_resource::TunnelResource;
pub use upgrade_required::UpgradeRequired;
pub use upstream::{InvalidUpstream, Upstream};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/balancing.md")]
struct BalancingGuide;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/http2.md")]
struct Http2Guide;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/observability.md")]
struct ObservabilityGuide;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/mounting.md")]
struct MountingGuide;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/lifecycle.md")]
struct LifecycleGuide;
