//! Those that are compared, each with two workers and set up as its users would for WebSockets.

mod axum_reverse_proxy;
mod caddy;
mod gateway;
mod hand_written;
mod haproxy;
mod nginx;
mod peer;

use std::{
    env,
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, http2::Http2, options::Options};

pub(crate) use peer::Peer;

/// Threads or processes that each proxy works with.
pub(crate) const WORKERS: usize = 2;

/// A contestant.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) side: Side,
    launch: Launch,
}

/// What a figure of it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Side {
    /// This crate.
    Ours,
    /// Something else that one could use.
    Peer,
    /// No proxy at all.
    Direct,
}

#[derive(Debug)]
enum Launch {
    Gateway { program: PathBuf, arguments: Vec<String> },
    Nginx(PathBuf),
    Haproxy(PathBuf, haproxy::Splice),
    Caddy(PathBuf),
    BuiltIn(Peer),
    Nothing,
}

/// Where a proxy stands for one measurement.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
    /// For configuration and what else it writes; removed afterwards.
    pub(crate) directory: &'a Path,
    /// Tunnels that it must hold at once.
    pub(crate) tunnels: usize,
    /// Open files that it may have.
    pub(crate) files: u64,
    /// Which side speaks HTTP/2 with it.
    pub(crate) http2: Http2,
}

impl Proxy {
    /// Whether it speaks HTTP/2 on that side, for WebSockets too. HAProxy cannot splice what is in frames.
    pub(crate) fn supports(&self, http2: Http2) -> bool {
        match self.launch {
            Launch::Gateway { .. } | Launch::Haproxy(_, haproxy::Splice::Auto) | Launch::Nothing => true,
            Launch::Haproxy(..) | Launch::Nginx(_) | Launch::Caddy(_) | Launch::BuiltIn(_) => {
                http2 == Http2::Neither
            }
        }
    }

    /// The command that starts it, in the foreground. The direct way has none.
    pub(crate) fn command(&self, site: &Site<'_>) -> Result<Option<Command>> {
        Ok(Some(match &self.launch {
            Launch::Gateway { program, arguments } => gateway::command(program, arguments, site),
            Launch::Nginx(program) => nginx::command(program, site)?,
            Launch::Haproxy(program, splice) => haproxy::command(program, *splice, site)?,
            Launch::Caddy(program) => caddy::command(program, site)?,
            Launch::BuiltIn(peer) => peer.command(site)?,
            Launch::Nothing => return Ok(None),
        }))
    }
}

/// All that take part, and how those that are missing would be installed.
pub(crate) fn all(options: &Options) -> Result<(Vec<Proxy>, Vec<String>)> {
    let wanted = |name: &str| options.proxy.is_empty() || options.proxy.iter().any(|wanted| wanted == name);
    let mut proxies = gateway::all(options, wanted)?;
    let mut missing = Vec::new();
    for (name, found) in [("nginx", nginx::find()), ("haproxy", haproxy::find()), ("caddy", caddy::find())] {
        if found.is_empty() && wanted(name) {
            missing.push(format!("{name} is missing: apt-get install {name}"));
        }
        proxies.extend(found.into_iter().filter(|proxy| wanted(&proxy.name)));
    }
    let compiled_in = Peer::ALL.into_iter().map(Peer::proxy);
    let direct = Proxy {
        name: "direct".to_owned(),
        version: "no proxy".to_owned(),
        side: Side::Direct,
        launch: Launch::Nothing,
    };
    proxies.extend(compiled_in.chain([direct]).filter(|proxy| wanted(&proxy.name)));
    match options.proxy.iter().find(|name| !proxies.iter().any(|proxy| proxy.name == **name)) {
        Some(unknown) if !missing.iter().any(|line| line.starts_with(unknown.as_str())) => {
            Err(format!("--proxy {unknown}: there is none of this name").into())
        }
        _ => Ok((proxies, missing)),
    }
}

/// An installed program. Those of root are not on everyone's path.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// What stands between these in the program's answer, up to a space.
fn version_after(program: &Path, argument: &str, before: &str) -> String {
    let output = Command::new(program).arg(OsStr::new(argument)).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let version = said.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
    version.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Site<'static> {
        /// For 5,000 tunnels.
        pub(super) fn example(http2: Http2) -> Self {
            let [listen, upstream] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            let directory = Path::new("/tmp");
            Self { listen, upstream, directory, tunnels: 5000, files: 20_000, http2 }
        }
    }
}
