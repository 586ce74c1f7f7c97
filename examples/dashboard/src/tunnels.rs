//! Dashboard: a page, the events that update it, and the button that drains a tunnel.
//!
//! In this example every visitor can end tunnels; an application must protect the dashboard with authentication.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN},
    },
    response::{
        Html, IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use tower_upgrade_proxy::{CloseCode, CloseFrame, DrainConfig, Side, TunnelStatus, Tunnels};

use crate::ended::Ended;

/// Content security policy: only the page's own script, no content of other sites, no embedding in a frame (clickjacking).
const POLICY: &str = "default-src 'none'; img-src data:; connect-src 'self'; style-src 'unsafe-inline'; \
    script-src 'self'; frame-ancestors 'none'";

/// What the dashboard shows.
#[derive(Clone)]
struct Shown {
    open: Tunnels,
    ended: Ended,
}

pub(crate) fn routes(open: Tunnels, ended: Ended) -> Router {
    Router::new()
        .route("/", get(([(CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("tunnels.html")))))
        .route("/tunnels.js", get(([(CONTENT_TYPE, "text/javascript")], include_str!("tunnels.js"))))
        .route("/list", get(list))
        .route("/events", get(events))
        .route("/{id}/drain", post(drain))
        .with_state(Shown { open, ended })
}

/// Current snapshot, for scripts.
async fn list(State(shown): State<Shown>) -> Json<Value> {
    Json(snapshot(&shown))
}

/// Snapshots, one a second. When the page is closed, the server drops the stream and its state.
async fn events(State(shown): State<Shown>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = stream::unfold((second, shown), |(mut second, shown)| async {
        second.tick().await;
        let event = Event::default().data(snapshot(&shown).to_string());
        Some((Ok(event), (second, shown)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Drains one tunnel. The response does not wait for the end of the drain.
async fn drain(State(shown): State<Shown>, Path(id): Path<u64>, headers: HeaderMap) -> impl IntoResponse {
    let tunnels = shown.open;
    if !is_same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "only requests of the dashboard itself are allowed\n");
    }
    if tunnels.get(id).is_none() {
        return (StatusCode::NOT_FOUND, "the tunnel has ended\n");
    }
    let close = CloseFrame::new(CloseCode::GOING_AWAY).with_reason("drained from the dashboard");
    let config = DrainConfig::new().close(close).grace(Duration::from_secs(10));
    drop(tunnels.drain(|tunnel| tunnel.id() == id, config));
    (StatusCode::ACCEPTED, "draining\n")
}

/// Returns true for a request from a page of this server. Browsers send `Origin` with every POST, and pages cannot
/// forge it, so that pages of other sites cannot end tunnels with a visitor's browser.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(ORIGIN), text(HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority == host)
}

fn snapshot(shown: &Shown) -> Value {
    let open = shown.open.list();
    json!({ "open": open.iter().map(tunnel).collect::<Value>(), "ended": shown.ended.list() })
}

fn tunnel(tunnel: &TunnelStatus) -> Value {
    let info = tunnel.info();
    json!({
        "id": info.id(),
        "client": info.client(),
        "upstream": info.upstream().to_string(),
        "path": info.path(),
        "label": info.label(),
        "state": format!("{:?}", tunnel.state()),
        "age": tunnel.age().as_secs_f64(),
        "idle": tunnel.idle().as_secs_f64(),
        "bytes": [tunnel.bytes(Side::Client), tunnel.bytes(Side::Upstream)],
        "messages": [tunnel.messages(Side::Client), tunnel.messages(Side::Upstream)],
    })
}
