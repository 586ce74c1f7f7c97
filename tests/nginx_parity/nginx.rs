//! A real nginx with one of the configurations, everything it writes in a folder of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::front::Address;

/// Around every configuration.
const AROUND: &str = "\
daemon off;
master_process off;
pid nginx.pid;
lock_file nginx.lock;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
";

/// A running nginx. Dropping it kills it.
pub(crate) struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    /// Where each `listen` of the configuration is, in order.
    pub(crate) addresses: Vec<Address>,
}

/// The program, or how to get it.
pub(crate) fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file()).ok_or_else(|| {
        "nginx is not on this machine; `apt-get install nginx-light` installs it on Debian".to_owned()
    })
}

impl Nginx {
    /// Starts it with `config`, in which the upstreams stand for `upstreams`.
    pub(crate) async fn start(config: &str, upstreams: [SocketAddr; 2]) -> Self {
        // Someone may take the port between choosing and using it.
        for _ in 0..5 {
            if let Some(nginx) = Self::attempt(config, upstreams).await {
                return nginx;
            }
        }
        panic!("no port was free for nginx");
    }

    async fn attempt(config: &str, upstreams: [SocketAddr; 2]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (site, addresses) = place(config, folder.path(), upstreams);
        crate::tls::write(folder.path());
        fs::write(folder.path().join("site.conf"), site).unwrap();
        fs::write(folder.path().join("nginx.conf"), AROUND).unwrap();
        let log = fs::File::create(folder.path().join("error.log")).unwrap();
        let child = Command::new(find().unwrap())
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut nginx = Self { child, folder, addresses };
        nginx.until_ready().await.then_some(nginx)
    }

    /// False when a port was taken.
    async fn until_ready(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if self.answers().await {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                let log = self.log();
                assert!(log.contains("Address already in use"), "nginx ended: {log}");
                return false;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "nginx does not listen: {}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn answers(&self) -> bool {
        for address in &self.addresses {
            if address.connect().await.is_err() {
                return false;
            }
        }
        true
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration with the addresses and times of the test in the place of the reader's.
fn place(config: &str, folder: &Path, upstreams: [SocketAddr; 2]) -> (String, Vec<Address>) {
    let mut addresses = Vec::new();
    let mut site = String::new();
    for line in config.lines() {
        let (listen, address) = match line.trim() {
            "listen 80;" => {
                let path = folder.join(format!("{}.sock", addresses.len()));
                (format!("listen unix:{};", path.display()), Address::Unix(path))
            }
            // The client's address is told here, and a unix socket has none.
            "listen 443 ssl;" => {
                let address = free_port();
                (format!("listen {address} ssl;"), Address::Tls(address))
            }
            _ => {
                site.push_str(line);
                site.push('\n');
                continue;
            }
        };
        site.push_str(&listen);
        addresses.push(address);
    }
    let site = site
        .replace("127.0.0.1:9000", &upstreams[0].to_string())
        .replace("127.0.0.1:3000", &upstreams[1].to_string())
        .replace("proxy_read_timeout 60s;", "proxy_read_timeout 2s;");
    (site, addresses)
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
