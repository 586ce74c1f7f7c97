//! Memory, CPU time and descriptors of a process, from /proc.

use std::{fs, path::PathBuf};

use rustix::process::Pid;

use crate::Result;

fn folder(pid: Pid) -> PathBuf {
    PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()))
}

/// Resident memory in KiB.
pub(crate) fn resident(pid: Pid) -> Result<f64> {
    status(pid, "VmRSS:")
}

/// Largest resident memory since the start, in KiB.
pub(crate) fn peak(pid: Pid) -> Result<f64> {
    status(pid, "VmHWM:")
}

fn status(pid: Pid, field: &str) -> Result<f64> {
    let status = fs::read_to_string(folder(pid).join("status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
    Ok(value.ok_or_else(|| format!("no {field}"))?.parse()?)
}

/// CPU time of all threads, in seconds.
pub(crate) fn cpu(pid: Pid) -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(folder(pid).join("task"))?.flatten() {
        let line = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let nanoseconds = line.split(' ').next().and_then(|field| field.parse::<f64>().ok());
        sum += nanoseconds.unwrap_or_default() / 1e9;
    }
    Ok(sum)
}

/// Number of open descriptors.
pub(crate) fn descriptors(pid: Pid) -> Result<usize> {
    Ok(fs::read_dir(folder(pid).join("fd"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_time_and_descriptors() {
        let pid = rustix::process::getpid();
        let (resident, peak) = (resident(pid).unwrap(), peak(pid).unwrap());
        assert!(resident > 100.0 && peak >= resident);
        assert!(cpu(pid).unwrap() > 0.0);
        assert!(descriptors(pid).unwrap() > 2);
    }
}
