//! How many tunnels there may be: in total, per client, per upstream; and how many handshakes at a time.
//!
//! Tunnels in total and handshakes are always limited. A limit by client or upstream that is not set costs
//! nothing: no lock, no allocation. What a place was taken for, it is held by: a handshake until it is
//! answered, a tunnel until it has ended.

mod keyed;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::uri::{Authority, Scheme};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error::Error, error::Kind, upstream::Upstream};
use keyed::{Keyed, Place};

/// The network part of an IPv6 address that one client commonly has for itself
/// ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177#section-2)): its first 64 bits.
const NETWORK: u128 = !0 << 64;

/// An idle tunnel costs two descriptors and a few KiB: this many are some 200 MiB.
const TUNNELS: usize = 65_536;

/// A handshake costs two descriptors and some 30 KiB. Where upstreams answer in 10 ms, this many are
/// 100,000 tunnels opened per second.
const HANDSHAKES: usize = 1024;

/// The limits of a layer. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    handshakes: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    per_client: Option<Arc<Keyed<IpAddr>>>,
    /// By what tells connections to one server from those to others.
    per_upstream: Option<Arc<Keyed<(Scheme, Authority)>>>,
}

/// The right to have one handshake in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    _place: OwnedSemaphorePermit,
}

/// The right of a client to have one tunnel, to an upstream that is still to be chosen.
#[derive(Debug)]
pub(crate) struct Admitted {
    tunnel: OwnedSemaphorePermit,
    client: Option<Place<IpAddr>>,
}

/// The right to have one tunnel, held from before the upstream is dialled until the tunnel ends.
#[derive(Debug)]
pub(crate) struct Admission {
    _tunnel: OwnedSemaphorePermit,
    _places: Option<Box<Places>>,
}

/// What an [`Admission`] holds besides, when there are limits by client or upstream.
#[derive(Debug)]
struct Places {
    _client: Option<Place<IpAddr>>,
    _upstream: Option<Place<(Scheme, Authority)>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: places(HANDSHAKES),
            tunnels: places(TUNNELS),
            per_client: None,
            per_upstream: None,
        }
    }
}

impl Limits {
    pub(crate) fn set_handshakes(&mut self, limit: usize) {
        self.handshakes = places(limit);
    }

    pub(crate) fn set_tunnels(&mut self, limit: usize) {
        self.tunnels = places(limit);
    }

    pub(crate) fn set_per_client(&mut self, limit: usize) {
        self.per_client = Some(Arc::new(Keyed::new(limit)));
    }

    pub(crate) fn set_per_upstream(&mut self, limit: usize) {
        self.per_upstream = Some(Arc::new(Keyed::new(limit)));
    }

    /// Takes a place among the handshakes.
    pub(crate) fn start(&self) -> Result<InFlight, Error> {
        take(&self.handshakes, Kind::HandshakeLimit).map(|_place| InFlight { _place })
    }

    /// Takes a place among the tunnels, and one among those of the client, if it is known.
    pub(crate) fn admit(&self, client: Option<IpAddr>) -> Result<Admitted, Error> {
        let tunnel = take(&self.tunnels, Kind::TunnelLimit)?;
        let client = self.per_client.as_ref().zip(client).map(|(places, client)| {
            places.take(network(client)).ok_or_else(|| Error::new(Kind::ClientLimit))
        });
        Ok(Admitted { tunnel, client: client.transpose()? })
    }

    /// Takes a place among the tunnels of the upstream.
    pub(crate) fn admit_to(&self, upstream: &Upstream, client: Admitted) -> Result<Admission, Error> {
        let place = self.per_upstream.as_ref().map(|places| {
            let place = places.take(upstream.pool_key().clone());
            place.ok_or_else(|| Error::at(Kind::UpstreamLimit, upstream))
        });
        let upstream = place.transpose()?;
        let Admitted { tunnel, client } = client;
        let is_limited = client.is_some() || upstream.is_some();
        Ok(Admission {
            _tunnel: tunnel,
            _places: is_limited.then(|| Box::new(Places { _client: client, _upstream: upstream })),
        })
    }
}

fn places(limit: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
}

fn take(places: &Arc<Semaphore>, otherwise: Kind) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(places).try_acquire_owned().map_err(|_| Error::new(otherwise))
}

/// What a client is counted by.
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
    fn a_client_is_an_ipv4_address_or_64_bits_of_an_ipv6_address() {
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
    fn who_is_refused_by_one_limit_holds_no_place_of_another() {
        let [one, two] = ["http://a", "http://b"].map(|text| text.parse::<Upstream>().unwrap());
        let [first, second] = ["192.0.2.1", "192.0.2.2"].map(|text| Some(text.parse().unwrap()));
        let mut limits = Limits::default();
        limits.set_tunnels(3);
        limits.set_per_client(2);
        limits.set_per_upstream(1);
        let unused = format!("{limits:?}");
        let open = |client, upstream| limits.admit_to(upstream, limits.admit(client)?);

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
        let third = limits.admit(second).unwrap();
        assert!(limits.admit(None).unwrap_err().is_tunnel_limit());
        drop((held, also_held, third));
        assert_eq!(format!("{limits:?}"), unused);
    }

    #[test]
    fn by_default_there_are_limits_for_all_together() {
        let limits = Limits::default();
        let in_flight: Vec<_> = (0..1024).map(|_| limits.start().unwrap()).collect();
        assert!(limits.start().unwrap_err().is_handshake_limit());
        drop(in_flight);
        limits.start().unwrap();
        let tunnels: Vec<_> = (0..65_536).map(|_| limits.admit(None).unwrap()).collect();
        assert!(limits.admit(None).unwrap_err().is_tunnel_limit());
        drop(tunnels);
        limits.admit(None).unwrap();
    }

    #[test]
    fn no_limit_that_can_be_set_panics() {
        for limit in [0, 1, usize::MAX] {
            let mut limits = Limits::default();
            limits.set_handshakes(limit);
            limits.set_tunnels(limit);
            limits.set_per_client(limit);
            limits.set_per_upstream(limit);
            assert_eq!(limits.start().is_ok(), limit > 0);
            assert_eq!(limits.admit(Some(Ipv6Addr::LOCALHOST.into())).is_ok(), limit > 0);
        }
    }
}
