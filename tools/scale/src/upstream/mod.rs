//! The upstream: a process of its own that accepts WebSockets over both versions of HTTP, and echoes.

mod http1;
mod http2;

use std::{io::Write, net::Ipv4Addr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::{Result, http2::PREFACE};

/// Length of the queue of connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Serves on all loopback addresses until the process is killed.
pub(crate) async fn serve(port: u16) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A new upstream replaces one that was killed.
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => drop(tokio::spawn(connection(socket))),
            Err(error) => eprintln!("scale, upstream: {error}"),
        }
    }
}

/// Serves the version of HTTP that the connection begins with.
async fn connection(socket: TcpStream) {
    let mut start = [0; 3];
    // Errors are ends of connections, which the clients observe.
    let _ = match socket.peek(&mut start).await {
        Ok(3) if PREFACE.starts_with(&start) => http2::serve(socket).await,
        Ok(_) => http1::serve(socket).await,
        Err(error) => Err(error),
    };
}
