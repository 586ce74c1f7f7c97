//! Limits on concurrent tunnels (in total, per client, per upstream), handshakes and ordinary requests.
//!
//! Tunnels in total, handshakes and requests are always limited. A limit per client or per upstream that is not set costs
//! nothing: no lock, no allocation.
//!
//! # Order
//!
//! The limits are checked in one order: handshakes, tunnels in total, per client, per upstream. The upstream
//! is last because its choice may depend on the request. The totals precede the client because a full proxy
//! refuses every client.
//!
//! # Release
//!
//! A [`Permit`] is released when it is dropped: that of a handshake with its response, that of a tunnel at the
//! tunnel's end, that of a request at the end of its response's body. A refused request drops those it has, and if the client disconnects, the server drops the
//! response future with all of them. The counts per client and per upstream are entries of one map each. An
//! entry is removed with its last permit, so only open tunnels and handshakes in flight can fill a map.
//!
//! An IPv6 client is counted by its /64 network, within which it can choose any address. All clients whose address is
//! unknown count as one: a server that does not tell the addresses must not switch the limit off.

mod keyed;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::uri::{Authority, Scheme};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{Error, Kind},
    upstream::Upstream,
};
use keyed::{Keyed, KeyedPermit};

/// The network part of an IPv6 address that one client commonly has for itself
/// ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177#section-2)): its first 64 bits.
const NETWORK: u128 = !0 << 64;

/// Default limit on tunnels. An idle tunnel costs two descriptors and a few KiB: this many are some 200 MiB.
const TUNNELS: usize = 65_536;

/// Default limit on handshakes. A handshake costs two descriptors and some 30 KiB. With upstreams that respond
/// in 10 ms, this many are 100,000 tunnels opened per second.
const HANDSHAKES: usize = 1024;

/// Default limit on ordinary requests. A request costs two descriptors and some 50 KiB: this many are some 200 MiB.
/// With upstreams that respond in 10 ms, they are 400,000 requests per second.
const REQUESTS: usize = 4096;

/// The limits of a layer. Clones share their counts.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    handshakes: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    /// Keyed by [`network`]. Clients whose address is unknown count as one.
    per_client: Option<Arc<Keyed<Option<IpAddr>>>>,
    /// Keyed by scheme and authority, as pooled connections are.
    per_upstream: Option<Arc<Keyed<(Scheme, Authority)>>>,
}

/// Permission for one handshake in flight, for one tunnel or for one request. Released on drop.
///
/// That of a tunnel is held from before the proxy connects to the upstream until the tunnel ends. If the
/// upstream refuses the upgrade, it is held until the body of that response has been read. That of a request is held
/// from before the proxy connects to the upstream until the body of the response has been read.
#[derive(Debug)]
pub(crate) struct Permit {
    _total: OwnedSemaphorePermit,
    /// Boxed, as most tunnels have none.
    keyed: Option<Box<KeyedPermits>>,
}

/// A value that is released with a permit.
pub(crate) trait Held: fmt::Debug + Send + Sync {}

impl<T: fmt::Debug + Send + Sync> Held for T {}

/// The parts of a [`Permit`] that count towards limits per client and per upstream, and values that are released with it.
#[derive(Debug, Default)]
struct KeyedPermits {
    held: Vec<Box<dyn Held>>,
    _client: Option<KeyedPermit<Option<IpAddr>>>,
    upstream: Option<KeyedPermit<(Scheme, Authority)>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: semaphore(HANDSHAKES),
            tunnels: semaphore(TUNNELS),
            requests: semaphore(REQUESTS),
            per_client: None,
            per_upstream: None,
        }
    }
}

impl Limits {
    pub(crate) fn set_handshakes(&mut self, limit: usize) {
        self.handshakes = semaphore(limit);
    }

    pub(crate) fn set_tunnels(&mut self, limit: usize) {
        self.tunnels = semaphore(limit);
    }

    pub(crate) fn set_requests(&mut self, limit: usize) {
        self.requests = semaphore(limit);
    }

    pub(crate) fn set_per_client(&mut self, limit: usize) {
        self.per_client = Some(Arc::new(Keyed::new(limit)));
    }

    pub(crate) fn set_per_upstream(&mut self, limit: usize) {
        self.per_upstream = Some(Arc::new(Keyed::new(limit)));
    }

    /// Permits one more handshake.
    pub(crate) fn permit_handshake(&self) -> Result<Permit, Error> {
        Ok(Permit { _total: acquire(&self.handshakes, Kind::HandshakeLimit)?, keyed: None })
    }

    /// Permits one more ordinary request.
    pub(crate) fn permit_request(&self) -> Result<Permit, Error> {
        Ok(Permit { _total: acquire(&self.requests, Kind::RequestLimit)?, keyed: None })
    }

    /// Returns true if tunnels are limited per client.
    pub(crate) fn needs_client(&self) -> bool {
        self.per_client.is_some()
    }

    /// Permits one more tunnel: within the total, then for the client.
    pub(crate) fn permit_tunnel(&self, client: Option<IpAddr>) -> Result<Permit, Error> {
        let total = acquire(&self.tunnels, Kind::TunnelLimit)?;
        let client = self
            .per_client
            .as_ref()
            .map(|keyed| keyed.acquire(client.map(network)).ok_or_else(|| Error::new(Kind::ClientLimit)));
        let client = client.transpose()?;
        let keyed =
            client.map(|client| Box::new(KeyedPermits { _client: Some(client), ..KeyedPermits::default() }));
        Ok(Permit { _total: total, keyed })
    }

    /// Adds the part for the upstream to the permit of a tunnel.
    pub(crate) fn permit_upstream(&self, permit: &mut Permit, upstream: &Upstream) -> Result<(), Error> {
        if let Some(keyed) = &self.per_upstream {
            let part = keyed.acquire(upstream.pool_key().clone());
            let part = part.ok_or_else(|| Error::at(Kind::UpstreamLimit, upstream))?;
            permit.keyed.get_or_insert_default().upstream = Some(part);
        }
        Ok(())
    }
}

impl Permit {
    /// Holds a value until the permit is released.
    pub(crate) fn hold(&mut self, value: impl Held + 'static) {
        self.keyed.get_or_insert_default().held.push(Box::new(value));
    }
}

fn semaphore(limit: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
}

fn acquire(semaphore: &Arc<Semaphore>, refusal: Kind) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(semaphore).try_acquire_owned().map_err(|_| Error::new(refusal))
}

/// Returns the key of a client: its IPv4 address, or its IPv6 network.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_ipv4_address_or_by_64_bits_of_an_ipv6_address() {
        let table = [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("::1", "::"),
        ];
        for (client, key) in table {
            assert_eq!(network(client.parse().unwrap()).to_string(), key, "{client}");
        }
    }

    #[test]
    fn a_refusal_by_one_limit_leaves_no_permit_of_another() {
        let [one, two] = ["http://a", "http://b"].map(|text| text.parse::<Upstream>().unwrap());
        let [first, second] = ["192.0.2.1", "192.0.2.2"].map(|text| Some(text.parse().unwrap()));
        let mut limits = Limits::default();
        limits.set_tunnels(3);
        limits.set_per_client(2);
        limits.set_per_upstream(1);
        let unused = format!("{limits:?}");
        let open = |client, upstream| {
            let mut permit = limits.permit_tunnel(client)?;
            limits.permit_upstream(&mut permit, upstream).map(|()| permit)
        };

        let held = open(first, &one).unwrap();
        for _ in 0..5 {
            assert!(open(first, &one).unwrap_err().is_upstream_limit());
        }
        let also_held = open(first, &two).unwrap();
        for _ in 0..5 {
            assert!(open(first, &two).unwrap_err().is_client_limit());
        }
        drop(also_held);
        let also_held = open(second, &two).unwrap();
        let third = limits.permit_tunnel(None).unwrap();
        assert!(limits.permit_tunnel(None).unwrap_err().is_tunnel_limit());
        drop((held, also_held, third));
        assert_eq!(format!("{limits:?}"), unused);
    }

    #[test]
    fn unknown_clients_count_as_one() {
        let mut limits = Limits::default();
        limits.set_per_client(2);
        let held = [(); 2].map(|()| limits.permit_tunnel(None).unwrap());
        assert!(limits.permit_tunnel(None).unwrap_err().is_client_limit());
        limits.permit_tunnel(Some("192.0.2.1".parse().unwrap())).unwrap();
        drop(held);
        limits.permit_tunnel(None).unwrap();
    }

    #[test]
    fn tunnels_handshakes_and_requests_are_limited_by_default() {
        let limits = Limits::default();
        let in_flight: Vec<_> = (0..1024).map(|_| limits.permit_handshake().unwrap()).collect();
        assert!(limits.permit_handshake().unwrap_err().is_handshake_limit());
        drop(in_flight);
        limits.permit_handshake().unwrap();
        let requests: Vec<_> = (0..4096).map(|_| limits.permit_request().unwrap()).collect();
        assert!(limits.permit_request().unwrap_err().is_request_limit());
        drop(requests);
        limits.permit_request().unwrap();
        let tunnels: Vec<_> = (0..65_536).map(|_| limits.permit_tunnel(None).unwrap()).collect();
        assert!(limits.permit_tunnel(None).unwrap_err().is_tunnel_limit());
        drop(tunnels);
        limits.permit_tunnel(None).unwrap();
    }

    #[test]
    fn no_limit_panics() {
        for limit in [0, 1, usize::MAX] {
            let mut limits = Limits::default();
            limits.set_handshakes(limit);
            limits.set_tunnels(limit);
            limits.set_requests(limit);
            limits.set_per_client(limit);
            limits.set_per_upstream(limit);
            assert_eq!(limits.permit_handshake().is_ok(), limit > 0);
            assert_eq!(limits.permit_request().is_ok(), limit > 0);
            assert_eq!(limits.permit_tunnel(Some(Ipv6Addr::LOCALHOST.into())).is_ok(), limit > 0);
        }
    }
}
