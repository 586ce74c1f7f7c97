//! Real clients and the proxy: Python `websockets`, Node `ws` and Socket.IO, tokio-tungstenite and Chromium; and Hypercorn,
//! a real upstream in HTTP/2.
//!
//! `install.sh` beside this file installs those not in Rust. The tests of a client that is not installed are *ignored*, and
//! what is missing is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod events;
mod proxy;
mod rust;
mod socketio;
mod upstream;

use std::{future::Future, process::ExitCode};

use libtest_mimic::Arguments;
use proxy::{Server, orderly_end, url};
use test_support::{
    browser,
    process::{
        script::{self, Language, Script},
        trials::{announced, trial},
    },
};
use tower_upgrade_proxy::Side;
use upstream::ScenarioUpstream;

/// The scenarios of every client. The path of the request selects the upstream's part.
const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "echo", close: Some((1000, "")) },
    Scenario { name: "subprotocol", close: Some((1000, "")) },
    Scenario { name: "big_message", close: Some((1000, "")) },
    Scenario { name: "client_closes", close: Some((4001, "the client says bye")) },
    Scenario { name: "server_closes", close: Some((4002, "the server says bye")) },
    Scenario { name: "cookies", close: Some((1000, "")) },
    Scenario { name: "refusal", close: None },
];

/// The scenarios that a client runs over HTTP/2, too.
const HTTP_2: [&str; 5] = ["echo", "subprotocol", "big_message", "client_closes", "server_closes"];

#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Code and reason of the Close that the upstream must receive; `None` if there is no tunnel.
    close: Option<(u16, &'static str)>,
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for server in Server::ALL {
        for scenario in SCENARIOS {
            let name = format!("tungstenite::{server}::{}", scenario.name);
            trials.push(trial(name, None, move || against_upstream(server, scenario, rust::run)));
        }
    }
    for language in Language::ALL {
        let missing = announced(language.missing());
        for server in Server::ALL {
            for scenario in SCENARIOS {
                let name = format!("{language}::{server}::{}", scenario.name);
                let client = move |scenario, url| language.run_client(scenario, url);
                let run = move || against_upstream(server, scenario, client);
                trials.push(trial(name, missing.clone(), run));
            }
        }
        if let Language::Node = language {
            for scenario in SCENARIOS.into_iter().filter(|scenario| HTTP_2.contains(&scenario.name)) {
                let name = format!("{language}::http2::{}", scenario.name);
                let client =
                    move |scenario, url: String| language.run_client(scenario, url.replace("ws:", "h2:"));
                let run = move || against_upstream(Server::Axum, scenario, client);
                trials.push(trial(name, missing.clone(), run));
            }
        }
        let both = missing.or_else(|| language.other().missing());
        trials.push(trial(format!("{language}::deflate"), both, move || deflate(language)));
    }
    let missing = announced(script::missing_hypercorn());
    for scenario in SCENARIOS {
        let name = format!("hypercorn::{}", scenario.name);
        trials.push(trial(name, missing.clone(), move || against_hypercorn(scenario)));
    }
    let missing = announced(script::missing_socketio());
    for scenario in test_support::process::socketio::SCENARIOS {
        let name = format!("socketio::axum::{}", scenario.name);
        trials.push(trial(name, missing.clone(), move || socketio::in_process(scenario)));
    }
    let missing = announced(browser::missing());
    let read = || browser::bounded_visit(events::read());
    trials.push(trial("chromium::event_stream".to_owned(), missing, read));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a client, the proxy and an upstream. The client checks what it receives; the Close at the upstream and the end of
/// the tunnel are checked afterwards.
async fn against_upstream<F>(
    server: Server,
    scenario: Scenario,
    client: impl FnOnce(&'static str, String) -> F,
) where
    F: Future<Output = ()>,
{
    let mut upstream = ScenarioUpstream::start().await;
    let (address, mut reports) = server.start(proxy::upstream(upstream.address)).await;
    client(scenario.name, url(address, scenario.name)).await;
    if let Some((code, reason)) = scenario.close {
        assert_eq!(upstream.close().await, (code, reason.to_owned()), "at the upstream");
        orderly_end(&mut reports).await;
    }
}

/// [`against_upstream`] with an upstream in HTTP/2, which does not report the Close: it has received the client's Close
/// when the client gets it back.
async fn against_hypercorn(scenario: Scenario) {
    let (_server, address) = Script::server(Language::Python, "http2_server", &[]).await;
    let (address, mut reports) = Server::Axum.start(proxy::upstream(address).http2()).await;
    rust::run(scenario.name, url(address, scenario.name)).await;
    if scenario.close.is_some() {
        orderly_end(&mut reports).await;
    }
}

/// Runs a client in one language and a server in the other, since tungstenite has no compression.
async fn deflate(language: Language) {
    /// Limit of the bytes for a compressed message of 1.2 MB.
    const COMPRESSED: u64 = 100_000;
    let (_server, address) = Script::server(language.other(), "server", &[]).await;
    let (address, mut reports) = Server::Axum.start(proxy::upstream(address)).await;
    language.run_client("deflate", url(address, "deflate")).await;
    let summary = orderly_end(&mut reports).await;
    let bytes = (summary.bytes(Side::Client), summary.bytes(Side::Upstream));
    assert!(bytes.0 < COMPRESSED && bytes.1 < COMPRESSED, "not compressed: {bytes:?}");
}
