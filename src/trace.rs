//! Span and events of the feature `tracing`. Without the feature, the same items do nothing.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

#[cfg(feature = "tracing")]
use std::sync::{Once, OnceLock};
use std::time::Duration;

use crate::{
    error::Error, on_tunnel::TunnelInfo, received::Received, tunnel::TunnelSummary, upstream::Upstream,
};
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

/// Reports that a request goes to another endpoint of its pool, because of `error`.
pub(crate) fn failed_over(error: &Error, next: &Upstream) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%next, error = %Printable(error), "another endpoint is tried");
}

/// Reports that an endpoint of a pool is not chosen for this time.
pub(crate) fn ejected(endpoint: &str, failures: u32, time: Duration) {
    #[cfg(feature = "tracing")]
    tracing::warn!(endpoint = &*clip(endpoint), failures, ?time, "endpoint ejected");
}

/// Reports the first response of an endpoint that was ejected.
pub(crate) fn readmitted(endpoint: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(endpoint = &*clip(endpoint), "endpoint answers again");
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

/// Reports that the server did not release the client's connection. If it does not support upgrades at all, which hyper
/// reports as an error of its user, that is a warning with the remedy, once in a process.
pub(crate) fn not_upgraded(error: &hyper::Error) {
    #[cfg(feature = "tracing")]
    if error.is_user() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing::warn!(
                %error,
                "the server does not support upgrades, so that tunnels end with the 101: serve its connections \
                 with `serve_connection_with_upgrades` (hyper-util) or `with_upgrades` (hyper)"
            );
        });
    }
}

/// Warnings about the unknown addresses of a layer's clients, each reported once.
#[derive(Debug, Default)]
pub(crate) struct UnknownAddress {
    #[cfg(feature = "tracing")]
    fields: OnceLock<()>,
    #[cfg(feature = "tracing")]
    limit: OnceLock<()>,
}

impl UnknownAddress {
    /// Reports that the forwarding fields lack the address, with the remedy.
    pub(crate) fn in_fields(&self) {
        #[cfg(feature = "tracing")]
        self.fields.get_or_init(|| {
            tracing::warn!(
                "the client's address is unknown, so that no peer is trusted, and `X-Forwarded-For` and `X-Real-IP` are not \
                 set: {REMEDY}"
            );
        });
    }

    /// Reports that the limit per client has no addresses, with the remedy.
    pub(crate) fn in_limit(&self) {
        #[cfg(feature = "tracing")]
        self.limit.get_or_init(|| {
            tracing::warn!(
                "the client's address is unknown, so that `max_tunnels_per_client` counts all clients as one: {REMEDY}"
            );
        });
    }
}

/// Ways for a server to pass on the addresses of clients.
#[cfg(feature = "tracing")]
const REMEDY: &str = "serve with `into_make_service_with_connect_info::<SocketAddr>()` of axum 0.8, or insert a `Peer` into \
    the extensions of each request";

/// Reports once in a process how WebSockets without messages are kept open.
#[cfg(feature = "tracing")]
fn explain_idle_timeout() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::info!(
            "a tunnel without traffic has been ended: `idle_timeout` sets the limit, 60 s by default, and \
             `idle_probe` or `keep_alive` send pings, whose answers keep a WebSocket open"
        );
    });
}

/// Reports the end of a tunnel: at info after a timeout or a failure of the upstream, else at debug. To be called inside its
/// span.
///
/// Clients disconnect without a Close all the time, and browsers end TLS without `close_notify` when a page is closed:
/// debug.
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
                    client_told = summary.told(Side::Client).map(tracing::field::display),
                    upstream_told = summary.told(Side::Upstream).map(tracing::field::display),
                    spliced = summary.spliced(),
                    duration = ?summary.duration(),
                    ended_by = %summary.end().initiator(),
                    reason = %summary.end(),
                    "tunnel ended"
                )
            };
        }
        if matches!(summary.end(), TunnelEnd::IdleTimeout) {
            explain_idle_timeout();
        }
        if summary.end().is_orderly() || is_common_failure(summary.end()) {
            event!(debug);
        } else {
            event!(info);
        }
    }
}

/// Returns true if the client's connection failed, or TLS ended without `close_notify`.
#[cfg(feature = "tracing")]
fn is_common_failure(end: &TunnelEnd) -> bool {
    match end {
        TunnelEnd::Failed { side: Side::Client, .. } => true,
        TunnelEnd::Failed { error, .. } => error.kind() == std::io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

#[cfg(feature = "tracing")]
#[cfg(test)]
mod tests {
    use std::{
        fmt::Debug,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use tracing::{Event, Metadata, Subscriber, field, span};

    use super::*;
    use crate::tunnel::Sides;

    /// Subscriber that keeps the messages of all events.
    #[derive(Clone, Default)]
    struct Messages(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Messages {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut |field: &field::Field, value: &dyn Debug| {
                if field.name() == "message" {
                    self.0.lock().unwrap().push(format!("{value:?}"));
                }
            });
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn the_settings_that_keep_a_tunnel_open_are_named_once() {
        let messages = Messages::default();
        let idle = TunnelSummary::new(Sides::default(), Duration::from_secs(60), TunnelEnd::IdleTimeout);
        tracing::subscriber::with_default(messages.clone(), || {
            ended(&idle);
            ended(&idle);
        });
        let messages = messages.0.lock().unwrap().clone();
        let [hint, ends @ ..] = &messages[..] else { panic!("no event") };
        assert!(
            ["`idle_timeout`", "`idle_probe`", "`keep_alive`"].iter().all(|name| hint.contains(name)),
            "{hint}"
        );
        assert_eq!(ends, ["tunnel ended", "tunnel ended"]);
    }
}
