use std::{
    sync::Arc,
    task::{Context, Waker},
};

use http::HeaderValue;

use super::{HandshakeGuard, Registration, Tunnels};
use crate::{
    on_tunnel::{TunnelInfo, TunnelLabel},
    received::Received,
    tunnel::{
        TunnelEnd,
        shared::{Shared, ShutdownRequest},
    },
};

mod drain;
mod tunnels;

/// A registered tunnel that carries nothing. The test acts as its task.
pub(super) struct FakeTunnel {
    pub(super) info: TunnelInfo,
    registration: Box<Registration>,
}

impl FakeTunnel {
    pub(super) fn new(label: &str, tunnels: Option<&Tunnels>, handshake: Option<HandshakeGuard>) -> Self {
        let info = info(label);
        let registration = Registration::new(&info, [tunnels, None], handshake).unwrap();
        Self { info, registration }
    }

    /// A tunnel in `tunnels` alone.
    pub(super) fn listed(label: &str, tunnels: &Tunnels) -> Self {
        Self::new(label, Some(tunnels), None)
    }

    /// A tunnel of a handshake that a drain has admitted.
    pub(super) fn admitted(handshake: Option<HandshakeGuard>) -> Self {
        assert!(handshake.is_some(), "refused");
        Self::new("", None, handshake)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.registration.shared()
    }

    /// Takes the shutdown request, as the tunnel's task does.
    pub(super) fn shutdown_request(&self) -> Option<ShutdownRequest> {
        self.shared().poll_shutdown_request(&mut Context::from_waker(Waker::noop()))
    }

    pub(super) fn end(self, end: &TunnelEnd) {
        self.registration.end(end);
    }
}

fn info(label: &str) -> TunnelInfo {
    let (request, ()) = http::Request::get("/path?query").body(()).unwrap().into_parts();
    let upstream = "http://a.example".parse().unwrap();
    let (label, protocol) = (Some(TunnelLabel::new(label)), HeaderValue::from_static("websocket"));
    TunnelInfo::new(&Received::new(&request, None), label, upstream, protocol)
}
