//! Who the client is, when the peer is trusted.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    forwarded,
    grammar::{Element, address, parse},
    is_trusted,
};
use crate::rewrite::forwarded::ForwardedField;

/// From right to left, as long as the hops are trusted.
fn walk(peer: IpAddr, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut client = peer;
    for hop in hops.rev().take(32) {
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

pub(super) fn check_client(client: IpAddr, peer: IpAddr, headers: &HeaderMap) {
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    if headers.contains_key("x-forwarded-for") {
        let list = all("x-forwarded-for").collect::<Vec<_>>().join(&b","[..]);
        let hops: Vec<_> = list.split(|byte| *byte == b',').map(address).collect();
        assert_eq!(client, walk(peer, hops.into_iter()));
    } else if let Some(lines) = all("forwarded").map(parse).collect::<Option<Vec<_>>>() {
        let node = |element: &Element| {
            let mut nodes = element.iter().filter(|(name, _)| name == "for");
            let (_, value) = nodes.next()?;
            // What is escaped is no address of a proxy's.
            address(value).filter(|_| nodes.next().is_none() && !value.contains(&b'\\'))
        };
        assert_eq!(client, walk(peer, lines.concat().iter().map(node)));
    } else if client != peer {
        let said = all("forwarded").map(String::from_utf8_lossy).collect::<String>().to_ascii_lowercase();
        assert!(said.contains("for="), "{client} is invented");
    }
    // What a trusted proxy appends is found, whatever stands before it.
    for (name, hop) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "For=\"203.0.113.7:1\"")] {
        let mut appended = headers.clone();
        if name == "forwarded" {
            appended.remove("x-forwarded-for");
        }
        let came =
            appended.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
        appended.insert(name, HeaderValue::from_bytes(&[&came[..], b", ", hop.as_bytes()].concat()).unwrap());
        let found =
            super::client(&forwarded(&[ForwardedField::Pass; 7]), "10.0.0.1:1".parse().ok(), &appended);
        assert_eq!(found, Some(IpAddr::from([203, 0, 113, 7])));
    }
}
