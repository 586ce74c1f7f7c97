//! The upstream: it writes down every request and answers what the case says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    answer::{After, Answer},
    message::{End, Message},
};

/// Two servers that share a script, for set-ups that have two.
pub(crate) struct Recorder {
    pub(crate) addresses: [SocketAddr; 2],
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

/// One request, and which of the two servers got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) server: usize,
    pub(crate) request: Message,
}

impl Recorder {
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        let answers = Mutex::new(answers.iter().cloned().collect());
        let shared = Arc::new(Shared { answers, seen: Mutex::default() });
        let addresses = [listen(0, Arc::clone(&shared)).await, listen(1, Arc::clone(&shared)).await];
        Self { addresses, shared }
    }

    /// What has come so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
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

/// Requests of one connection, until someone ends it.
async fn serve(server: usize, stream: TcpStream, shared: Arc<Shared>) {
    let mut io = BufReader::new(stream);
    while let Some(mut request) = Message::read_head(&mut io).await {
        let answer = shared.answers.lock().unwrap().pop_front().unwrap_or_else(Answer::unscripted);
        if !answer.early {
            request.read_request_body(&mut io).await;
        }
        // Half a request was never made; whether it gets here at all is a matter of chance.
        if request.end == End::CutShort {
            return;
        }
        shared.seen.lock().unwrap().push(Seen { server, request: request.clone() });
        if io.write_all(&placed(&answer.bytes, &io)).await.is_err() {
            return;
        }
        match answer.after {
            After::GoOn if answer.bytes.starts_with(b"HTTP/1.1 101") => return echo(io).await,
            After::GoOn if answer.early => request.read_request_body(&mut io).await,
            After::GoOn => {}
            After::Close => return,
            After::Ping(pause) => return ping(io, pause).await,
            After::Silence => return drop(io.read_to_end(&mut Vec::new()).await),
        }
    }
}

/// The answer with the upstream's address in it.
fn placed(answer: &[u8], io: &BufReader<TcpStream>) -> Vec<u8> {
    match std::str::from_utf8(answer) {
        Ok(text) => text.replace("UPSTREAM", &io.get_ref().local_addr().unwrap().to_string()).into_bytes(),
        Err(_) => answer.to_vec(),
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
