//! The gateway and nginx, on ports that stay the same across a restart.

use std::{
    fmt::Debug,
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use test_support::{ReservedPort, bounded, process::ServerProgram};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    Gateway,
    Nginx,
}

/// A running proxy; ended when dropped.
pub(crate) enum Proxy {
    Gateway(ServerProgram),
    Nginx(Nginx),
}

/// nginx's master process, which has a worker.
pub(crate) struct Nginx {
    master: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn signal(&self, name: &str) {
        if let Some(id) = self.master.id() {
            let _ = std::process::Command::new("kill").args([name, &id.to_string()]).status();
        }
    }
}

impl Drop for Nginx {
    /// Ends the master by a signal that it passes on: a worker outlives a master that is killed.
    fn drop(&mut self) {
        self.signal("-TERM");
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.master.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Message about nginx, if it is not installed.
pub(crate) fn missing_nginx() -> Option<String> {
    nginx()
        .is_none()
        .then(|| "nginx is missing; `apt-get install nginx-light` installs it on Debian".to_owned())
}

fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

impl Proxy {
    /// Starts a proxy from `front` to `back` that ends tunnels after this time without a byte.
    pub(crate) async fn start(
        server: Server,
        front: &ReservedPort,
        back: &ReservedPort,
        timeout: Duration,
    ) -> Self {
        match server {
            Server::Gateway => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"));
                command.args([
                    "--listen",
                    &front.address.to_string(),
                    "--route",
                    &format!("/={}", back.uri()),
                ]);
                command.args(["--idle-timeout", &format!("{}ms", timeout.as_millis()), "--drain", "5s"]);
                Self::Gateway(ServerProgram::spawn(command).await)
            }
            Server::Nginx => start_nginx(front, back, timeout).await,
        }
    }

    /// Ends the proxy with a drain, and waits for its exit.
    pub(crate) async fn drain(self) {
        match self {
            Self::Gateway(mut gateway) => {
                gateway.program.signal("TERM").await;
                assert_eq!(gateway.program.exit_code().await, Some(0));
            }
            Self::Nginx(mut nginx) => {
                nginx.signal("-QUIT");
                bounded("nginx's exit", nginx.master.wait()).await.unwrap();
            }
        }
    }
}

async fn start_nginx(front: &ReservedPort, back: &ReservedPort, timeout: Duration) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let (front, back, timeout) = (front.address, back.address, timeout.as_millis());
    let config = format!(
        "daemon off; pid nginx.pid; lock_file nginx.lock; worker_processes 1; worker_shutdown_timeout 1s;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{
                listen {front};
                location / {{
                    proxy_pass http://{back};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection \"upgrade\";
                    proxy_set_header Host $host;
                    proxy_read_timeout {timeout}ms;
                }}
            }}
        }}"
    );
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let master = Command::new(nginx().unwrap())
        .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
        .arg(folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("error.log")).unwrap())
        .spawn()
        .unwrap();
    let log = folder.path().join("error.log");
    let nginx = Nginx { master, _folder: folder };
    let started = Instant::now();
    while TcpStream::connect(front).await.is_err() {
        let log = || fs::read_to_string(&log).unwrap_or_default();
        assert!(started.elapsed() < Duration::from_secs(20), "nginx does not listen: {}", log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Proxy::Nginx(nginx)
}
