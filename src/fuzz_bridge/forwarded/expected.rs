//! Expected fields of the upstream request.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    FIELDS,
    grammar::{address, parse},
};
use crate::rewrite::forwarded::ForwardedField;

/// Checks one field, given the received fields and those added by the proxy.
pub(super) fn check_field(
    (name, is_list): (&str, bool),
    policy: ForwardedField,
    trusted: bool,
    (before, added, after): (&HeaderMap, &HeaderMap, &HeaderMap),
) {
    let lines = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    let received = lines(before);
    let joined = received.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    let expected = match (policy, added.get(name)) {
        (ForwardedField::Pass, _) => received,
        (ForwardedField::Remove, _) => Vec::new(),
        (ForwardedField::Append, Some(added)) if trusted && !received.is_empty() => {
            let tail = [b", ", added.as_bytes()].concat();
            let value = if is_list { [&joined[..], &tail].concat() } else { joined };
            vec![HeaderValue::from_bytes(&value).unwrap()]
        }
        (ForwardedField::Append, None) if trusted => received,
        (_, added) => added.into_iter().cloned().collect(),
    };
    assert_eq!(lines(after), expected, "{name}");
}

/// Checks that other fields are kept, except aliases of removed fields with underscores.
pub(super) fn check_untouched(
    policies: &[ForwardedField],
    trusted: bool,
    before: &HeaderMap,
    after: &HeaderMap,
) {
    let removed = |name: &str| {
        let dashed = name.replace('_', "-");
        let field =
            FIELDS.iter().zip(policies).find(|((field, _), _)| *field == dashed && name.contains('_'));
        field.is_some_and(|(_, policy)| match policy {
            ForwardedField::Pass => false,
            ForwardedField::Append => !trusted,
            _ => true,
        })
    };
    let others = |headers: &HeaderMap| {
        let mut others: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        others.retain(|(name, _)| FIELDS.iter().all(|(field, _)| field != name));
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
