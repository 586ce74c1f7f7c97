//! [`FieldChanges`]: fields of the upstream request that the application has decided on.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::hop_by_hop::is_of_connection;
use crate::fields::remove;

/// Changes to the fields of an upstream request, carried in the extensions of the client's request.
///
/// They are applied after the hop-by-hop fields are removed, so that the client's `Connection` cannot remove them,
/// and they replace the client's fields of the same names. Those that would change the connection or the framing are
/// ignored.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldChanges(Vec<(HeaderName, Option<HeaderValue>)>);

impl FieldChanges {
    /// Sets a field to `value`; `None` removes it.
    pub(crate) fn set(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        self.0.push((name, value));
    }

    /// Returns the names of the changed fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    pub(super) fn apply(self, headers: &mut HeaderMap) {
        for (name, value) in self.0.into_iter().filter(|(name, _)| !is_of_connection(name)) {
            remove(headers, &name);
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_and_of_the_framing_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("4"));
        headers.insert("connection", HeaderValue::from_static("Upgrade"));
        let unchanged = headers.clone();
        let mut changes = FieldChanges::default();
        for name in ["content-length", "transfer-encoding", "connection", "upgrade", "te"] {
            changes.set(HeaderName::from_static(name), Some(HeaderValue::from_static("chunked")));
            changes.set(HeaderName::from_static(name), None);
        }
        changes.apply(&mut headers);
        assert_eq!(headers, unchanged);
    }

    #[test]
    fn the_client_s_fields_and_their_aliases_are_replaced() {
        let mut headers = HeaderMap::new();
        for name in ["x-user", "x_user", "x-role", "x_role", "x-kept", "x_kept"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("client"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("client"));
        }
        let mut changes = FieldChanges::default();
        changes.set(HeaderName::from_static("x-user"), Some(HeaderValue::from_static("first")));
        changes.set(HeaderName::from_static("x-user"), Some(HeaderValue::from_static("last")));
        changes.set(HeaderName::from_static("x_role"), None);
        changes.apply(&mut headers);
        let mut left: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        left.sort_unstable();
        let client = &b"client"[..];
        assert_eq!(
            left,
            [
                ("x-kept", client),
                ("x-kept", client),
                ("x-user", &b"last"[..]),
                ("x_kept", client),
                ("x_kept", client)
            ]
        );
    }
}
