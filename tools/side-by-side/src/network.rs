//! A network of its own for the whole run, so that the host's settings and other programs' sockets do not show.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Result, options::Options, proxies};

/// Set in the process that runs in the namespace.
const INSIDE: &str = "SIDE_BY_SIDE_INSIDE";

/// What decides when a sender may send. Linux's default paces nobody; BBR, the default of some distributions,
/// paces by timers, and on a loopback interface those timers cost more than the bytes.
const CONGESTION_CONTROL: &str = "cubic";

/// Becomes this same program in a network namespace, if it is not there yet and may make one. What has to be
/// downloaded is downloaded before.
pub(crate) fn enter(options: &Options) -> Result<()> {
    if options.host_network || env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let mut trial = Command::new("unshare");
    if !geteuid().is_root() || !succeeds(trial.args(["--net", "ip", "link", "set", "lo", "up"])) {
        eprintln!(
            "No network of our own (that takes root, `unshare` and `ip`): the host's settings will show."
        );
        return Ok(());
    }
    proxies::all(options)?;
    let set_up = format!(
        "ip link set lo up && echo {CONGESTION_CONTROL} > /proc/sys/net/ipv4/tcp_congestion_control; exec \"$@\""
    );
    let program = env::current_exe()?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", &set_up, "sh"]).arg(program).args(env::args_os().skip(1));
    Err(command.env(INSIDE, "1").env("CARGO_NET_OFFLINE", "true").exec().into())
}

/// What the head of a report says of it.
pub(crate) fn described() -> String {
    let control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let whose = if env::var_os(INSIDE).is_some() { "a network of its own" } else { "the host's network" };
    format!("{whose}, {}", control.trim())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
