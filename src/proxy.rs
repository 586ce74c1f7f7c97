//! The stages of an upgrade request, in order.

use std::sync::Arc;

use http::{Response, header::SET_COOKIE, request::Parts};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

use crate::{
    authorize::Failure,
    body::{Outgoing, ProxyBody, Upload},
    config::Config,
    error::{Error, Kind},
    exchange::{ExchangeTimeouts, Exchanged, exchange},
    handshake::{Handshake, accept::accept, encode::encode, verify::ExpectedResponse},
    limits::Permit,
    metrics::{HandshakeTimer, Outcome},
    on_tunnel::{TunnelInfo, TunnelLabel},
    pool::{Purpose, Selected, Selection},
    received::Received,
    respond,
    tunnel_resource::TunnelResource,
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
    body: (Outgoing, Upload),
) -> Result<Response<ProxyBody>, Failure> {
    // Admit, authorize and select.
    config.allow_origin.check(&parts)?;
    let handshake_guard = config.begin_handshake()?;
    let _handshake_permit = config.limits.permit_handshake()?;
    let mut permit = config.limits.permit_tunnel(received.client)?;
    config.authorize(&mut parts).await?;
    let (target, forwarded) = (config.select(&parts.extensions)?, &config.rewrite.forwarded);
    let selection = Selection::new(target, Purpose::Upgrade, &mut parts, received.client, forwarded);
    let label = parts.extensions.get::<TunnelLabel>().cloned();
    let resource = parts.extensions.remove::<TunnelResource>();

    // Rewrite, connect, send the request, and receive the response head.
    let Answer { selected, expected, exchanged: (mut response, connection) } =
        send(config, received, &handshake, &mut parts, body, selection, &mut permit).await?;
    let Selected { upstream, lease, set_cookie } = selected;

    // Respond.
    config.connector.header_case.apply(response.extensions_mut());
    if !connection.accepts(response.status()) {
        if let Some(lease) = lease {
            permit.hold(lease);
        }
        let body = connection.into_body(&config.timeouts.body, handshake.mechanism.version());
        let mut response = respond::relay(&handshake, &upstream, response, body, config.refusal, permit)?;
        response.headers_mut().extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
        return Ok(response);
    }
    expected
        .verify(response.version(), response.headers_mut())
        .map_err(|reason| Error::at(Kind::Response(reason), &upstream))?;
    accept(handshake.mechanism, &handshake.protocol, &mut response);
    response.headers_mut().extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
    // The extension is that of the upstream's connection, which belongs to the tunnel.
    response.extensions_mut().remove::<OnUpgrade>();

    if let Some(resource) = resource {
        permit.hold(resource);
    }

    // Start the tunnel. It waits until the response is written.
    let info = TunnelInfo::new(received, label, upstream, handshake.protocol.clone());
    PendingTunnel { handshake, connection, info, permit, lease, handshake_guard }.spawn(
        &config.hooks,
        config.registry.as_ref(),
        &config.tunnel,
        config.timeouts.upgrade,
    );
    Ok(response.map(|()| ProxyBody::Text(Full::default())))
}

/// The response head to a request, with the upstream that sent it.
struct Answer {
    selected: Selected,
    expected: ExpectedResponse,
    exchanged: Exchanged,
}

/// Sends the request to the first upstream of the selection that can be reached.
async fn send(
    config: &Config,
    received: &mut Received,
    handshake: &Handshake,
    parts: &mut Parts,
    (mut body, upload): (Outgoing, Upload),
    mut selection: Selection,
    permit: &mut Permit,
) -> Result<Answer, Error> {
    let mut selected = selection.next(parts)?;
    loop {
        let upstream = &selected.upstream;
        if let Err(error) = config.limits.permit_upstream(permit, upstream) {
            selected = selection.retry(selected, parts).ok_or(error)?;
            continue;
        }
        let head = selection.head(parts);
        let (request, expected) = encode(&config.rewrite, handshake, head, body, upstream)?;
        received.forwarded_to(request.uri());
        let timeouts = ExchangeTimeouts {
            connecting: config.timeouts.connecting(selection.may_retry()),
            handshake: config.timeouts.handshake,
        };
        let (connector, protocol) = (&config.connector, &handshake.protocol);
        let failed = match exchange(connector, timeouts, protocol, upstream, request, &upload).await {
            Ok(exchanged) => {
                selection.succeeded(&selected);
                return Ok(Answer { selected, expected, exchanged });
            }
            Err(failed) => failed,
        };
        if failed.error.is_handshake_failure() {
            selection.failed(&selected);
        }
        (selected, body) = failed.next_attempt(&mut selection, selected, !handshake.body, parts)?;
    }
}
