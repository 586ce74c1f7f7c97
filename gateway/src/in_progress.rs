//! The ordinary requests that a connection is answering, by name.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use http::{Method, Request, Response, StatusCode, uri::PathAndQuery};
use hyper::body::{Body, Frame, SizeHint};

/// Maximum number of characters of a path in a log line.
const LENGTH: usize = 100;

/// Requests of one connection.
#[derive(Default)]
pub(crate) struct InProgress(Mutex<Requests>);

#[derive(Default)]
struct Requests {
    next: u64,
    open: Vec<Entry>,
}

struct Entry {
    id: u64,
    method: Method,
    path: Option<PathAndQuery>,
    begun: Instant,
}

/// A request, from its head to the end of the response. It ends earlier if the response opens a tunnel.
pub(crate) struct RequestInProgress {
    requests: Arc<InProgress>,
    id: u64,
    method: Method,
}

/// The oldest request of several connections.
pub(crate) struct Oldest {
    method: Method,
    path: Option<PathAndQuery>,
    pub(crate) begun: Instant,
}

impl InProgress {
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> RequestInProgress {
        let (method, path) = (request.method().clone(), request.uri().path_and_query().cloned());
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = requests.next;
        requests.next += 1;
        requests.open.push(Entry { id, method: method.clone(), path, begun: Instant::now() });
        RequestInProgress { requests: Arc::clone(self), id, method }
    }

    /// Number of requests.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }

    pub(crate) fn oldest(&self) -> Option<Oldest> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = requests.open.iter().min_by_key(|entry| entry.begun)?;
        Some(Oldest { method: oldest.method.clone(), path: oldest.path.clone(), begun: oldest.begun })
    }
}

impl RequestInProgress {
    /// Returns the response, with the request in progress until the end of its body.
    pub(crate) fn respond<B>(self, response: Response<B>) -> Response<BodyInProgress<B>> {
        let opens_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS
            || self.method == Method::CONNECT && response.status().is_success();
        let request = (!opens_tunnel).then_some(self);
        response.map(|body| BodyInProgress { body, _request: request })
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        let mut requests = self.requests.0.lock().unwrap_or_else(PoisonError::into_inner);
        requests.open.retain(|entry| entry.id != self.id);
    }
}

impl fmt::Display for Oldest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_ref().map_or("*", PathAndQuery::path);
        let path: String = path.chars().take(LENGTH).collect();
        write!(f, "{} {}", self.method, path.escape_debug())
    }
}

/// Body of a response, with the request that is in progress until it is dropped.
pub(crate) struct BodyInProgress<B> {
    body: B,
    _request: Option<RequestInProgress>,
}

impl<B: Body + Unpin> Body for BodyInProgress<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
