//! Caddy with a minimal Caddyfile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Launch, Proxy, Role, Setup, WORKERS, on_path, version_after};
use crate::Result;

/// Returns Caddy if it is installed.
pub(super) fn find() -> Vec<Proxy> {
    let proxy = |program: PathBuf| {
        let version = version_after(&program, "version", "");
        Proxy { name: "caddy".to_owned(), version, role: Role::Peer, launch: Launch::Caddy(program) }
    };
    on_path("caddy").map(proxy).into_iter().collect()
}

pub(super) fn command(program: &Path, setup: &Setup<'_>) -> Result<Command> {
    let file = setup.directory.join("Caddyfile");
    fs::write(&file, configuration(setup))?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("GOMAXPROCS", WORKERS.to_string());
    for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(variable, setup.directory);
    }
    Ok(command)
}

fn configuration(setup: &Setup<'_>) -> String {
    let Setup { listen, upstream, .. } = setup;
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
