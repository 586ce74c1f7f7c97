//! Clients and an upstream in HTTP/1.1.

use std::net::SocketAddr;

use tokio::{io, net::TcpStream};

use crate::support::{Wire, accept, handshake};

pub(crate) async fn open(proxy: SocketAddr) -> TcpStream {
    let mut client = Wire::connect(proxy).await;
    assert_eq!(client.ask(handshake("/")).await.status(), 101);
    client.stream
}

pub(crate) async fn answer(socket: TcpStream) {
    let mut wire = Wire::new(socket);
    let accept = accept(&wire.head().await.values("sec-websocket-key")[0]);
    wire.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
    .await;
    let (mut read, mut write) = wire.stream.split();
    let _ = io::copy(&mut read, &mut write).await;
}
