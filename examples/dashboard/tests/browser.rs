//! Chromium on the pages of the dashboard example: that of the demo's WebSockets, and the dashboard.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::{net::SocketAddr, process::ExitCode};

use libtest_mimic::Arguments;
use test_support::{
    Wire,
    browser::{self, Browser, picture},
    process::{
        Program,
        trials::{announced, trial},
    },
};
use tokio::process::Command;

/// A user's name that would take over the page if it were inserted as HTML.
const INTRUDER: &str = "<img src=x onerror=\"document.title='taken over'\">";

fn main() -> ExitCode {
    let missing = announced(browser::missing());
    let visit = trial("chromium::dashboard".to_owned(), missing, || browser::bounded_visit(visit()));
    libtest_mimic::run(&Arguments::from_args(), vec![visit]).exit_code()
}

async fn visit() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dashboard"));
    command.arg("127.0.0.1:0");
    let mut example = Program::spawn(command);
    let url = example.line_after("open ").await;
    let mut demo = Browser::open(browser::program().unwrap(), &url).await;
    demo.until("document.querySelectorAll('#sockets [data-state=open]').length === 4").await;
    demo.click("#user").await;
    demo.type_text(INTRUDER).await;
    demo.click("#open").await;
    demo.until("document.querySelectorAll('#sockets [data-state=open]').length === 5").await;

    let mut page = Browser::open(browser::program().unwrap(), &format!("{url}_tunnels")).await;
    page.until("document.querySelectorAll('#tunnels tr').length === 5").await;
    assert_eq!(page.text("#status").await, "live");
    assert_eq!(row(&mut page, "dave", "path").await, "/ws/chat");
    assert_eq!(row(&mut page, "dave", "state").await, "open");
    assert_eq!(row(&mut page, "dave", "client").await, "127.0.0.1");
    assert_eq!(row(&mut page, "dave", "messages").await, "0 / 0");
    assert_eq!(row(&mut page, INTRUDER, "label").await, INTRUDER);
    assert!(page.evaluate("document.querySelector('#tunnels img')").await.is_null());
    page.until("document.querySelector('#down').textContent.includes('KiB/s')").await;
    page.until("document.querySelectorAll('#chart .down')[0].points.length >= 4").await;
    let messages = row(&mut page, "bob", "messages").await;
    let (up, down) = messages.split_once(" / ").unwrap();
    assert!(up.parse::<u32>().unwrap() > 0 && down.parse::<u32>().unwrap() > 0, "{messages}");
    assert_eq!(page.text("title").await, "Tunnels");
    picture(&mut page, "dashboard-narrow", 400, "light").await;
    picture(&mut page, "dashboard-light", 1200, "light").await;

    let id = row(&mut page, "alice", "id").await;
    expect_no_drain_from_others(&url, &id).await;
    page.click(&format!("#tunnels [data-id='{id}'] .drain")).await;
    page.until(&format!("!document.querySelector('#tunnels [data-id=\"{id}\"]')")).await;
    assert_eq!(page.text("#count").await, "4");
    page.until(&format!("!!document.querySelector('#ended [data-id=\"{id}\"]')")).await;
    for (column, expected) in [
        ("label", "alice"),
        ("by", "proxy"),
        ("reason", "drained"),
        ("to-client", "close 1001"),
        ("to-upstream", "close 1001"),
    ] {
        assert_eq!(page.text(&format!("#ended [data-id='{id}'] .{column}")).await, expected);
    }
    demo.until("document.querySelector('[data-user=alice]').dataset.state === 'closed'").await;
    let state = demo.text("[data-user=alice] .state").await;
    assert_eq!(state, "closed: 1001 drained from the dashboard");
    assert_eq!(demo.text("[data-user=bob] .state").await, "open");
    page.evaluate("scrollTo(0, document.body.scrollHeight)").await;
    picture(&mut page, "dashboard-dark", 1200, "dark").await;
    picture(&mut demo, "dashboard-demo", 900, "light").await;

    let metrics = page.evaluate("fetch('/metrics').then(response => response.text())").await;
    let metrics = metrics.as_str().unwrap();
    for sample in [
        "tunnels_active 4\n",
        "tunnels_ended_total{initiator=\"proxy\",reason=\"drained\"} 1\n",
        "tunnel_seconds_bucket{le=",
    ] {
        assert!(metrics.contains(&format!("tower_upgrade_proxy_{sample}")), "{sample}: {metrics}");
    }
    page.close().await;
    demo.close().await;
}

/// The text in a column of the row with this label.
async fn row(page: &mut Browser, label: &str, column: &str) -> String {
    let text = format!(
        "[...document.querySelectorAll('#tunnels tr')]
            .find(row => row.querySelector('.label').textContent === {})
            .querySelector('.{column}').textContent",
        serde_json::to_string(label).unwrap()
    );
    page.evaluate(&text).await.as_str().unwrap().to_owned()
}

/// Expects that requests from other sites, and requests without an origin, cannot drain a tunnel.
async fn expect_no_drain_from_others(url: &str, id: &str) {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr = host.parse().unwrap();
    let own = format!("Origin: http://{host}\r\n");
    for (origin, id, status) in [
        ("", id, 403),
        ("Origin: http://elsewhere.example\r\n", id, 403),
        ("Origin: null\r\n", id, 403),
        (own.as_str(), "4711", 404),
    ] {
        let request = format!(
            "POST /_tunnels/{id}/drain HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Length: 0\r\n\r\n"
        );
        assert_eq!(Wire::connect(address).await.request(request).await.status(), status, "{origin}");
    }
}
