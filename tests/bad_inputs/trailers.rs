//! D. Trailers: the rules for heads apply to them too.

use std::collections::BTreeSet;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use test_support::{
    Inner, ScriptedProxy, Wire, bounded, handshake_with,
    http2::{Client, stream},
    serve::serve,
};
use tower::ServiceBuilder;
use tower_http::set_header::SetRequestHeaderLayer;
use tower_upgrade_proxy::{
    Authorized, Forwarded, Protocol, Protocols, Rejection, SanitizeRequestLayer, UpgradeProxyLayer,
};

/// Trailers that must not pass, in a message whose `Connection` names `X-Hop`.
const REMOVED: [&str; 20] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X_Forwarded_For",
    "X-Real-IP",
    "X.Real.IP",
    "Forwarded",
    "Via",
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "TE",
    "Upgrade",
    "X-Hop",
    "X_Hop",
    "Host",
    "Content-Type",
    "Authorization",
    "Cookie",
    "Set-Cookie",
    "Sec-WebSocket-Accept",
];

/// Trailers that pass.
const PASSED: [&str; 4] = ["grpc-message", "grpc-status", "x-checksum", "x_id"];

fn names() -> Vec<&'static str> {
    REMOVED.into_iter().chain(PASSED).collect()
}

/// Returns the end of a chunked body, with these trailers.
fn last_chunk(names: &[&str]) -> String {
    let lines: String = names.iter().map(|name| format!("{name}: forged\r\n")).collect();
    format!("0\r\n{lines}\r\n")
}

/// Returns these trailers without those that HTTP/2 does not have.
fn map(names: &[&str]) -> HeaderMap {
    const CONNECTION: [&str; 4] = ["Connection", "Keep-Alive", "TE", "Upgrade"];
    let names = names.iter().filter(|name| !CONNECTION.contains(name));
    names.map(|name| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("forged"))).collect()
}

/// Reads a chunked body with the data `hi`, and returns the names of its trailers.
async fn trailers(wire: &mut Wire) -> BTreeSet<String> {
    wire.expect("2\r\nhi\r\n0\r\n").await;
    let mut text = String::from("\r\n");
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(wire.exactly(1).await[0]));
    }
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns the names in the field `Trailer`.
fn announced(values: &[String]) -> BTreeSet<String> {
    values.iter().flat_map(|line| line.split(',')).map(|name| name.trim().to_owned()).collect()
}

/// A request with a chunked body and trailers, all of them announced.
fn post(names: &[&str]) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, TE\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Trailer: {}\r\n\r\n2\r\nhi\r\n{}",
        names.join(", "),
        last_chunk(names)
    )
}

#[tokio::test]
async fn d8_trailers_of_a_request_follow_the_rules_for_heads() {
    for forwarded in [Forwarded::none(), Forwarded::all()] {
        let proxy =
            ScriptedProxy::start_with(Inner::Forward, |layer| layer.forwarded(forwarded.clone())).await;
        let (_client, mut server, head) = proxy.request(post(&names())).await;
        assert_eq!(announced(&head.values("trailer")), set(&PASSED));
        assert_eq!(trailers(&mut server).await, set(&PASSED));

        // Without a trailer that passes, there is none, and no announcement.
        let (_client, mut server, head) = proxy.request(post(&REMOVED)).await;
        assert!(head.values("trailer").is_empty());
        assert!(trailers(&mut server).await.is_empty());

        // In HTTP/2, nothing names X-Hop.
        let mut client = Client::connect(proxy.address).await;
        let announcement = PASSED.join(", ");
        let request = Request::post("http://a/").header("te", "trailers").header("trailer", &announcement);
        let mut pending = client.send_request(request.body(()).unwrap(), false);
        stream::send(&mut pending.send, b"hi").await;
        let mut sent = map(&names());
        sent.remove("x-hop");
        sent.remove("x_hop");
        pending.send.send_trailers(sent).unwrap();
        let mut server = proxy.upstream.accept().await;
        assert_eq!(announced(&server.head().await.values("trailer")), set(&PASSED));
        assert_eq!(trailers(&mut server).await, set(&PASSED));
    }
}

/// Responds with a chunked body and trailers, all of them announced.
async fn respond(server: &mut Wire, status: &str, names: &[&str]) {
    let announcement = names.join(", ");
    let end = last_chunk(names);
    server
        .send(format!(
            "HTTP/1.1 {status}\r\nConnection: X-Hop\r\nTrailer: {announcement}\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n{end}"
        ))
        .await;
}

#[tokio::test]
async fn d9_trailers_of_a_response_follow_the_rules_for_heads() {
    let proxy = ScriptedProxy::start(Inner::Forward).await;
    for sent in [&names()[..], &REMOVED] {
        let expected: Vec<_> = PASSED.into_iter().filter(|name| sent.contains(name)).collect();
        let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n";
        let (mut client, mut server, _) = proxy.request(get).await;
        respond(&mut server, "200 OK", sent).await;
        assert_eq!(announced(&client.head().await.values("trailer")), set(&expected));
        assert_eq!(trailers(&mut client).await, set(&expected));
    }
    let mut client = Client::connect(proxy.address).await;
    let request = Request::get("http://a/").header("te", "trailers").body(()).unwrap();
    let pending = client.send_request(request, true);
    let mut server = proxy.upstream.accept().await;
    server.head().await;
    respond(&mut server, "200 OK", &names()).await;
    expect_trailers(pending.response().await.0.into_body(), &PASSED).await;
}

async fn expect_trailers(mut body: h2::RecvStream, expected: &[&str]) {
    let (bytes, trailers) = bounded("the body", stream::rest(&mut body)).await.unwrap();
    assert_eq!(bytes, b"hi");
    let names = trailers.unwrap_or_default().keys().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(names, set(expected));
}

async fn d9_trailers_of_a_refusal_follow_the_rules_for_heads(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    let pending = client.connect_websocket("/");
    let mut server = proxy.upstream.accept().await;
    server.head().await;
    respond(&mut server, "403 Forbidden", &names()).await;
    expect_trailers(pending.response().await.0.into_body(), &PASSED).await;
}

async fn d8_trailers_of_an_upgrade_with_a_body_follow_the_rules_for_heads(inner: Inner) {
    let tcp = || Protocols::only(Protocol::new("tcp").unwrap().with_request_body());
    let proxy = ScriptedProxy::start_with(inner, |layer| layer.protocols(tcp())).await;
    let announcement = format!("Trailer: {}", names().join(", "));
    let upgrade = handshake_with("/", &["Connection: X-Hop", "Transfer-Encoding: chunked", &announcement]);
    let upgrade = upgrade.replace("websocket", "tcp").replace("GET", "POST");
    let (mut client, mut server, _) = proxy.request(upgrade).await;
    client.send(format!("2\r\nhi\r\n{}", last_chunk(&names()))).await;
    // A handshake loses `Trailer`, and what is not announced is not sent.
    assert!(trailers(&mut server).await.is_empty());
}

async fn authorize(_: http::request::Parts) -> Result<Authorized, Rejection> {
    let user = HeaderName::from_static("x-user");
    Ok(Authorized::new()
        .header(user, HeaderValue::from_static("alice"))
        .remove_header(HeaderName::from_static("x-role")))
}

#[tokio::test]
async fn d10_trailers_cannot_imitate_fields_of_the_application() {
    let hook = |_: &http::request::Parts, outbound: &mut http::request::Parts| {
        outbound.headers.insert("x-hook", HeaderValue::from_static("1"));
    };
    let set_all = |layer: UpgradeProxyLayer| layer.authorize(authorize).on_request(hook);
    let middleware = || {
        SetRequestHeaderLayer::overriding(HeaderName::from_static("x-tenant"), HeaderValue::from_static("1"))
    };
    let sanitize = || SanitizeRequestLayer::new().remove(["x-admin"]).unwrap();
    let proxy = ScriptedProxy::start_on(Inner::Forward, set_all, async |app: Router| {
        serve(app.layer(ServiceBuilder::new().layer(sanitize()).layer(middleware()))).await
    })
    .await;
    let names = [
        "x-user",
        "X_User",
        "x-role",
        "X_Role",
        "x-hook",
        "X.Hook",
        "x-tenant",
        "X_Tenant",
        "x-admin",
        "X_Admin",
        "X-Hop",
        "x_id",
        "x-checksum",
    ];
    // Named by a Connection field that the outermost layer has removed.
    let (_client, mut server, head) = proxy.request(post(&names)).await;
    assert_eq!(announced(&head.values("trailer")), set(&["x-checksum"]));
    assert_eq!(trailers(&mut server).await, set(&["x-checksum"]));
    for (name, value) in [("x-user", "alice"), ("x-hook", "1"), ("x-tenant", "1")] {
        assert_eq!(head.values(name), [value]);
    }
}

on_both![
    d8_trailers_of_an_upgrade_with_a_body_follow_the_rules_for_heads,
    d9_trailers_of_a_refusal_follow_the_rules_for_heads,
];
