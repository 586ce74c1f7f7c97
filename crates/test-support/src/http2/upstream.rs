//! An upstream with the streams of the `h2` crate as requests and responses.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use h2::{RecvStream, SendStream, server::SendResponse};
use http::{Response, request::Parts};
use hyper::body::Bytes;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::{
    serve::{FREE_PORT, listen},
    wire::bounded,
};

/// A listener that hands its requests to the test.
pub struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Mutex<UnboundedReceiver<ReceivedRequest>>,
}

/// A request without a response yet.
pub struct ReceivedRequest {
    pub head: Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
}

impl Upstream {
    pub async fn start() -> Self {
        Self::allowing(1000).await
    }

    /// Starts one that allows as many streams on a connection.
    pub async fn allowing(streams: u32) -> Self {
        let listener = listen(FREE_PORT);
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (sender, requests) = unbounded_channel();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (count, sender) = (Arc::clone(&count), sender.clone());
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    builder.enable_connect_protocol().max_concurrent_streams(streams);
                    // The proxy may give up a connection that has no streams yet.
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (head, body) = request.into_parts();
                        let _ = sender.send(ReceivedRequest { head, body, respond });
                    }
                });
            }
        });
        Self { address, connections, requests: Mutex::new(requests) }
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The upstream, marked for HTTP/2 with prior knowledge.
    pub fn upstream(&self) -> tower_upgrade_proxy::Upstream {
        let upstream: tower_upgrade_proxy::Upstream = format!("http://{}", self.address).parse().unwrap();
        upstream.http2()
    }

    pub async fn next_request(&self) -> ReceivedRequest {
        bounded("a request", async { self.requests.lock().await.recv().await }).await.unwrap()
    }

    /// Number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl ReceivedRequest {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Sends a response without a body.
    pub fn respond(mut self, response: Response<()>) {
        self.respond.send_response(response, true).unwrap();
    }

    /// Sends the head of a response. Returns its body, and the request's.
    pub fn begin(mut self, response: Response<()>) -> (SendStream<Bytes>, RecvStream) {
        (self.respond.send_response(response, false).unwrap(), self.body)
    }
}
