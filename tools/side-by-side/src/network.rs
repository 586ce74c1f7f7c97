//! Network namespace for the whole run, independent of the host's settings and of the sockets of other programs.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Result, options::Options, proxies};

/// Environment variable that is set for the process in the namespace.
const INSIDE: &str = "SIDE_BY_SIDE_INSIDE";

/// Congestion control in the namespace: Linux's default, which does not pace. BBR, the default of some distributions,
/// paces with timers, which on a loopback interface cost more than the transfer.
const CONGESTION_CONTROL: &str = "cubic";

/// Executes this program again in a network namespace, unless it already runs in one or lacks the permission. The build of
/// the gateway comes first, because it may need downloads.
pub(crate) fn enter(options: &Options) -> Result<()> {
    if options.host_network || env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let mut trial = Command::new("unshare");
    if !geteuid().is_root() || !succeeds(trial.args(["--net", "ip", "link", "set", "lo", "up"])) {
        eprintln!(
            "no network namespace (it requires root, `unshare` and `ip`): the host's settings affect the figures"
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

/// Kind of network and its congestion control, for the head of a report.
pub(crate) fn description() -> String {
    let control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let inside = env::var_os(INSIDE).is_some();
    let network = if inside { "a network namespace of its own" } else { "the host's network" };
    format!("{network}, {}", control.trim())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
