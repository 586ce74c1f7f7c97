//! `HAProxy` with the same routes.

use std::{env, fs, net::TcpListener, path::PathBuf, time::Duration};

use rustix::process::Pid;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{LIVE, Ports, ROUTES, WORKERS, crowd_address, crowd_path};
use crate::{
    Result,
    process::{Log, Process},
};

/// Maximum time until it listens.
const START: Duration = Duration::from_secs(10);

/// Running `HAProxy`.
pub(crate) struct Haproxy {
    process: Process,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Haproxy {
    /// Starts it for this number of connections, and with this idle timeout of tunnels; `None` if it is not installed.
    pub(crate) async fn start(
        ports: Ports,
        connections: usize,
        idle_timeout: Duration,
    ) -> Result<Option<Self>> {
        let Some(program) = installed() else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("haproxy.cfg");
        // It does not report a port that it has selected itself.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        fs::write(&file, configuration(port, ports, connections, idle_timeout))?;
        let arguments = ["-db", "-q", "-f", &file.to_string_lossy()].map(str::to_owned);
        let process = Process::spawn(&program, &arguments, &Log::Inherit)?;
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if start.elapsed() > START {
                return Err("HAProxy does not start".into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Some(Self { process, port, _folder: folder }))
    }

    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }
}

fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join("haproxy")).find(|file| file.is_file())
}

/// Without retries, so that a client gets its 503 at once, as from the gateway.
fn configuration(port: u16, ports: Ports, connections: usize, idle_timeout: Duration) -> String {
    let idle_timeout = idle_timeout.as_millis();
    let mut text = format!(
        "global
    nbthread {WORKERS}
    maxconn {connections}
defaults
    mode http
    maxconn {connections}
    retries 0
    timeout connect 10s
    timeout client 1m
    timeout server 1m
    timeout tunnel {idle_timeout}ms
frontend scale
    bind 0.0.0.0:{port} backlog 4096
    use_backend live if {{ path_beg {LIVE} }}
"
    );
    for route in 0..ROUTES {
        text += &format!("    use_backend crowd{route} if {{ path_beg {} }}\n", crowd_path(route));
    }
    text += &format!("backend live\n    server one 127.0.0.1:{}\n", ports.live);
    for route in 0..ROUTES {
        text += &format!("backend crowd{route}\n    server one {}\n", crowd_address(route, ports));
    }
    text
}
