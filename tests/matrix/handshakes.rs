//! What the upstream is asked, and what the client is answered.

use crate::matrix;

matrix!(
    agreement,
    refusal,
    subprotocol_that_was_not_offered,
    early_bytes_of_the_upstream,
    early_bytes_of_the_client,
);

mod scenarios {
    use crate::{Speaks, stage::Stage, support::ACCEPT};

    pub(super) async fn agreement(stage: Stage) {
        let fields = [
            ("origin", "https://a.example"),
            ("cookie", "a=1; b=2"),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        let (answer, asked) = tokio::join!(stage.client.ask("/chat?q=1", &fields), async {
            let mut asked = stage.upstream.asked().await;
            let seen = (asked.path.clone(), asked.host.clone(), std::mem::take(&mut asked.fields));
            asked.fields = seen.2.clone();
            let fields =
                [("sec-websocket-protocol", "superchat"), ("set-cookie", "c=3"), ("set-cookie", "d=4")];
            drop(asked.agree(&fields, "").await);
            seen
        });
        let (path, host, seen) = asked;
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
            assert_eq!(seen.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
        assert!(!seen.contains_key("x-forwarded-for"), "not the client's: {seen:?}");

        assert_eq!(answer.fields["sec-websocket-protocol"], "superchat");
        assert_eq!(answer.fields.get_all("set-cookie").iter().collect::<Vec<_>>(), ["c=3", "d=4"]);
        match stage.client_speaks {
            Speaks::Http1 => {
                assert_eq!(answer.status, 101);
                let fields =
                    ["connection", "upgrade", "sec-websocket-accept"].map(|name| &answer.fields[name]);
                assert_eq!(fields, ["Upgrade", "websocket", ACCEPT]);
            }
            Speaks::Http2 => {
                assert_eq!(answer.status, 200);
                for foreign in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
                    assert!(!answer.fields.contains_key(foreign), "{foreign}");
                }
            }
        }
    }

    pub(super) async fn refusal(stage: Stage) {
        for status in [401, 405, 503] {
            let (mut answer, ()) = tokio::join!(stage.client.ask("/", &[]), async {
                let asked = stage.upstream.asked().await;
                asked.refuse(status, &[("x-why", "because")], "and this is why").await;
            });
            assert_eq!(answer.status, status);
            let fields = ["x-why", "content-length"].map(|name| &answer.fields[name]);
            assert_eq!(fields, ["because", "15"]);
            answer.end.expect("and this is why").await;
        }
        // Nothing is left of them in the way of a tunnel.
        let (mut client, mut upstream) = stage.open().await;
        client.send("hello").await;
        upstream.expect("hello").await;
    }

    pub(super) async fn subprotocol_that_was_not_offered(stage: Stage) {
        let fields = [("sec-websocket-protocol", "chat")];
        let (answer, _) = tokio::join!(stage.client.ask("/", &fields), async {
            stage.upstream.asked().await.agree(&[("sec-websocket-protocol", "mqtt")], "").await
        });
        assert_eq!(answer.status, 502);
    }

    pub(super) async fn early_bytes_of_the_client(stage: Stage) {
        let (mut answer, mut upstream) =
            tokio::join!(stage.client.ask_early("/", &[], "first words"), async {
                let mut asked = stage.upstream.asked().await;
                asked.expect_nothing_more().await;
                asked.agree(&[], "").await
            });
        upstream.expect("first words").await;
        answer.end.send(", second words").await;
        upstream.expect(", second words").await;
    }

    pub(super) async fn early_bytes_of_the_upstream(stage: Stage) {
        let (mut answer, mut upstream) = tokio::join!(stage.client.ask("/", &[]), async {
            stage.upstream.asked().await.agree(&[], "first words").await
        });
        answer.end.expect("first words").await;
        upstream.send(", second words").await;
        answer.end.expect(", second words").await;
    }
}
