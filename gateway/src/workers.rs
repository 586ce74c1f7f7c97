//! Worker threads that share nothing: each has a runtime and a listening socket of its own, and the kernel
//! distributes the connections (`SO_REUSEPORT`). A tunnel stays on the thread that accepted it, so that its
//! events wake no other thread. This takes less CPU than the multi-thread runtime, and has a longer tail with
//! few connections: `docs/benchmarks.md`.

use std::{io, iter, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime};

/// Maximum length of the queue of connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Sockets that listen on the same address. Port 0 becomes one free port for all of them.
pub(crate) fn listeners(address: SocketAddr, number: usize) -> Result<Vec<std::net::TcpListener>, String> {
    let listeners = if CAN_SHARE { sharing_port(address, number) } else { copies(address, number) };
    listeners.map_err(|error| format!("{address}: {error}"))
}

/// True if the kernel distributes connections among the sockets of one port.
const CAN_SHARE: bool = cfg!(target_os = "linux");

/// Separate sockets with the same port.
fn sharing_port(address: SocketAddr, number: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if address.port() != 0 {
        // Detects a second gateway on the same port: this socket does not share it, so binding fails.
        listener(address, false)?;
    }
    let first = listener(address, true)?;
    let address = first.local_addr()?;
    let rest = (1..number).map(|_| listener(address, true));
    iter::once(Ok(first)).chain(rest).collect()
}

/// Copies of one socket: the first worker to call accept gets the connection.
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
    // Accepted connections inherit the option.
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
