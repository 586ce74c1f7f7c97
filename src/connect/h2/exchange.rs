//! Sending a request with a permit, and waiting for the response head.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::{Request, Response};
use http_body_util::BodyExt;

use super::{
    backlog::{Backlog, SMALL_WRITE},
    body::{Body, Sending},
    connection::StreamPermit,
    stream::Stream,
};
use crate::{
    body::Outgoing,
    connect::interim::MAX_INTERIM,
    error::{BoxError, TooManyInterim},
};

/// A stream after the response head.
pub(crate) struct ResponseStream {
    receive: RecvStream,
    request: RequestHalf,
    permit: StreamPermit,
}

enum RequestHalf {
    /// Open, after an extended CONNECT.
    Open(SendStream<Bytes>),
    /// A request's body, until all of it is sent.
    Body(Option<Sending>),
}

/// Error: the upstream has not processed the request, which may be sent again
/// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
#[derive(Debug)]
pub(crate) struct Unprocessed(h2::Error);

impl std::fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not processed: {}", self.0)
    }
}

impl std::error::Error for Unprocessed {}

/// Error: the connection ended without a response. The request may have been processed.
#[derive(Debug)]
pub(crate) struct ConnectionLost(h2::Error);

impl std::fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ConnectionLost {}

/// Error: the upstream takes the request in HTTP/1.1 only
/// ([RFC 9113, 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)), for example because it authenticates connections.
#[derive(Debug)]
pub(crate) struct Http1Required;

impl std::fmt::Display for Http1Required {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request requires HTTP/1.1")
    }
}

impl std::error::Error for Http1Required {}

/// Sends `request` and waits for the response head. The stream of an extended CONNECT stays open behind the
/// request head; any other ends with the request's body.
///
/// # Errors
///
/// h2's, as [`Unprocessed`], [`Http1Required`] or [`ConnectionLost`] where that applies; those of the request's body;
/// [`TooManyInterim`].
///
/// # Cancel safety
///
/// Dropping the future resets the stream (CANCEL).
pub(crate) async fn exchange(
    mut permit: StreamPermit,
    request: Request<Outgoing>,
) -> Result<(Response<()>, ResponseStream), BoxError> {
    let (parts, body) = request.into_parts();
    let is_connect = parts.extensions.get::<h2::ext::Protocol>().is_some();
    let end_of_stream = !is_connect && http_body::Body::is_end_stream(&body);
    let sent = permit.send(Request::from_parts(parts, ()), end_of_stream);
    let (response, send) = sent.map_err(map_send_error)?;
    let mut request = match (is_connect, end_of_stream) {
        (true, _) => RequestHalf::Open(send),
        (false, true) => RequestHalf::Body(None),
        (false, false) => {
            let backlog = Arc::clone(permit.backlog());
            RequestHalf::Body(Some(Box::pin(send_body(body, send, backlog))))
        }
    };
    let mut response = PendingResponse { response, interim: 0 };
    let response = poll_fn(|cx| {
        if let RequestHalf::Body(sending) = &mut request
            && let Some(future) = sending
            && let Poll::Ready(sent) = future.as_mut().poll(cx)
        {
            *sending = None;
            if let Err(error) = sent {
                return Poll::Ready(Err(error));
            }
        }
        response.poll(cx)
    })
    .await?;
    let (parts, receive) = response.into_parts();
    Ok((Response::from_parts(parts, ()), ResponseStream { receive, request, permit }))
}

/// A response that has not arrived.
struct PendingResponse {
    response: ResponseFuture,
    /// Interim responses received.
    interim: u32,
}

impl PendingResponse {
    /// Returns the response, or an error if more than [`MAX_INTERIM`] interim responses came before it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, BoxError>> {
        while let Some(interim) = ready!(self.response.poll_informational(cx)) {
            interim.map_err(map_response_error)?;
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Poll::Ready(Err(TooManyInterim.into()));
            }
        }
        Pin::new(&mut self.response).poll(cx).map_err(map_response_error)
    }
}

/// Maps the error of a request that was not sent: the connection has ended, or the request is malformed.
fn map_send_error(error: h2::Error) -> BoxError {
    match error.is_io() || error.is_go_away() {
        true => Unprocessed(error).into(),
        false => error.into(),
    }
}

/// Maps the error of a request that was sent, at least in part.
fn map_response_error(error: h2::Error) -> BoxError {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (refused || error.is_go_away()) {
        return Unprocessed(error).into();
    }
    match error.reason() {
        Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() => Http1Required.into(),
        _ if error.is_io() => ConnectionLost(error).into(),
        _ => error.into(),
    }
}

async fn send_body(
    mut body: Outgoing,
    mut send: SendStream<Bytes>,
    backlog: Arc<Backlog>,
) -> Result<(), BoxError> {
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                send.send_reset(Reason::CANCEL);
                return Err(error);
            }
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => match other.into_trailers() {
                Ok(trailers) => return Ok(send.send_trailers(trailers)?),
                Err(_) => continue,
            },
        };
        if data.len() < SMALL_WRITE {
            poll_fn(|cx| backlog.poll_unblocked(cx)).await;
        }
        if send_data(data, &mut send).await.is_err() {
            // The upstream reads no more of the body. The reason is in its response.
            return Ok(());
        }
    }
    let _ = send.send_data(Bytes::new(), true);
    Ok(())
}

/// Sends `data` as the window allows.
async fn send_data(mut data: Bytes, send: &mut SendStream<Bytes>) -> Result<(), ()> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        while send.capacity() == 0 {
            poll_fn(|cx| send.poll_capacity(cx)).await.ok_or(())?.map_err(drop)?;
        }
        let chunk = data.split_to(send.capacity().min(data.len()));
        send.send_data(chunk, false).map_err(drop)?;
    }
    Ok(())
}

impl ResponseStream {
    /// Returns both halves of the stream of an extended CONNECT.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        match self.request {
            RequestHalf::Open(send) => Some(Stream::new(send, self.receive, self.permit)),
            RequestHalf::Body(_) => None,
        }
    }

    /// Returns the response's body.
    pub(crate) fn into_body(self) -> Body {
        let sending = match self.request {
            RequestHalf::Open(mut send) => {
                // No tunnel: there is nothing to send. The body returns the stream's error, if there is one.
                let _ = send.send_data(Bytes::new(), true);
                None
            }
            RequestHalf::Body(sending) => sending,
        };
        Body::new(self.receive, sending, self.permit)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use http_body_util::{Either, Empty};
    use hyper_util::rt::TokioIo;
    use tokio::{io::duplex, time::sleep};
    use tower::service_fn;

    use super::*;
    use crate::{
        connect::{
            ConnectTimeouts,
            dial::Dialer,
            h2::{
                Http2, Purpose,
                pool::{Pool, Route},
            },
        },
        upstream::Upstream,
    };

    #[tokio::test(start_paused = true)]
    async fn a_request_on_a_connection_that_has_ended_is_unprocessed() {
        let second = Duration::from_secs(1);
        let mut dialer = Dialer::default();
        dialer.set_custom(service_fn(move |_: http::Uri| {
            let (client, server) = duplex(1 << 16);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(server).await.unwrap();
                tokio::time::timeout(second, connection.accept()).await
            });
            async { Ok::<_, io::Error>(TokioIo::new(client)) }
        }));
        let upstream = Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2();
        let timeouts = ConnectTimeouts { connect: second, pool_idle: second * 60 };
        let pool = Pool::new(dialer, Http2::new());
        let route = pool.route(&upstream, Purpose::Requests, timeouts).await.unwrap();
        let Route::Http2(permit) = route else { panic!("no permit") };
        sleep(second * 2).await;
        let request = Request::get("test://a/").body(Either::Left(Empty::new())).unwrap();
        let error = exchange(permit, request).await.err().unwrap();
        assert!(error.is::<Unprocessed>(), "{error}");
    }
}
