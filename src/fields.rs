//! Names of fields: those that belong to one connection, and spellings that servers take for the same name.

use http::{
    HeaderMap, HeaderName,
    header::{CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};

/// Fields that are valid for one connection only, whether `Connection` names them or not
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
pub(crate) const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("http2-settings"),
];

/// Returns true if the names differ at most in the characters other than letters and digits. Servers with the CGI interface
/// read `X_User`, and some of them `X.User`, as `X-User`
/// ([RFC 3875, 4.1.18](https://www.rfc-editor.org/rfc/rfc3875#section-4.1.18)).
pub(crate) fn is_alias(one: &HeaderName, other: &HeaderName) -> bool {
    one.as_str().len() == other.as_str().len() && dashed(one).eq(dashed(other))
}

/// Returns the name with dashes in place of the characters other than letters and digits, which is the same for all aliases.
pub(crate) fn dashed(name: &HeaderName) -> impl Iterator<Item = u8> + '_ {
    name.as_str().bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' })
}

/// Returns true for a name of letters, digits and dashes.
pub(crate) fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Removes a field and the aliases of its name.
pub(crate) fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    remove_if(headers, |other| is_alias(other, name));
}

/// Removes the fields whose names match.
pub(crate) fn remove_if(headers: &mut HeaderMap, matches: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| matches(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
