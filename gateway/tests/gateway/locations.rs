//! The upstream of a request, and the path and host it receives.

use test_support::{ReservedPort, Wire, handshake, websocket::Client};

use crate::{Gateway, description, get, upstream};

/// The upstream's description of a request for `path`, which is the same for an upgrade and an ordinary request.
async fn description_of(gateway: &Gateway, wire: &mut Wire, path: &str) -> String {
    let (head, body) = get(wire, path).await;
    assert_eq!(head.status(), 200, "{path}: {}", head.text());
    assert_eq!(gateway.description(path).await, body, "{path}");
    body
}

#[cfg(unix)]
#[tokio::test]
async fn the_longest_prefix_wins_and_the_path_is_forwarded_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let routes = [
        format!("/={}", upstream::start("root").await),
        format!("/ws/={}", upstream::start_unix(&folder, "unix")),
        format!("/ws/admin={}", upstream::start("admin").await),
    ];
    let gateway =
        Gateway::start(&["--route", &routes[0], "--route", &routes[1], "--route", &routes[2]]).await;
    let table = [
        ("/", "root"),
        ("/wsx/y", "root"),
        ("/WS/", "root"),
        ("//ws/", "root"),
        ("/ws/", "unix"),
        ("/ws/x?q=%20a&b=/ws/admin", "unix"),
        ("/ws//a%2fb/./../c;d=1", "unix"),
        ("/ws/admin", "admin"),
        ("/ws/admins/1", "admin"),
    ];
    let mut wire = gateway.wire().await;
    for (path, name) in table {
        let expected = format!("{name} {path} client.example");
        assert_eq!(description_of(&gateway, &mut wire, path).await, expected);
    }
}

#[tokio::test]
async fn strip_prefix_removes_whole_segments_of_the_matching_route() {
    let routes = [
        format!("/={}", upstream::start("root").await),
        format!("/app/={}", upstream::start("app").await),
        format!("/st={}", upstream::start("st").await),
    ];
    let mut arguments = vec!["--strip-prefix"];
    arguments.extend(routes.iter().flat_map(|route| ["--route", route.as_str()]));
    let gateway = Gateway::start(&arguments).await;
    let table = [
        ("/", "root /"),
        ("/app/", "app /"),
        ("/app/app/x?q=/app/", "app /app/x?q=/app/"),
        ("/app//x%20y", "app //x%20y"),
        ("/st", "st /"),
        ("/st/x", "st /x"),
        ("/static/x", "st /static/x"),
        ("/app/a;b=c/..d/%2525/%2e", "app /a;b=c/..d/%2525/%2e"),
    ];
    let mut wire = gateway.wire().await;
    for (path, expected) in table {
        let expected = format!("{expected} client.example");
        assert_eq!(description_of(&gateway, &mut wire, path).await, expected, "{path}");
    }
    let escaping =
        ["/app/../x", "/app/%2e%2e/x", "/app/..%3b/x", "/app/%252e%252e/x", "/app/..%252fx", "/st/%c0%ae./x"];
    for path in escaping {
        assert_eq!(get(&mut wire, path).await.0.status(), 400, "{path} would leave its prefix");
        assert_eq!(gateway.refusal(path).await, 400, "{path} would leave its prefix");
    }
}

#[tokio::test]
async fn a_path_that_may_leave_its_route_is_400() {
    let routes = [
        format!("/ws/={}", upstream::start("ws").await),
        format!("/app={}", upstream::start("app").await),
        format!("/={}", upstream::start("root").await),
    ];
    let gateway =
        Gateway::start(&["--route", &routes[0], "--route", &routes[1], "--route", &routes[2]]).await;
    let mut wire = gateway.wire().await;
    for path in [
        "/ws/../app",
        "/ws/%2e%2e/x",
        "/ws/a/../../x",
        "/ws/..%3b/x",
        "/ws/..",
        "/app/../ws/",
        "/apple/../ws/",
    ] {
        assert_eq!(get(&mut wire, path).await.0.status(), 400, "{path}");
        assert_eq!(gateway.refusal(path).await, 400, "{path}");
    }
    for (path, name) in
        [("/ws/a/../x", "ws"), ("/app/..x", "app"), ("/app", "app"), ("/../x", "root"), ("/x/../ws/", "root")]
    {
        let expected = format!("{name} {path} client.example");
        assert_eq!(description_of(&gateway, &mut wire, path).await, expected);
    }
}

#[tokio::test]
async fn ordinary_requests_and_then_an_upgrade_use_one_connection() {
    let route = format!("/ws/={}", upstream::start("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    let mut wire = gateway.wire().await;
    let table = [
        ("GET /ws/ HTTP/1.1", "", 200, "ws /ws/ client.example"),
        ("POST /ws/x HTTP/1.1", "Content-Length: 5\r\n\r\n body", 200, "ws /ws/x client.example body"),
        (
            "PUT /ws/y HTTP/1.1",
            "Transfer-Encoding: chunked\r\n\r\n3\r\n bo\r\n2\r\ndy\r\n0\r\n\r\n",
            200,
            "ws /ws/y client.example body",
        ),
        ("GET / HTTP/1.1", "", 404, "404 Not Found: no route for this path\n"),
        ("OPTIONS * HTTP/1.1", "", 404, "404 Not Found: no route for this path\n"),
        ("DELETE /ws/z?a=b HTTP/1.1", "", 200, "ws /ws/z?a=b client.example"),
    ];
    for (line, rest, status, body) in table {
        let rest = if rest.is_empty() { "\r\n" } else { rest };
        let head = wire.request(format!("{line}\r\nHost: client.example\r\n{rest}")).await;
        let got = String::from_utf8(wire.body(&head).await).unwrap();
        assert_eq!((head.status(), got.as_str()), (status, body), "{line}");
    }
    let mut socket = Client::open(wire.stream, "/ws/").await.unwrap();
    assert_eq!(description(&mut socket).await, "ws /ws/ client.example");
}

#[tokio::test]
async fn a_path_without_a_route_gets_404() {
    let route = format!("/ws/={}", upstream::start("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    let mut wire = gateway.wire().await;
    for (path, status) in [("/", 404), ("/ws", 301), ("/other/ws/", 404)] {
        assert_eq!(get(&mut wire, path).await.0.status(), status, "{path}");
        assert_eq!(gateway.refusal(path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_and_a_line_in_the_log() {
    let port = ReservedPort::new();
    let mut gateway = Gateway::start(&["--route", &format!("/={}", port.uri())]).await;
    let line = format!("upstream {}: connect", port.uri());
    assert_eq!(gateway.refusal("/").await, 502);
    gateway.program.wait_for_log(&line).await;
    let mut wire = gateway.wire().await;
    let (head, body) = get(&mut wire, "/").await;
    assert_eq!((head.status(), body.as_str()), (502, "502 Bad Gateway: the upstream cannot be reached\n"));
    // The connection of a request continues, that of an upgrade ends.
    let head = wire.request(handshake("/")).await;
    assert!(head.status() == 502 && head.has("connection", "close"), "{}", head.text());
    wire.body(&head).await;
    wire.expect_end().await;
    gateway.program.wait_for_log(&line).await;
}

#[tokio::test]
async fn host_upstream_replaces_the_host() {
    let upstream = upstream::start("app").await;
    let route = format!("/={upstream}");
    let gateway = Gateway::start(&["--route", &route, "--host", "upstream"]).await;
    let authority = upstream.strip_prefix("http://").unwrap();
    let expected = format!("app /x {authority}");
    assert_eq!(description_of(&gateway, &mut gateway.wire().await, "/x").await, expected);
}

#[tokio::test]
async fn a_path_that_lacks_only_the_slash_of_a_prefix_is_redirected_like_in_nginx() {
    let routes = [
        format!("/={}", upstream::start("root").await),
        format!("/ws/={}", upstream::start("ws").await),
        format!("/both={}", upstream::start("both").await),
        format!("/both/={}", upstream::start("slash").await),
    ];
    let arguments: Vec<&str> = routes.iter().flat_map(|route| ["--route", route]).collect();
    let gateway = Gateway::start(&arguments).await;
    let mut wire = gateway.wire().await;
    for (path, location) in [("/ws", "/ws/"), ("/ws?q=/a&b", "/ws/?q=/a&b")] {
        let (head, _) = get(&mut wire, path).await;
        assert_eq!((head.status(), head.values("location")), (301, vec![location.to_owned()]), "{path}");
    }
    let head = wire.request("HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.status(), head.values("location")), (301, vec!["/ws/".to_owned()]));
    assert_eq!(get(&mut wire, "/both").await.1, "both /both client.example");
    // A browser would not follow the redirect of a WebSocket, and a client might not repeat a POST.
    assert_eq!(gateway.description("/ws").await, "root /ws client.example");
    let head = wire.request("POST /ws HTTP/1.1\r\nHost: client.example\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn the_gateways_own_responses_need_a_valid_host() {
    let route = format!("/x/={}", upstream::start("x").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    for path in ["/x", "/nope"] {
        let expected = if path == "/x" { 301 } else { 404 };
        for (hosts, status) in [
            ("Host: a\r\n", expected),
            ("Host: a:99\r\n", expected),
            ("", 400),
            ("Host: a\r\nHost: a\r\n", 400),
            ("Host: h/evil\r\n", 400),
            ("Host: h@evil\r\n", 400),
            ("Host: a b\r\n", 400),
            ("Host: h:99999\r\n", 400),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}\r\n");
            assert_eq!(gateway.wire().await.request(request).await.status(), status, "{path} {hosts:?}");
        }
        let old = format!("GET {path} HTTP/1.0\r\n\r\n");
        assert_eq!(gateway.wire().await.request(old).await.status(), expected);
    }
}
