//! Where and of what a record was made.

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

/// The state of this crate's dependencies at compile time.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// What the head of a report says.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// Which network, and its congestion control.
    pub(crate) network: String,
    pub(crate) date: String,
    pub(crate) commit: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib / 1024.0 / 1024.0,
            kernel: uname().release().to_string_lossy().into_owned(),
            network: network::described(),
            date: said("date", &["-u", "+%Y-%m-%d"]),
            commit: commit(),
        }
    }
}

/// The root of the repository that this was compiled in.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What is checked out, and whether files were changed since.
pub(crate) fn commit() -> String {
    said("git", &["describe", "--always", "--dirty", "--exclude=*"])
}

/// The version of a dependency.
pub(crate) fn locked(name: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = LOCK.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

/// As many open files as any proxy gets: some allocate for all they might have.
const OPEN_FILES: u64 = 65_536;

/// Raises the limit of open files as far as it goes, for this process and all it starts.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let files = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(files), ..limit }) {
        Ok(()) => files,
        Err(_) => limit.current.unwrap_or(OPEN_FILES),
    }
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> String {
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
        assert!(super::locked("axum-reverse-proxy").starts_with("2."));
        assert_eq!(super::locked("no-such-crate"), "unknown");
    }
}
