//! The way of an upgrade request, stage after stage.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

use crate::{
    Error,
    body::Own,
    config::Config,
    connect::{Outgoing, Use, h1},
    error::Kind,
    handover::Opening,
    handshake::{Asked, Handshake, accept::accept, encode::encode},
    respond,
};

/// select, rewrite, connect, respond; and, when the upstream agreed, the tunnel.
///
/// Nothing of the client's goes upstream but the head made here (and the body of protocols that
/// have one) until the upstream has answered 101, and the client sees no 101 that was not checked.
///
/// # Cancel safety
///
/// Dropping the future, as a server does when the client leaves, closes the upstream connection.
pub(crate) async fn proxy(
    config: Arc<Config>,
    handshake: Handshake,
    parts: Parts,
    body: Outgoing,
) -> Response<Own> {
    match attempt(&config, handshake, parts, body).await {
        Ok(response) => response,
        Err(error) => respond::error(&config, &error),
    }
}

async fn attempt(
    config: &Config,
    handshake: Handshake,
    parts: Parts,
    body: Outgoing,
) -> Result<Response<Own>, Error> {
    let admission = config.admit()?;
    let upstream = config.select(&parts.extensions)?;
    let (request, expected) = encode(config, &handshake, parts, body, &upstream)?;
    let connect = config.connector.connect(upstream.address(), config.connect_timeout, Use::Upgrade);
    let transport = connect.await.map_err(|cause| Error::connecting(&upstream, cause))?;
    let exchange = tokio::time::timeout(config.handshake_timeout, h1::exchange(transport, request));
    let (mut response, connection) = match exchange.await {
        Ok(Ok(answered)) => answered,
        Ok(Err(cause)) => return Err(Error::exchanging(&upstream, cause.into())),
        Err(_) => return Err(Error::at(Kind::HandshakeTimeout, &upstream)),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        if handshake.asked == Asked::ExtendedConnect && response.status().is_success() {
            // Its client would take any 2xx for a tunnel.
            return Err(Error::at(Kind::Response("it is a 2xx, and no upgrade"), &upstream));
        }
        return Ok(respond::relay(config, handshake.asked, response, connection));
    }
    expected.verify(response.headers_mut()).map_err(|reason| Error::at(Kind::Response(reason), &upstream))?;
    accept(handshake.asked, &handshake.protocol, &mut response);
    Opening { handshake, connection, upstream, admission }.spawn(config);
    // It belongs to the upstream's connection, which the tunnel has.
    response.extensions_mut().remove::<OnUpgrade>();
    Ok(response.map(|_| Own::Text(Full::new(Bytes::new()))))
}
