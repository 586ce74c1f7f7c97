//! Proxies that are part of this program, because they are libraries. They run as separate processes.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Command,
};

use clap::ValueEnum;

use super::{Launch, Proxy, Role, Setup, axum_reverse_proxy, hand_written};
use crate::{Result, machine};

/// Proxy that is part of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuiltIn {
    /// The crate axum-reverse-proxy on `axum::serve`
    AxumReverseProxy,
    /// hyper and tokio's `copy_bidirectional`
    HandWritten,
}

impl BuiltIn {
    pub(super) const ALL: [Self; 2] = [Self::AxumReverseProxy, Self::HandWritten];

    /// Entry for the comparison.
    pub(super) fn proxy(self) -> Proxy {
        let (name, version) = match self {
            Self::AxumReverseProxy => ("axum-reverse-proxy", machine::locked_version("axum-reverse-proxy")),
            Self::HandWritten => ("hand-written", format!("hyper {}", machine::locked_version("hyper"))),
        };
        Proxy { name: name.to_owned(), version, role: Role::Peer, launch: Launch::BuiltIn(self) }
    }

    pub(super) fn command(self, setup: &Setup<'_>) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        let name = self.to_possible_value().ok_or("the proxy has no name")?;
        command.args(["built-in", name.get_name()]);
        command.args([setup.listen.port().to_string(), setup.upstream.to_string()]);
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
