//! [`ForwardedField`]: the policy for one field.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Policy for one of the fields of [`Forwarded`](super::Forwarded).
///
/// Except with [`Pass`](Self::Pass), the field is removed if the peer is not
/// [trusted](super::Forwarded::trust), together with its spellings with underscores (`X_Forwarded_For`),
/// which some servers treat as the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedField {
    /// Passed on unchanged, forged or not.
    Pass,
    /// Removed, even if the peer is trusted.
    Remove,
    /// Set by the proxy; received values are removed.
    Replace,
    /// Received values of a trusted peer are kept. The proxy appends its element to a list field, and sets a
    /// field with a single value only if it is missing.
    Append,
}

/// Sets one field by its policy. `merge` combines the values received from a trusted peer with the added
/// value.
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
    // Several field lines are one list (RFC 9110, 5.3).
    let received: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let value = match received.as_slice() {
        [] => Ok(added),
        lines => HeaderValue::from_bytes(&merge(lines.join(&b", "[..]), &added)),
    };
    if let Ok(value) = value {
        headers.insert(name.clone(), value);
    }
}

/// Appends the added value to the received list.
pub(super) fn append(mut received: Vec<u8>, added: &HeaderValue) -> Vec<u8> {
    received.extend_from_slice(b", ");
    received.extend_from_slice(added.as_bytes());
    received
}

/// Keeps the received value.
pub(super) fn keep(received: Vec<u8>, _: &HeaderValue) -> Vec<u8> {
    received
}

/// Removes a field and its spellings with underscores.
pub(in crate::rewrite) fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let is_alias = |other: &HeaderName| {
        (other.as_str().contains('_') || name.as_str().contains('_')) && dashed(other) == dashed(name)
    };
    let aliases: Vec<HeaderName> = headers.keys().filter(|other| is_alias(other)).cloned().collect();
    for alias in aliases {
        headers.remove(alias);
    }
}
