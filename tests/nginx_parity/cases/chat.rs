//! Upgrades and ordinary requests on one path, and the read timeout.

use std::time::Duration;

use super::{get, get_with};
use test_support::handshake;

use crate::{
    case::{Case, exchange, ordinary},
    client::Step,
    proxy::Setup::D,
    response::{After, ok, raw, response, switching},
};

pub(crate) fn cases() -> Vec<Case> {
    [one_path(), read_timeout()].into_iter().flatten().collect()
}

fn one_path() -> Vec<Case> {
    let poll = "/chat/?transport=polling";
    let socket = || handshake("/chat/?transport=websocket");
    vec![
        ordinary(D, "polling", get(poll), ok()).then(get(poll), ok()),
        exchange(D, "websocket", socket(), switching()).echoes("2probe"),
        exchange(D, "refused_websocket_then_polling", socket(), ok()).then(get(poll), ok()),
        exchange(D, "upgrade_without_connection", socket().replace("Connection: Upgrade\r\n", ""), ok())
            .differs(
                "`Upgrade` without `Connection: upgrade`",
                &["- up connection: upgrade", "- up upgrade: websocket"],
            ),
        ordinary(D, "connection_upgrade_alone", get_with(poll, "Connection: upgrade\r\n"), ok()),
        ordinary(D, "empty_upgrade", get_with(poll, "Connection: upgrade\r\nUpgrade:\r\n"), ok()),
    ]
}

/// The timeout is two seconds in these tests.
fn read_timeout() -> Vec<Case> {
    let pause = Duration::from_millis(500);
    let cut = Step::End { after: Duration::from_millis(1500) };
    let socket = || handshake("/chat/");
    let stalled = response("200 OK", "Content-Length: 9\r\n", "some").and(After::Silence);
    vec![
        exchange(D, "an_upstream_that_pings_keeps_the_tunnel", socket(), switching().and(After::Ping(pause)))
            .step(Step::Bytes(6 * "ping".len())),
        exchange(D, "a_client_that_pings_keeps_the_tunnel", socket(), switching())
            .step(Step::Drip { pause, times: 6 }),
        exchange(D, "a_silent_tunnel_is_closed", socket(), switching()).echoes("last words").step(cut),
        exchange(D, "a_silent_upstream_is_a_504", socket(), raw("").and(After::Silence)),
        ordinary(D, "a_silent_upstream_is_a_504_for_polling", get("/chat/"), raw("").and(After::Silence)),
        ordinary(D, "a_body_that_stops_is_aborted", get("/chat/"), stalled)
            .differs("Response buffering", &["+ down body: 4 bytes \"some\""]),
    ]
}
