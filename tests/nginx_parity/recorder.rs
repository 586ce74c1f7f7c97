//! The upstream: records every request and sends the responses of the case.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use test_support::websocket::frame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    message::{End, Message},
    response::{After, CannedResponse},
};

/// Two servers with shared responses, for set-ups with two upstreams.
pub(crate) struct Recorder {
    pub(crate) addresses: [SocketAddr; 2],
    shared: Arc<Shared>,
}

struct Shared {
    responses: Mutex<VecDeque<CannedResponse>>,
    received: Mutex<Vec<ReceivedRequest>>,
    /// The end of a recorded tunnel.
    tunnel_ended: Notify,
}

/// One request, and the index of the server that received it.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) server: usize,
    pub(crate) request: Message,
}

impl Recorder {
    pub(crate) async fn start(responses: &[CannedResponse]) -> Self {
        let responses = Mutex::new(responses.iter().cloned().collect());
        let shared = Arc::new(Shared { responses, received: Mutex::default(), tunnel_ended: Notify::new() });
        let addresses = [listen(0, Arc::clone(&shared)).await, listen(1, Arc::clone(&shared)).await];
        Self { addresses, shared }
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The end of a tunnel that [`After::Record`] records.
    pub(crate) async fn tunnel_ended(&self) {
        self.shared.tunnel_ended.notified().await;
    }
}

async fn listen(server: usize, shared: Arc<Shared>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(server, stream, Arc::clone(&shared)));
        }
    });
    address
}

/// Responds to the requests of one connection until its end.
async fn serve(server: usize, stream: TcpStream, shared: Arc<Shared>) {
    let mut io = BufReader::new(stream);
    while let Some(mut request) = Message::read_head(&mut io).await {
        let response =
            shared.responses.lock().unwrap().pop_front().unwrap_or_else(CannedResponse::unscripted);
        if !response.early {
            request.read_request_body(&mut io).await;
        }
        // An incomplete request is not recorded: whether it arrives at all is a matter of chance.
        if request.end == End::CutShort {
            return;
        }
        shared.received.lock().unwrap().push(ReceivedRequest { server, request: request.clone() });
        if io.write_all(&placed(&response.bytes, &io)).await.is_err() {
            return;
        }
        match response.after {
            After::GoOn if response.bytes.starts_with(b"HTTP/1.1 101") => return echo(io).await,
            After::GoOn if response.early => request.read_request_body(&mut io).await,
            After::GoOn => {}
            After::Close => return,
            After::Ping(pause) => return ping(io, pause).await,
            After::Silence => return drop(io.read_to_end(&mut Vec::new()).await),
            After::Record => return record(server, io, &shared).await,
        }
    }
}

/// Adds what the tunnel carries to the requests.
async fn record(server: usize, mut io: BufReader<TcpStream>, shared: &Shared) {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = io.read_to_end(&mut bytes).await;
    let carried = match frame::close_code(&bytes) {
        Some(code) => format!("Close {code}"),
        None => format!("{} bytes", bytes.len()),
    };
    shared.received.lock().unwrap().push(ReceivedRequest { server, request: Message::of(carried) });
    shared.tunnel_ended.notify_one();
}

/// The response with the upstream's address inserted.
fn placed(response: &[u8], io: &BufReader<TcpStream>) -> Vec<u8> {
    match std::str::from_utf8(response) {
        Ok(text) => text.replace("UPSTREAM", &io.get_ref().local_addr().unwrap().to_string()).into_bytes(),
        Err(_) => response.to_vec(),
    }
}

async fn echo(mut io: BufReader<TcpStream>) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = io.read(&mut buffer).await {
        if io.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn ping(mut io: BufReader<TcpStream>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if io.write_all(b"ping").await.is_err() {
            return;
        }
    }
}
