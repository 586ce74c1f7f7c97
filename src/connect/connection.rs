//! What an upgrade's answer came on.

use bytes::Bytes;
use http::StatusCode;
use hyper::body::Incoming;

use super::body::UpstreamBody;
use super::{
    h1::{self, Relayed},
    h2,
};
use crate::body::BoxBody;
use crate::{io::coalesced::Coalesced, io::transport::Transport};

/// The upstream's side of an exchange, after the head of the answer.
pub(crate) enum Connection {
    Http1 { http: h1::Connection, body: Incoming },
    Http2(h2::ResponseStream),
}

impl Connection {
    /// Whether an answer with `status` says yes to the upgrade: a 101
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)), in HTTP/2 any 2xx
    /// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
    pub(crate) fn agrees(&self, status: StatusCode) -> bool {
        match self {
            Self::Http1 { .. } => status == StatusCode::SWITCHING_PROTOCOLS,
            Self::Http2(_) => status.is_success(),
        }
    }

    /// After a yes: the upstream's side of the tunnel, with the bytes that came behind the head.
    ///
    /// `None` when the connection failed before HTTP had let go of it.
    pub(crate) async fn into_transport(self) -> Option<(Transport, Bytes)> {
        match self {
            Self::Http1 { http, .. } => http.into_transport().await,
            Self::Http2(stream) => {
                stream.into_stream().map(|io| (Transport::Other(Box::new(Coalesced(io))), Bytes::new()))
            }
        }
    }

    /// After any other answer: its body.
    pub(crate) fn into_body(self, limit: Option<std::time::Duration>) -> BoxBody {
        match self {
            Self::Http1 { http, body } => BoxBody::new(Relayed::new(UpstreamBody::new(body, limit), http)),
            Self::Http2(stream) => BoxBody::new(UpstreamBody::new(stream.into_body(), limit)),
        }
    }
}
