//! [`Forward`]: the leaf service for ordinary requests to the same upstream.
//!
//! The layer handles the upgrades of a location, `Forward` its ordinary requests: with the same select,
//! rewrite and connect stages, and a pool of connections in the place of a tunnel.

mod encode;
mod header_timeout;
mod send;

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header::SET_COOKIE, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    authorize::Failure,
    body::{
        self, Outgoing, ResponseBody,
        discard::{DiscardOnDrop, RequestHandle},
    },
    config::Config,
    connect::{
        ClientConnection,
        body::{Source, UpstreamBody},
        h1::pool::Pool,
    },
    error::{BoxError, Error, Kind},
    exchange::Failed,
    handshake::detect,
    pool::{Purpose, Selected, Selection, Target},
    received::Received,
    respond,
    rewrite::{framing, hop_by_hop},
    upstream::Upstream,
};
use encode::{check, encode};
use header_timeout::HeaderTimeout;

/// A leaf service that forwards ordinary requests to an upstream and streams the responses back.
///
/// Connections are pooled and reused. Bodies stream both ways, trailers included, and are never collected.
/// Hop-by-hop fields are removed both ways. Trailers lose, with their announcements in `Trailer`, what heads lose, the fields
/// that the proxy or the application sets, and those that are needed before the content
/// ([RFC 9110, 6.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1)). HTTP/1.1 gets only those that `Trailer` announces.
/// `Expect: 100-continue` is handled by the server in front of this
/// service, once the upstream's connection is ready for the body.
///
/// If the upstream closes a pooled connection just as a request is sent on it, the request is sent again: any request of
/// which nothing was written, and, once and on a new connection, an idempotent one without a body, if no byte of a
/// response was received ([RFC 9110, 9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2)). The header timeout
/// covers both attempts. A connection with NTLM or Negotiate authentication serves one client:
/// [`ConnectionAuth`](crate::ConnectionAuth).
///
/// When the response comes before the end of the request (a failure, or a status other than 2xx from the upstream), the
/// rest of the request is read and discarded, at most 64 MiB for at most 30 s, or 5 s without a byte: clients that write
/// first get the status ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
///
/// Failures are responses with the [`Error`] in their extensions: 400 for a request that cannot be forwarded,
/// 405 and the end of the connection for `CONNECT`, 408 for a client that stops in the middle of its body, 501 for `CONNECT` with a `:protocol` in HTTP/2, 503 with
/// `Retry-After` above [`max_requests`](crate::UpgradeProxyLayer::max_requests), 502 and 504 for failures of the
/// upstream. If the upstream fails in the middle of a response, or sends nothing for the
/// [body timeout](crate::UpgradeProxyLayer::body_timeout), the client's connection is aborted: an incomplete
/// body never looks complete, unless it has no length and the client speaks HTTP/1.0.
///
/// A response with more than one framing is reduced to one
/// ([RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)): chunks take precedence over a length, and
/// equal lengths become one. Different or invalid lengths, a transfer coding other than `chunked`, and more than 32
/// interim responses are a 502.
///
/// It is made by [`UpgradeProxyLayer::forward`](crate::UpgradeProxyLayer::forward), by
/// [`proxy_pass`](crate::proxy_pass), or alone:
///
/// ```
/// use tower_upgrade_proxy::Forward;
///
/// let app: axum::Router = axum::Router::new()
///     .fallback_service(Forward::new("http://127.0.0.1:3000".parse()?));
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone)]
pub struct Forward {
    config: Arc<Config>,
    pool: Arc<Pool>,
}

impl Forward {
    /// Forwards to `upstream`, unless a request has another [`Upstream`] in its extensions.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self::with(Arc::new(Config::new(Some(Target::One(upstream)))))
    }

    /// Forwards with the settings of a layer, over connections of its own.
    pub(crate) fn with(config: Arc<Config>) -> Self {
        let pool = Pool::new(config.idle_limits(), config.connector.header_case);
        Self { config, pool }
    }

    async fn respond(
        self,
        parts: Parts,
        body: Outgoing,
        request: Option<RequestHandle>,
        header_timeout: HeaderTimeout,
    ) -> Response<ResponseBody<UpstreamBody>> {
        let ends_connection = respond::ends_connection(&parts.method, parts.version);
        let mut received = Received::new(&parts, self.config.client(&parts));
        match self.attempt(&mut received, parts, body, header_timeout).await {
            Ok(response) => {
                // A success may be the first part of a dialogue; after any other response, the request is of no use.
                let request = request.filter(|_| !response.status().is_success());
                let guard = request.map(RequestHandle::end_on_drop);
                response.map(|body| ResponseBody::inner(body.ending(guard)))
            }
            Err(failure) => {
                if let Some(request) = request {
                    request.end();
                }
                let response = respond::failure(&self.config.hooks, failure, &received);
                let mut response = response.map(ResponseBody::proxy);
                if ends_connection {
                    respond::close_refused(&mut response);
                }
                response
            }
        }
    }

    async fn attempt(
        &self,
        received: &mut Received,
        mut parts: Parts,
        body: Outgoing,
        header_timeout: HeaderTimeout,
    ) -> Result<Response<UpstreamBody>, Failure> {
        check(&parts)?;
        let (method, version) = (parts.method.clone(), parts.version);
        let mut permit = self.config.limits.permit_request()?;
        self.config.authorize(&mut parts).await?;
        header_timeout.upload.record(true);
        let (target, forwarded) = (self.config.select(&parts.extensions)?, &self.config.rewrite.forwarded);
        let selection = Selection::new(target, Purpose::Request, &mut parts, received.client, forwarded);
        let (Selected { upstream, lease, set_cookie }, response) =
            self.send_to_one(received, &mut parts, body, selection, &header_timeout).await?;
        if let Some(lease) = lease {
            permit.hold(lease);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let reason = "it is a 101, and no upgrade was requested";
            return Err(Error::at(Kind::Response(reason), &upstream).into());
        }
        let (mut parts, source) = response.into_parts();
        let mut body = UpstreamBody::new(source, &self.config.timeouts.body, version, Some(permit));
        framing::normalize(&mut parts, &body)
            .map_err(|reason| Error::at(Kind::Response(reason), &upstream))?;
        if framing::is_bodiless(&method, parts.status) && body.is_end_stream() {
            body = UpstreamBody::absent(version);
        }
        let trailers = hop_by_hop::strip_forwarded_response(parts.status, &mut parts.headers);
        parts.version = Version::HTTP_11;
        parts.headers.extend(set_cookie.map(|cookie| (SET_COOKIE, cookie)));
        Ok(Response::from_parts(parts, body.filtering(trailers)))
    }

    /// Sends the request to the first upstream of the selection that can be reached.
    async fn send_to_one(
        &self,
        received: &mut Received,
        parts: &mut Parts,
        mut body: Outgoing,
        mut selection: Selection,
        header_timeout: &HeaderTimeout,
    ) -> Result<(Selected, Response<Source>), Error> {
        let client = self.client_connection(parts);
        let mut selected = selection.next(parts)?;
        loop {
            let upstream = &selected.upstream;
            let head = selection.head(parts);
            let request = encode(&self.config.rewrite, head, body, upstream)?;
            let is_repeatable = send::is_repeatable(&request);
            received.forwarded_to(request.uri());
            let connecting = self.config.timeouts.connecting(selection.may_retry());
            let sent = header_timeout.limit(self.send(request, upstream, client.as_ref(), connecting)).await;
            let failed = match sent {
                Some(Ok(response)) => {
                    selection.succeeded(&selected);
                    return Ok((selected, response));
                }
                Some(Err(failed)) => failed,
                None if header_timeout.upload.awaits_client() => {
                    return Err(Error::new(Kind::RequestTimeout));
                }
                None => Failed::from(Error::at(Kind::HeaderTimeout, upstream)),
            };
            // Whether others fail may depend on the request, and therefore on the client.
            if failed.error.is_connection_failure() {
                selection.failed(&selected);
            }
            (selected, body) = failed.next_attempt(&mut selection, selected, is_repeatable, parts)?;
        }
    }

    /// Returns the client's connection; `None` if it carries requests of other clients too, because the peer is a trusted
    /// proxy.
    fn client_connection(&self, parts: &Parts) -> Option<ClientConnection> {
        let is_proxied = self.config.rewrite.forwarded.trusts_peer(&parts.extensions);
        parts.extensions.get::<ClientConnection>().filter(|_| !is_proxied).cloned()
    }
}

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<UpstreamBody>>;
    type Error = Infallible;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ForwardFuture {
        let (mut parts, body) = request.into_parts();
        // In HTTP/1 the head announces a body. The type of the body may not know that it is empty.
        let announced = parts.version > Version::HTTP_11 || detect::has_body(&parts.headers);
        let header_timeout = HeaderTimeout::new(self.config.timeouts.header);
        let (body, request) = if announced && !body.is_end_stream() {
            let body = DiscardOnDrop::new(&mut parts, body);
            let request = body.handle();
            (header_timeout.upload.track(body), Some(request))
        } else {
            (body::empty(), None)
        };
        ForwardFuture(Box::pin(self.clone().respond(parts, body, request, header_timeout)))
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The response future of [`Forward`]. The box hides the type of an async block.
#[must_use = "futures do nothing unless polled"]
pub struct ForwardFuture(Pin<Box<dyn Future<Output = Response<ResponseBody<UpstreamBody>>> + Send>>);

impl Future for ForwardFuture {
    type Output = Result<Response<ResponseBody<UpstreamBody>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ForwardFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardFuture").finish_non_exhaustive()
    }
}
