//! Processes that end with this one.

use std::{
    ffi::OsString, fs::File, os::unix::process::CommandExt, path::Path, process::Stdio, time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{Instant, timeout},
};

use crate::Result;

/// Maximum time for a program to print that it has started.
const START: Duration = Duration::from_secs(30);

/// Destination of the standard error of a process.
pub(crate) enum Log<'a> {
    /// The standard error of this program.
    Inherit,
    File(&'a Path),
    /// A pipe that nobody reads.
    Unread,
}

/// Running process. It is killed on drop.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    stdout: BufReader<ChildStdout>,
    /// Held so that the pipe stays open.
    _unread: Option<ChildStderr>,
}

impl Process {
    /// Starts a program with these arguments.
    pub(crate) fn spawn(program: &Path, arguments: &[String], log: &Log<'_>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("die-with-parent").arg("--").arg(program).args(arguments);
        command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).process_group(0);
        command.stderr(match log {
            Log::Inherit => Stdio::inherit(),
            Log::File(path) => File::create(path)?.into(),
            Log::Unread => Stdio::piped(),
        });
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let unread = child.stderr.take();
        Ok(Self { child, pid: pid.ok_or("no process id")?, stdout: BufReader::new(stdout), _unread: unread })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Rest of the next line on stdout, which must begin with `start`.
    pub(crate) async fn line_after(&mut self, start: &str) -> Result<String> {
        let mut line = String::new();
        timeout(START, self.stdout.read_line(&mut line))
            .await
            .map_err(|_| format!("no {start:?} in time"))??;
        let rest = line.trim().strip_prefix(start);
        Ok(rest.ok_or_else(|| format!("{line:?} does not begin with {start:?}"))?.to_owned())
    }

    /// Ends the process without a chance to clean up.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM. Returns the exit code and the time until the exit; `None` if there is none within `limit`.
    pub(crate) async fn terminate(mut self, limit: Duration) -> Result<Option<(i32, Duration)>> {
        let start = Instant::now();
        kill_process(self.pid, Signal::TERM)?;
        match timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(Some((status?.code().unwrap_or(-1), start.elapsed()))),
            Err(_) => Ok(None),
        }
    }
}

/// Executes the command in this process, which the kernel kills together with its parent.
pub(crate) fn die_with_parent(command: &[OsString]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let [program, arguments @ ..] = command else { return Err("no command".into()) };
    Err(std::process::Command::new(program).args(arguments).exec().into())
}
