//! Expected address of the client behind a trusted peer.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{
    forwarded,
    grammar::{Element, address, parse},
    is_trusted,
};
use crate::rewrite::forwarded::ForwardedField;

/// Follows the hops from right to left while they are trusted.
fn follow(peer: IpAddr, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> IpAddr {
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
        assert_eq!(client, follow(peer, hops.into_iter()));
    } else if let Some(lines) = all("forwarded").map(parse).collect::<Option<Vec<_>>>() {
        let node = |element: &Element| {
            let mut nodes = element.iter().filter(|(name, _)| name == "for");
            let (_, value) = nodes.next()?;
            // Proxies do not escape addresses.
            address(value).filter(|_| nodes.next().is_none() && !value.contains(&b'\\'))
        };
        assert_eq!(client, follow(peer, lines.concat().iter().map(node)));
    } else if client != peer {
        let values = all("forwarded").map(String::from_utf8_lossy).collect::<String>().to_ascii_lowercase();
        assert!(values.contains("for="), "{client} is not in the fields");
    }
    // An address appended by a trusted proxy is found, whatever precedes it.
    for (name, hop) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "For=\"203.0.113.7:1\"")] {
        let mut appended = headers.clone();
        if name == "forwarded" {
            appended.remove("x-forwarded-for");
        }
        let received =
            appended.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
        appended
            .insert(name, HeaderValue::from_bytes(&[&received[..], b", ", hop.as_bytes()].concat()).unwrap());
        let found =
            super::client(&forwarded(&[ForwardedField::Pass; 7]), "10.0.0.1:1".parse().ok(), &appended);
        assert_eq!(found, Some(IpAddr::from([203, 0, 113, 7])));
    }
}
