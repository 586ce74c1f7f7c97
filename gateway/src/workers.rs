//! Threads that share nothing: each has a runtime and a listening socket of its own, and the kernel
//! deals the connections out (`SO_REUSEPORT`). A tunnel stays where it was accepted, so nothing that
//! happens in it has to wake another thread.

use std::{io, iter, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Sockets that listen on one address. Port 0 becomes a free one, the same for all.
pub(crate) fn listeners(address: SocketAddr, number: usize) -> Result<Vec<std::net::TcpListener>, String> {
    let listeners = if CAN_SHARE { sharing(address, number) } else { copies(address, number) };
    listeners.map_err(|error| format!("{address}: {error}"))
}

/// Whether connections are dealt out among the sockets of one port.
const CAN_SHARE: bool = cfg!(target_os = "linux");

fn sharing(address: SocketAddr, number: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if address.port() != 0 {
        // Two gateways that both share a port would go unnoticed: so first a socket that does not.
        listener(address, false)?;
    }
    let first = listener(address, true)?;
    let address = first.local_addr()?;
    let rest = (1..number).map(|_| listener(address, true));
    iter::once(Ok(first)).chain(rest).collect()
}

/// The same socket for all: whoever is first accepts.
fn copies(address: SocketAddr, number: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = listener(address, false)?;
    let mut listeners = (1..number).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
    listeners.push(first);
    Ok(listeners)
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(shared)?;
    // The connections inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs one worker on this thread until its future ends.
pub(crate) fn run<F, T>(listener: std::net::TcpListener, work: impl FnOnce(TcpListener) -> F) -> io::Result<T>
where
    F: Future<Output = T>,
{
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(work(TcpListener::from_std(listener)?).await) })
}
