//! The upstreams: one that works, one that lies, one that goes and comes back, and one that is not there.

pub(crate) mod faulty;
mod outage;
mod working;

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;

/// All of them; they end when this is dropped.
pub(crate) struct Upstreams {
    routes: [(&'static str, SocketAddr); 4],
    _absent: Socket,
    _running: JoinSet<()>,
}

impl Upstreams {
    pub(crate) async fn start() -> io::Result<Self> {
        let (absent, nowhere) = reserve()?;
        let mut running = JoinSet::new();
        let routes = [
            ("/", working::start(&mut running).await?),
            ("/faulty/", faulty::start(&mut running).await?),
            ("/outage/", outage::start(&mut running)?),
            ("/refuse/", nowhere),
        ];
        Ok(Self { routes, _absent: absent, _running: running })
    }

    pub(crate) fn routes(&self) -> [(&'static str, SocketAddr); 4] {
        self.routes
    }
}

/// A port that nobody else gets, and on which nobody listens, unless a socket that shares it does.
fn reserve() -> io::Result<(Socket, SocketAddr)> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&any.into())?;
    let address = socket.local_addr()?.as_socket().unwrap_or(any);
    Ok((socket, address))
}
