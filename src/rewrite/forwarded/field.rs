//! One field of the upstream's head, by its policy.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ForwardedField;

/// One field, by its policy. `merge` makes one value of what a trusted peer said and ours.
pub(super) fn set(
    headers: &mut HeaderMap,
    name: &HeaderName,
    policy: ForwardedField,
    trusted: bool,
    ours: Option<HeaderValue>,
    merge: fn(Vec<u8>, &HeaderValue) -> Vec<u8>,
) {
    match policy {
        ForwardedField::Pass => return,
        ForwardedField::Append if trusted => {}
        ForwardedField::Append | ForwardedField::Remove | ForwardedField::Replace => remove(headers, name),
    }
    let Some(ours) = ours.filter(|_| policy != ForwardedField::Remove) else { return };
    // One element a line is the same list (RFC 9110, 5.3).
    let came: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let value = match came.as_slice() {
        [] => Ok(ours),
        lines => HeaderValue::from_bytes(&merge(lines.join(&b", "[..]), &ours)),
    };
    if let Ok(value) = value {
        headers.insert(name.clone(), value);
    }
}

/// A list gets our element at its end.
pub(super) fn append(mut came: Vec<u8>, ours: &HeaderValue) -> Vec<u8> {
    came.extend_from_slice(b", ");
    came.extend_from_slice(ours.as_bytes());
    came
}

/// What came stays.
pub(super) fn keep(came: Vec<u8>, _: &HeaderValue) -> Vec<u8> {
    came
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
