//! nginx with its documented configuration for upgrades, and a pool of upstream connections.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Launch, Proxy, Role, Setup, WORKERS, on_path, version_after};
use crate::Result;

/// Returns nginx if it is installed.
pub(super) fn find() -> Vec<Proxy> {
    let proxy = |program: PathBuf| {
        let version = version_after(&program, "-v", "nginx/");
        Proxy { name: "nginx".to_owned(), version, role: Role::Peer, launch: Launch::Nginx(program) }
    };
    on_path("nginx").map(proxy).into_iter().collect()
}

pub(super) fn command(program: &Path, setup: &Setup<'_>) -> Result<Command> {
    let file = setup.directory.join("nginx.conf");
    fs::write(&file, configuration(setup))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file).arg("-p").arg(setup.directory).arg("-e").arg("stderr");
    Ok(command)
}

/// `keepalive_requests` is raised, because with its default of 1,000 the scenario `requests` would measure connecting. The
/// empty `Connection` of ordinary requests is required for `keepalive` in `upstream`.
fn configuration(setup: &Setup<'_>) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let Setup { listen, upstream, files, .. } = setup;
    let connections = files.min(&65_535);
    format!(
        "daemon off;
{user}
worker_processes {WORKERS};
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream backend {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_read_timeout 1d;
            proxy_send_timeout 1d;
        }}
    }}
}}
"
    )
}
