//! Ports on which a server comes and goes, or never was.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port on the loopback interface that nobody else gets, although nobody listens: a port that was merely found
/// to be free may be another test's a moment later, and get what is meant for nobody. Whoever binds it by its
/// number, and shares it (`SO_REUSEADDR`) as servers do, can listen.
pub struct Reserved {
    pub address: SocketAddr,
    _socket: Socket,
}

impl Reserved {
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
