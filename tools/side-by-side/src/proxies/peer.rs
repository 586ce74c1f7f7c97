//! The peers that are libraries: compiled into this program, run as processes of their own.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
};

use clap::ValueEnum;

use super::{Launch, Proxy, Side, Site, axum_reverse_proxy, hand_written};
use crate::{Result, machine};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The crate axum-reverse-proxy on `axum::serve`
    AxumReverseProxy,
    /// hyper and tokio's `copy_bidirectional`
    HandWritten,
}

impl Peer {
    pub(super) const ALL: [Self; 2] = [Self::AxumReverseProxy, Self::HandWritten];

    /// How it takes part.
    pub(super) fn proxy(self) -> Proxy {
        let (name, version) = match self {
            Self::AxumReverseProxy => ("axum-reverse-proxy", machine::locked("axum-reverse-proxy")),
            Self::HandWritten => ("hand-written", format!("hyper {}", machine::locked("hyper"))),
        };
        Proxy { name: name.to_owned(), version, side: Side::Peer, launch: Launch::BuiltIn(self) }
    }

    pub(super) fn command(self, site: &Site<'_>) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        let name = self.to_possible_value().ok_or("a peer without a name")?;
        command.args(["peer", name.get_name()]);
        command.args([site.listen.port().to_string(), site.upstream.to_string()]);
        Ok(command)
    }

    /// Serves until the process is killed.
    pub(crate) async fn serve(self, port: u16, upstream: SocketAddr) -> Result<()> {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        match self {
            Self::AxumReverseProxy => axum_reverse_proxy::serve(listen, upstream).await,
            Self::HandWritten => hand_written::serve(listen, upstream).await,
        }
    }
}
