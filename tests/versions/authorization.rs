//! The `authorize` hook in each pair of versions.

use http::{HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use test_support::versions::Version::{Http1, Http2};
use tower_upgrade_proxy::Authorized;

use crate::setup::Setup;

#[tokio::test]
async fn rejections_reach_the_client_and_fields_of_the_hook_the_upstream() {
    for (client, upstream) in [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)] {
        let setup = Setup::start_with(client, upstream, |layer| {
            layer.authorize(|head| async move {
                let token = head.headers.get(AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?;
                let user = HeaderValue::from_bytes(token.as_bytes()).map_err(|_| StatusCode::FORBIDDEN)?;
                Ok(Authorized::new()
                    .header(HeaderName::from_static("x-user"), user)
                    .remove_header(AUTHORIZATION))
            })
        })
        .await;
        assert_eq!(setup.client.request("/", &[]).await.status, 401);
        let fields = [("authorization", "alice"), ("x-user", "root"), ("x_user", "root")];
        let (_, received) = tokio::join!(setup.client.request("/", &fields), async {
            let pending = setup.upstream.next().await;
            let received = pending.fields.clone();
            drop(pending.accept(&[], "").await);
            received
        });
        assert_eq!(received.get_all("x-user").iter().collect::<Vec<_>>(), ["alice"]);
        assert!(!received.contains_key("x_user") && !received.contains_key(AUTHORIZATION), "{received:?}");
    }
}
