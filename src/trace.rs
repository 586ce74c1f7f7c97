//! The events of the feature `tracing`; nothing without it.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use std::fmt::Debug;

use http::{Method, Uri};

use crate::{Error, TunnelInfo, TunnelSummary};

/// A request with `Upgrade`, or `:protocol`, goes to the inner service.
pub(crate) fn not_taken(method: &Method, uri: &Uri, asked: Option<&dyn Debug>, reason: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%method, path = uri.path(), upgrade = ?asked, reason, "upgrade request not taken");
}

/// An HTTP/2 connection with tunnels has not answered a PING.
pub(crate) fn connection_dead() {
    #[cfg(feature = "tracing")]
    tracing::warn!("HTTP/2 connection to the upstream is dead: a PING was not answered in time");
}

/// A request ends with an answer of the proxy's own.
pub(crate) fn refused(error: &Error) {
    #[cfg(feature = "tracing")]
    if error.status().is_server_error() {
        tracing::warn!(status = error.status().as_u16(), %error, "request refused");
    } else {
        tracing::debug!(status = error.status().as_u16(), %error, "request refused");
    }
}

/// A 101 was verified.
pub(crate) fn opened(tunnel: &TunnelInfo) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        tunnel = tunnel.id(),
        upstream = %tunnel.upstream(),
        protocol = tunnel.protocol(),
        "tunnel opened"
    );
}

/// A tunnel ended: at info when it was cut by a timeout or an error, else at debug.
pub(crate) fn ended(tunnel: &TunnelInfo, summary: &TunnelSummary) {
    #[cfg(feature = "tracing")]
    {
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    tunnel = tunnel.id(),
                    upstream = %tunnel.upstream(),
                    protocol = tunnel.protocol(),
                    client_to_upstream = summary.client_to_upstream(),
                    upstream_to_client = summary.upstream_to_client(),
                    spliced = summary.spliced(),
                    duration = ?summary.duration(),
                    reason = %summary.end(),
                    "tunnel ended"
                )
            };
        }
        if summary.end().is_orderly() {
            event!(debug);
        } else {
            event!(info);
        }
    }
}
