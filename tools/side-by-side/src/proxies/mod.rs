//! Compared proxies, each with two workers and a usual configuration for WebSockets.

mod axum_reverse_proxy;
mod built_in;
mod caddy;
mod gateway;
mod hand_written;
mod haproxy;
mod nginx;

use std::{
    env,
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, http2::Http2, options::Options};

pub(crate) use built_in::BuiltIn;

/// Number of worker threads or processes of each proxy.
pub(crate) const WORKERS: usize = 2;

/// Compared proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) role: Role,
    launch: Launch,
}

/// Role of a proxy in the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    /// The gateway of this repository.
    #[serde(rename = "Ours")]
    Gateway,
    /// Another proxy.
    Peer,
    /// No proxy: the load goes directly to the upstream.
    Direct,
}

/// Kind of proxy, with its executable.
#[derive(Debug)]
enum Launch {
    Gateway { program: PathBuf, arguments: Vec<String> },
    Nginx(PathBuf),
    Haproxy(PathBuf, haproxy::Splice),
    Caddy(PathBuf),
    BuiltIn(BuiltIn),
    Direct,
}

/// Environment of a proxy in one measurement.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
    /// Working directory, for configuration and temporary files; removed afterwards.
    pub(crate) directory: &'a Path,
    /// Number of concurrent tunnels.
    pub(crate) tunnels: usize,
    /// Limit of open files.
    pub(crate) files: u64,
    /// Side with HTTP/2.
    pub(crate) http2: Http2,
}

impl Proxy {
    /// Returns true if the proxy supports HTTP/2 with WebSockets on this side. HAProxy cannot splice the frames of HTTP/2.
    pub(crate) fn supports(&self, http2: Http2) -> bool {
        match self.launch {
            Launch::Gateway { .. } | Launch::Haproxy(_, haproxy::Splice::Auto) | Launch::Direct => true,
            Launch::Haproxy(..) | Launch::Nginx(_) | Launch::Caddy(_) | Launch::BuiltIn(_) => {
                http2 == Http2::Neither
            }
        }
    }

    /// Command that starts the proxy in the foreground; `None` for `direct`.
    pub(crate) fn command(&self, setup: &Setup<'_>) -> Result<Option<Command>> {
        Ok(Some(match &self.launch {
            Launch::Gateway { program, arguments } => gateway::command(program, arguments, setup),
            Launch::Nginx(program) => nginx::command(program, setup)?,
            Launch::Haproxy(program, splice) => haproxy::command(program, *splice, setup)?,
            Launch::Caddy(program) => caddy::command(program, setup)?,
            Launch::BuiltIn(peer) => peer.command(setup)?,
            Launch::Direct => return Ok(None),
        }))
    }
}

/// All selected proxies, and messages about those that are not installed.
pub(crate) fn all(options: &Options) -> Result<(Vec<Proxy>, Vec<String>)> {
    let wanted = |name: &str| options.proxy.is_empty() || options.proxy.iter().any(|wanted| wanted == name);
    let mut proxies = gateway::all(options, wanted)?;
    let mut missing = Vec::new();
    for (name, found) in [("nginx", nginx::find()), ("haproxy", haproxy::find()), ("caddy", caddy::find())] {
        if found.is_empty() && wanted(name) {
            missing.push(format!("{name} is not installed: apt-get install {name}"));
        }
        proxies.extend(found.into_iter().filter(|proxy| wanted(&proxy.name)));
    }
    let built_in = BuiltIn::ALL.into_iter().map(BuiltIn::proxy);
    let direct = Proxy {
        name: "direct".to_owned(),
        version: "no proxy".to_owned(),
        role: Role::Direct,
        launch: Launch::Direct,
    };
    proxies.extend(built_in.chain([direct]).filter(|proxy| wanted(&proxy.name)));
    match options.proxy.iter().find(|name| !proxies.iter().any(|proxy| proxy.name == **name)) {
        Some(unknown) if !missing.iter().any(|line| line.starts_with(unknown.as_str())) => {
            Err(format!("--proxy {unknown}: unknown proxy").into())
        }
        _ => Ok((proxies, missing)),
    }
}

/// Path of an installed program. The folders of system programs are searched too, because not every `PATH` has them.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Runs the program with `argument`, and returns the word after `before` in its output.
fn version_after(program: &Path, argument: &str, before: &str) -> String {
    let output = Command::new(program).arg(OsStr::new(argument)).output();
    let output = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    let version = output.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
    version.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Setup<'static> {
        /// Setup for 5,000 tunnels.
        pub(super) fn example(http2: Http2) -> Self {
            let [listen, upstream] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            let directory = Path::new("/tmp");
            Self { listen, upstream, directory, tunnels: 5000, files: 20_000, http2 }
        }
    }
}
