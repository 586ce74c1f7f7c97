//! The machine of the measurements, its limit of descriptors, and a network of its own.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    process::{Resource, Rlimit, geteuid, getrlimit, setrlimit},
    system::uname,
};

use crate::Result;

/// Environment variable that is set for the process in the network namespace.
const INSIDE: &str = "SCALE_INSIDE";

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Raises the limit of descriptors to the hard one for this process and its children, and returns it.
pub(crate) fn raise_descriptors() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.map_or(usize::MAX, |maximum| maximum as usize))
}

/// Executes this program again in a network namespace, so that neither the sockets of other programs nor the settings of
/// the host affect the figures. Without the permission it continues in the host's network.
pub(crate) fn enter_namespace() -> Result<()> {
    if is_inside() {
        return Ok(());
    }
    let mut trial = Command::new("unshare");
    trial.args(["--net", "ip", "link", "set", "lo", "up"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !geteuid().is_root() || !trial.status().is_ok_and(|status| status.success()) {
        eprintln!("!! no network namespace, which needs root, unshare and ip: the host's network is used");
        return Ok(());
    }
    // Cubic is Linux's default. BBR, the default of some distributions, paces with timers; a kernel may have nothing else.
    let set_up = "ip link set lo up; (echo cubic > /proc/sys/net/ipv4/tcp_congestion_control) 2> /dev/null; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", set_up, "sh"]).arg(env::current_exe()?);
    Err(command.args(env::args_os().skip(1)).env(INSIDE, "1").exec().into())
}

/// Returns true in the namespace, where settings of the network can be changed.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Sets the range of local ports of the namespace.
pub(crate) fn set_local_ports(first: u16, last: u16) -> Result<()> {
    Ok(fs::write(PORT_RANGE, format!("{first} {last}"))?)
}

/// Restores Linux's default range.
pub(crate) fn reset_local_ports() -> Result<()> {
    set_local_ports(32_768, 60_999)
}

/// Processor, memory, kernel, limit of descriptors, date and commit.
pub(crate) fn description(descriptors: usize) -> String {
    let memory = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    let network = if is_inside() { "a network namespace" } else { "the host's network" };
    format!(
        "{}, {} cores, {:.0} GiB, Linux {}, {descriptors} descriptors for each process, loopback in {network} with {}, {}, \
         commit {}",
        field("/proc/cpuinfo", "model name"),
        std::thread::available_parallelism().map_or(0, usize::from),
        memory / 1024.0 / 1024.0,
        uname().release().to_string_lossy(),
        fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default().trim(),
        output("date", &["-u", "+%Y-%m-%d"]),
        output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
    )
}

/// Value of the first line of `file` that starts with `name`.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Standard output of a command in the repository, or `unknown`.
fn output(program: &str, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
