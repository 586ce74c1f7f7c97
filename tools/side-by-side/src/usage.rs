//! CPU time, memory and open files of a process group, from /proc.

use std::{
    fs,
    ops::Sub,
    path::{Path, PathBuf},
};

use rustix::{param::clock_ticks_per_second, process::Pid};

use crate::Result;

/// CPU time in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// User and system time together, as counted by the scheduler in nanoseconds.
    pub(crate) total: f64,
    /// User time, in steps of a clock tick (10 ms).
    pub(crate) user: f64,
    /// System time, in the same steps.
    pub(crate) system: f64,
}

impl Cpu {
    /// System part of the total.
    pub(crate) fn in_kernel(&self) -> f64 {
        let ticks = self.user + self.system;
        if ticks > 0.0 { self.total * self.system / ticks } else { 0.0 }
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            total: self.total - earlier.total,
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// CPU time of all processes of the group and their threads. Threads that have ended are not included; no measured proxy
/// ends threads during a measurement.
pub(crate) fn cpu(group: Pid) -> Result<Cpu> {
    let ticks = clock_ticks_per_second() as f64;
    let mut sum = Cpu::default();
    for (directory, stat) in members(group)? {
        sum.user += stat.user as f64 / ticks;
        sum.system += stat.system as f64 / ticks;
        for thread in fs::read_dir(directory.join("task"))?.flatten() {
            let line = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let nanoseconds = line.split(' ').next().and_then(|field| field.parse::<f64>().ok());
            sum.total += nanoseconds.unwrap_or_default() / 1e9;
        }
    }
    Ok(sum)
}

/// Proportional set size of all processes of the group in KiB: each shared page is divided among its processes.
pub(crate) fn pss(group: Pid) -> Result<f64> {
    let mut sum = 0.0;
    for (directory, _) in members(group)? {
        let rollup = fs::read_to_string(directory.join("smaps_rollup"))?;
        sum += parse_pss(&rollup).ok_or("smaps_rollup without Pss")?;
    }
    Ok(sum)
}

/// Number of open files of all processes of the group, including sockets.
pub(crate) fn open_files(group: Pid) -> Result<usize> {
    let mut sum = 0;
    for (directory, _) in members(group)? {
        sum += fs::read_dir(directory.join("fd"))?.count();
    }
    Ok(sum)
}

fn parse_pss(rollup: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `/proc` folders of the running processes of the group, with their times. A process that has ended and is not reaped
/// yet has no memory to read.
fn members(group: Pid) -> Result<Vec<(PathBuf, Stat)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        match read_stat(&entry.path()) {
            Some(stat) if stat.group == group.as_raw_nonzero().get() && !stat.has_ended => {
                found.push((entry.path(), stat));
            }
            _ => {}
        }
    }
    if found.is_empty() { Err("the process has ended".into()) } else { Ok(found) }
}

/// Fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    has_ended: bool,
    group: i32,
    user: u64,
    system: u64,
}

fn read_stat(directory: &Path) -> Option<Stat> {
    parse_stat(&fs::read_to_string(directory.join("stat")).ok()?)
}

/// Parses the fields by their numbers in proc(5): 3 is the state, 5 is the group, 14 to 17 the times, those of children last. The second
/// is the program's name, which may contain any character.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        has_ended: matches!(*fields.first()?, "Z" | "X"),
        group: fields.get(2)?.parse().ok()?,
        user: number(14)? + number(16)?,
        system: number(15)? + number(17)?,
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[test]
    fn stat_is_parsed_after_any_program_name() {
        let line = "42 (a) b (c) S 1 40 40 0 -1 4194560 99 98 97 96 1000 200 30 4 20 0 3 0 5 6 7";
        assert_eq!(parse_stat(line), Some(Stat { has_ended: false, group: 40, user: 1030, system: 204 }));
        assert_eq!(parse_stat(&line.replace(" S ", " Z ")).map(|stat| stat.has_ended), Some(true));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn pss_is_parsed_from_the_rollup() {
        let rollup = "55-7f ---p 0 00:00 0 [rollup]\nRss:  1768 kB\nPss:   660 kB\nPss_Anon:  12 kB\n";
        assert_eq!(parse_pss(rollup), Some(660.0));
    }

    /// A group of its own: other processes of this one may end meanwhile.
    #[test]
    fn usage_of_a_group_with_an_ended_process_is_readable() {
        let mut running = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let group = Pid::from_raw(running.id().try_into().unwrap()).unwrap();
        let mut ended = Command::new("true").process_group(group.as_raw_nonzero().get()).spawn().unwrap();
        let ended_stat = Path::new("/proc").join(ended.id().to_string());
        while !read_stat(&ended_stat).unwrap().has_ended {
            std::thread::yield_now();
        }
        let usage = (pss(group), cpu(group), open_files(group));
        running.kill().unwrap();
        running.wait().unwrap();
        ended.wait().unwrap();
        assert!(usage.0.expect("readable") > 0.0);
        assert!(usage.1.expect("readable").total > 0.0);
        assert!(usage.2.expect("readable") > 0);
    }
}
