//! Server-sent events: a browser's `EventSource` through `proxy_pass`.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    response::{Html, Sse, sse::Event},
    routing::{get, post},
};
use futures_util::{Stream, stream};
use http::HeaderMap;
use test_support::{
    bounded,
    browser::{self, Browser},
    serve,
};
use tokio::sync::watch;
use tower_upgrade_proxy::proxy_pass;

/// The number of the last event that the page has reported.
type Seen = watch::Sender<u32>;

/// Number of events in one response; then the browser must connect again, with the number of its last event.
const PART: u32 = 5;

/// Each event is sent after the page has reported the previous one, so that none can wait for another.
const READ_ALL: &str = r#"
    new Promise((resolve) => {
        const read = [];
        const source = new EventSource("/events");
        source.onmessage = async ({ lastEventId, data }) => {
            read.push(data);
            if (read.length < 10) return fetch(`/seen/${lastEventId}`, { method: "POST" });
            source.close();
            resolve(read.join());
        };
    })
"#;

pub(crate) async fn read() {
    let upstream = format!("http://{}", serve(app()).await);
    let location = Router::new().fallback_service(proxy_pass(upstream.parse().unwrap()));
    let url = format!("http://{}/", serve(location).await);
    let mut page = Browser::open(browser::program().unwrap(), &url).await;
    let read = bounded("all events", page.evaluate(READ_ALL)).await;
    assert_eq!(read, "1,2,3,4,5,6,7,8,9,10");
    page.close().await;
}

fn app() -> Router {
    Router::new()
        .route("/", get(Html("<!doctype html><title>events</title>")))
        .route("/events", get(events))
        .route("/seen/{event}", post(seen))
        .with_state(Seen::default())
}

async fn seen(State(seen): State<Seen>, Path(event): Path<u32>) {
    seen.send_replace(event);
}

/// Sends the events after the browser's last one.
async fn events(
    State(seen): State<Seen>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").map_or("0", |id| id.to_str().unwrap()).parse::<u32>().unwrap();
    let events = stream::unfold(last + 1, move |event| {
        let mut reported = seen.subscribe();
        async move {
            if event > last + PART {
                return None;
            }
            reported.wait_for(|seen| *seen + 1 >= event).await.ok()?;
            let id = event.to_string();
            Some((Ok(Event::default().retry(Duration::from_millis(10)).id(&id).data(id)), event + 1))
        }
    });
    Sse::new(events)
}
