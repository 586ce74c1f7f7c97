//! Refused upgrades, and upstreams that violate the protocol.

use super::{MALFORMED_RESPONSE, get};
use test_support::{ACCEPT, handshake};

use crate::{
    case::{Case, exchange, ordinary},
    proxy::Setup::{A, B},
    response::{After, CannedResponse, ok, raw, response, switching},
};

pub(crate) fn cases() -> Vec<Case> {
    [refusals(), without_response(), wrong_responses()].into_iter().flatten().collect()
}

fn refusals() -> Vec<Case> {
    let other_version = handshake("/").replace("Version: 13", "Version: 8");
    let wanted =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n";
    let too_old = || response("426 Upgrade Required", wanted, "old");
    let with_connection = |case: Case| case.differs("`Connection` of a 426", &["+ down connection: upgrade"]);
    let challenge = "WWW-Authenticate: Basic realm=x\r\nTransfer-Encoding: chunked\r\n";
    let forbidden = || response("403 Forbidden", "Content-Length: 2\r\n", "no");
    let login = response("302 Found", "Location: https://login.example/?x\r\nContent-Length: 0\r\n", "");
    let with_upgrade = response("200 OK", "Upgrade: websocket\r\nContent-Length: 0\r\n", "");
    vec![
        with_connection(exchange(B, "426", other_version, too_old())),
        with_connection(ordinary(B, "426_to_an_ordinary_request", get("/"), too_old())),
        exchange(B, "403_and_the_next_request", handshake("/"), forbidden()).then(get("/2"), ok()),
        exchange(B, "403_and_a_request_after_the_handshake", handshake("/") + &get("/2"), forbidden())
            .pipelined(ok()),
        exchange(
            A,
            "401_in_chunks",
            handshake("/ws/"),
            response("401 No", challenge, "2\r\nno\r\n0\r\n\r\n"),
        ),
        exchange(A, "302", handshake("/ws/"), login),
        exchange(A, "200", handshake("/ws/"), ok()),
        exchange(A, "200_with_upgrade", handshake("/ws/"), with_upgrade)
            .differs("`Upgrade` in other responses", &["- down upgrade: websocket"]),
    ]
}

fn without_response() -> Vec<Case> {
    let to_upgrade =
        |name, response: CannedResponse| exchange(A, name, handshake("/ws/"), response.and(After::Close));
    vec![
        to_upgrade("no_response", raw("")),
        to_upgrade("half_a_response", switching().without("\r\n\r\n")),
        to_upgrade("nonsense_as_response", raw("nonsense\r\n\r\n"))
            .differs(MALFORMED_RESPONSE, &["- down nonsense", "+ down HTTP/1.1 502 of its own"]),
    ]
}

fn wrong_responses() -> Vec<Case> {
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\r\n");
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let table = [
        ("101_with_a_wrong_accept", format!("{websocket}Sec-WebSocket-Accept: AAAA\r\n")),
        ("101_without_accept", websocket.to_owned()),
        ("101_without_upgrade", format!("Connection: Upgrade\r\n{accept}")),
        ("101_to_another_protocol", format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}")),
        ("101_with_a_list", format!("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{accept}")),
        ("101_with_a_subprotocol_not_offered", format!("{websocket}{accept}Sec-WebSocket-Protocol: x\r\n")),
    ];
    let row = "101s that do not match the request";
    let refused = ["- down HTTP/1.1 101 Switching Protocols", "+ down HTTP/1.1 502 of its own"];
    let switching_as = |lines: &str| response("101 Switching Protocols", lines, "").and(After::Close);
    let case = |(name, lines): (_, String)| {
        exchange(A, name, handshake("/ws/"), switching_as(&lines)).differs(row, &refused)
    };
    let mut cases: Vec<Case> = table.map(case).into();
    let unexpected = switching().and(After::Close);
    cases.push(ordinary(A, "101_without_an_upgrade", get("/ws/"), unexpected).differs(row, &refused));
    cases
}
