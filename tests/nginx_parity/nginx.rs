//! A real nginx with one of the configurations, everything it writes in a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{front::Address, support::Reserved};

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
    _ports: Vec<Reserved>,
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
        let folder = tempfile::tempdir().unwrap();
        let (site, addresses, ports) = place(config, folder.path(), upstreams);
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
        let mut nginx = Self { child, folder, addresses, _ports: ports };
        nginx.until_ready().await;
        nginx
    }

    async fn until_ready(&mut self) {
        let started = Instant::now();
        while !self.answers().await {
            assert!(self.child.try_wait().unwrap().is_none(), "nginx ended: {}", self.log());
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
fn place(config: &str, folder: &Path, upstreams: [SocketAddr; 2]) -> (String, Vec<Address>, Vec<Reserved>) {
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    let mut site = String::new();
    for line in config.lines() {
        let (listen, address) = match line.trim() {
            "listen 80;" => {
                let path = folder.join(format!("{}.sock", addresses.len()));
                (format!("listen unix:{};", path.display()), Address::Unix(path))
            }
            // The client's address is told here, and a unix socket has none.
            "listen 443 ssl;" => {
                let port = Reserved::new();
                let address = port.address;
                ports.push(port);
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
    (site, addresses, ports)
}
