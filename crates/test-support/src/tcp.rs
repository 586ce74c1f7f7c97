//! Connections with buffers of a fixed size, so that few bytes are in transit.

use tokio::net::{TcpSocket, TcpStream};

/// Size set for the send and the receive buffer of each socket; the kernel doubles it.
pub const SOCKET_BUFFER: usize = 128 * 1024;

/// The ends of a connection over the loopback interface.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let [listening, connecting] = [(); 2].map(|()| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SOCKET_BUFFER as u32).unwrap();
        socket.set_recv_buffer_size(SOCKET_BUFFER as u32).unwrap();
        socket
    });
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(connecting.connect(address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}
