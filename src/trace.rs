//! Span and events of the feature `tracing`. Without the feature, the same items do nothing.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use crate::{error::Error, on_tunnel::TunnelInfo, received::Received, tunnel::TunnelSummary};
#[cfg(feature = "tracing")]
use crate::{
    received::text::{Printable, clip},
    tunnel::{Side, TunnelEnd},
};

/// Reports a request that gets a failure response of the proxy itself: at warn if the client is not to blame.
pub(crate) fn refused(error: &Error, request: &Received) {
    #[cfg(feature = "tracing")]
    {
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    method = &*clip(request.method.as_str()),
                    path = &*clip(request.path()),
                    version = ?request.version,
                    client = request.client.map(tracing::field::display),
                    upstream = error.upstream().map(tracing::field::display),
                    upstream_path = request.upstream_path().map(clip).as_deref(),
                    status = error.status().as_u16(),
                    reason = error.reason(),
                    error = %Printable(error),
                    "request refused"
                )
            };
        }
        if error.status().is_server_error() {
            event!(warn);
        } else {
            event!(debug);
        }
    }
}

/// Span of a tunnel, from its verified 101 to its end.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// In a box, as every tunnel has room for it; `None` if the subscriber has disabled it.
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

impl Span {
    /// Creates the span of `tunnel`. Its level is info, the most severe of the events in it, so that every enabled event
    /// has its span.
    ///
    /// The span is a root that follows from the request's span. A child would keep the request's span open for as
    /// long as the tunnel, prolong the request's duration and delay its export to a collector.
    pub(crate) fn of(tunnel: &TunnelInfo) -> Self {
        #[cfg(feature = "tracing")]
        let span = tracing::info_span!(
            parent: None,
            "tunnel",
            id = tunnel.id(),
            client = tunnel.client().map(tracing::field::display),
            upstream = %tunnel.upstream(),
            protocol = tunnel.protocol(),
            path = &*clip(tunnel.path()),
            upstream_path = &*clip(tunnel.upstream_path()),
            label = tunnel.label(),
        );
        #[cfg(feature = "tracing")]
        span.follows_from(tracing::Span::current());
        Self {
            #[cfg(feature = "tracing")]
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Runs `f` inside the span. The tunnel's polls run outside, as entering a span would cost time for each message.
    pub(crate) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(|span| span.enter());
        f()
    }
}

/// Reports a verified 101. To be called inside the tunnel's span, which identifies the tunnel.
pub(crate) fn opened() {
    #[cfg(feature = "tracing")]
    tracing::debug!("tunnel opened");
}

/// Reports the end of a tunnel: at info after a timeout or an error, else at debug. To be called inside its span.
///
/// A TLS connection that ends without `close_notify` is an error for TLS, but browsers end connections in this
/// way when a page is closed: debug.
pub(crate) fn ended(summary: &TunnelSummary) {
    #[cfg(feature = "tracing")]
    {
        for side in Side::BOTH {
            if let Some(reason) = summary.invalid_framing(side) {
                tracing::info!(%side, reason, "invalid framing forwarded");
            }
        }
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    client_to_upstream = summary.bytes(Side::Client),
                    upstream_to_client = summary.bytes(Side::Upstream),
                    messages_from_client = summary.messages(Side::Client),
                    messages_from_upstream = summary.messages(Side::Upstream),
                    client_close_code = summary.close_code(Side::Client),
                    upstream_close_code = summary.close_code(Side::Upstream),
                    spliced = summary.spliced(),
                    duration = ?summary.duration(),
                    reason = %summary.end(),
                    "tunnel ended"
                )
            };
        }
        if summary.end().is_orderly() || lacks_close_notify(summary.end()) {
            event!(debug);
        } else {
            event!(info);
        }
    }
}

/// Returns true if TLS ended without `close_notify`.
#[cfg(feature = "tracing")]
fn lacks_close_notify(end: &TunnelEnd) -> bool {
    matches!(end, TunnelEnd::Failed { error, .. } if error.kind() == std::io::ErrorKind::UnexpectedEof)
}
