//! The span and the events of the feature `tracing`; nothing without it.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use crate::{error::Error, on_tunnel::TunnelInfo, tunnel::Side, tunnel::TunnelSummary};

/// A request ends with an answer of the proxy's own.
pub(crate) fn refused(error: &Error) {
    #[cfg(feature = "tracing")]
    if error.status().is_server_error() {
        tracing::warn!(status = error.status().as_u16(), %error, "request refused");
    } else {
        tracing::debug!(status = error.status().as_u16(), %error, "request refused");
    }
}

/// The span of a tunnel, from its verified 101 to its end.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// In a box, and not there when nobody listens: every tunnel has room for it.
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

impl Span {
    /// At info, as what happens to tunnels is at most that: whoever sees an event sees whose it is.
    ///
    /// A root that follows from the request's span. As its child it would hold that open, and with it
    /// the request's duration and its way to a collector, for as long as the tunnel stands.
    pub(crate) fn of(tunnel: &TunnelInfo) -> Self {
        #[cfg(feature = "tracing")]
        let span = tracing::info_span!(
            parent: None,
            "tunnel",
            id = tunnel.id(),
            client = tunnel.client().map(tracing::field::display),
            upstream = %tunnel.upstream(),
            protocol = tunnel.protocol(),
            path = tunnel.path(),
            label = tunnel.label(),
        );
        #[cfg(feature = "tracing")]
        span.follows_from(tracing::Span::current());
        Self {
            #[cfg(feature = "tracing")]
            span: (!span.is_disabled()).then(|| Box::new(span)),
        }
    }

    /// Runs `f` inside it. The tunnel's own polls are not: they would pay for it with each message.
    pub(crate) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(|span| span.enter());
        f()
    }
}

/// A 101 was verified. Inside the tunnel's span, which says whose it is.
pub(crate) fn opened() {
    #[cfg(feature = "tracing")]
    tracing::debug!("tunnel opened");
}

/// The frames of `side` of a tunnel that has ended could not be followed. Inside its span.
fn invalid_framing(side: Side, reason: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!(%side, reason, "invalid framing went through");
}

/// A tunnel ended: at info when it was cut by a timeout or an error, else at debug. Inside its span.
///
/// A connection that ended in TLS without its farewell (`close_notify`) is an error to TLS, and what browsers
/// do when a page is left: debug.
pub(crate) fn ended(summary: &TunnelSummary) {
    for side in [Side::Client, Side::Upstream] {
        if let Some(reason) = summary.invalid_framing(side) {
            invalid_framing(side, reason);
        }
    }
    #[cfg(feature = "tracing")]
    {
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
        if summary.end().is_orderly() || is_bare_end(summary.end()) {
            event!(debug);
        } else {
            event!(info);
        }
    }
}

/// Whether TLS ended without its farewell.
#[cfg(feature = "tracing")]
fn is_bare_end(end: &crate::tunnel::TunnelEnd) -> bool {
    matches!(end, crate::tunnel::TunnelEnd::Failed { error, .. } if error.kind() == std::io::ErrorKind::UnexpectedEof)
}
