//! Expected fields of the upstream request.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    super::detect::is_host,
    FIELDS,
    grammar::{address, parse},
};
use crate::rewrite::forwarded::ForwardedField;

/// The heads of one request, and the facts about its client.
pub(super) struct Case<'a> {
    pub(super) trusted: bool,
    pub(super) peer: Option<IpAddr>,
    pub(super) client: Option<IpAddr>,
    /// The received fields.
    pub(super) before: &'a HeaderMap,
    /// The fields that the proxy adds to a request without any.
    pub(super) added: &'a HeaderMap,
    pub(super) after: &'a HeaderMap,
}

impl Case<'_> {
    /// Returns true if the hop before the peer has an address. The value of `X-Real-IP` decides for a `Forwarded` that does not
    /// follow the grammar.
    fn reports_address(&self) -> bool {
        let lines = |name| self.before.get_all(name).iter().map(HeaderValue::as_bytes);
        if let Some(line) = lines("x-forwarded-for").next_back() {
            return address(line.split(|byte| *byte == b',').next_back().unwrap_or_default()).is_some();
        }
        let Some(line) = lines("forwarded").next_back() else { return false };
        let Some(elements) = parse(line) else {
            let real = self.after.get("x-real-ip").map(|value| value.as_bytes().to_vec());
            return real == self.client.map(|ip| ip.to_string().into_bytes());
        };
        let mut nodes = elements.last().into_iter().flatten().filter(|(name, _)| name == "for");
        let is_address = |(_, value): &(String, Vec<u8>)| address(value).is_some() && !value.contains(&b'\\');
        nodes.next().is_some_and(is_address) && nodes.next().is_none()
    }

    /// Checks one field.
    pub(super) fn check(&self, name: &str, policy: ForwardedField) {
        let lines = |headers: &HeaderMap| {
            let lines = headers.get_all(name).iter();
            lines.map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>()
        };
        let (received, after) = (lines(self.before), lines(self.after));
        let list = received.join(&b", "[..]);
        let own = lines(self.added).pop();
        let client = self.client.map(|client| client.to_string().into_bytes());
        let expected = match policy {
            ForwardedField::Pass => {
                assert_eq!(after, received, "{name}");
                return;
            }
            ForwardedField::Remove => None,
            ForwardedField::Append if self.trusted => self.kept(name, &list, own, client),
            ForwardedField::Append | ForwardedField::Replace if name == "x-real-ip" => client,
            ForwardedField::Append | ForwardedField::Replace => own,
        };
        assert_eq!(after, expected.into_iter().collect::<Vec<_>>(), "{name}");
    }

    /// Returns the value of a field that a trusted peer may set.
    fn kept(
        &self,
        name: &str,
        list: &[u8],
        own: Option<Vec<u8>>,
        client: Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let has = |name| self.before.contains_key(name);
        let last = |list: &[u8]| list.split(|byte| *byte == b',').next_back().unwrap().trim_ascii().to_vec();
        let is_behind = self.client != self.peer;
        let join = |earlier: Option<Vec<u8>>| {
            let elements: Vec<_> = earlier.into_iter().chain(own.clone()).collect();
            Some(elements.join(&b", "[..])).filter(|list| !list.is_empty())
        };
        match name {
            "x-forwarded-for" | "via" | "forwarded" if !list.is_empty() => join(Some(list.to_vec())),
            "x-forwarded-for" => join(client.filter(|_| is_behind)),
            "via" => own,
            "forwarded" if is_behind => {
                let proto = self.before.get_all("x-forwarded-proto").iter().next_back();
                let proto = proto.and_then(|proto| known_scheme(&last(proto.as_bytes())));
                let node = match self.client? {
                    ip @ IpAddr::V4(_) => format!("for={ip}"),
                    ip @ IpAddr::V6(_) => format!("for=\"[{ip}]\""),
                };
                join(Some(
                    [node, proto.map(|proto| format!(";proto={proto}")).unwrap_or_default()].concat().into(),
                ))
            }
            "forwarded" => own,
            "x-forwarded-proto" if list.is_empty() && has("forwarded") && !has("x-forwarded-for") => {
                // A scheme in any of the elements that are read.
                let value = self.after[name].as_bytes();
                known_scheme(value).map(|scheme| scheme.as_bytes().to_vec())
            }
            "x-forwarded-proto" => known_scheme(&last(list)).map(Into::into).or(own),
            "x-forwarded-host" => Some(last(list)).filter(|host| is_host(host)).or(own),
            "x-forwarded-prefix" => Some(list.to_vec()).filter(|list| is_prefix(list)).or(own),
            _ if is_behind || self.reports_address() => client,
            _ => address(list).map(|ip| ip.to_string().into_bytes()).or(client),
        }
    }
}

/// Returns true for absolute paths of RFC 3986, separated by commas, of which none starts with two slashes.
fn is_prefix(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',').all(|path| {
        let path = path.trim_ascii();
        path.first() == Some(&b'/')
            && path.get(1) != Some(&b'/')
            && path.iter().all(|byte| byte.is_ascii_graphic() && !b"\"#<>?[\\]^`{|}".contains(byte))
    })
}

/// Returns the scheme in lower case, if proxies send it.
fn known_scheme(text: &[u8]) -> Option<String> {
    let text = str::from_utf8(text).ok()?.to_ascii_lowercase();
    ["http", "https", "ws", "wss"].contains(&text.as_str()).then_some(text)
}

/// Checks that other fields are kept, except aliases of removed fields with underscores.
pub(super) fn check_untouched(policies: &[ForwardedField], before: &HeaderMap, after: &HeaderMap) {
    let removed = |name: &str| {
        let dashed = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let field = FIELDS.iter().zip(policies).find(|(field, _)| **field == dashed && name != dashed);
        field.is_some_and(|(_, policy)| *policy != ForwardedField::Pass)
    };
    let others = |headers: &HeaderMap| {
        let mut others: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        others.retain(|(name, _)| FIELDS.iter().all(|field| field != name));
        // The order is significant among lines of one name only.
        others.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        others
    };
    let mut expected = others(before);
    expected.retain(|(name, _)| !removed(name.as_str()));
    assert_eq!(others(after), expected);
}

/// Checks that the added element of `Forwarded` follows the grammar and has the address, scheme and host.
pub(super) fn check_element(element: &HeaderValue, ip: Option<IpAddr>, https: bool, before: &HeaderMap) {
    let elements = parse(element.as_bytes()).expect("the element follows the grammar");
    let [pairs] = elements.as_slice() else { panic!("{} elements", elements.len()) };
    let value = |name: &str| pairs.iter().find(|(pair, _)| pair == name).map(|(_, value)| value.clone());
    let node = value("for").unwrap();
    assert_eq!(address(&node), ip);
    assert!(ip.is_some() || node == b"unknown");
    assert_eq!(value("proto").unwrap(), if https { &b"https"[..] } else { b"http" });
    let host = value("host").map(|host| {
        let mut escaped = false;
        host.into_iter()
            .filter(|byte| {
                escaped = *byte == b'\\' && !escaped;
                !escaped
            })
            .collect::<Vec<u8>>()
    });
    let requested =
        before.get("host").and_then(|host| host.to_str().ok()).map(|host| host.as_bytes().to_vec());
    assert_eq!(host, requested);
    assert_eq!(pairs.len(), 2 + usize::from(requested.is_some()));
}
