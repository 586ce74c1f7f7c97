//! The span of a tunnel.

use std::{
    collections::HashMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    middleware::{Next, from_fn},
};
use test_support::{
    SWITCHING, ScriptedUpstream, Wire, bounded, handshake, ping_pong, proxy::describe, serve,
};
use tokio::sync::mpsc;
use tower_http::trace::TraceLayer;
use tower_upgrade_proxy::{OnTunnel, TunnelInfo, TunnelLabel, TunnelSummary, UpgradeProxyLayer};
use tracing::{
    Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::{events::keep_a_second_subscriber, open};

#[derive(Clone, Debug, Default)]
struct Record {
    name: &'static str,
    fields: String,
    parent: bool,
    follows: Option<u64>,
    entered: usize,
}

/// Records the spans of this thread, and sends the names of those that close.
#[derive(Clone)]
struct Spans {
    records: Arc<Mutex<HashMap<u64, Record>>>,
    closed: mpsc::UnboundedSender<&'static str>,
}

impl Spans {
    fn record() -> (Self, mpsc::UnboundedReceiver<&'static str>, tracing::subscriber::DefaultGuard) {
        let (closed, closes) = mpsc::unbounded_channel();
        let spans = Self { records: Arc::default(), closed };
        keep_a_second_subscriber();
        let guard = tracing::subscriber::set_default(Registry::default().with(spans.clone()));
        (spans, closes, guard)
    }

    /// The only span with this name.
    fn only(&self, name: &str) -> (u64, Record) {
        let records = self.records.lock().unwrap();
        let mut found = records.iter().filter(|(_, span)| span.name == name);
        let (id, span) = found.next().expect("a span");
        assert!(found.next().is_none(), "{records:#?}");
        (*id, span.clone())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        let record = Record {
            name: span.name(),
            fields: fields.0,
            parent: span.parent().is_some(),
            ..Record::default()
        };
        self.records.lock().unwrap().insert(id.into_u64(), record);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        self.records.lock().unwrap().get_mut(&id.into_u64()).unwrap().follows = Some(follows.into_u64());
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.records.lock().unwrap().get_mut(&id.into_u64()).unwrap().entered += 1;
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let _ = self.closed.send(context.span(&id).unwrap().name());
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

/// Waits until a span with this name has closed.
async fn close_of(closes: &mut mpsc::UnboundedReceiver<&'static str>, name: &str) {
    while bounded(name, closes.recv()).await.unwrap() != name {}
}

#[tokio::test]
async fn a_tunnels_span_is_a_root_that_follows_from_the_requests_span() {
    let (spans, mut closes, _guard) = Spans::record();
    let upstream = ScriptedUpstream::start().await;
    let label = from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(TunnelLabel::new("alice"));
        next.run(request)
    });
    let address = serve(
        Router::new()
            .fallback(describe)
            .layer(UpgradeProxyLayer::new(upstream.upstream()))
            .layer(label)
            .layer(Extension(ConnectInfo(std::net::SocketAddr::from(([192, 0, 2, 7], 4711)))))
            .layer(TraceLayer::new_for_http()),
    )
    .await;
    let (mut client, mut server) = open(address, &upstream).await;

    // The span of the request closes while the tunnel is open.
    close_of(&mut closes, "request").await;
    ping_pong(&mut client, &mut server).await;
    assert!(closes.is_empty());
    let (_, tunnel) = spans.only("tunnel");
    let (request, _) = spans.only("request");
    assert_eq!((tunnel.parent, tunnel.follows), (false, Some(request)), "{tunnel:?}");
    let expected = format!(
        "client=192.0.2.7 upstream={} protocol=\"websocket\" path=\"/\" upstream_path=\"/\" label=\"alice\" ",
        upstream.uri()
    );
    let (id, rest) = tunnel.fields.split_once(' ').unwrap();
    assert!(id.strip_prefix("id=").unwrap().parse::<u64>().unwrap() > 0, "{id}");
    assert_eq!(rest, expected);

    drop((client, server));
    close_of(&mut closes, "tunnel").await;
}

#[tokio::test]
async fn the_span_has_the_path_that_the_client_sent_and_that_of_the_upstreams_request() {
    let (spans, _closes, _guard) = Spans::record();
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(format!("{}/base", upstream.uri()).parse().unwrap());
    let app = Router::new().nest_service("/app", layer.forward());
    let mut client = Wire::connect(serve(app).await).await;
    client.send(handshake("/app/room?token=secret")).await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.text().starts_with("GET /base/room?token=secret "));
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    let fields = spans.only("tunnel").1.fields;
    assert!(fields.contains("path=\"/app/room\" upstream_path=\"/base/room\""), "{fields}");
}

/// Sends the name of the span that it is called in.
struct CurrentSpan(mpsc::UnboundedSender<(&'static str, Option<&'static str>)>);

impl OnTunnel for CurrentSpan {
    fn on_open(&self, _: &TunnelInfo) {
        self.0.send(("open", Span::current().metadata().map(tracing::Metadata::name))).unwrap();
    }

    fn on_close(&self, _: &TunnelInfo, _: &TunnelSummary) {
        self.0.send(("close", Span::current().metadata().map(tracing::Metadata::name))).unwrap();
    }
}

#[tokio::test]
async fn hooks_run_inside_the_span_and_messages_do_not() {
    let (spans, mut closes, _guard) = Spans::record();
    let upstream = ScriptedUpstream::start().await;
    let (sender, mut spans_of_calls) = mpsc::unbounded_channel();
    let layer = UpgradeProxyLayer::new(upstream.upstream()).on_tunnel(CurrentSpan(sender));
    let (mut client, mut server) = open(crate::app(layer).await, &upstream).await;
    for _ in 0..20 {
        ping_pong(&mut client, &mut server).await;
    }
    drop((client, server));
    close_of(&mut closes, "tunnel").await;
    assert_eq!(spans_of_calls.recv().await, Some(("open", Some("tunnel"))));
    assert_eq!(spans_of_calls.recv().await, Some(("close", Some("tunnel"))));
    assert_eq!(spans.only("tunnel").1.entered, 2);
}
