//! Requests to the upstream, and responses to the client.

use crate::each_pair;

each_pair!(
    accepted_upgrade,
    refused_upgrade,
    subprotocol_that_was_not_offered,
    early_bytes_of_the_upstream,
    early_bytes_of_the_client,
);

mod scenarios {
    use test_support::{ACCEPT, versions::Version};

    use crate::setup::Setup;

    pub(super) async fn accepted_upgrade(setup: Setup) {
        let fields = [
            ("origin", "https://a.example"),
            ("cookie", "a=1; b=2"),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let (response, received) = tokio::join!(setup.client.request("/chat?q=1", &fields), async {
            let pending = setup.upstream.next().await;
            let received = (pending.path.clone(), pending.host.clone(), pending.fields.clone());
            let fields =
                [("sec-websocket-protocol", "superchat"), ("set-cookie", "c=3"), ("set-cookie", "d=4")];
            drop(pending.accept(&fields, "").await);
            received
        });
        let (path, host, received) = received;
        assert_eq!((path.as_str(), host.as_str()), ("/chat?q=1", "client.example"));
        let expected = [
            ("origin", "https://a.example"),
            ("cookie", "a=1; b=2"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("x-forwarded-proto", "http"),
        ];
        for (name, value) in expected {
            assert_eq!(received.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
        assert!(!received.contains_key("x-forwarded-for"), "that of the client: {received:?}");

        assert_eq!(response.fields["sec-websocket-protocol"], "superchat");
        assert_eq!(response.fields.get_all("set-cookie").iter().collect::<Vec<_>>(), ["c=3", "d=4"]);
        match setup.client_version {
            Version::Http1 => {
                assert_eq!(response.status, 101);
                let fields =
                    ["connection", "upgrade", "sec-websocket-accept"].map(|name| &response.fields[name]);
                assert_eq!(fields, ["Upgrade", "websocket", ACCEPT]);
            }
            Version::Http2 => {
                assert_eq!(response.status, 200);
                for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
                    assert!(!response.fields.contains_key(name), "{name}");
                }
            }
        }
    }

    pub(super) async fn refused_upgrade(setup: Setup) {
        for status in [401, 405, 503] {
            let (mut response, ()) = tokio::join!(setup.client.request("/", &[]), async {
                let pending = setup.upstream.next().await;
                pending.refuse(status, &[("x-why", "because")], "and this is why").await;
            });
            assert_eq!(response.status, status);
            let fields = ["x-why", "content-length"].map(|name| &response.fields[name]);
            assert_eq!(fields, ["because", "15"]);
            response.end.expect("and this is why").await;
        }
        // Refusals do not prevent later tunnels.
        let (mut client, mut upstream) = setup.open().await;
        client.send("hello").await;
        upstream.expect("hello").await;
    }

    pub(super) async fn subprotocol_that_was_not_offered(setup: Setup) {
        let fields = [("sec-websocket-protocol", "chat")];
        let (response, _) = tokio::join!(setup.client.request("/", &fields), async {
            setup.upstream.next().await.accept(&[("sec-websocket-protocol", "mqtt")], "").await
        });
        assert_eq!(response.status, 502);
    }

    pub(super) async fn early_bytes_of_the_client(setup: Setup) {
        let (mut response, mut upstream) =
            tokio::join!(setup.client.request_with_early_data("/", &[], "first words"), async {
                let mut pending = setup.upstream.next().await;
                pending.expect_no_data().await;
                pending.accept(&[], "").await
            });
        upstream.expect("first words").await;
        response.end.send(", second words").await;
        upstream.expect(", second words").await;
    }

    pub(super) async fn early_bytes_of_the_upstream(setup: Setup) {
        let (mut response, mut upstream) = tokio::join!(setup.client.request("/", &[]), async {
            setup.upstream.next().await.accept(&[], "first words").await
        });
        response.end.expect("first words").await;
        upstream.send(", second words").await;
        response.end.expect(", second words").await;
    }
}
