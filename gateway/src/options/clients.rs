//! Options for the connections of clients.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tower_upgrade_proxy::UpgradeProxyLayer;

use super::values::Limit;
use crate::serve::{Http, HttpConfig};

/// Maximum client timeout, ten years: hyper panics if the end of a timeout is beyond the range of the clock.
const LONGEST_CLIENT_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Args)]
pub(crate) struct Clients {
    /// Maximum number of open client connections, without those that became tunnels in HTTP/1.1; further ones are closed
    /// when they are accepted (nginx's `worker_connections`)
    #[arg(long, value_name = "N", default_value = "16384")]
    max_connections: NonZeroUsize,

    /// Maximum number of concurrent streams on a client's HTTP/2 connection; each is a request or a tunnel
    #[arg(long, value_name = "N", default_value = "100")]
    http2_streams: NonZeroU32,

    /// Time that a client's connection stays open without a request (nginx's `keepalive_timeout`); in HTTP/2 up to twice as
    /// long, and its tunnels continue
    #[arg(
        long,
        alias = "http2-keep-alive",
        value_name = "DURATION",
        default_value = "75s",
        value_parser = humantime::parse_duration
    )]
    keep_alive_timeout: Duration,

    /// Maximum number of requests on a client's connection, which then ends when they have been answered (nginx's
    /// `keepalive_requests`); in HTTP/2 its tunnels continue
    #[arg(long, value_name = "N", default_value = "1000")]
    keep_alive_requests: NonZeroUsize,

    /// Timeout for a client's TLS handshake, for its first request, and for the rest of a request's head (nginx's
    /// `client_header_timeout`)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    client_timeout: Duration,

    /// End a response of which the client takes nothing for this time, with its upstream connection (nginx's
    /// `send_timeout`), or `off`. It also ends a connection that takes nothing; tunnels are not subject to it
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    send_timeout: Limit,

    /// Case of field names in HTTP/1.1, for clients and upstreams that treat it as significant. lower: host, sec-websocket-key.
    /// title: Host, Sec-WebSocket-Key. preserve: as received, and title for names that were not received in HTTP/1.1
    #[arg(long, value_enum, value_name = "CASE", default_value = "lower")]
    header_case: HeaderCase,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum HeaderCase {
    Lower,
    Preserve,
    Title,
}

impl Clients {
    /// Maximum number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.max_connections.get()
    }

    /// HTTP settings for clients.
    pub(crate) fn http(&self) -> Http {
        Http::new(&HttpConfig {
            client_timeout: self.client_timeout.min(LONGEST_CLIENT_TIMEOUT),
            keep_alive: self.keep_alive_timeout,
            send_timeout: self.send_timeout.0,
            streams: self.http2_streams,
            connections: self.max_connections,
            requests: self.keep_alive_requests,
            preserve_header_case: self.header_case == HeaderCase::Preserve,
            title_case_headers: self.header_case != HeaderCase::Lower,
        })
    }

    /// Sets the settings of the layer that concern clients.
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
        let layer = layer.send_timeout(self.send_timeout.0);
        match self.header_case {
            HeaderCase::Lower => layer,
            HeaderCase::Preserve => layer.preserve_header_case().title_case_headers(),
            HeaderCase::Title => layer.title_case_headers(),
        }
    }
}
