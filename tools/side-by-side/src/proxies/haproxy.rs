//! `HAProxy` in HTTP mode.

use std::{fs, path::Path, process::Command};

use super::{Launch, Proxy, Side, Site, WORKERS, on_path, version_after};
use crate::{Result, http2::Http2};

/// When data stay in the kernel. Measured both ways, because neither is the better one: `splice-auto` does not
/// splice tunnels (it costs what no splicing costs), and splicing always is cheap for large messages and dear
/// for small ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Splice {
    Auto,
    Always,
}

/// None, or one of each kind.
pub(super) fn find() -> Vec<Proxy> {
    let Some(program) = on_path("haproxy") else { return Vec::new() };
    let version = version_after(&program, "-v", "version ");
    let proxy = |(name, splice): (&str, Splice)| Proxy {
        name: name.to_owned(),
        version: version.clone(),
        side: Side::Peer,
        launch: Launch::Haproxy(program.clone(), splice),
    };
    [("haproxy", Splice::Auto), ("haproxy-splice", Splice::Always)].map(proxy).into()
}

pub(super) fn command(program: &Path, splice: Splice, site: &Site<'_>) -> Result<Command> {
    let file = site.directory.join("haproxy.cfg");
    fs::write(&file, configuration(splice, site))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

/// Connections besides the tunnels of the scenario.
const SPARE: u64 = 500;

/// Splicing takes a pipe for each connection that is not read from, and without one `HAProxy` spins. So it gets as
/// many as the limit of open files leaves: a connection and a pipe need two each, and some are needed besides.
fn configuration(splice: Splice, site: &Site<'_>) -> String {
    let splice = match splice {
        Splice::Auto => "option splice-auto",
        Splice::Always => "option splice-request\n    option splice-response",
    };
    // Or else the first request of each client goes on a connection of its own.
    let (reuse, protocol) = match site.http2 {
        Http2::Upstream => ("http-reuse always", "proto h2"),
        Http2::Neither | Http2::Client => ("", ""),
    };
    let Site { listen, upstream, tunnels, files, .. } = site;
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
    fn http2_is_spoken_to_an_upstream_that_expects_it_and_its_connections_are_shared() {
        let backend = |http2| {
            let file = configuration(Splice::Auto, &Site::example(http2));
            let (_, backend) = file.split_once("\nbackend upstream\n").expect("at the end");
            backend.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(backend(Http2::Client), "server one 127.0.0.1:2");
        assert_eq!(backend(Http2::Upstream), "http-reuse always server one 127.0.0.1:2 proto h2");
    }
}
