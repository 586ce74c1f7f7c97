//! Caddy with the shortest Caddyfile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Launch, Proxy, Side, Site, WORKERS, on_path, version_after};
use crate::Result;

/// None or one.
pub(super) fn find() -> Vec<Proxy> {
    let proxy = |program: PathBuf| {
        let version = version_after(&program, "version", "");
        Proxy { name: "caddy".to_owned(), version, side: Side::Peer, launch: Launch::Caddy(program) }
    };
    on_path("caddy").map(proxy).into_iter().collect()
}

pub(super) fn command(program: &Path, site: &Site<'_>) -> Result<Command> {
    let file = site.directory.join("Caddyfile");
    fs::write(&file, configuration(site))?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("GOMAXPROCS", WORKERS.to_string());
    for place in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(place, site.directory);
    }
    Ok(command)
}

fn configuration(site: &Site<'_>) -> String {
    let Site { listen, upstream, .. } = site;
    format!(
        "{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
http://:{} {{
    bind {}
    reverse_proxy {upstream}
}}
",
        listen.port(),
        listen.ip()
    )
}
