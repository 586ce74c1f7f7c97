//! A connection with tunnels over HTTP/2.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use test_support::http2::frame::{CONNECT_PROTOCOL, OK, max_streams};
use tokio::net::TcpStream;

use crate::{
    http2::{Connection, DATA, END_STREAM, HEADERS, INITIAL_WINDOW, StreamFrame},
    websocket::{CLOSE, FLOOD, Received, from_upstream},
};

/// Limit of the streams of one connection.
const STREAMS: u32 = 1000;

/// Receive window of a stream, which is never enlarged: a tunnel receives a few messages.
const WINDOW: u32 = 1 << 20;

/// Response to a request for a flood: the streams of a connection together fill the buffers of its sockets.
const FLOOD_FRAME: &[u8] = &[0; 4 << 10];

/// Streams of a connection that have a state beyond being open.
#[derive(Default)]
struct Streams {
    /// Those with an incomplete message.
    incomplete: HashMap<u32, Received>,
    /// Those that this side has ended, and the other has not.
    ended: HashSet<u32>,
}

/// Accepts every request as a handshake, and echoes until the connection ends.
pub(super) async fn serve(socket: TcpStream) -> io::Result<()> {
    let settings = [CONNECT_PROTOCOL, max_streams(STREAMS), (INITIAL_WINDOW, WINDOW)];
    let mut connection = Connection::new(socket, &settings);
    connection.read_preface().await?;
    let mut streams = Streams::default();
    loop {
        while let Some(frame) = connection.next_frame() {
            respond(&mut connection, &mut streams, &frame);
        }
        connection.flush().await?;
        if !connection.read().await? {
            return Ok(());
        }
    }
}

fn respond(connection: &mut Connection, streams: &mut Streams, frame: &StreamFrame) {
    let stream = frame.stream;
    match frame.kind {
        HEADERS => connection.send_headers(stream, OK),
        DATA if streams.ended.contains(&stream) => {
            if frame.ends_stream() {
                streams.ended.remove(&stream);
            }
        }
        DATA => {
            let mut received = streams.incomplete.remove(&stream).unwrap_or_default();
            received.push(&frame.payload);
            let mut is_closed = frame.ends_stream();
            while let Some((first, payload)) = received.take_frame() {
                is_closed |= first == CLOSE;
                let echo = if payload == FLOOD { FLOOD_FRAME } else { &payload };
                connection.send(DATA, 0, stream, &from_upstream(first, echo));
            }
            if is_closed {
                connection.send(DATA, END_STREAM, stream, b"");
                if !frame.ends_stream() {
                    streams.ended.insert(stream);
                }
            } else if received.peek::<1>().is_some() {
                streams.incomplete.insert(stream, received);
            }
        }
        _ => {
            streams.incomplete.remove(&stream);
            streams.ended.remove(&stream);
        }
    }
}
