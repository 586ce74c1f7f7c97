//! Clients that reconnect, from the registries of npm and Python: behind the gateway and behind nginx, and with each close code.
//!
//! A client survives an event if it receives something again. Every client that survives behind nginx must survive behind
//! the gateway. `UPDATE_DOCS=1` writes the table of codes into `docs/lifecycle.md`; without it the tables must be equal.
//!
//! `tests/clients/install.sh` installs the clients. What is missing is printed, and its tests are *ignored*.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod clients;
mod codes;
mod proxy;

use std::{process::ExitCode, time::Duration};

use libtest_mimic::Arguments;
use test_support::{
    ReservedPort,
    process::{
        script::{self, Language, Script},
        trials::{announced, trial},
    },
};

use clients::Clients;
use proxy::{Proxy, Server};

/// What happens to the connections of the clients.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The proxy is drained, and started again.
    Drain,
    /// The upstream is killed, and started again.
    Kill,
    /// No byte moves for the proxy's timeout.
    Idle,
}

/// Number of clients in the scripts.
const CLIENTS: usize = 11;

/// Timeout of the proxies that end idle tunnels.
const IDLE: Duration = Duration::from_millis(1500);

fn main() -> ExitCode {
    let missing = Language::Node.missing().or_else(script::missing_reconnecting_clients);
    let missing = announced(missing.or_else(|| Language::Python.missing()));
    let mut trials = vec![trial("codes".to_owned(), missing.clone(), codes::check)];
    let missing = missing.or_else(|| announced(proxy::missing_nginx()));
    for event in [Event::Drain, Event::Kill, Event::Idle] {
        let name = format!("survival::{event:?}").to_lowercase();
        trials.push(trial(name, missing.clone(), move || who_survives_nginx_survives_the_gateway(event)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn who_survives_nginx_survives_the_gateway(event: Event) {
    let (gateway, nginx) = tokio::join!(survivors(Server::Gateway, event), survivors(Server::Nginx, event));
    let lost: Vec<_> = nginx.iter().filter(|client| !gateway.contains(client)).collect();
    assert!(lost.is_empty(), "{lost:?} survive behind nginx only");
    assert_eq!(nginx.len(), CLIENTS, "behind nginx only {nginx:?}");
}

/// The clients that receive something again after `event` behind `server`.
async fn survivors(server: Server, event: Event) -> Vec<String> {
    let [front, back] = [ReservedPort::new(), ReservedPort::new()];
    let (mut upstream, _) = start_upstream(&back).await;
    let timeout = if matches!(event, Event::Idle) { IDLE } else { Duration::from_secs(60) };
    let proxy = Proxy::start(server, &front, &back, timeout).await;
    let mut clients = Clients::start(&format!("ws://{}", front.address), &["-"]);
    clients.until_all_have_received(CLIENTS, 1).await;
    match event {
        Event::Drain => {
            proxy.drain().await;
            clients.forget();
            let _restarted = Proxy::start(server, &front, &back, timeout).await;
            clients.settled(CLIENTS).await
        }
        Event::Kill => {
            upstream.kill().await;
            clients.forget();
            (upstream, _) = start_upstream(&back).await;
            let survivors = clients.settled(CLIENTS).await;
            drop((upstream, proxy));
            survivors
        }
        Event::Idle => {
            clients.forget();
            clients.settled(CLIENTS).await
        }
    }
}

async fn start_upstream(port: &ReservedPort) -> (Script, std::net::SocketAddr) {
    Script::server(Language::Node, "reconnect_server", &[&port.address.port().to_string()]).await
}
