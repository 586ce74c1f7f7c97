//! The stages of an upgrade request, in order.

use std::sync::Arc;

use http::{Response, request::Parts};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

use crate::{
    authorize::Failure,
    body::{Outgoing, ProxyBody, Upload},
    config::Config,
    error::{Error, Kind},
    exchange::exchange,
    handshake::{Handshake, accept::accept, encode::encode},
    metrics::{HandshakeTimer, Outcome},
    on_tunnel::{TunnelInfo, TunnelLabel},
    received::Received,
    respond,
    upgrade::PendingTunnel,
};

/// Proxies an upgrade request: admits it, selects an upstream, rewrites the request, sends it, and responds. If
/// the upstream accepts, the tunnel starts.
///
/// Until the upstream has accepted, it receives only the request head made here, and the body for protocols with
/// one. The client receives no acceptance that is not verified.
///
/// # Cancel safety
///
/// Dropping the future, as a server does when the client disconnects, closes the upstream connection, or resets
/// its stream.
pub(crate) async fn proxy(
    config: Arc<Config>,
    handshake: Handshake,
    parts: Parts,
    body: (Outgoing, Upload),
    timer: HandshakeTimer,
) -> Response<ProxyBody> {
    let client = config.client(&parts);
    let mut received = Received::new(&parts, client);
    let (response, outcome) = match attempt(&config, &mut received, handshake, parts, body).await {
        Ok(response) if matches!(response.body(), ProxyBody::Upstream(_)) => (response, Outcome::Relayed),
        Ok(response) => (response, Outcome::Upgraded),
        Err(failure) => (respond::failure(&config.hooks, failure, &received), Outcome::Refused),
    };
    timer.stop(outcome);
    response
}

async fn attempt(
    config: &Config,
    received: &mut Received,
    handshake: Handshake,
    mut parts: Parts,
    (body, upload): (Outgoing, Upload),
) -> Result<Response<ProxyBody>, Failure> {
    // Admit, authorize and select.
    config.allow_origin.check(&parts)?;
    let handshake_guard = config.begin_handshake()?;
    let _handshake_permit = config.limits.permit_handshake()?;
    let mut permit = config.limits.permit_tunnel(received.client)?;
    config.authorize(&mut parts).await?;
    let upstream = config.select(&parts.extensions)?;
    config.limits.permit_upstream(&mut permit, &upstream)?;

    // Rewrite.
    let label = parts.extensions.get::<TunnelLabel>().cloned();
    let (request, expected) = encode(&config.rewrite, &handshake, parts, body, &upstream)?;
    received.forwarded_to(request.uri());

    // Connect, send the request, and receive the response head.
    let (mut response, connection) =
        exchange(&config.connector, &config.timeouts, &handshake.protocol, &upstream, request, &upload)
            .await?;

    // Respond.
    config.connector.header_case.apply(response.extensions_mut());
    if !connection.accepts(response.status()) {
        let body = connection.into_body(&config.timeouts.body, handshake.mechanism.version());
        return Ok(respond::relay(&handshake, &upstream, response, body, config.refusal, permit)?);
    }
    expected
        .verify(response.version(), response.headers_mut())
        .map_err(|reason| Error::at(Kind::Response(reason), &upstream))?;
    accept(handshake.mechanism, &handshake.protocol, &mut response);
    // The extension is that of the upstream's connection, which belongs to the tunnel.
    response.extensions_mut().remove::<OnUpgrade>();

    // Start the tunnel. It waits until the response is written.
    let info = TunnelInfo::new(received, label, upstream, handshake.protocol.clone());
    PendingTunnel { handshake, connection, info, permit, handshake_guard }.spawn(
        &config.hooks,
        config.registry.as_ref(),
        &config.tunnel,
        config.timeouts.upgrade,
    );
    Ok(response.map(|()| ProxyBody::Text(Full::default())))
}
