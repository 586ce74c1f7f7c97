//! Connections whose buffers have a fixed size, so that little is on its way.

use tokio::net::{TcpSocket, TcpStream};

/// Bytes that each socket is given to send from and to receive into. The kernel doubles it.
pub const SOCKET_BUFFER: usize = 128 * 1024;

/// Two ends of a connection over the loopback interface.
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
    let (ours, theirs) = tokio::join!(connecting.connect(address), listener.accept());
    (ours.unwrap(), theirs.unwrap().0)
}
