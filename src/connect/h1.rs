//! One HTTP/1.1 exchange on a connection of its own, driven in place: no pool, no task.
//! [`pool`] has connections for ordinary requests, one after the other.
//!
//! The connection is hyper's client connection, polled inside the response future and, if the response is not
//! a 101, inside the response's body. There is no task before the 101, and dropping the response, as a server
//! does when its client disconnects, closes the connection. After a 101 the socket is taken out with
//! `into_parts`: with its type, with the bytes that followed the head, and without hyper's `Upgraded`.

mod observed;
pub(crate) mod pool;
pub(crate) mod pooled;

use std::{
    fmt, mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::{header_case::HeaderCase, interim::InterimLimit};
use crate::{
    body::Outgoing,
    error::BoxError,
    io::{
        bounded::{Bounded, ReadBound},
        read_first::ReadFirst,
        transport::Transport,
    },
};

/// Maximum number of bytes that are read ahead, which limits the response head, and of a request body that the upstream does
/// not read.
const BUFFER: usize = 128 * 1024;

/// hyper's connection, whose reads are bounded by `B`.
type HttpConnection<B> = http1::Connection<TokioIo<ReadFirst<Bounded<B>>>, Outgoing>;

/// The HTTP side of an upstream connection. It makes progress only while it is polled. Dropping it closes the
/// connection.
pub(crate) struct Connection(State);

enum State {
    Running(Box<HttpConnection<InterimLimit>>),
    /// HTTP has ended: the connection was upgraded, or closed by either side.
    Done(Box<HttpConnection<InterimLimit>>),
    Failed,
}

/// Starts HTTP on a connection whose reads are bounded by `bound`.
async fn start<B: ReadBound + Send + 'static>(
    transport: Transport,
    bound: B,
    case: HeaderCase,
) -> hyper::Result<(SendRequest<Outgoing>, Box<HttpConnection<B>>)> {
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(case.preserve)
        .title_case_headers(case.title)
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(ReadFirst::new(Bounded::new(transport, bound))))
        .await?;
    Ok((sender, Box::new(connection)))
}

/// Sends `request` and waits for the response head.
///
/// # Errors
///
/// hyper's, when the upstream closes the connection or violates HTTP before the head is complete;
/// [`TooManyInterim`](crate::error::TooManyInterim).
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn exchange(
    transport: Transport,
    mut request: Request<Outgoing>,
    case: HeaderCase,
) -> Result<(Response<Incoming>, Connection), BoxError> {
    let limit = InterimLimit::default();
    limit.apply(&mut request);
    case.apply(request.extensions_mut());
    let (mut sender, connection) = start(transport, limit.clone(), case).await?;
    let mut connection = Connection(State::Running(connection));
    let mut response = pin!(sender.send_request(request));
    let response = std::future::poll_fn(|cx| {
        // An error of the connection is returned by the response future.
        let _ = connection.poll(cx);
        response.as_mut().poll(cx)
    })
    .await?;
    limit.check()?;
    Ok((response, connection))
}

impl Connection {
    /// Drives HTTP until it has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Running(connection) = &mut self.0 {
            let result = ready!(connection.poll_without_shutdown(cx));
            self.0 = match (mem::replace(&mut self.0, State::Failed), result) {
                (State::Running(connection), Ok(())) => State::Done(connection),
                _ => State::Failed,
            };
        }
        Poll::Ready(())
    }

    /// Returns the socket after a 101, with the bytes received behind the head.
    ///
    /// `None` when the connection failed before hyper had released it.
    pub(crate) async fn into_transport(mut self) -> Option<(Transport, Bytes)> {
        std::future::poll_fn(|cx| self.poll(cx)).await;
        match self.0 {
            State::Done(connection) => {
                let parts = connection.into_parts();
                Some((parts.io.into_inner().into_inner().into_inner(), parts.read_buf))
            }
            State::Running(_) | State::Failed => None,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Running(_) => "Connection::Running",
            State::Done(_) => "Connection::Done",
            State::Failed => "Connection::Failed",
        })
    }
}

/// The body of a response other than a 101. It drives its connection in place of a task. Dropping it, as a
/// server does when the client disconnects, closes the connection.
#[derive(Debug)]
pub(crate) struct Http1Body {
    body: Incoming,
    connection: Connection,
}

impl Http1Body {
    pub(crate) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, connection }
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // An error of the connection is returned by the body.
        let _ = self.connection.poll(cx);
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
