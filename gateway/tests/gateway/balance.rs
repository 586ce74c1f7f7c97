//! Routes with several upstreams.

use std::collections::BTreeMap;

use test_support::{ReservedPort, Wire};

use crate::{Gateway, description, get, upstream};

/// The numbers of equal first words of descriptions, which are the names of upstreams.
fn counts(descriptions: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for description in descriptions {
        *counts.entry(description.split(' ').next().unwrap()).or_default() += 1;
    }
    counts
}

async fn route(prefix: &str, names: &[&'static str]) -> String {
    let mut upstreams = Vec::new();
    for name in names {
        upstreams.push(upstream::start(name).await);
    }
    format!("{prefix}={}", upstreams.join(","))
}

#[tokio::test]
async fn workers_share_the_counts_of_open_tunnels() {
    let route = route("/", &["a", "b", "c"]).await;
    let mut command = crate::command();
    command.args(["--route", &route, "--workers", "4", "--status", "127.0.0.1:0"]);
    let mut gateway = Gateway::spawn(command).await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    let (mut tunnels, mut names) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let mut tunnel = gateway.websocket("/").await.unwrap();
        names.push(description(&mut tunnel).await);
        tunnels.push(tunnel);
    }
    assert_eq!(counts(&names), BTreeMap::from([("a", 4), ("b", 4), ("c", 4)]));
    // Requests go where the load is least, too, and are counted only until they end.
    for _ in 0..3 {
        get(&mut gateway.wire().await, "/").await;
    }
    let (_, report) = get(&mut Wire::connect(status).await, "/").await;
    let ready = report.lines().filter(|line| line.starts_with("gateway_endpoint_ready{route=\"/\","));
    assert_eq!(ready.filter(|line| line.ends_with("\"} 1")).count(), 3, "{report}");
    let loads = report.lines().filter(|line| line.starts_with("gateway_endpoint_load{route=\"/\","));
    assert_eq!(loads.filter(|line| line.ends_with("\"} 4")).count(), 3, "{report}");
}

#[tokio::test]
async fn weights_and_hashes_select_the_upstream() {
    let heavy = format!("/={};weight=3,{}", upstream::start("a").await, upstream::start("b").await);
    let rooms = route("/rooms/", &["c", "d", "e"]).await;
    let arguments = ["--route", &heavy, "--balance", "round-robin"];
    let gateway = Gateway::start(&arguments).await;
    let mut names = Vec::new();
    for _ in 0..8 {
        names.push(gateway.description("/").await);
    }
    assert_eq!(counts(&names), BTreeMap::from([("a", 6), ("b", 2)]));

    let gateway = Gateway::start(&["--route", &rooms, "--balance", "hash:path:1"]).await;
    let mut all = Vec::new();
    for room in 0..20 {
        let mut names = Vec::new();
        for user in 0..3 {
            names.push(gateway.description(&format!("/rooms/{room}/{user}")).await);
        }
        let counts = counts(&names);
        assert_eq!(counts.len(), 1, "one room, one upstream: {counts:?}");
        all.extend(names);
    }
    assert_eq!(counts(&all).len(), 3);
}

#[tokio::test]
async fn another_upstream_is_tried_if_one_refuses_connections() {
    let port = ReservedPort::new();
    let route = format!("/={},{}", port.uri(), upstream::start("a").await);
    let gateway = Gateway::start(&["--route", &route, "--balance", "round-robin"]).await;
    for _ in 0..4 {
        assert!(gateway.description("/").await.starts_with("a "));
        assert_eq!(get(&mut gateway.wire().await, "/").await.0.status(), 200);
    }
    let gateway = Gateway::start(&["--route", &route, "--balance", "round-robin", "--retry", "off"]).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&mut gateway.wire().await, "/").await.0.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502]);
}

#[tokio::test]
async fn an_upstream_that_keeps_failing_is_left_out() {
    let port = ReservedPort::new();
    let route = format!("/={},{}", port.uri(), upstream::start("a").await);
    let arguments = ["--route", &route, "--balance", "round-robin", "--retry", "off"];
    for (outlier, failures) in [("3", 3), ("off", 10)] {
        let mut command = crate::command();
        command.args(arguments).args(["--outlier", outlier, "--status", "127.0.0.1:0"]);
        let mut gateway = Gateway::spawn(command).await;
        let status = gateway.program.line_after("status on http://").await.parse().unwrap();
        let mut failed = 0;
        for _ in 0..20 {
            failed += usize::from(get(&mut gateway.wire().await, "/").await.0.status() == 502);
        }
        assert_eq!(failed, failures, "--outlier {outlier}");
        let (_, report) = get(&mut Wire::connect(status).await, "/").await;
        let ready = report.lines().filter(|line| line.starts_with("gateway_endpoint_ready{"));
        let is_left_out = ready.filter(|line| line.ends_with("\"} 0")).count() == 1;
        assert_eq!(is_left_out, outlier != "off", "{report}");
    }
}

#[tokio::test]
async fn a_cookie_leads_to_the_same_upstream() {
    let route = route("/", &["a", "b", "c"]).await;
    let arguments = ["--route", &route, "--balance", "round-robin", "--sticky", "up", "--workers", "4"];
    let gateway = Gateway::start(&arguments).await;
    let mut wire = gateway.wire().await;
    let (head, first) = get(&mut wire, "/").await;
    let set = head.values("set-cookie")[0].to_owned();
    let cookie = set.split(';').next().unwrap();
    for _ in 0..9 {
        let request = format!("GET / HTTP/1.1\r\nHost: client.example\r\nCookie: {cookie}\r\n\r\n");
        let mut wire = gateway.wire().await;
        let head = wire.request(request).await;
        assert!(head.values("set-cookie").is_empty(), "{}", head.text());
        assert_eq!(wire.body(&head).await, first.as_bytes());
    }
}
