//! Verification of the upstream's response, before anything is sent to the client.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, StatusCode, Version,
    header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};
use sha1::{Digest, Sha1};

use super::{Handshake, is_websocket};
use crate::rewrite::{framing, hop_by_hop, tokens::tokens};

/// The response required to accept a handshake.
#[derive(Debug)]
pub(crate) struct ExpectedResponse {
    protocol: HeaderValue,
    websocket: Option<WebSocket>,
}

#[derive(Debug)]
struct WebSocket {
    accept: String,
    /// The lines of `Sec-WebSocket-Protocol` in the request.
    offered: HeaderMap,
}

impl ExpectedResponse {
    /// Derives the expected response from the request as sent, after every rewrite.
    pub(crate) fn new(handshake: &Handshake, sent: &HeaderMap) -> Self {
        let websocket = is_websocket(handshake.protocol.as_bytes()).then(|| WebSocket {
            accept: accept_value(sent.get(SEC_WEBSOCKET_KEY).map_or(b"", HeaderValue::as_bytes)),
            offered: sent
                .get_all(SEC_WEBSOCKET_PROTOCOL)
                .iter()
                .map(|line| (SEC_WEBSOCKET_PROTOCOL, line.clone()))
                .collect(),
        });
        Self { protocol: handshake.protocol.clone(), websocket }
    }

    /// Checks the head of an accepting response received in `version`, and reduces it to the end-to-end
    /// fields of a 101.
    ///
    /// # Errors
    ///
    /// If the response does not match the request; the text gives the reason.
    pub(crate) fn verify(&self, version: Version, headers: &mut HeaderMap) -> Result<(), &'static str> {
        if version == Version::HTTP_2 { self.verify_connect(headers) } else { self.verify_upgrade(headers) }
    }

    /// Checks the head of a 2xx to an extended CONNECT. The status alone accepts the upgrade
    /// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)); the subprotocol must be
    /// one of those offered. The accept value of an equivalent 101 is added.
    fn verify_connect(&self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        if let Some(websocket) = &self.websocket {
            websocket.verify_subprotocol(headers)?;
            let accept =
                HeaderValue::try_from(&websocket.accept).map_err(|_| "the accept value is not valid")?;
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        strip_hop_by_hop(headers);
        Ok(())
    }

    /// Checks the head of a 101.
    ///
    /// `Upgrade` must name exactly the requested protocol
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)); for WebSocket the
    /// accept value must be right and the subprotocol one of those offered
    /// ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)). `Connection` may be
    /// missing: some servers omit it.
    fn verify_upgrade(&self, headers: &mut HeaderMap) -> Result<(), &'static str> {
        let mut upgrades = tokens(headers, UPGRADE);
        let is_requested = |token: &[u8]| token.eq_ignore_ascii_case(self.protocol.as_bytes());
        match (upgrades.next(), upgrades.next()) {
            (None, _) => return Err("Upgrade is missing"),
            (Some(_), Some(_)) => return Err("Upgrade names more than one protocol"),
            (Some(token), None) if !is_requested(token) => return Err("Upgrade names another protocol"),
            (Some(_), None) => {}
        }
        drop(upgrades);
        if let Some(websocket) = &self.websocket {
            websocket.verify(headers)?;
        }
        strip_hop_by_hop(headers);
        Ok(())
    }
}

/// Removes the fields of the upstream's connection, and the framing fields: what follows is the tunnel.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    hop_by_hop::strip_response(StatusCode::SWITCHING_PROTOCOLS, headers);
    framing::remove(headers);
}

impl WebSocket {
    fn verify(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        match (accepts.next(), accepts.next()) {
            (None, _) => return Err("Sec-WebSocket-Accept is missing"),
            (Some(accept), None) if accept.as_bytes().trim_ascii() == self.accept.as_bytes() => {}
            _ => return Err("Sec-WebSocket-Accept is wrong"),
        }
        self.verify_subprotocol(headers)
    }

    fn verify_subprotocol(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(()),
            (Some(_), Some(_)) => Err("Sec-WebSocket-Protocol is repeated"),
            (Some(chosen), None) => {
                // Subprotocols are case-sensitive.
                match tokens(&self.offered, SEC_WEBSOCKET_PROTOCOL).any(|offer| offer == chosen.as_bytes()) {
                    true => Ok(()),
                    false => Err("Sec-WebSocket-Protocol was not offered"),
                }
            }
        }
    }
}

/// Returns the `Sec-WebSocket-Accept` value for a key
/// ([RFC 6455, 4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2), item 5.4).
pub(crate) fn accept_value(key: &[u8]) -> String {
    STANDARD.encode(
        Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize(),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::handshake::Mechanism;

    const VALID_ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const UPGRADE_WS: (&str, &str) = ("upgrade", "WebSocket");

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn expected(protocol: &'static str) -> ExpectedResponse {
        let sent = map(&[
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-protocol", "graphql-ws"),
        ]);
        let handshake = Handshake {
            mechanism: Mechanism::Upgrade,
            protocol: HeaderValue::from_static(protocol),
            on_upgrade: hyper::upgrade::on(http::Request::new(())),
            body: false,
        };
        ExpectedResponse::new(&handshake, &sent)
    }

    #[test]
    fn accept_value_matches_the_rfc_example() {
        assert_eq!(accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="), VALID_ACCEPT.1);
    }

    #[test]
    fn valid_101_loses_its_hop_by_hop_fields() {
        let mut headers = map(&[
            ("connection", "upgrade, x-hop"),
            UPGRADE_WS,
            ("x-hop", "1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
            VALID_ACCEPT,
            ("sec-websocket-protocol", "superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        expected("websocket").verify(Version::HTTP_11, &mut headers).unwrap();
        let kept = map(&[
            VALID_ACCEPT,
            ("sec-websocket-protocol", "superchat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        assert_eq!(headers, kept);
    }

    #[test]
    fn missing_connection_field_in_a_101_is_tolerated() {
        assert_eq!(
            expected("websocket").verify(Version::HTTP_11, &mut map(&[UPGRADE_WS, VALID_ACCEPT])),
            Ok(())
        );
    }

    #[test]
    fn mismatched_101_is_rejected() {
        let subprotocol = |name| ("sec-websocket-protocol", name);
        let table: [(&[(&str, &str)], &str); 10] = [
            (&[VALID_ACCEPT], "Upgrade is missing"),
            (&[("upgrade", "h2c"), VALID_ACCEPT], "another protocol"),
            (&[("upgrade", "websocket, h2c"), VALID_ACCEPT], "more than one protocol"),
            (&[UPGRADE_WS, UPGRADE_WS, VALID_ACCEPT], "more than one protocol"),
            (&[UPGRADE_WS], "Accept is missing"),
            (&[UPGRADE_WS, (VALID_ACCEPT.0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOa=")], "Accept is wrong"),
            (&[UPGRADE_WS, VALID_ACCEPT, VALID_ACCEPT], "Accept is wrong"),
            (&[UPGRADE_WS, VALID_ACCEPT, subprotocol("mqtt")], "not offered"),
            (&[UPGRADE_WS, VALID_ACCEPT, subprotocol("CHAT")], "not offered"),
            (&[UPGRADE_WS, VALID_ACCEPT, subprotocol("chat"), subprotocol("chat")], "is repeated"),
        ];
        for (lines, reason) in table {
            let error = expected("websocket").verify(Version::HTTP_11, &mut map(lines)).unwrap_err();
            assert!(error.contains(reason), "{error}: {lines:?}");
        }
    }

    #[test]
    fn other_protocols_require_only_their_name() {
        assert_eq!(expected("tcp").verify(Version::HTTP_11, &mut map(&[("upgrade", "TCP")])), Ok(()));
        assert!(expected("tcp").verify(Version::HTTP_11, &mut map(&[UPGRADE_WS, VALID_ACCEPT])).is_err());
    }
}
