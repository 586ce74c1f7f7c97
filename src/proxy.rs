//! The way of an upgrade request, stage after stage.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

use crate::{
    body::Outgoing, body::ProxyBody, config::Config, error::Error, error::Kind, exchange::exchange,
    handshake::Handshake, handshake::Mechanism, handshake::accept::accept, handshake::encode::encode,
    metrics, metrics::Outcome, on_tunnel::TunnelInfo, on_tunnel::TunnelLabel, respond,
    upgrade::PendingTunnel,
};

/// admit, select, rewrite, connect, respond; and, when the upstream agreed, the tunnel.
///
/// Nothing of the client's goes upstream but the head made here (and the body of protocols that
/// have one) until the upstream has agreed, and the client sees no agreement that was not checked.
///
/// # Cancel safety
///
/// Dropping the future, as a server does when the client leaves, closes the upstream connection, or
/// resets its stream.
pub(crate) async fn proxy(
    config: Arc<Config>,
    handshake: Handshake,
    parts: Parts,
    body: Outgoing,
    counted: metrics::Handshake,
) -> Response<ProxyBody> {
    let (response, outcome) = match attempt(&config, handshake, parts, body).await {
        Ok(response) if matches!(response.body(), ProxyBody::Upstream(_)) => (response, Outcome::Relayed),
        Ok(response) => (response, Outcome::Upgraded),
        Err(error) => (respond::error(&config.hooks, &error), Outcome::Refused),
    };
    counted.end(outcome);
    response
}

async fn attempt(
    config: &Config,
    handshake: Handshake,
    parts: Parts,
    body: Outgoing,
) -> Result<Response<ProxyBody>, Error> {
    config.allow_origin.check(&parts)?;
    let handshake_guard = config.begin_handshake()?;
    let _handshake_permit = config.limits.permit_handshake()?;
    let client = config.rewrite.forwarded.client(&parts);
    let mut permit = config.limits.permit_tunnel(client)?;
    let upstream = config.select(&parts.extensions)?;
    config.limits.permit_upstream(&mut permit, &upstream)?;
    let (uri, label) = (parts.uri.clone(), parts.extensions.get::<TunnelLabel>().cloned());
    let (request, expected) = encode(&config.rewrite, &handshake, parts, body, &upstream)?;
    let (mut response, connection) =
        exchange(&config.connector, &config.timeouts, &handshake.protocol, &upstream, request).await?;
    if !connection.accepts(response.status()) {
        if handshake.mechanism == Mechanism::ExtendedConnect && response.status().is_success() {
            // Its client would take any 2xx for a tunnel.
            return Err(Error::at(Kind::Response("it is a 2xx, and no upgrade"), &upstream));
        }
        let body = connection.into_body(config.timeouts.body);
        return respond::relay(&handshake, &upstream, response, body, config.refusal, permit);
    }
    expected
        .verify(response.version(), response.headers_mut())
        .map_err(|reason| Error::at(Kind::Response(reason), &upstream))?;
    accept(handshake.mechanism, &handshake.protocol, &mut response);
    let info = TunnelInfo::new(client, &uri, label, upstream, handshake.protocol.clone());
    PendingTunnel { handshake, connection, info, permit, handshake_guard }.spawn(
        &config.hooks,
        config.registry.as_ref(),
        &config.tunnel,
        config.timeouts.upgrade,
    );
    // It belongs to the upstream's connection, which the tunnel has.
    response.extensions_mut().remove::<OnUpgrade>();
    Ok(response.map(|()| ProxyBody::Text(Full::new(Bytes::new()))))
}
