//! The tables of docs/mounting.md, measured: what each way of mounting the layer on axum's `Router` matches, and which
//! requests an authorization in front of it checks.

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use h2::ext::Protocol as H2Protocol;
use http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION};
use test_support::{
    Wire, handshake,
    http2::Client,
    serve,
    serve::{FREE_PORT, listen},
    switching_protocols,
};
use tower::{Layer, ServiceBuilder};
use tower_upgrade_proxy::{
    Authorized, PathRewrite, Protocol, Protocols, Rejection, UpgradeProxyLayer, Upstream,
};

const PAGE: &str = include_str!("../../docs/mounting.md");

/// Starts an upstream that accepts every upgrade and reports the path of each request in `X-Path`.
fn upstream() -> Upstream {
    let listener = listen(FREE_PORT);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut client = Wire::new(stream);
                let head = client.head().await;
                let path = format!("X-Path: {}\r\n", head.first_line().split(' ').nth(1).unwrap());
                client
                    .send(match head.values("upgrade").first().map(String::as_str) {
                        Some("websocket") => switching_protocols(&head, &path),
                        Some(_) => format!(
                            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n{path}\r\n"
                        ),
                        None => {
                            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n{path}\r\n")
                        }
                    })
                    .await;
                client.rest().await;
            });
        }
    });
    format!("http://{address}").parse().unwrap()
}

fn layer() -> UpgradeProxyLayer {
    let tcp = Protocol::new("tcp").unwrap().methods([Method::POST]).with_request_body();
    UpgradeProxyLayer::new(upstream()).protocols(Protocols::websocket().allow(tcp))
}

/// A kind of request.
#[derive(Clone, Copy)]
enum Kind {
    Get,
    Upgrade,
    Connect,
    PostUpgrade,
}

const UPGRADES: [Kind; 3] = [Kind::Upgrade, Kind::Connect, Kind::PostUpgrade];

/// The result of a request: `tunnel`, `upstream`, `handler` or the status; and the path that the upstream got.
type Result = (String, Option<String>);

impl Kind {
    async fn send(self, app: &Router, path: &str) -> Result {
        let address = serve(app.clone()).await;
        let http1 = async |request: String| {
            let head = Wire::connect(address).await.request(request).await;
            (head.status(), head.values("x-path").first().cloned())
        };
        let (status, upstream) = match self {
            Self::Get => http1(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await,
            Self::Upgrade => http1(handshake(path)).await,
            Self::PostUpgrade => {
                let fields = "Host: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0";
                http1(format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n")).await
            }
            Self::Connect => {
                let request = http::Request::connect(format!("http://a{path}"))
                    .extension(H2Protocol::from_static("websocket"))
                    .header("sec-websocket-version", "13");
                let mut client = Client::connect(address).await;
                let response = client.send_request(request.body(()).unwrap(), false).response().await.0;
                (response.status().as_u16(), x_path(response.headers()))
            }
        };
        let result = match (self, status, &upstream) {
            (Self::Get, 200, None) => "handler".to_owned(),
            (Self::Get, 200, Some(_)) => "upstream".to_owned(),
            (Self::Upgrade | Self::PostUpgrade, 101, _) | (Self::Connect, 200, Some(_)) => {
                "tunnel".to_owned()
            }
            (_, status, _) => status.to_string(),
        };
        (result, upstream)
    }
}

fn x_path(headers: &HeaderMap) -> Option<String> {
    headers.get("x-path").map(|path| path.to_str().unwrap().to_owned())
}

async fn handler() -> &'static str {
    "handler"
}

/// The text in the first column, and what it builds.
macro_rules! forms {
    ($proxy:ident => $($form:expr),* $(,)?) => {
        [$((stringify!($form), (|$proxy: UpgradeProxyLayer| $form) as fn(UpgradeProxyLayer) -> Router)),*]
    };
}

/// The source of a form, without the spaces and line ends of `stringify!`.
fn source(form: &str) -> String {
    let text: String = form.split_whitespace().collect::<Vec<_>>().join(" ");
    [("Router::new() ", "Router::new()"), (") .", ")."), (" (", "("), ("( ", "("), (" )", ")"), (",)", ")")]
        .iter()
        .fold(text, |text, (from, to)| text.replace(from, to))
        .replacen("Router::new()", "", 1)
}

/// Returns the table after `<!-- measured: name -->`.
fn documented(name: &str) -> String {
    let marker = format!("<!-- measured: {name} -->\n");
    let (_, rest) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("no table {name}"));
    rest.lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect()
}

fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let rule = "| --- ".repeat(columns.len()) + "|\n";
    let rows: String = rows.iter().map(|row| line(row)).collect();
    line(&columns) + &rule + &rows
}

fn assert_documented(name: &str, measured: &str) {
    assert!(documented(name) == measured, "docs/mounting.md should have, after {name}:\n\n{measured}");
}

#[tokio::test]
async fn each_form_matches_the_paths_in_the_table() {
    const PATHS: [&str; 5] = ["/ws", "/ws/", "/ws/a", "/ws/a/b", "/admin"];
    let forms = forms![proxy =>
        Router::new().nest_service("/ws", proxy.into_service()),
        Router::new().nest_service("/ws", proxy.forward()),
        Router::new().nest_service("/ws", proxy.layer(get(handler))),
        Router::new().nest_service("/ws/", proxy.forward()),
        Router::new().nest("/ws", Router::new().fallback_service(proxy.forward())),
        Router::new().route_service("/ws", proxy.forward()),
        Router::new().route_service("/ws/{*path}", proxy.forward()),
        Router::new().route("/ws", get(handler).layer(proxy)),
        Router::new().route("/ws", get(handler).route_layer(proxy)),
        Router::new().route("/ws", any(handler).layer(proxy)),
        Router::new().fallback_service(proxy.forward()),
        Router::new().route("/ws", get(handler)).layer(proxy),
    ];
    let (mut ordinary, mut upgrades) = (Vec::new(), Vec::new());
    for (form, build) in forms {
        let app = build(layer());
        let name = format!("`{}`", source(form));
        let mut row = vec![name.clone()];
        for path in PATHS {
            row.push(Kind::Get.send(&app, path).await.0);
        }
        ordinary.push(row);
        let mut row = vec![name];
        let mut sent = None;
        for path in PATHS {
            let mut results = Vec::new();
            for kind in UPGRADES {
                let (result, upstream) = kind.send(&app, path).await;
                results.push(result);
                sent = upstream.filter(|_| path == "/ws/a").or(sent);
            }
            let [http1, http2, post] = &results[..] else { panic!() };
            row.push(if http1 == http2 && http2 == post { http1.clone() } else { results.join(", ") });
        }
        row.push(sent.map_or_else(|| "–".to_owned(), |path| format!("`{path}`")));
        upgrades.push(row);
    }
    let columns = [
        "on `Router::new()`",
        "`/ws`",
        "`/ws/`",
        "`/ws/a`",
        "`/ws/a/b`",
        "`/admin`",
        "the upstream gets, for `/ws/a`",
    ];
    let (upgrades, ordinary) = (table(&columns, &upgrades), table(&columns[..6], &ordinary));
    assert_documented("upgrades", &upgrades);
    assert_documented("ordinary requests", &ordinary);
}

#[tokio::test]
async fn original_uri_restores_the_prefix_and_is_the_same_without_one() {
    let build: [fn(UpgradeProxyLayer) -> Router; 3] = [
        |proxy| Router::new().nest_service("/ws", proxy.forward()),
        |proxy| Router::new().nest("/ws", Router::new().fallback_service(proxy.forward())),
        |proxy| Router::new().fallback_service(proxy.forward()),
    ];
    for build in build {
        let app = build(layer().path(PathRewrite::original_uri()));
        for path in ["/ws", "/ws/a", "/ws/a/b?c"] {
            for kind in [Kind::Get, Kind::Upgrade, Kind::Connect, Kind::PostUpgrade] {
                assert_eq!(kind.send(&app, path).await.1.as_deref(), Some(path));
            }
        }
    }
}

/// The middleware of an application: requests without credentials get a 401.
async fn require_credentials(request: Request, next: Next) -> Response {
    match request.headers().contains_key(AUTHORIZATION) {
        true => next.run(request).await,
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn check(_: http::request::Parts) -> std::result::Result<Authorized, Rejection> {
    Err(StatusCode::UNAUTHORIZED.into())
}

#[tokio::test]
async fn each_order_of_layers_lets_the_requests_in_the_table_through() {
    /// `from_fn(require_credentials)`, of which there is a new one for each use.
    macro_rules! auth {
        () => {
            from_fn(require_credentials)
        };
    }
    let forms = forms![proxy =>
        Router::new().nest_service("/ws", proxy.authorize(check).forward()),
        Router::new().nest_service("/ws", proxy.authorize(check).into_service()),
        Router::new().nest_service("/ws", auth!().layer(proxy.forward())),
        Router::new().nest_service("/ws", ServiceBuilder::new().layer(auth!()).layer(proxy).service(get(handler))),
        Router::new().nest_service("/ws", proxy.forward()).route_layer(auth!()),
        Router::new().nest_service("/ws", proxy.forward()).layer(auth!()),
        Router::new().route("/ws", get(handler).layer(proxy)).route_layer(auth!()),
        Router::new().route("/ws", get(handler).layer((auth!(), proxy))),
        Router::new().route("/ws", get(handler).layer(proxy).route_layer(auth!())),
        Router::new().route("/ws", get(handler).layer((proxy, auth!()))),
        Router::new().route("/ws", get(handler)).layer(auth!()).layer(proxy),
        Router::new().route("/ws", get(handler)).layer(proxy).layer(auth!()),
    ];
    let mut rows = Vec::new();
    for (form, build) in forms {
        let app = build(layer());
        let mut row = vec![format!("`{}`", source(form).replace("auth!()", "auth"))];
        for kind in [Kind::Get, Kind::Upgrade, Kind::Connect, Kind::PostUpgrade] {
            let result = kind.send(&app, "/ws").await.0;
            row.push(if result == "tunnel" { "**tunnel**".to_owned() } else { result });
        }
        rows.push(row);
    }
    let columns = [
        "on `Router::new()`",
        "GET",
        "WebSocket, HTTP/1.1",
        "WebSocket, HTTP/2",
        "`POST` with `Upgrade: tcp`",
    ];
    assert_documented("authorization", &table(&columns, &rows));
}
