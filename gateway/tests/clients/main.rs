//! Real clients and the gateway: Chromium, and Node's Socket.IO.
//!
//! `tests/clients/install.sh` installs them. The tests of a client that is not installed are *ignored*, and what is
//! missing is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod echo_page;
mod origins;
mod sticky;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use test_support::{
    ReservedPort, browser,
    process::{
        ServerProgram, script,
        socketio::{self, Scenario},
        trials::{announced, trial},
    },
};
use tokio::process::Command;

/// The gateway, as cargo has built it.
fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"))
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    let missing = announced(script::missing_socketio());
    for scenario in socketio::SCENARIOS {
        let name = format!("socketio::gateway::{}", scenario.name);
        trials.push(trial(name, missing.clone(), move || two_sessions(scenario)));
    }
    let missing = announced(browser::missing());
    let visit = |page| format!("chromium::{page}");
    trials.push(trial(visit("http2"), missing.clone(), || browser::bounded_visit(echo_page::http2())));
    let other_site = || browser::bounded_visit(origins::http1());
    trials.push(trial(visit("other_site"), missing.clone(), other_site));
    let other_site = || browser::bounded_visit(origins::http2());
    trials.push(trial(visit("other_site_http2"), missing.clone(), other_site));
    let on_a_101 = || browser::bounded_visit(sticky::on_a_101());
    trials.push(trial(visit("sticky_cookie_on_a_101"), missing.clone(), on_a_101));
    trials.push(trial(visit("http1"), missing, || browser::bounded_visit(echo_page::http1())));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn two_sessions(scenario: Scenario) {
    let upstream = ReservedPort::new();
    let route = format!("/socket.io/={}", upstream.uri());
    let mut command = command();
    command.args(["--listen", "127.0.0.1:0", "--route", &route]);
    let gateway = ServerProgram::spawn(command).await;
    socketio::two_sessions(scenario, &upstream, gateway.address).await;
}
