//! [`ForwardedField`]: the policy for one field.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::fields::remove;

/// Policy for one of the fields of [`Forwarded`](super::Forwarded).
///
/// Except with [`Pass`](Self::Pass), the field is removed if the peer is not
/// [trusted](super::Forwarded::trust), and its spellings with underscores or dots (`X_Forwarded_For`), which some servers
/// treat as the same name, are always removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedField {
    /// Passed on unchanged, forged or not.
    Pass,
    /// Removed, even if the peer is trusted.
    Remove,
    /// Set by the proxy; received values are removed.
    Replace,
    /// Received values of a trusted peer are kept. The proxy appends its element to a list field, and sets a
    /// field with a single value only if it is missing or not valid.
    Append,
}

/// Sets one field by its policy to the value that `make` returns.
///
/// `make` gets the list received from a trusted peer if its policy keeps it, empty if there is none, and `None` if received
/// values are not used. Several lines are one list ([RFC 9110, 5.3](https://www.rfc-editor.org/rfc/rfc9110#section-5.3)).
pub(super) fn set(
    headers: &mut HeaderMap,
    name: &HeaderName,
    policy: ForwardedField,
    trusted: bool,
    make: impl FnOnce(Option<&[u8]>) -> Option<HeaderValue>,
) {
    if policy == ForwardedField::Pass {
        return;
    }
    let kept = (policy == ForwardedField::Append && trusted).then(|| {
        let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        lines.join(&b", "[..])
    });
    remove(headers, name);
    if policy == ForwardedField::Remove {
        return;
    }
    if let Some(value) = make(kept.as_deref()) {
        headers.insert(name.clone(), value);
    }
}

/// Returns a list of `kept`, or, if nothing was received, of `translated` from another field, and `added`.
pub(super) fn append(
    kept: Option<&[u8]>,
    translated: Option<String>,
    added: Option<String>,
) -> Option<HeaderValue> {
    let earlier = match kept {
        Some([]) => translated.map(String::into_bytes),
        Some(list) => Some(list.to_vec()),
        None => None,
    };
    let elements: Vec<Vec<u8>> = earlier.into_iter().chain(added.map(String::into_bytes)).collect();
    HeaderValue::from_bytes(&elements.join(&b", "[..])).ok().filter(|list| !list.is_empty())
}

/// Returns the last element of a list, the one that the peer added.
pub(super) fn last(list: &[u8]) -> &[u8] {
    list.rsplit(|byte| *byte == b',').next().unwrap_or(list).trim_ascii()
}
