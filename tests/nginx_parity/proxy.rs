//! The proxy under test: nginx, or the Rust program with the same behaviour.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use axum::Router;
use test_support::{io::Io, serve};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

use crate::{
    nginx::Nginx,
    recorder::Recorder,
    setups::{a, b, c, d, e, f},
    tls,
};

/// The set-ups of docs/nginx.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    A,
    B,
    C,
    D,
    E,
    F,
    Pitfalls,
}

/// Address of a server.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
    Tls(SocketAddr),
}

/// A proxy and its recording upstream.
pub(crate) struct Proxy {
    pub(crate) addresses: Vec<Address>,
    pub(crate) recorder: Recorder,
    nginx: Option<Nginx>,
}

impl Proxy {
    pub(crate) async fn nginx(setup: Setup, recorder: Recorder) -> Self {
        let nginx = Nginx::start(setup.config(), recorder.addresses).await;
        Self { addresses: nginx.addresses.clone(), recorder, nginx: Some(nginx) }
    }

    pub(crate) async fn rust(setup: Setup, recorder: Recorder) -> Self {
        let addresses = setup.serve(recorder.addresses).await;
        Self { addresses, recorder, nginx: None }
    }

    /// nginx's error log.
    pub(crate) fn log(&self) -> String {
        self.nginx.as_ref().map(Nginx::log).unwrap_or_default()
    }
}

impl Setup {
    fn config(self) -> &'static str {
        match self {
            Self::A => include_str!("../nginx/a.conf"),
            Self::B => include_str!("../nginx/b.conf"),
            Self::C => include_str!("../nginx/c.conf"),
            Self::D => include_str!("../nginx/d.conf"),
            Self::E => include_str!("../nginx/e.conf"),
            Self::F => include_str!("../nginx/f.conf"),
            Self::Pitfalls => include_str!("../nginx/pitfalls.conf"),
        }
    }

    /// One address for each port of the configuration.
    async fn serve(self, upstreams: [SocketAddr; 2]) -> Vec<Address> {
        let [first, second] = upstreams.map(upstream);
        let app = match self {
            Self::A => a::app(first),
            Self::B => b::app(first),
            Self::C => return vec![https(c::site(first)).await, http(c::redirect()).await],
            Self::D => d::app(first, Duration::from_secs(2)),
            Self::E => e::app(first, second),
            Self::F => f::app(first),
            Self::Pitfalls => Router::new().fallback_service(UpgradeProxyLayer::new(first).forward()),
        };
        vec![http(app).await]
    }
}

fn upstream(address: SocketAddr) -> Upstream {
    format!("http://{address}").parse().unwrap()
}

async fn http(app: Router) -> Address {
    Address::Tcp(serve(app).await)
}

async fn https(site: Router) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(c::serve_tls(listener, tls::CERTIFICATE.acceptor(&[]), site));
    Address::Tls(address)
}

impl Address {
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Tls(address) => {
                let tcp = TcpStream::connect(address).await?;
                let name = tls::NAME.try_into().map_err(io::Error::other)?;
                Box::new(tls::connector().connect(name, tcp).await?)
            }
        })
    }
}
