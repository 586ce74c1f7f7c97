//! HTTP/2 connection of the client.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{
    Ping,
    client::{Builder, SendRequest},
    ext::Protocol,
};
use http::{Request, StatusCode};
use tokio::net::TcpStream;

use super::{CONNECTION_WINDOW, STREAM_WINDOW, Stream};
use crate::Result;

/// Connection for many tunnels. It is closed when the last clone and the last tunnel are dropped.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
}

impl Connection {
    /// Connects, and waits for the server's settings, which must allow this number of concurrent tunnels.
    pub(crate) async fn open(address: SocketAddr, tunnels: usize) -> Result<Self> {
        let socket = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        socket.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false);
        let (requests, mut connection) = builder.handshake(socket).await?;
        let mut pings = connection.ping_pong().ok_or("pings are not available")?;
        tokio::spawn(connection);
        // The response to a ping follows the settings, which are the first frame from a server.
        pings.ping(Ping::opaque()).await.map_err(|error| format!("HTTP/2: {error}"))?;
        if !requests.is_extended_connect_protocol_enabled() {
            return Err("no SETTINGS_ENABLE_CONNECT_PROTOCOL".into());
        }
        match requests.current_max_send_streams() {
            streams if streams < tunnels => {
                Err(format!("the server allows {streams} streams on a connection, not {tunnels}").into())
            }
            _ => Ok(Self { requests, address }),
        }
    }

    /// Opens a WebSocket with an extended CONNECT.
    pub(crate) async fn tunnel(&self, path: &str) -> Result<Stream> {
        let request = Request::connect(format!("http://{}{path}", self.address))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("user-agent", "side-by-side")
            .body(())?;
        let mut requests = self.requests.clone().ready().await?;
        let (response, outgoing) = requests.send_request(request, false)?;
        let response = response.await.map_err(|error| format!("handshake: {error}"))?;
        match response.status() {
            StatusCode::OK => Ok(Stream::new(outgoing, response.into_body())),
            other => Err(format!("{} instead of 200", other.as_u16()).into()),
        }
    }
}
