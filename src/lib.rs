//! A tower layer in which an upgrade request becomes a tunnel to an upstream, and every other
//! request goes to the inner service, untouched, or with [`Forward`] to the same upstream:
//!
//! ```text
//! async fn(Request) -> Response
//!
//! request ─▶ detect ─▶ select ─▶ rewrite ─▶ connect ─▶ respond (101) ─▶ tunnel
//!              │                                          │
//!              └─ not ours: inner service, untouched      └─ any other answer: relayed with its body
//! ```
//!
//! # Example
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_upgrade_proxy::UpgradeProxyLayer;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?);
//! let app: Router = Router::new().route("/ws/", get(|| async { "no upgrade" })).layer(proxy);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! With plain hyper, serve the connection *with upgrades*
//! (`hyper_util::server::conn::auto::Builder::serve_connection_with_upgrades`); otherwise the
//! requests lack what an upgrade needs, and all of them go to the inner service.
//!
//! # What happens to a request
//!
//! 1. **Detect.** It is ours when it is HTTP/1.1, a `Connection` line holds the token `upgrade`, and
//!    `Upgrade` names a protocol of [`Protocols`] whose method this is
//!    ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)); or when it is HTTP/2 and
//!    CONNECT with such a `:protocol` ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)).
//!    Everything else is the inner service's.
//! 2. **Select.** A web page must be of an [`AllowOrigin`]. Then: the [`Upstream`] in its extensions, else
//!    the layer's; if there is a place left. Of the limits, the one on handshakes is looked at first, then
//!    those on tunnels: in total, per client, per upstream. A request that is refused holds no place.
//! 3. **Rewrite.** Hop-by-hop fields and all fields a `Connection` line names are removed
//!    ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)); then [`Forwarded`],
//!    [`Host`], [`PathRewrite`] and [`on_request`](UpgradeProxyLayer::on_request) have their say.
//! 4. **Connect.** A fresh HTTP/1.1 connection, for this upgrade alone; or, to an upstream marked
//!    [`http2`](Upstream::http2) or [`auto`](Upstream::auto), a stream of a shared one in HTTP/2.
//! 5. **Respond.** A 101 is checked: protocol, `Sec-WebSocket-Accept`, subprotocol
//!    ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)). In HTTP/2 it is a 200, and
//!    either becomes what the client's version has. Any other answer is relayed as it is.
//! 6. **Tunnel.** Bytes are copied verbatim both ways until both sides have finished, one fails, or
//!    a timeout of [`TunnelConfig`] runs out. [`OnTunnel`] is told; [`Tunnels`] lists them, and [`Drain`]
//!    ends them before the program does.
//!
//! # Ordinary requests
//!
//! They are the inner service's. When that is [`Forward`], as [`UpgradeProxyLayer::forward`] and
//! [`proxy_pass`] make it, they go to the same upstream through the same stages 2 and 3, over pooled
//! connections, and their answers stream back.
//!
//! # Failures
//!
//! The service's error type is the inner service's. The proxy's own failures are responses, with
//! the [`Error`] in their extensions:
//!
//! | status | when |
//! | --- | --- |
//! | 400 | the handshake is malformed: `Host` or key missing, repeated or invalid; a body on an upgrade; a path that leaves its prefix |
//! | 403 | the page is not of an [`AllowOrigin`] |
//! | 405 | `CONNECT` at [`Forward`]; the connection ends |
//! | 429 with `Retry-After` | the client has [`max_tunnels_per_client`](UpgradeProxyLayer::max_tunnels_per_client) |
//! | 501 | `CONNECT` with another `:protocol` at [`Forward`] |
//! | 502 | no connection, TLS failure, or an upstream that breaks the protocol |
//! | 503 with `Retry-After` | a [`Drain`] has begun; [`max_tunnels`](UpgradeProxyLayer::max_tunnels) are open, [`max_tunnels_per_upstream`](UpgradeProxyLayer::max_tunnels_per_upstream) to this one, or [`max_handshakes`](UpgradeProxyLayer::max_handshakes) in flight; there is no upstream, or all its HTTP/2 connections are full; the process may open no more sockets |
//! | 504 | the connect, handshake or header timeout ran out |
//!
//! # Features
//!
//! - `axum` (default): [`PathRewrite::original_uri`]; [`Forwarded`] reads `ConnectInfo`.
//! - `tracing` (default): events under the target `tower_upgrade_proxy`. Debug: upgrades not taken,
//!   tunnels opened and closed. Info: tunnels cut by a timeout or an error. Warn: refusals with a 5xx.
//!   Each tunnel has a span, which follows from the request's.
//! - `metrics`: counters, gauges and histograms by way of the crate [`metrics`](https://docs.rs/metrics), for
//!   whatever recorder is installed: tunnels opened, active, ended and refused, bytes, messages, times.
//! - `rustls`: `https://` and `wss://` upstreams, [`Tls`].
//!
//! tokio is needed: connections and timers are its, and every tunnel is a task of its runtime.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(all(feature = "axum", feature = "rustls")), allow(rustdoc::broken_intra_doc_links))]

mod allow_origin;
mod body;
mod config;
mod connect;
mod error;
mod exchange;
mod forward;
mod future;
#[cfg(any(test, upgrade_proxy_fuzz))]
#[doc(hidden)]
pub mod fuzz_bridge;
mod handshake;
mod io;
mod layer;
mod limits;
#[cfg_attr(not(feature = "metrics"), path = "metrics_absent.rs")]
mod metrics;
mod on_tunnel;
mod proxy;
mod refusal;
mod registry;
mod respond;
mod rewrite;
mod service;
mod sync;
mod time;
mod trace;
mod tunnel;
mod upgrade;
mod upgrade_required;
mod upstream;

pub use allow_origin::{AllowOrigin, InvalidOrigin};
pub use body::ResponseBody;
#[cfg(feature = "rustls")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
pub use connect::tls::Tls;
pub use connect::{body::UpstreamBody, h2::Http2};
pub use error::Error;
pub use forward::{Forward, ForwardFuture};
pub use future::ResponseFuture;
pub use handshake::{InvalidProtocol, Protocol, Protocols};
pub use layer::{UpgradeProxyLayer, proxy_pass};
pub use on_tunnel::{OnTunnel, TunnelInfo, TunnelLabel};
pub use registry::{Drain, DrainConfig, DrainSummary, Watcher};
pub use registry::{TunnelStatus, Tunnels};
pub use rewrite::{
    forwarded::{Forwarded, ForwardedField, InvalidIdentifier, Peer},
    host::Host,
    path::PathRewrite,
};
pub use service::UpgradeProxy;
pub use tunnel::{
    CloseCode, CloseFrame, ClosePolicy, Framing, KeepAlive, RateLimit, Side, Tunnel, TunnelConfig, TunnelEnd,
    TunnelHandle, TunnelState, TunnelSummary,
};
pub use upgrade_required::UpgradeRequired;
pub use upstream::{InvalidUpstream, Upstream};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/http2.md")]
struct Http2Guide;

/// The guide's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/observability.md")]
struct ObservabilityGuide;

#[cfg(doctest)]
#[doc = include_str!("../docs/lifecycle.md")]
struct LifecycleGuide;
