//! Processes that do not outlive the measurement.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Signal, kill_process_group, set_parent_process_death_signal, test_kill_process_group,
};

use crate::Result;

/// How long the kernel may take to clean up after a killed group.
const REAPING: Duration = Duration::from_secs(10);

/// A process and all its children: a group of their own, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts the command on a leash, what it says going to a file.
    pub(crate) fn spawn(command: &Command, log: &Path) -> Result<Self> {
        let mut leash = Command::new(std::env::current_exe()?);
        leash.arg("leash").arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leash.env(name, value),
                None => leash.env_remove(name),
            };
        }
        let said = File::create(log)?;
        leash.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).process_group(0);
        let child = leash.spawn()?;
        let group = Pid::from_child(&child);
        Ok(Self { child, group, log: log.to_owned() })
    }

    /// The number of the group, which is that of its first process.
    pub(crate) fn group(&self) -> Pid {
        self.group
    }

    /// If it has ended: how, and its last words.
    pub(crate) fn epitaph(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
        Some(format!("it ended with {status}: {last}"))
    }
}

impl Drop for Process {
    /// Waits until nothing of the group is left, so that its end costs the next measurement nothing.
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
        let start = Instant::now();
        while test_kill_process_group(self.group).is_ok() && start.elapsed() < REAPING {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Becomes the command, which will be told to end, with its workers, if this program dies without cleaning up.
pub(crate) fn leash(command: &[OsString]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let [program, arguments @ ..] = command else { return Err("no command".into()) };
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{}: {error}", program.display()).into())
}
