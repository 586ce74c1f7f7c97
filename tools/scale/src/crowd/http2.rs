//! A connection with many tunnels over HTTP/2.

use std::{collections::HashSet, future::pending, io, net::SocketAddr};

use test_support::http2::frame::{literal_fields, status};
use tokio::{net::TcpSocket, time::timeout};

use super::{HANDSHAKE, Member, OPENING_STREAMS, Reader, SMALL_BUFFER, counts::Counts};
use crate::{
    http2::{Connection, DATA, END_STREAM, HEADERS, INITIAL_WINDOW, StreamFrame},
    proxy::crowd_path,
    websocket::{BINARY, CLOSE, ECHO, FLOOD, from_client},
};

/// Window of the streams.
const WINDOW: u32 = 1 << 20;

/// Streams of the connection.
struct Streams {
    block: Vec<u8>,
    reader: Reader,
    /// Number of streams to be opened.
    left: usize,
    next: u32,
    /// Streams without a response.
    opening: HashSet<u32>,
    open: HashSet<u32>,
}

/// Opens `number` tunnels, a few at a time, and holds them until they end.
pub(super) async fn run(address: SocketAddr, route: usize, number: usize, reader: Reader, member: Member) {
    let mut streams = Streams {
        block: request(address, &crowd_path(route)),
        reader,
        left: number,
        next: 1,
        opening: HashSet::new(),
        open: HashSet::new(),
    };
    let result = serve(address, &mut streams, &member).await;
    // The connection has ended, and its streams with it.
    member.counts.failed.add(streams.opening.len() + streams.left);
    streams.open.iter().for_each(|_| member.counts.end(result.is_err()));
}

async fn serve(address: SocketAddr, streams: &mut Streams, member: &Member) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if streams.reader == Reader::NeverReads {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    let socket = timeout(HANDSHAKE, socket.connect(address)).await??;
    socket.set_nodelay(true)?;
    let mut connection = Connection::new(socket, &[(INITIAL_WINDOW, WINDOW)]).with_preface();
    let mut say = member.say.clone();
    connection.flush().await?;
    // The server's settings are its first frame.
    while connection.streams.is_none() {
        if !connection.read().await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(frame) = connection.next_frame() {
            streams.receive(&mut connection, &frame, &member.counts);
        }
    }
    loop {
        streams.open_more(&mut connection);
        connection.flush().await?;
        tokio::select! {
            more = connection.read() => if !more? {
                return Ok(());
            },
            Ok(()) = say.changed() => {
                for &stream in &streams.open {
                    connection.send(DATA, 0, stream, &from_client(BINARY, ECHO));
                }
            }
        }
        while let Some(frame) = connection.next_frame() {
            streams.receive(&mut connection, &frame, &member.counts);
        }
        if streams.reader == Reader::NeverReads && streams.are_open() {
            for &stream in &streams.open {
                connection.send(DATA, 0, stream, &from_client(BINARY, FLOOD));
            }
            connection.flush().await?;
            return pending().await;
        }
    }
}

impl Streams {
    /// Returns true if every request has a response.
    fn are_open(&self) -> bool {
        self.left == 0 && self.opening.is_empty()
    }

    fn open_more(&mut self, connection: &mut Connection) {
        while self.left > 0 && self.opening.len() < OPENING_STREAMS {
            connection.send_headers(self.next, &self.block);
            self.opening.insert(self.next);
            self.next += 2;
            self.left -= 1;
        }
    }

    fn receive(&mut self, connection: &mut Connection, frame: &StreamFrame, counts: &Counts) {
        let stream = frame.stream;
        match frame.kind {
            HEADERS if self.opening.remove(&stream) => match status(&frame.payload) {
                Some(200) => {
                    counts.opened.add(1);
                    self.open.insert(stream);
                }
                other => counts.refuse(other.unwrap_or(503)),
            },
            DATA if self.open.contains(&stream) => match frame.payload.first() {
                Some(&CLOSE) => counts.closes.add(1),
                Some(_) => counts.echoed.add(1),
                None => {}
            },
            // A reset.
            _ if self.opening.remove(&stream) => counts.failed.add(1),
            _ => {}
        }
        let is_reset = !matches!(frame.kind, DATA | HEADERS);
        if (is_reset || frame.ends_stream()) && self.open.remove(&stream) {
            counts.end(is_reset);
            if !is_reset {
                connection.send(DATA, END_STREAM, stream, b"");
            }
        }
    }
}

/// Header block of an extended CONNECT.
fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    literal_fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", path),
        (":authority", &address.to_string()),
        ("sec-websocket-version", "13"),
    ])
}
