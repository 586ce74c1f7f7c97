//! TCP connections to an IP address.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

/// When the result of a connection attempt is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// When the runtime reports it.
    Awaited,
    /// At once, too: an upstream on this machine that refuses connections has done so by then. With thousands of attempts
    /// the runtime's report comes late. It costs a system call.
    AskedFor,
}

/// Opens a connection without Nagle's algorithm.
pub(super) async fn connect(address: SocketAddr, outcome: Outcome) -> io::Result<TcpStream> {
    let tcp = match outcome {
        Outcome::Awaited => TcpStream::connect(address).await?,
        Outcome::AskedFor => asking(address).await?,
    };
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

#[cfg(target_os = "linux")]
async fn asking(address: SocketAddr) -> io::Result<TcpStream> {
    use std::net;

    use rustix::{
        io::Errno,
        net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt::socket_error},
    };

    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    socket_error(&socket)??;
    let tcp = TcpStream::from_std(net::TcpStream::from(socket))?;
    tcp.writable().await?;
    match tcp.take_error()? {
        Some(error) => Err(error),
        None => Ok(tcp),
    }
}

#[cfg(not(target_os = "linux"))]
async fn asking(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn connections_are_opened_and_refused_in_both_ways() {
        for (host, outcome) in [
            ("127.0.0.1:0", Outcome::Awaited),
            ("127.0.0.1:0", Outcome::AskedFor),
            ("[::1]:0", Outcome::AskedFor),
        ] {
            // A machine may lack IPv6.
            let Ok(listener) = TcpListener::bind(host).await else { continue };
            let address = listener.local_addr().unwrap();
            let tcp = connect(address, outcome).await.unwrap();
            assert!(tcp.nodelay().unwrap() && tcp.peer_addr().unwrap() == address);
            drop(listener);
            let refused = connect(address, outcome).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{host} {outcome:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn a_refusal_of_this_machine_is_known_without_the_runtime() {
        use std::{
            future::Future,
            pin::pin,
            task::{Context, Poll, Waker},
        };

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut refused = pin!(connect(address, Outcome::AskedFor));
        let polled = refused.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    }
}
