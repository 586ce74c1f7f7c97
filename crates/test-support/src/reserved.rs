//! Ports without a listener.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port on the loopback interface that is in use, so that no other test is given it, although nothing listens. A port
/// that was merely found to be free may be another test's a moment later. A server can listen on it by its number, with
/// `SO_REUSEADDR`, as servers do.
pub struct ReservedPort {
    pub address: SocketAddr,
    _socket: Socket,
}

impl ReservedPort {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self { address: socket.local_addr().unwrap().as_socket().unwrap(), _socket: socket }
    }

    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }
}
