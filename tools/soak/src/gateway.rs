//! The gateway as a process, observed from outside.

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

/// Threads of the gateway.
pub(crate) const WORKERS: usize = 2;

/// The gateway's idle timeout.
pub(crate) const IDLE: Duration = Duration::from_secs(15);

/// The gateway's handshake timeout.
const HANDSHAKE: &str = "10s";

/// Time limit of the gateway's responses, under any load.
const RESPONSE: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    child: Child,
    pid: u32,
    path: PathBuf,
    address: SocketAddr,
    status: SocketAddr,
    complaints: JoinHandle<Vec<String>>,
}

/// Resources of the gateway at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holdings {
    /// Its own counts.
    pub(crate) tunnels: usize,
    pub(crate) tasks: usize,
    pub(crate) workers: usize,
    /// The kernel's counts.
    pub(crate) sockets: usize,
    pub(crate) pipes: usize,
    pub(crate) other_files: usize,
    /// Bytes.
    pub(crate) resident: u64,
}

impl Holdings {
    pub(crate) fn files(&self) -> usize {
        self.sockets + self.pipes + self.other_files
    }

    /// Whether there are no more than `before`, except for the pipes that the workers keep.
    pub(crate) fn is_at_rest(&self, before: &Self) -> bool {
        self.tunnels == 0
            && self.tasks <= before.tasks
            && self.sockets <= before.sockets
            && self.other_files <= before.other_files
            && self.pipes <= before.pipes + KEPT_PIPES
    }
}

/// Each worker keeps four empty pipes for the next splice, with two ends each.
pub(crate) const KEPT_PIPES: usize = WORKERS * 4 * 2;

impl Gateway {
    /// Starts the gateway that was built beside this program.
    pub(crate) async fn start(upstreams: &Upstreams) -> Result<Self, Box<dyn Error>> {
        let path = program()?;
        let mut command = Command::new(&path);
        command.args(["--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--allow", "tcp"]);
        command.args(["--workers", &WORKERS.to_string(), "--handshake-timeout", HANDSHAKE]);
        command.args(["--idle-timeout", &format!("{}s", IDLE.as_secs())]);
        command.args(["--pool-idle-timeout", "10s"]);
        for (prefix, address) in upstreams.routes() {
            command.args(["--route", &format!("{prefix}=http://{address}")]);
        }
        command.env("RUST_LOG", "error").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for this program, which stops the gateway in its own time.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", path.display()))?;
        let pid = child.id().ok_or("it has no number")?;
        let (stdout, log) = (child.stdout.take().ok_or("no output")?, child.stderr.take().ok_or("no log")?);
        let mut stdout = BufReader::new(stdout);
        let complaints = tokio::spawn(lines(log));
        let address = line_after(&mut stdout, "listening on ").await?;
        let status = line_after(&mut stdout, "status on http://").await?;
        Ok(Self { child, pid, path, address, status, complaints })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn describe(&self) -> String {
        format!("{} (process {}) on {}", self.path.display(), self.pid, self.address)
    }

    /// The resources without clients: the least, since connections for the status may not be closed yet.
    pub(crate) async fn before(&self) -> Result<Holdings, Box<dyn Error>> {
        let mut least = self.look().await?;
        // The address is printed before all workers have started.
        let start = Instant::now();
        while least.workers < WORKERS {
            if start.elapsed() > RESPONSE {
                return Err("not all workers have started".into());
            }
            sleep(Duration::from_millis(50)).await;
            least = self.look().await?;
        }
        for _ in 0..5 {
            sleep(Duration::from_millis(200)).await;
            let now = self.look().await?;
            if now.files() < least.files() {
                least = now;
            }
        }
        Ok(least)
    }

    /// The resources now.
    pub(crate) async fn look(&self) -> Result<Holdings, Box<dyn Error>> {
        let status =
            timeout(RESPONSE, self.read_status()).await.map_err(|_| "the gateway does not respond")??;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|number| number.parse().ok()).ok_or(format!("no {name} in {status:?}"))
        };
        let [tunnels, tasks, workers] =
            [number("gateway_tunnels")?, number("gateway_tasks")?, number("gateway_workers")?];
        let mut holdings = Holdings { tunnels, tasks, workers, ..Holdings::default() };
        let folder = PathBuf::from(format!("/proc/{}", self.pid));
        for entry in fs::read_dir(folder.join("fd"))?.flatten() {
            // A descriptor closed meanwhile has no link.
            let Ok(name) = fs::read_link(entry.path()) else { continue };
            match name.to_string_lossy().split(':').next() {
                Some("socket") => holdings.sockets += 1,
                Some("pipe") => holdings.pipes += 1,
                _ => holdings.other_files += 1,
            }
        }
        let status = fs::read_to_string(folder.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        holdings.resident = resident.ok_or("no VmRSS")? * 1024;
        Ok(holdings)
    }

    async fn read_status(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.status).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }

    /// Ends the gateway as an operator does. Returns its exit status and the lines of its log.
    pub(crate) async fn stop(mut self) -> Result<(String, Vec<String>), Box<dyn Error>> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("it has no number")?;
            kill_process(pid, Signal::TERM)?;
        }
        #[cfg(not(unix))]
        self.child.start_kill()?;
        let exit = self.child.wait().await?;
        Ok((exit.to_string(), self.complaints.await?))
    }
}

/// The gateway, built with the same profile.
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

async fn line_after(stdout: &mut BufReader<ChildStdout>, start: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let mut line = String::new();
    timeout(RESPONSE, stdout.read_line(&mut line)).await.map_err(|_| "the gateway does not start")??;
    let address = line.trim().strip_prefix(start);
    Ok(address.ok_or(format!("{start:?} does not begin {line:?}"))?.parse()?)
}

/// The lines of an output, each printed at once.
async fn lines(output: impl AsyncRead + Unpin) -> Vec<String> {
    let (mut lines, mut all) = (BufReader::new(output).lines(), Vec::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}gateway: {line}");
        all.push(line);
    }
    all
}
