//! The response to the client for an accepted upgrade.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE},
};

use super::Mechanism;

/// Converts a verified upstream response to the response of the client's mechanism: a 101 or a 200.
///
/// HTTP/2 has no 101, no `Connection` and no `Upgrade`. The accept value is removed too, as an HTTP/2 client
/// sends no key ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
pub(crate) fn accept<B>(mechanism: Mechanism, protocol: &HeaderValue, response: &mut Response<B>) {
    let headers = response.headers_mut();
    match mechanism {
        Mechanism::Upgrade => {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, protocol.clone());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        Mechanism::ExtendedConnect => {
            headers.remove(SEC_WEBSOCKET_ACCEPT);
            *response.status_mut() = StatusCode::OK;
        }
    }
    *response.version_mut() = mechanism.version();
}
