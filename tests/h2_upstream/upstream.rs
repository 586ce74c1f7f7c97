//! An upstream whose requests and answers are streams of the `h2` crate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{Response, request::Parts};
use tokio::{
    net::TcpListener,
    sync::{
        Mutex,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
};

use crate::support::bounded;

pub(crate) struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Mutex<UnboundedReceiver<Asked>>,
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::allowing(1000).await
    }

    /// As many streams on a connection.
    pub(crate) async fn allowing(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (sender, asked) = unbounded_channel();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (count, sender) = (Arc::clone(&count), sender.clone());
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    builder.enable_connect_protocol().max_concurrent_streams(streams);
                    // It may be given up as long as it has no streams.
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (head, body) = request.into_parts();
                        let _ = sender.send(Asked { head, body, respond });
                    }
                });
            }
        });
        Self { address, connections, asked: Mutex::new(asked) }
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn marked(&self) -> tower_upgrade_proxy::Upstream {
        let upstream: tower_upgrade_proxy::Upstream = format!("http://{}", self.address).parse().unwrap();
        upstream.http2()
    }

    /// The next request.
    pub(crate) async fn asked(&self) -> Asked {
        bounded("a request", async { self.asked.lock().await.recv().await }).await.unwrap()
    }

    /// How many there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Asked {
    pub(crate) fn field(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Answers with a head and nothing else.
    pub(crate) fn answer(mut self, response: Response<()>) {
        self.respond.send_response(response, true).unwrap();
    }

    /// Answers with a head; what comes behind it, either way.
    pub(crate) fn begin(mut self, response: Response<()>) -> (SendStream<Bytes>, RecvStream) {
        (self.respond.send_response(response, false).unwrap(), self.body)
    }
}
