//! Authorization of upgrades and ordinary requests before they reach the upstream.

use super::{get, get_with};
use test_support::{handshake, handshake_with};

use crate::{
    case::{Case, exchange, ordinary, refused},
    proxy::Setup::F,
    response::{ok, switching},
};

const TOKEN: &str = "Authorization: Bearer secret";

pub(crate) fn cases() -> Vec<Case> {
    let with_token = |lines: &str| get_with("/ws/x", &format!("{TOKEN}\r\n{lines}"));
    let forged = "X-User: root\r\nX_User: root\r\n";
    vec![
        exchange(F, "upgrade", handshake_with("/ws/x", &[TOKEN]), switching()).echoes("hello"),
        ordinary(F, "page", with_token(""), ok()),
        exchange(
            F,
            "forged_field_of_an_upgrade",
            handshake_with("/ws/x", &[TOKEN, forged.trim()]),
            switching(),
        )
        .echoes("hello"),
        ordinary(F, "forged_field", with_token(forged), ok()),
        ordinary(F, "removed_field", with_token("X-User: root\r\nConnection: X-User\r\n"), ok()),
        refused(F, "upgrade_without_token", handshake("/ws/x")),
        refused(F, "page_without_token", get("/ws/x")),
        refused(F, "wrong_token", get_with("/ws/x", "Authorization: Bearer guess\r\n")),
        refused(F, "upload_without_token", "POST /ws/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"),
    ]
}
