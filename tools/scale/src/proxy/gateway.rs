//! The gateway under test.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Pid;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{LIVE, Ports, ROUTES, WORKERS, crowd_address, crowd_path, port_of, read_log};
use crate::{
    Result,
    process::{Log, Process},
};

/// Maximum time for a response of the status listener.
const STATUS: Duration = Duration::from_secs(20);

/// Running gateway.
pub(crate) struct Gateway {
    process: Process,
    pub(crate) port: u16,
    status: String,
    folder: TempDir,
}

/// End of a gateway after SIGTERM.
pub(crate) struct Exit {
    /// Exit code, and the time from the signal; `None` if it had to be killed.
    pub(crate) end: Option<(i32, Duration)>,
    pub(crate) log: String,
}

impl Gateway {
    /// Starts the gateway with a log in a file.
    pub(crate) async fn start(program: &Path, ports: Ports, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        Self::start_in(folder, program, ports, options, &Log::File(&log)).await
    }

    /// Starts the gateway with a log that nobody reads.
    pub(crate) async fn start_unread(program: &Path, ports: Ports, options: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, program, ports, options, &Log::Unread).await
    }

    async fn start_in(
        folder: TempDir,
        program: &Path,
        ports: Ports,
        options: &[&str],
        log: &Log<'_>,
    ) -> Result<Self> {
        let workers = WORKERS.to_string();
        let mut arguments: Vec<String> =
            ["--listen", "0.0.0.0:0", "--status", "127.0.0.1:0", "--workers", &workers]
                .map(str::to_owned)
                .into();
        arguments.extend(["--route".to_owned(), format!("{LIVE}=http://127.0.0.1:{}", ports.live)]);
        for route in 0..ROUTES {
            let route = format!("{}=http://{}", crowd_path(route), crowd_address(route, ports));
            arguments.extend(["--route".to_owned(), route]);
        }
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        let mut process = Process::spawn(program, &arguments, log)?;
        let port = port_of(&process.line_after("listening on ").await?)?;
        let status = process.line_after("status on http://").await?;
        Ok(Self { process, port, status, folder })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Number of tunnels that the status listener reports, and the time of its response; an error if there is none in time.
    pub(crate) async fn status(&self) -> Result<(usize, Duration)> {
        let start = Instant::now();
        let report =
            timeout(STATUS, self.request_status()).await.map_err(|_| "the status does not respond")??;
        let number = report.lines().find_map(|line| line.strip_prefix("gateway_tunnels "));
        Ok((number.ok_or("no gateway_tunnels")?.parse()?, start.elapsed()))
    }

    async fn request_status(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.status).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: scale\r\nConnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }

    /// Sends SIGTERM, and waits for the exit for at most `limit`.
    pub(crate) async fn terminate(self, limit: Duration) -> Result<Exit> {
        let end = self.process.terminate(limit).await?;
        Ok(Exit { end, log: read_log(&self.folder.path().join("log")) })
    }
}

/// Path of the gateway built with the profile of this program.
pub(crate) fn built() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("upgrade-gateway");
    if path.exists() {
        return Ok(path);
    }
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    Err(format!("{} is missing: run `cargo build{profile} --package upgrade-gateway` first", path.display())
        .into())
}
