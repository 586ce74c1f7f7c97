//! Address and scheme of the client behind trusted proxies.

pub(super) mod parse;

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header::FORWARDED, request::Parts};

use super::{Forwarded, Peer, X_FORWARDED_FOR};
use parse::Hop;

/// Maximum number of hops read, more than any real chain of proxies has.
const MAX_HOPS: usize = 32;

/// The client as reported by trusted proxies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Client {
    /// That of the peer if no proxy is trusted, or none reports an address.
    pub(super) address: Option<IpAddr>,
    /// Scheme by which the client reached the first trusted proxy. `None` if no proxy reports it in `Forwarded`.
    pub(super) scheme: Option<&'static str>,
    /// The address was read in a list, not taken from the connection.
    pub(super) is_reported: bool,
}

impl Forwarded {
    /// Returns the address of the client, as described at [`Forwarded`]. `None` if the address of the peer is
    /// unknown, unless it is a trusted unix socket.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        self.reported_client(parts).address
    }

    /// Returns true if the peer is a trusted proxy, whose connections carry requests of many clients.
    pub(crate) fn trusts_peer(&self, extensions: &Extensions) -> bool {
        Peer::from_extensions(extensions).is_some_and(|peer| match peer.address() {
            Some(address) => self.trusts(address.ip()),
            None => self.trusts_unix,
        })
    }

    pub(super) fn reported_client(&self, parts: &Parts) -> Client {
        let peer = Peer::from_extensions(&parts.extensions).and_then(Peer::address);
        let peer = Client { address: peer.map(|address| address.ip().to_canonical()), ..Client::default() };
        if !self.trusts_peer(&parts.extensions) {
            return peer;
        }
        let headers = &parts.headers;
        if headers.contains_key(X_FORWARDED_FOR) {
            self.follow(peer, lines_reversed(headers, X_FORWARDED_FOR).flat_map(parse::x_forwarded_for))
        } else {
            self.follow(peer, lines_reversed(headers, FORWARDED).flat_map(parse::forwarded))
        }
    }

    /// Follows the hops from the peer to the first address that is not trusted, or to the last one before
    /// an entry that is not an address. Each hop that is read was reported by a trusted proxy.
    fn follow(&self, peer: Client, hops: impl Iterator<Item = Hop>) -> Client {
        let mut client = peer;
        for hop in hops.take(MAX_HOPS) {
            client.scheme = hop.scheme.or(client.scheme);
            let Some(address) = hop.address else { break };
            client.address = Some(address);
            client.is_reported = true;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// Returns the lines of a list field, the last one first. Several lines are one list
/// ([RFC 9110, 5.3](https://www.rfc-editor.org/rfc/rfc9110#section-5.3)).
fn lines_reversed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().rev().map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn client(forwarded: &Forwarded, peer: &str, lines: &[(&str, &[u8])]) -> String {
        let mut builder = Request::get("/");
        for (name, value) in lines {
            builder = builder.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        parts.extensions.insert(Peer::new(peer.parse().unwrap()));
        forwarded.client(&parts).unwrap().to_string()
    }

    fn trusting() -> Forwarded {
        Forwarded::none().trust(["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()))
    }

    #[test]
    fn client_is_the_nearest_untrusted_address() {
        const FOR: &str = "x-forwarded-for";
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[], "10.0.0.1"),
            (&[(FOR, "1.1.1.1")], "1.1.1.1"),
            (&[(FOR, "1.1.1.1, 2.2.2.2")], "2.2.2.2"),
            (&[(FOR, "1.1.1.1,2.2.2.2 ,\t10.0.0.7, fd00::1")], "2.2.2.2"),
            (&[(FOR, "1.1.1.1"), (FOR, "2.2.2.2, 10.0.0.7"), (FOR, "10.0.0.8")], "2.2.2.2"),
            // If all addresses are trusted, the client is the first one.
            (&[(FOR, "10.3.4.5, 10.0.0.7")], "10.3.4.5"),
            // An entry that is not an address stops the search.
            (&[(FOR, "")], "10.0.0.1"),
            (&[(FOR, "unknown")], "10.0.0.1"),
            (&[(FOR, "1.1.1.1, unknown, 10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "1.1.1.1, 1.2.3.4.5")], "10.0.0.1"),
            (&[(FOR, "1.1.1.1, , 10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "1.1.1.1, fe80::1%eth0")], "10.0.0.1"),
            // Some proxies write ports and brackets.
            (&[(FOR, "1.1.1.1:4711")], "1.1.1.1"),
            (&[(FOR, "2001:db8::1")], "2001:db8::1"),
            (&[(FOR, "[2001:db8::1]")], "2001:db8::1"),
            (&[(FOR, "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[(FOR, "::ffff:1.1.1.1")], "1.1.1.1"),
            (&[(FOR, "1.1.1.1, ::ffff:10.0.0.7")], "1.1.1.1"),
            (&[(FOR, "1.1.1.1:"), (FOR, "10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "[2001:db8::1"), (FOR, "10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "[2001:db8::1]x"), (FOR, "10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "[1.1.1.1]"), (FOR, "10.0.0.7")], "10.0.0.7"),
            (&[(FOR, "\"1.1.1.1\""), (FOR, "10.0.0.7")], "10.0.0.7"),
            // `Forwarded` is read only without X-Forwarded-For.
            (&[(FOR, "1.1.1.1"), ("forwarded", "for=2.2.2.2")], "1.1.1.1"),
            (&[(FOR, "unknown"), ("forwarded", "for=2.2.2.2")], "10.0.0.1"),
            (&[("forwarded", "for=1.1.1.1;proto=https, for=2.2.2.2;by=_x")], "2.2.2.2"),
            (&[("forwarded", "for=1.1.1.1"), ("forwarded", "host=a;FOR=\"10.0.0.7:80\"")], "1.1.1.1"),
            (&[("forwarded", "for=\"[2001:db8::1]:4711\";host=\"a,b;for=3.3.3.3\"")], "2001:db8::1"),
            (&[("forwarded", "for=1.1.1.1;host=\"a\\\", for=3.3.3.3\"")], "1.1.1.1"),
            (&[("forwarded", "for=1.1.1.1;host=\"a\\\\\"")], "1.1.1.1"),
            (&[("forwarded", "for=1.1.1.1, for=_hidden, for=10.0.0.7")], "10.0.0.7"),
            (&[("forwarded", "for=1.1.1.1, for=unknown")], "10.0.0.1"),
            (&[("forwarded", "for=1.1.1.1, proto=https")], "10.0.0.1"),
            (&[("forwarded", "for=1.1.1.1;for=2.2.2.2")], "10.0.0.1"),
            (&[("forwarded", "xfor=1.1.1.1")], "10.0.0.1"),
            (&[("forwarded", "for=\"1.1.1.1, for=2.2.2.2")], "2.2.2.2"),
            (&[("forwarded", "for=\"")], "10.0.0.1"),
            // Spellings with underscores and X-Real-IP are ignored.
            (&[("x_forwarded_for", "1.1.1.1"), ("x-real-ip", "1.1.1.1")], "10.0.0.1"),
        ];
        for (lines, expected) in table {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            for peer in ["10.0.0.1:5", "[::ffff:10.0.0.1]:5"] {
                assert_eq!(client(&trusting(), peer, &lines), *expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn scheme_is_that_of_the_first_trusted_proxy() {
        let table = [
            ("for=1.1.1.1;proto=https", Some("https")),
            ("for=1.1.1.1;Proto=\"HTTPS\"", Some("https")),
            ("for=1.1.1.1;proto=http, for=2.2.2.2;proto=wss, for=10.0.0.7;proto=http", Some("wss")),
            // The scheme of a hidden client is known.
            ("for=1.1.1.1;proto=http, for=_hidden;proto=https", Some("https")),
            ("for=1.1.1.1, for=10.0.0.7;proto=https", Some("https")),
            ("for=1.1.1.1;proto=javascript", None),
            ("for=1.1.1.1;proto=https;proto=https", None),
            ("for=1.1.1.1;xproto=https", None),
            ("for=1.1.1.1;proto=\"https", None),
            ("for=1.1.1.1", None),
        ];
        for (value, scheme) in table {
            let request = Request::get("/").header(FORWARDED, value);
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(Peer::new("10.0.0.1:5".parse().unwrap()));
            assert_eq!(trusting().reported_client(&parts).scheme, scheme, "{value}");
        }
    }

    #[test]
    fn peers_on_unix_sockets_are_trusted_only_by_name() {
        let request = Request::get("/").header("x-forwarded-for", "1.1.1.1, 10.0.0.7");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let trusting = trusting().trust_unix_sockets();
        assert_eq!(trusting.client(&parts), None, "the server named no peer");
        parts.extensions.insert(Peer::unknown());
        assert_eq!(trusting.client(&parts).unwrap().to_string(), "1.1.1.1");
        assert!(trusting.trusts_peer(&parts.extensions));
        assert!(!self::trusting().trusts_peer(&parts.extensions));
        parts.headers.clear();
        assert_eq!(trusting.client(&parts), None);
    }

    #[test]
    fn client_is_unknown_without_a_peer() {
        let trusting_all = Forwarded::none().trust(["0.0.0.0/0".parse().unwrap()]);
        let request = Request::get("/").header("x-forwarded-for", "1.1.1.1");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(trusting_all.client(&parts), None);
        parts.extensions.insert(Peer::unknown());
        assert_eq!(trusting_all.client(&parts), None);
    }

    #[test]
    fn number_of_hops_is_bounded() {
        let list = format!("1.1.1.1{}", ", 10.0.0.7".repeat(MAX_HOPS - 1));
        assert_eq!(client(&trusting(), "10.0.0.1:5", &[("x-forwarded-for", list.as_bytes())]), "1.1.1.1");
        let list = format!("{list}, 10.0.0.7");
        assert_eq!(client(&trusting(), "10.0.0.1:5", &[("x-forwarded-for", list.as_bytes())]), "10.0.0.7");
    }

    proptest! {
        #[test]
        fn forged_fields_do_not_hide_the_address_of_a_client(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'"'), Just(b','), Just(b'\\'), Just(b';'), Just(b'='), 0x20..=0x7e_u8, 0x80..=0xff_u8],
                0..60,
            ),
        ) {
            for (name, hop) in [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7;host=\"a\"")] {
                let appended = [&bytes[..], b", ", hop.as_bytes()].concat();
                prop_assert_eq!(client(&trusting(), "10.0.0.1:5", &[(name, &appended)]), "203.0.113.7");
                prop_assert_eq!(client(&trusting(), "192.0.2.1:5", &[(name, &appended)]), "192.0.2.1");
                let on_separate_lines: &[(&str, &[u8])] = &[(name, &bytes), (name, hop.as_bytes())];
                prop_assert_eq!(client(&trusting(), "10.0.0.1:5", on_separate_lines), "203.0.113.7");
            }
        }
    }
}
