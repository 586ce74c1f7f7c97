//! `HAProxy` in HTTP mode.

use std::{fs, path::Path, process::Command};

use super::{Launch, Proxy, Role, Setup, WORKERS, on_path, version_after};
use crate::{Result, http2::Http2};

/// Use of splicing. Both variants are measured, because neither is better in all scenarios: `splice-auto` does not splice
/// tunnels (its cost is that of no splicing); forced splicing is cheaper for large messages, and more expensive for small
/// ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Splice {
    Auto,
    Always,
}

/// Returns one proxy for each kind of splicing, if `HAProxy` is installed.
pub(super) fn find() -> Vec<Proxy> {
    let Some(program) = on_path("haproxy") else { return Vec::new() };
    let version = version_after(&program, "-v", "version ");
    let proxy = |(name, splice): (&str, Splice)| Proxy {
        name: name.to_owned(),
        version: version.clone(),
        role: Role::Peer,
        launch: Launch::Haproxy(program.clone(), splice),
    };
    [("haproxy", Splice::Auto), ("haproxy-splice", Splice::Always)].map(proxy).into()
}

pub(super) fn command(program: &Path, splice: Splice, setup: &Setup<'_>) -> Result<Command> {
    let file = setup.directory.join("haproxy.cfg");
    fs::write(&file, configuration(splice, setup))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

/// Connections in addition to the tunnels of the scenario.
const SPARE: u64 = 500;

/// Splicing needs a pipe for each connection whose peer does not read; without a free pipe `HAProxy` spins. Therefore
/// `maxpipes` is the number of pipes that the limit of open files leaves, with two files for each connection and pipe and
/// 200 for other purposes.
fn configuration(splice: Splice, setup: &Setup<'_>) -> String {
    let splice = match splice {
        Splice::Auto => "option splice-auto",
        Splice::Always => "option splice-request\n    option splice-response",
    };
    // By default, the first request of each client gets a new connection.
    let (reuse, protocol) = match setup.http2 {
        Http2::Upstream => ("http-reuse always", "proto h2"),
        Http2::Neither | Http2::Client => ("", ""),
    };
    let Setup { listen, upstream, tunnels, files, .. } = setup;
    let connections = *tunnels as u64 + SPARE;
    let pipes = (files.saturating_sub(200) / 2).saturating_sub(connections).clamp(1, connections);
    format!(
        "global
    nbthread {WORKERS}
    maxconn {connections}
    maxpipes {pipes}
    tune.h2.max-concurrent-streams {connections}
defaults
    mode http
    maxconn {connections}
    {splice}
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-keep-alive 1h
frontend side
    bind {listen} backlog 4096
    default_backend upstream
backend upstream
    {reuse}
    server one {upstream} {protocol}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_to_the_upstream_reuses_connections() {
        let backend = |http2| {
            let file = configuration(Splice::Auto, &Setup::example(http2));
            let (_, backend) =
                file.split_once("\nbackend upstream\n").expect("the backend is the last section");
            backend.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(backend(Http2::Client), "server one 127.0.0.1:2");
        assert_eq!(backend(Http2::Upstream), "http-reuse always server one 127.0.0.1:2 proto h2");
    }
}
