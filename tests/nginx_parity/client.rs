//! The client: runs the steps of a case and records everything it receives.

use std::time::{Duration, Instant};

use test_support::{bounded, io::Io};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use crate::{message::Message, proxy::Address};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Reads the next response, with the interim ones before it.
    Response {
        to_head: bool,
    },
    /// Reads the next response, which may be an interim one.
    Interim,
    /// Reads this number of bytes of a tunnel.
    Bytes(usize),
    /// Sends bytes at this interval and reads their echoes.
    Drip {
        pause: Duration,
        times: usize,
    },
    /// Ends the client's stream.
    Finish,
    /// Reads the end of the connection, not earlier than this after the last step.
    End {
        after: Duration,
    },
}

/// Received response, bytes or end.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    Response(Message),
    Bytes(Vec<u8>),
    /// The end of the connection in the place of a response.
    Nothing,
    End,
}

pub(crate) async fn run(address: &Address, steps: &[Step]) -> Vec<Received> {
    let stream = bounded("the proxy to accept the connection", address.connect()).await.unwrap();
    let mut client = Connection { io: BufReader::new(stream), received: Vec::new() };
    for step in steps {
        bounded(&format!("{step:?}"), client.step(step)).await;
    }
    client.received
}

struct Connection {
    io: BufReader<Box<dyn Io>>,
    received: Vec<Received>,
}

impl Connection {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Send(bytes) => self.send(bytes).await,
            Step::Interim => drop(self.message(false).await),
            Step::Response { to_head } => while self.message(*to_head).await.is_some_and(is_interim) {},
            Step::Bytes(count) => self.bytes(*count).await,
            Step::Drip { pause, times } => {
                for _ in 0..*times {
                    tokio::time::sleep(*pause).await;
                    self.send(b"drip").await;
                    self.bytes(4).await;
                }
            }
            Step::Finish => self.io.shutdown().await.unwrap(),
            Step::End { after } => self.end(*after).await,
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A side that has refused a request need not read the rest of it, so that errors are ignored.
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }

    /// Its status.
    async fn message(&mut self, to_head: bool) -> Option<u16> {
        let Some(mut message) = Message::read_head(&mut self.io).await else {
            self.received.push(Received::Nothing);
            return None;
        };
        message.read_response_body(&mut self.io, to_head).await;
        let status = message.status();
        self.received.push(Received::Response(message));
        Some(status)
    }

    async fn bytes(&mut self, count: usize) {
        let mut bytes = Vec::new();
        let _ = (&mut self.io).take(count as u64).read_to_end(&mut bytes).await;
        self.received.push(Received::Bytes(bytes));
    }

    async fn end(&mut self, after: Duration) {
        let started = Instant::now();
        let mut rest = Vec::new();
        let _ = self.io.read_to_end(&mut rest).await;
        assert!(started.elapsed() >= after, "the end came after {:?}", started.elapsed());
        if !rest.is_empty() {
            self.received.push(Received::Bytes(rest));
        }
        self.received.push(Received::End);
    }
}

fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}
