//! A real nginx with one of the configurations, and a folder for all its files.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use test_support::ReservedPort;

use crate::proxy::Address;

/// The configuration around that of a set-up.
const MAIN_CONFIG: &str = "\
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

/// A running nginx; killed when dropped.
pub(crate) struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    /// The address of each `listen` of the configuration, in order.
    pub(crate) addresses: Vec<Address>,
    _ports: Vec<ReservedPort>,
}

/// The program, or how to install it.
pub(crate) fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file()).ok_or_else(|| {
        "nginx is not on this machine; `apt-get install nginx-light` installs it on Debian".to_owned()
    })
}

impl Nginx {
    /// Starts nginx with `config` and `upstreams` in the place of its upstreams.
    pub(crate) async fn start(config: &str, upstreams: [SocketAddr; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (site, addresses, ports) = configure(config, folder.path(), upstreams);
        crate::tls::write(folder.path());
        fs::write(folder.path().join("site.conf"), site).unwrap();
        fs::write(folder.path().join("nginx.conf"), MAIN_CONFIG).unwrap();
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
        nginx.wait_until_ready().await;
        nginx
    }

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while !self.is_ready().await {
            assert!(self.child.try_wait().unwrap().is_none(), "nginx ended: {}", self.log());
            assert!(started.elapsed() < Duration::from_secs(20), "nginx does not listen: {}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn is_ready(&self) -> bool {
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

/// The configuration with the addresses and timeouts of the test.
fn configure(
    config: &str,
    folder: &Path,
    upstreams: [SocketAddr; 2],
) -> (String, Vec<Address>, Vec<ReservedPort>) {
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    let mut site = String::new();
    for line in config.lines() {
        let (listen, address) = match line.trim() {
            "listen 80;" => {
                let path = folder.join(format!("{}.sock", addresses.len()));
                (format!("listen unix:{};", path.display()), Address::Unix(path))
            }
            // The upstream receives the client's address, which a unix socket does not have.
            "listen 443 ssl;" => {
                let port = ReservedPort::new();
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
