//! What the upstream is told.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    FIELDS,
    grammar::{address, parse},
};
use crate::rewrite::forwarded::ForwardedField;

/// The value of a field when it is told, by what came and what is ours.
pub(super) fn check_field(
    (name, is_list): (&str, bool),
    policy: ForwardedField,
    trusted: bool,
    (before, ours, after): (&HeaderMap, &HeaderMap, &HeaderMap),
) {
    let lines = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    let came = lines(before);
    let joined = came.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    let expected = match (policy, ours.get(name)) {
        (ForwardedField::Pass, _) => came,
        (ForwardedField::Remove, _) => Vec::new(),
        (ForwardedField::Append, Some(ours)) if trusted && !came.is_empty() => {
            let tail = [b", ", ours.as_bytes()].concat();
            let value = if is_list { [&joined[..], &tail].concat() } else { joined };
            vec![HeaderValue::from_bytes(&value).unwrap()]
        }
        (ForwardedField::Append, None) if trusted => came,
        (_, ours) => ours.into_iter().cloned().collect(),
    };
    assert_eq!(lines(after), expected, "{name}");
}

/// Other fields stay, except what some servers take for one that was removed.
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
        // Lines of a name stay in order; that of names means nothing.
        others.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        others
    };
    let mut expected = others(before);
    expected.retain(|(name, _)| !removed(name.as_str()));
    assert_eq!(others(after), expected);
}

/// Our element says who, by which scheme and which host, to whoever reads it by the grammar.
pub(super) fn check_element(element: &HeaderValue, ip: Option<IpAddr>, https: bool, before: &HeaderMap) {
    let elements = parse(element.as_bytes()).expect("it follows the grammar");
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
    let asked = before.get("host").and_then(|host| host.to_str().ok()).map(|host| host.as_bytes().to_vec());
    assert_eq!(host, asked);
    assert_eq!(pairs.len(), 2 + usize::from(asked.is_some()));
}
