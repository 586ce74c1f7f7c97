//! The gateway process: start, resources in use, and shutdown.

use std::{
    env, error::Error, fs, io::IsTerminal, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::upstream::Upstreams;

/// Worker threads of the gateway.
pub(crate) const WORKERS: usize = 2;

/// Idle timeout of tunnels.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout for the response of an upstream to an upgrade.
const HANDSHAKE_TIMEOUT: &str = "10s";

/// Timeout for the start and for a status request, under any load.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Running gateway.
pub(crate) struct Gateway {
    child: Child,
    pid: u32,
    path: PathBuf,
    address: SocketAddr,
    status: SocketAddr,
    /// Collects the lines on stderr, until it is closed.
    log: JoinHandle<Vec<String>>,
}

/// Resources that the gateway has in use at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resources {
    /// Open tunnels, as reported by `--status`; so are tasks and workers.
    pub(crate) tunnels: usize,
    pub(crate) tasks: usize,
    pub(crate) workers: usize,
    /// Open sockets, from `/proc/PID/fd`; so are pipes and other files.
    pub(crate) sockets: usize,
    pub(crate) pipes: usize,
    pub(crate) other_files: usize,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

impl Resources {
    /// Number of file descriptors.
    pub(crate) fn files(&self) -> usize {
        self.sockets + self.pipes + self.other_files
    }

    /// Returns true if no tunnel is open, and no more tasks and files than in `baseline`, except for the pipes cached
    /// by the workers.
    pub(crate) fn is_back_to(&self, baseline: &Self) -> bool {
        self.tunnels == 0
            && self.tasks <= baseline.tasks
            && self.sockets <= baseline.sockets
            && self.other_files <= baseline.other_files
            && self.pipes <= baseline.pipes + CACHED_PIPES
    }
}

/// Maximum number of descriptors of cached pipes: each worker keeps four empty pipes for splicing, with two ends each.
pub(crate) const CACHED_PIPES: usize = WORKERS * 4 * 2;

impl Gateway {
    /// Starts the gateway executable in the folder of this program, and waits until it listens.
    pub(crate) async fn start(upstreams: &Upstreams) -> Result<Self, Box<dyn Error>> {
        let path = program()?;
        let mut command = Command::new(&path);
        command.args(["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--allow", "tcp"]);
        command.args(["--workers", &WORKERS.to_string(), "--handshake-timeout", HANDSHAKE_TIMEOUT]);
        command.args(["--idle-timeout", &format!("{}s", IDLE_TIMEOUT.as_secs())]);
        command.args(["--pool-idle-timeout", "10s"]);
        for (prefix, address) in upstreams.routes() {
            command.args(["--route", &format!("{prefix}=http://{address}")]);
        }
        command.env("RUST_LOG", "error").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Only this program receives Ctrl-C. It stops the gateway after the clients.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", path.display()))?;
        let pid = child.id().ok_or("the gateway has no process id")?;
        let stdout = child.stdout.take().ok_or("the gateway has no stdout")?;
        let stderr = child.stderr.take().ok_or("the gateway has no stderr")?;
        let mut stdout = BufReader::new(stdout);
        let log = tokio::spawn(collect_lines(stderr));
        let address = read_address(&mut stdout, "listening on ").await?;
        let status = read_address(&mut stdout, "status on http://").await?;
        Ok(Self { child, pid, path, address, status, log })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} (process {}) on {}", self.path.display(), self.pid, self.address)
    }

    /// Resources in use without clients. Returns the minimum of some samples, because the connections of earlier status
    /// requests may still be open.
    pub(crate) async fn baseline(&self) -> Result<Resources, Box<dyn Error>> {
        let mut minimum = self.resources().await?;
        // The first worker may be listening before the others have started.
        let start = Instant::now();
        while minimum.workers < WORKERS {
            if start.elapsed() > RESPONSE_TIMEOUT {
                return Err("not all workers have started".into());
            }
            sleep(Duration::from_millis(50)).await;
            minimum = self.resources().await?;
        }
        for _ in 0..5 {
            sleep(Duration::from_millis(200)).await;
            let now = self.resources().await?;
            if now.files() < minimum.files() {
                minimum = now;
            }
        }
        Ok(minimum)
    }

    /// Resources in use now.
    pub(crate) async fn resources(&self) -> Result<Resources, Box<dyn Error>> {
        let status = timeout(RESPONSE_TIMEOUT, self.request_status())
            .await
            .map_err(|_| "the gateway does not respond")??;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|number| number.parse().ok()).ok_or(format!("no {name} in {status:?}"))
        };
        let [tunnels, tasks, workers] =
            [number("gateway_tunnels")?, number("gateway_tasks")?, number("gateway_workers")?];
        let mut resources = Resources { tunnels, tasks, workers, ..Resources::default() };
        let folder = PathBuf::from(format!("/proc/{}", self.pid));
        for entry in fs::read_dir(folder.join("fd"))?.flatten() {
            // A descriptor that was closed in the meantime has no link.
            let Ok(name) = fs::read_link(entry.path()) else { continue };
            match name.to_string_lossy().split(':').next() {
                Some("socket") => resources.sockets += 1,
                Some("pipe") => resources.pipes += 1,
                _ => resources.other_files += 1,
            }
        }
        let status = fs::read_to_string(folder.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        resources.resident = resident.ok_or("no VmRSS")? * 1024;
        Ok(resources)
    }

    async fn request_status(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.status).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }

    /// Stops the gateway with SIGTERM. Returns its exit status and the lines of its log.
    pub(crate) async fn stop(mut self) -> Result<(String, Vec<String>), Box<dyn Error>> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("invalid process id")?;
            kill_process(pid, Signal::TERM)?;
        }
        #[cfg(not(unix))]
        self.child.start_kill()?;
        let exit = self.child.wait().await?;
        Ok((exit.to_string(), self.log.await?))
    }
}

/// Path of the gateway executable, built with the same profile.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    let own = env::current_exe()?;
    let path = own.with_file_name("upgrade-gateway").with_extension(env::consts::EXE_EXTENSION);
    if path.exists() {
        return Ok(path);
    }
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    Err(format!("{} is missing: run `cargo build{profile} --package upgrade-gateway` first", path.display())
        .into())
}

/// Reads a line that consists of `prefix` and an address.
async fn read_address(
    stdout: &mut BufReader<ChildStdout>,
    prefix: &str,
) -> Result<SocketAddr, Box<dyn Error>> {
    let mut line = String::new();
    timeout(RESPONSE_TIMEOUT, stdout.read_line(&mut line))
        .await
        .map_err(|_| "the gateway does not start")??;
    let address = line.trim().strip_prefix(prefix);
    Ok(address.ok_or(format!("expected {prefix:?} at the start of {line:?}"))?.parse()?)
}

/// Collects the lines of `output`, and prints each immediately.
async fn collect_lines(output: impl AsyncRead + Unpin) -> Vec<String> {
    let (mut lines, mut all) = (BufReader::new(output).lines(), Vec::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}gateway: {line}");
        all.push(line);
    }
    all
}
