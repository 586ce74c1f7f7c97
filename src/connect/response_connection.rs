//! [`ResponseConnection`]: the connection, or the stream, of a response to an upgrade request.

use bytes::Bytes;
use http::{StatusCode, Version};
use hyper::body::Incoming;

use super::{
    body::{BodyTimeouts, UpstreamBody},
    h1::{self, Http1Body},
    h2::ResponseStream,
};
use crate::{
    body::BoxBody,
    io::{coalesced::Coalesced, transport::Transport},
};

/// The upstream's connection after the response head.
pub(crate) enum ResponseConnection {
    Http1 { http: h1::Connection, body: Incoming },
    Http2(ResponseStream),
}

impl ResponseConnection {
    /// Returns true if a response with `status` accepts the upgrade: a 101
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)), in HTTP/2 any 2xx
    /// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
    pub(crate) fn accepts(&self, status: StatusCode) -> bool {
        match self {
            Self::Http1 { .. } => status == StatusCode::SWITCHING_PROTOCOLS,
            Self::Http2(_) => status.is_success(),
        }
    }

    /// Returns the upstream's side of the tunnel, after an accepted upgrade, with the bytes received behind
    /// the response head.
    ///
    /// `None` when the connection failed before hyper had released it.
    pub(crate) async fn into_transport(self) -> Option<(Transport, Bytes)> {
        match self {
            Self::Http1 { http, .. } => http.into_transport().await,
            Self::Http2(stream) => {
                stream.into_stream().map(|io| (Transport::Other(Box::new(Coalesced(io))), Bytes::new()))
            }
        }
    }

    /// Returns the body of any other response, for a client in version `client`.
    pub(crate) fn into_body(self, timeouts: &BodyTimeouts, client: Version) -> BoxBody {
        match self {
            Self::Http1 { http, body } => {
                BoxBody::new(UpstreamBody::new(Http1Body::new(body, http), timeouts, client, None))
            }
            Self::Http2(stream) => {
                BoxBody::new(UpstreamBody::new(stream.into_body(), timeouts, client, None))
            }
        }
    }
}
