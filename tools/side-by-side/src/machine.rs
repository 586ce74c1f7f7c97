//! Description of the machine and of the measured versions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    system::uname,
};

use crate::network;

/// Lock file of the workspace at compile time.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// Machine, date and commit, for the head of a report.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Kind of network, and its congestion control.
    pub(crate) network: String,
    pub(crate) date: String,
    pub(crate) commit: String,
}

impl Machine {
    /// Description of this machine.
    pub(crate) fn current() -> Self {
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib / 1024.0 / 1024.0,
            kernel: uname().release().to_string_lossy().into_owned(),
            network: network::description(),
            date: command_output("date", &["-u", "+%Y-%m-%d"]),
            commit: commit(),
        }
    }
}

/// Root of the repository at compile time.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Current commit, with a suffix if files were changed.
pub(crate) fn commit() -> String {
    command_output("git", &["describe", "--always", "--dirty", "--exclude=*"])
}

/// Version of a dependency in the lock file.
pub(crate) fn locked_version(name: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = LOCK.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

/// Maximum for the limit of open files: some proxies allocate memory in proportion to it.
const OPEN_FILES: u64 = 65_536;

/// Raises the limit of open files for this process and its children, and returns it.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let files = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(files), ..limit }) {
        Ok(()) => files,
        Err(_) => limit.current.unwrap_or(OPEN_FILES),
    }
}

/// Value of the first line of `file` that starts with `name`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Standard output of a command, or `unknown`.
fn command_output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository()).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_come_from_the_lock_file() {
        assert!(super::locked_version("axum-reverse-proxy").starts_with("2."));
        assert_eq!(super::locked_version("no-such-crate"), "unknown");
    }
}
