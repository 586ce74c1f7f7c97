//! Processes that end with the measurement.

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

/// Maximum time for the kernel to clean up after a killed process group.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Process group with a process and all its children. It is killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts the command, with its output in the file `log`. It ends with this program.
    pub(crate) fn spawn(command: &Command, log: &Path) -> Result<Self> {
        let mut wrapper = Command::new(std::env::current_exe()?);
        wrapper.arg("die-with-parent").arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapper.env(name, value),
                None => wrapper.env_remove(name),
            };
        }
        let output = File::create(log)?;
        wrapper.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = wrapper.spawn()?;
        let group = Pid::from_child(&child);
        Ok(Self { child, group, log: log.to_owned() })
    }

    /// Id of the process group, equal to that of its first process.
    pub(crate) fn group(&self) -> Pid {
        self.group
    }

    /// Exit status and last line of output, if the process has ended.
    pub(crate) fn exit_report(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let output = fs::read_to_string(&self.log).unwrap_or_default();
        let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output");
        Some(format!("the process ended with {status}: {last}"))
    }
}

impl Drop for Process {
    /// Kills the group and waits until it is gone, so that its cleanup does not disturb the next measurement.
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
        let start = Instant::now();
        while test_kill_process_group(self.group).is_ok() && start.elapsed() < CLEANUP_TIMEOUT {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Executes the command in this process. It receives SIGTERM, and so ends its workers, if the parent process ends without
/// a cleanup.
pub(crate) fn die_with_parent(command: &[OsString]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let [program, arguments @ ..] = command else { return Err("no command".into()) };
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{}: {error}", program.display()).into())
}
