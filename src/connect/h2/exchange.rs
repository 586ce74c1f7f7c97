//! A request on a permit, and the head of its answer.

use std::{future::poll_fn, pin::pin, task::Poll};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body_util::BodyExt;

use super::{
    body::{Body, Sending},
    connection::StreamPermit,
    stream::Stream,
};
use crate::{body::Outgoing, error::BoxError};

/// What came behind a response's head, and what is left to send.
pub(crate) struct ResponseStream {
    receive: RecvStream,
    request: RequestHalf,
    permit: StreamPermit,
}

enum RequestHalf {
    /// The stream of an extended CONNECT.
    Open(SendStream<Bytes>),
    /// A request's body, until it is sent.
    Body(Option<Sending>),
}

/// The upstream has not looked at the request, which may be sent again
/// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)).
#[derive(Debug)]
pub(crate) struct Unprocessed(h2::Error);

impl std::fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not processed: {}", self.0)
    }
}

impl std::error::Error for Unprocessed {}

/// Sends `request` and waits for the head of the answer. The stream of an extended CONNECT stays
/// open behind the request's head, any other ends with its body.
///
/// # Errors
///
/// h2's, as [`Unprocessed`] where it is that; the body's own when that breaks off.
///
/// # Cancel safety
///
/// Dropping the future resets the stream (CANCEL).
pub(crate) async fn exchange(
    mut permit: StreamPermit,
    request: Request<Outgoing>,
) -> Result<(Response<()>, ResponseStream), BoxError> {
    let (parts, body) = request.into_parts();
    let connects = parts.extensions.get::<h2::ext::Protocol>().is_some();
    let ends = !connects && http_body::Body::is_end_stream(&body);
    let sent = permit.send(Request::from_parts(parts, ()), ends);
    let (response, send) = sent.map_err(map_send_error)?;
    let mut request = match (connects, ends) {
        (true, _) => RequestHalf::Open(send),
        (false, true) => RequestHalf::Body(None),
        (false, false) => RequestHalf::Body(Some(Box::pin(send_body(body, send)))),
    };
    let mut response = pin!(response);
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
        response.as_mut().poll(cx).map_err(map_response_error)
    })
    .await?;
    let (parts, receive) = response.into_parts();
    Ok((Response::from_parts(parts, ()), ResponseStream { receive, request, permit }))
}

/// A request that the connection did not take, as it is no more, or that is malformed.
fn map_send_error(error: h2::Error) -> BoxError {
    match error.is_io() || error.is_go_away() {
        true => Unprocessed(error).into(),
        false => error.into(),
    }
}

/// A request that was sent, or was on its way.
fn map_response_error(error: h2::Error) -> BoxError {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (refused || error.is_go_away()) {
        return Unprocessed(error).into();
    }
    error.into()
}

async fn send_body(mut body: Outgoing, mut send: SendStream<Bytes>) -> Result<(), BoxError> {
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
        if send_data(data, &mut send).await.is_err() {
            // The upstream wants no more of it; what it has to say is in its answer.
            return Ok(());
        }
    }
    let _ = send.send_data(Bytes::new(), true);
    Ok(())
}

/// As the window allows.
async fn send_data(mut data: Bytes, send: &mut SendStream<Bytes>) -> Result<(), ()> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        while send.capacity() == 0 {
            poll_fn(|cx| send.poll_capacity(cx)).await.ok_or(())?.map_err(drop)?;
        }
        let piece = data.split_to(send.capacity().min(data.len()));
        send.send_data(piece, false).map_err(drop)?;
    }
    Ok(())
}

impl ResponseStream {
    /// Both halves of the stream, to an extended CONNECT.
    pub(crate) fn into_stream(self) -> Option<Stream> {
        match self.request {
            RequestHalf::Open(send) => Some(Stream::new(send, self.receive, self.permit)),
            RequestHalf::Body(_) => None,
        }
    }

    /// The answer's body.
    pub(crate) fn into_body(self) -> Body {
        let sending = match self.request {
            RequestHalf::Open(mut send) => {
                // No tunnel: there is nothing to send. An error is the stream's, and its body's.
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
        connect::ConnectTimeouts, connect::Connector, connect::Purpose, connect::h2::pool::Route,
        upstream::Upstream,
    };

    #[tokio::test(start_paused = true)]
    async fn nothing_is_processed_by_a_connection_that_has_gone_before() {
        let second = Duration::from_secs(1);
        let mut connector = Connector::default();
        connector.set_custom(service_fn(move |_: http::Uri| {
            let (ours, theirs) = duplex(1 << 16);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(theirs).await.unwrap();
                tokio::time::timeout(second, connection.accept()).await
            });
            async { Ok::<_, io::Error>(TokioIo::new(ours)) }
        }));
        let upstream = Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2();
        let timeouts = ConnectTimeouts { connect: second, pool_idle: second * 60 };
        let route = connector.route(&upstream, Purpose::Requests, timeouts).await.unwrap();
        let Route::Http2(permit) = route else { panic!("no permit") };
        sleep(second * 2).await;
        let request = Request::get("test://a/").body(Either::Left(Empty::new())).unwrap();
        let error = exchange(permit, request).await.err().unwrap();
        assert!(error.is::<Unprocessed>(), "{error}");
    }
}
