//! One field of the upstream's head, by its policy.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ForwardedField;

/// One field, by its policy. `merge` makes one value of the received and the added value.
pub(super) fn set(
    headers: &mut HeaderMap,
    name: &HeaderName,
    policy: ForwardedField,
    trusted: bool,
    added: Option<HeaderValue>,
    merge: fn(Vec<u8>, &HeaderValue) -> Vec<u8>,
) {
    match policy {
        ForwardedField::Pass => return,
        ForwardedField::Append if trusted => {}
        ForwardedField::Append | ForwardedField::Remove | ForwardedField::Replace => remove(headers, name),
    }
    let Some(added) = added.filter(|_| policy != ForwardedField::Remove) else { return };
    // One element a line is the same list (RFC 9110, 5.3).
    let received: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let value = match received.as_slice() {
        [] => Ok(added),
        lines => HeaderValue::from_bytes(&merge(lines.join(&b", "[..]), &added)),
    };
    if let Ok(value) = value {
        headers.insert(name.clone(), value);
    }
}

/// A list gets our element at its end.
pub(super) fn append(mut received: Vec<u8>, added: &HeaderValue) -> Vec<u8> {
    received.extend_from_slice(b", ");
    received.extend_from_slice(added.as_bytes());
    received
}

/// Keeps the received value.
pub(super) fn keep(received: Vec<u8>, _: &HeaderValue) -> Vec<u8> {
    received
}

/// Removes a field, and what some servers take for it: its name with underscores.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let dashed = |other: &HeaderName| {
        other.as_str().contains('_') && other.as_str().replace('_', "-") == name.as_str()
    };
    let aliases: Vec<HeaderName> = headers.keys().filter(|other| dashed(other)).cloned().collect();
    for alias in aliases {
        headers.remove(alias);
    }
}
