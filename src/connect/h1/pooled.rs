//! [`PooledConnection`]: a connection for one request after the other, driven in place like that of an upgrade.
//!
//! A request has the connection for itself: dropping the request's future, or the response's body, closes it. It goes
//! back to the pool when the body has ended, unless the request's body has not.

use std::{
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tokio::task::JoinSet;

use super::{
    HttpConnection,
    observed::{ObservedBody, ReceiveBound},
    pool::{Key, Pool},
};
use crate::{
    body::{BoxBody, Outgoing},
    connect::{
        connection_auth::{ClientConnection, ClientConnectionId, ConnectionAuth},
        header_case::HeaderCase,
    },
    error::BoxError,
    io::transport::Transport,
};

/// A connection that is idle or serves one request.
pub(super) struct PooledConnection {
    sender: SendRequest<Outgoing>,
    http: Box<HttpConnection<ReceiveBound>>,
    has_ended: bool,
    reads: ReceiveBound,
    pub(super) user: User,
}

/// The client connections that may use an upstream connection.
#[derive(Clone, Debug)]
pub(super) enum User {
    Any,
    One(ClientConnectionId),
    /// None after the current request.
    Nobody,
}

/// A connection for one request.
pub(crate) struct Lease {
    pub(super) connection: PooledConnection,
    pub(super) pool: Arc<Pool>,
    pub(super) key: Key,
}

/// A request that got no response.
pub(crate) struct Failed {
    pub(crate) cause: BoxError,
    /// The request, if no part of it was written.
    pub(crate) unsent: Option<Request<Outgoing>>,
    /// A part of a response was received.
    pub(crate) has_received: bool,
}

impl PooledConnection {
    pub(super) async fn start(transport: Transport, case: HeaderCase) -> hyper::Result<Self> {
        let reads = ReceiveBound::default();
        let (sender, http) = super::start(transport, reads.clone(), case).await?;
        Ok(Self { sender, http, has_ended: false, reads, user: User::Any })
    }

    /// Reads and writes what is possible.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.has_ended {
            // An error is returned by the response's future or body.
            self.has_ended = self.http.poll_without_shutdown(cx).is_ready();
        }
    }

    /// Returns true if the connection can take a request: it is open, and both bodies of the last one have ended.
    pub(super) fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.has_ended && self.sender.is_ready()
    }

    /// Closes the connection; with TLS, after a `close_notify` if it can be written at once.
    pub(super) fn close(self) {
        let Self { sender, mut http, has_ended, .. } = self;
        drop(sender);
        if !has_ended {
            let _ = Pin::new(&mut http).poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    fn may_serve_again(&self) -> bool {
        !matches!(self.user, User::Nobody)
    }
}

impl Lease {
    /// Sends `request` and waits for the response head.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(crate) async fn exchange(
        mut self,
        request: Request<Outgoing>,
        auth: ConnectionAuth,
        client: Option<&ClientConnection>,
    ) -> Result<Response<PooledBody>, Failed> {
        let mut is_private = auth.is_in_request(request.headers());
        let (mut request, sending) = observe(request);
        let connection = &mut self.connection;
        connection.reads.has_received.store(false, Ordering::Relaxed);
        connection.reads.interim.apply(&mut request);
        self.pool.case.apply(request.extensions_mut());
        let mut response = pin!(connection.sender.try_send_request(request));
        let response = std::future::poll_fn(|cx| {
            connection.drive(cx);
            response.as_mut().poll(cx)
        });
        let mut response = match response.await {
            Ok(response) => response,
            Err(mut failed) => {
                let has_received = connection.reads.has_received.load(Ordering::Relaxed);
                let unsent = failed.take_message();
                return Err(Failed { cause: failed.into_error().into(), unsent, has_received });
            }
        };
        if let Err(excess) = connection.reads.interim.check() {
            return Err(Failed { cause: excess.into(), unsent: None, has_received: true });
        }
        self.pool.case.apply(response.extensions_mut());
        is_private |= auth.is_in_response(response.headers());
        if is_private {
            connection.user = client.map_or(User::Nobody, |client| User::One(client.id()));
        }
        let is_sent = sending.is_none_or(|sending| Arc::strong_count(&sending) == 1);
        Ok(response.map(|incoming| PooledBody::new(incoming, self, is_sent)))
    }

    /// Returns the connection to the pool, if it can take another request.
    fn release(mut self) {
        if self.connection.may_serve_again() && self.connection.is_idle() {
            let Self { connection, pool, key, .. } = self;
            pool.put(key, connection);
        }
    }
}

/// Returns the request with a body that can be observed: its clone of the `Arc` is dropped when the body has been sent.
fn observe(request: Request<Outgoing>) -> (Request<Outgoing>, Option<Arc<()>>) {
    let (parts, body) = request.into_parts();
    match body {
        Either::Left(empty) => (Request::from_parts(parts, Either::Left(empty)), None),
        Either::Right(body) => {
            let sending = Arc::new(());
            let body = ObservedBody { body, _sending: Arc::clone(&sending) };
            (Request::from_parts(parts, Either::Right(BoxBody::new(body))), Some(sending))
        }
    }
}

/// The body of a response. It drives its connection in place of a task.
///
/// If the response head came before the end of the request's body, a task drives the connection, and ends with this
/// body: a client that reads the response late must not delay its own upload.
#[derive(Debug)]
pub(crate) struct PooledBody {
    incoming: Incoming,
    driver: Driver,
}

enum Driver {
    Lease(Lease),
    Task(#[allow(dead_code, reason = "ends the task when dropped")] JoinSet<()>),
    /// The body has ended.
    None,
}

impl PooledBody {
    fn new(incoming: Incoming, lease: Lease, is_sent: bool) -> Self {
        let driver = match is_sent {
            true => Driver::Lease(lease),
            false => {
                let mut task = JoinSet::new();
                let PooledConnection { sender, http, .. } = lease.connection;
                let http: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>> = Box::pin(http);
                task.spawn(async move {
                    let _ = http.await;
                    drop(sender);
                });
                Driver::Task(task)
            }
        };
        let mut body = Self { incoming, driver };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    fn end(&mut self) {
        if let Driver::Lease(lease) = std::mem::replace(&mut self.driver, Driver::None) {
            lease.release();
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Driver::Lease(lease) = &mut this.driver {
            lease.connection.drive(cx);
        }
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            Some(Err(_)) => this.driver = Driver::None,
            // Nothing follows trailers, and the server does not ask for the end behind them.
            Some(Ok(frame)) if frame.is_data() && !this.incoming.is_end_stream() => {}
            _ => this.end(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lease(_) => "Driver::Lease",
            Self::Task(_) => "Driver::Task",
            Self::None => "Driver::None",
        })
    }
}
