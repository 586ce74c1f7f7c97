//! Detection of upgrade requests.

use std::{borrow::Cow, fmt::Debug};

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use http::{
    HeaderMap, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE},
};
use hyper::{ext, upgrade::OnUpgrade};

use super::{Handshake, Mechanism, Protocol, Protocols, is_websocket};
#[cfg(feature = "tracing")]
use crate::received::{original_uri, text::clip};
use crate::{
    authority,
    error::{Error, Kind},
    rewrite::tokens,
};

/// Base64 of keys, with padding. The last character of 16 bytes has four bits without a meaning, and they may
/// be set: they are in the example of [RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1),
/// `AQIDBAUGBwgJCgsMDQ4PEC==`. The accept value is made of the text of a key, not of its bytes.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Takes the handshake out of `request`, if it is an upgrade request.
///
/// Returns `None`, with the request unchanged, for any other request. An upgrade request is on a connection
/// that can be upgraded (the server has set its `OnUpgrade` extension) and fulfils one of two conditions. In
/// HTTP/1.1 ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)):
///
/// - a `Connection` line contains the token `upgrade`, and
/// - `Upgrade` names an allowed protocol whose methods include that of the request. The first such protocol
///   in the client's order is taken.
///
/// In HTTP/2 ([RFC 8441, 4](https://www.rfc-editor.org/rfc/rfc8441#section-4)): the method is CONNECT, and
/// `:protocol` names an allowed protocol whose methods include GET, the method of the upstream request.
///
/// # Errors
///
/// If an upgrade request is not a valid handshake: see [`check_authority`] and [`check_handshake`].
pub(crate) fn detect<B>(request: &mut Request<B>, protocols: &Protocols) -> Result<Option<Handshake>, Error> {
    let (method, version, headers) = (request.method(), request.version(), request.headers());
    let (mechanism, requested) = match extended_connect(request) {
        Some(protocol) => (Mechanism::ExtendedConnect, connect_protocol(protocol, protocols)),
        None if !headers.contains_key(UPGRADE) => return Ok(None),
        None => (Mechanism::Upgrade, requested_protocol(method, version, headers, protocols)),
    };
    let upgradable = request.extensions().get::<OnUpgrade>().is_some();
    let found = match requested {
        Ok(_) if !upgradable => Err("the connection cannot be upgraded"),
        found => found,
    };
    let protocol = match found {
        Ok(protocol) => protocol,
        Err(reason) => {
            let token = extended_connect(request).map(|protocol| protocol as &dyn Debug);
            let upgrade = token.or_else(|| headers.get(UPGRADE).map(|upgrade| upgrade as &dyn Debug));
            #[cfg(feature = "tracing")]
            {
                let uri = original_uri(request.uri(), request.extensions());
                tracing::debug!(
                    method = &*clip(method.as_str()),
                    path = &*clip(uri.path()),
                    ?upgrade,
                    reason,
                    "upgrade request not taken"
                );
            }
            #[cfg(not(feature = "tracing"))]
            let _ = (upgrade, reason);
            return Ok(None);
        }
    };
    match mechanism {
        Mechanism::Upgrade => {
            check_authority(request.uri()).and_then(|()| check_handshake(&protocol, headers))
        }
        // The authority takes the place of `Host`.
        Mechanism::ExtendedConnect if request.uri().authority().is_none() => Err(":authority is missing"),
        Mechanism::ExtendedConnect => check_authority(request.uri()),
    }
    .map_err(|reason| Error::new(Kind::Handshake(reason)))?;
    Ok(request.extensions_mut().remove::<OnUpgrade>().map(|on_upgrade| Handshake {
        mechanism,
        protocol: protocol.name().clone(),
        // The data after an extended CONNECT belongs to the tunnel.
        body: mechanism == Mechanism::Upgrade && protocol.allows_body(),
        on_upgrade,
    }))
}

/// Returns the `:protocol` of an extended CONNECT.
fn extended_connect<B>(request: &Request<B>) -> Option<&ext::Protocol> {
    let connect = *request.method() == Method::CONNECT && request.version() == Version::HTTP_2;
    connect.then(|| request.extensions().get())?
}

/// Returns the protocol of an extended CONNECT, or the reason it is not accepted.
fn connect_protocol<'a>(
    protocol: &ext::Protocol,
    protocols: &'a Protocols,
) -> Result<Cow<'a, Protocol>, &'static str> {
    let found = protocols.find(protocol.as_ref()).ok_or("its :protocol is not allowed")?;
    if found.allows(&Method::GET) { Ok(found) } else { Err("the protocol does not allow GET") }
}

/// Checks that the authority of a target, if it has one, is valid as a `Host`: it replaces any `Host` that the
/// client sent, for a target in absolute form
/// ([RFC 9112, 3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)) and for `:authority`
/// ([RFC 9113, 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
pub(crate) fn check_authority(uri: &Uri) -> Result<(), &'static str> {
    match uri.authority() {
        Some(authority) if authority::parse(authority.as_str().as_bytes()).is_none() => {
            Err("the authority of the target is not valid")
        }
        _ => Ok(()),
    }
}

/// Returns the protocol to upgrade the request to, or the reason there is none.
fn requested_protocol<'a>(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    protocols: &'a Protocols,
) -> Result<Cow<'a, Protocol>, &'static str> {
    if version != Version::HTTP_11 {
        return Err("the HTTP version is not 1.1");
    }
    if !tokens::contains(headers, CONNECTION, "upgrade") {
        return Err("Connection does not contain the token `upgrade`");
    }
    let mut reason = "no protocol in Upgrade is allowed";
    for protocol in tokens::tokens(headers, UPGRADE).filter_map(|token| protocols.find(token)) {
        if protocol.allows(method) {
            return Ok(protocol);
        }
        reason = "the protocol does not allow the method";
    }
    Err(reason)
}

/// Checks a handshake before the proxy connects to the upstream.
///
/// Required are exactly one valid `Host`
/// ([RFC 9112, 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)), no body unless the protocol allows
/// one, and for WebSocket exactly one `Sec-WebSocket-Key` of 16 bytes
/// ([RFC 6455, 4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1)). `Sec-WebSocket-Version` is left
/// to the upstream.
fn check_handshake(protocol: &Protocol, headers: &HeaderMap) -> Result<(), &'static str> {
    check_host(headers)?;
    check_coding(headers)?;
    if !protocol.allows_body() && has_body(headers) {
        return Err("an upgrade request cannot have a body");
    }
    if is_websocket(protocol.name().as_bytes()) {
        let key =
            single_value(headers, SEC_WEBSOCKET_KEY).ok_or("exactly one Sec-WebSocket-Key is required")?;
        match KEY_BASE64.decode(key) {
            Ok(nonce) if nonce.len() == 16 => {}
            _ => return Err("Sec-WebSocket-Key is not valid"),
        }
    }
    Ok(())
}

/// Checks that there is exactly one `Host`, and that it is valid.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), &'static str> {
    let host = single_value(headers, HOST).ok_or("exactly one Host is required")?;
    authority::parse(host).map(|_| ()).ok_or("Host is not valid")
}

/// Checks that there is no transfer coding other than `chunked`. Codings apply to one connection
/// ([RFC 9112, 6.1](https://www.rfc-editor.org/rfc/rfc9112#section-6.1)): a coded body, passed on without the
/// name of its coding, would be read as the plain one.
pub(crate) fn check_coding(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut codings = tokens::tokens(headers, TRANSFER_ENCODING);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("the transfer coding is not supported"),
    }
}

/// Returns the value of a field, if it has exactly one line.
fn single_value(headers: &HeaderMap, name: http::HeaderName) -> Option<&[u8]> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// Returns true if the head announces a body
/// ([RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)). The size hint of the body is not
/// used: middleware may have wrapped the body in a type without one.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
}

#[cfg(test)]
mod tests {
    use http::request::Builder;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn websocket() -> Builder {
        Request::get("/chat").header("host", "a.example").header("sec-websocket-key", KEY)
    }

    fn requested(builder: Builder, protocols: &Protocols) -> Result<String, &'static str> {
        let request = builder.body(()).unwrap();
        requested_protocol(request.method(), request.version(), request.headers(), protocols)
            .map(|protocol| protocol.name().to_str().unwrap().to_owned())
    }

    #[test]
    fn upgrades_are_detected_by_tokens() {
        let websocket_only = Protocols::websocket();
        let more = Protocols::websocket()
            .allow(Protocol::new("tcp").unwrap().methods([Method::POST]))
            .allow(Protocol::new("SPDY/3.1").unwrap());
        let any = Protocols::any();
        let (version, connection) =
            ("the HTTP version is not 1.1", "Connection does not contain the token `upgrade`");
        let (protocol, method) =
            ("no protocol in Upgrade is allowed", "the protocol does not allow the method");
        let request = |connection: &'static [&str], upgrade: &'static [&str]| {
            let mut builder = websocket();
            for line in connection {
                builder = builder.header("connection", *line);
            }
            for line in upgrade {
                builder = builder.header("upgrade", *line);
            }
            builder
        };
        let plain = || request(&["Upgrade"], &["websocket"]);
        let upgrade_to =
            |token: &'static str| websocket().header("connection", "upgrade").header("upgrade", token);
        let table = [
            (plain(), &websocket_only, Ok("websocket")),
            (request(&["keep-alive, uPGRADE"], &["WebSocket"]), &websocket_only, Ok("websocket")),
            (request(&["", "keep-alive", "upgrade"], &["websocket"]), &websocket_only, Ok("websocket")),
            (request(&["upgrade"], &["foo, h2c", " websocket"]), &websocket_only, Ok("websocket")),
            (request(&[], &["websocket"]), &websocket_only, Err(connection)),
            (request(&["keep-alive, upgraded"], &["websocket"]), &websocket_only, Err(connection)),
            (request(&["upgrade"], &["websockets"]), &websocket_only, Err(protocol)),
            (request(&["upgrade"], &["websocket/13"]), &websocket_only, Err(protocol)),
            (upgrade_to("h2c"), &any, Err(protocol)),
            (upgrade_to("TLS/1.0"), &websocket_only, Err(protocol)),
            (upgrade_to("TLS/1.0"), &any, Ok("TLS/1.0")),
            (upgrade_to("spdy/3.1"), &more, Ok("SPDY/3.1")),
            (upgrade_to("tcp"), &more, Err(method)),
            (upgrade_to("tcp").method(Method::POST), &more, Ok("tcp")),
            (plain().method(Method::POST), &any, Err(method)),
            (plain().version(Version::HTTP_10), &any, Err(version)),
            (plain().version(Version::HTTP_2), &any, Err(version)),
        ];
        for (builder, protocols, expected) in table {
            let headers = builder.headers_ref().cloned();
            assert_eq!(requested(builder, protocols), expected.map(str::to_owned), "{headers:?}");
        }
    }

    #[test]
    fn invalid_handshakes_are_rejected_with_a_reason() {
        let protocols = Protocols::websocket();
        let protocol = &*protocols.find(b"websocket").unwrap();
        let with_body = Protocol::new("tcp").unwrap().with_request_body();
        let bare = || Request::get("/").header("host", "a.example");
        let no_host = || Request::get("/").header("sec-websocket-key", KEY);
        let table = [
            (websocket(), protocol, None),
            (websocket().header("content-length", "0"), protocol, None),
            (no_host().header("host", "[::1]:9000"), protocol, None),
            (no_host().header("host", "a.example:"), protocol, None),
            (no_host().header("host", "%2Fvar%2Frun%2Fdocker.sock"), protocol, None),
            (bare().header("content-length", "5"), &with_body, None),
            (websocket().header("content-length", "5"), protocol, Some("body")),
            (websocket().header("transfer-encoding", "chunked"), protocol, Some("body")),
            (bare().header("transfer-encoding", "Chunked"), &with_body, None),
            (bare().header("transfer-encoding", "gzip, chunked"), &with_body, Some("coding")),
            (bare().header("transfer-encoding", "chunked, chunked"), &with_body, Some("coding")),
            (no_host(), protocol, Some("one Host")),
            (websocket().header("host", "b.example"), protocol, Some("one Host")),
            (no_host().header("host", "a/b"), protocol, Some("Host is not valid")),
            (no_host().header("host", "u@a"), protocol, Some("Host is not valid")),
            (no_host().header("host", ""), protocol, Some("Host is not valid")),
            (no_host().header("host", "a:http"), protocol, Some("Host is not valid")),
            (no_host().header("host", "a%zz"), protocol, Some("Host is not valid")),
            (bare(), protocol, Some("one Sec-WebSocket-Key")),
            (websocket().header("sec-websocket-key", KEY), protocol, Some("one Sec-WebSocket-Key")),
            (bare().header("sec-websocket-key", &b"\xff\xfe"[..]), protocol, Some("Key is not valid")),
        ];
        let with_key = |key: &str| bare().header("sec-websocket-key", key);
        for key in ["AQIDBAUGBwgJCgsMDQ4PEA==", "AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PE/=="] {
            let request = with_key(key).body(()).unwrap();
            assert_eq!(check_handshake(protocol, request.headers()), Ok(()), "{key}");
        }
        let invalid_keys = [
            "",
            "dGhlIHNhbXBsZQ==",
            "AQIDBAUGBwgJCgsMDQ4P",
            "AQIDBAUGBwgJCgsMDQ4PEBE=",
            "AQIDBAUGBwgJCgsMDQ4PEC",
            "AQIDBAUGBwgJCgsMDQ4PEC=",
            "AQIDBAUGBwgJCgsMDQ4PEC===",
            "AQIDBAUGBwgJCgsMDQ4PEC==AA",
            "AQIDBAUG BwgJCgsMDQ4PEC==",
            "AQIDBAUGBwgJCgsMDQ4PE_==",
        ];
        let keys = invalid_keys.map(|key| (with_key(key), protocol, Some("Key is not valid")));
        for (builder, protocol, reason) in table.into_iter().chain(keys) {
            let request = builder.body(()).unwrap();
            let result = check_handshake(protocol, request.headers());
            match reason {
                None => assert_eq!(result, Ok(())),
                Some(reason) => assert!(result.unwrap_err().contains(reason), "{result:?} {reason}"),
            }
        }
    }
}
