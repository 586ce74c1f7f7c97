//! Real clients through the proxy: Python `websockets`, Node `ws` and Socket.IO, tokio-tungstenite,
//! Chromium; and Hypercorn, a real upstream in HTTP/2.
//!
//! `install.sh` beside this file installs what is not Rust. A client that is not installed has its
//! tests *ignored*, and a line says what is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod events;
mod rust;
mod socketio;
mod stage;
mod upstream;

use std::{future::Future, process::ExitCode};

use libtest_mimic::Arguments;
use stage::{Server, Stage};
use test_support::{
    self as support, browser,
    script::{self, Language, Script},
    trials::{announced, trial},
};
use tower_upgrade_proxy::Side;
use upstream::Upstream;

/// What every client does. The upstream plays the part that the path names.
const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "echo", close: Some((1000, "")) },
    Scenario { name: "subprotocol", close: Some((1000, "")) },
    Scenario { name: "big_message", close: Some((1000, "")) },
    Scenario { name: "client_closes", close: Some((4001, "the client says bye")) },
    Scenario { name: "server_closes", close: Some((4002, "the server says bye")) },
    Scenario { name: "cookies", close: Some((1000, "")) },
    Scenario { name: "refusal", close: None },
];

/// Those of them that a client plays over HTTP/2 too.
const HTTP_2: [&str; 5] = ["echo", "subprotocol", "big_message", "client_closes", "server_closes"];

#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// The close frame that the upstream must see; `None` when there is no tunnel.
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
    for scenario in test_support::socketio::SCENARIOS {
        let name = format!("socketio::axum::{}", scenario.name);
        trials.push(trial(name, missing.clone(), move || socketio::in_process(scenario)));
    }
    let missing = announced(browser::missing());
    let read = || browser::patiently(events::read());
    trials.push(trial("chromium::event_stream".to_owned(), missing, read));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Client, proxy, upstream: the client checks what it sees, then the other two are asked.
async fn against_upstream<F>(
    server: Server,
    scenario: Scenario,
    client: impl FnOnce(&'static str, String) -> F,
) where
    F: Future<Output = ()>,
{
    let mut upstream = Upstream::start().await;
    let mut stage = Stage::start(server, stage::at(upstream.address)).await;
    client(scenario.name, stage.url(scenario.name)).await;
    if let Some((code, reason)) = scenario.close {
        assert_eq!(upstream.close().await, (code, reason.to_owned()), "what the upstream saw");
        stage.orderly_end().await;
    }
}

/// The same with an upstream in HTTP/2, which can't be asked what it saw: it has the client's close
/// frame when the client gets it back.
async fn against_hypercorn(scenario: Scenario) {
    let (_server, address) = Script::server(Language::Python, "http2_server", &[]).await;
    let mut stage = Stage::start(Server::Axum, stage::at(address).http2()).await;
    rust::run(scenario.name, stage.url(scenario.name)).await;
    if scenario.close.is_some() {
        stage.orderly_end().await;
    }
}

/// A client of one language and a server of the other: tungstenite has no compression.
async fn deflate(language: Language) {
    /// Bytes that must be enough for a compressed message of 1.2 MB.
    const ENOUGH: u64 = 100_000;
    let (_server, address) = Script::server(language.other(), "server", &[]).await;
    let mut stage = Stage::start(Server::Axum, stage::at(address)).await;
    language.run_client("deflate", stage.url("deflate")).await;
    let summary = stage.orderly_end().await;
    let bytes = (summary.bytes(Side::Client), summary.bytes(Side::Upstream));
    assert!(bytes.0 < ENOUGH && bytes.1 < ENOUGH, "not compressed: {bytes:?}");
}
