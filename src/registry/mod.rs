//! Registry of open tunnels, and the drains that end them: all of them ([`Drain`]) or a selection
//! ([`Tunnels::drain`]).
//!
//! | event | value |
//! | --- | --- |
//! | an upgrade request arrives | [`Watcher::begin_handshake`] returns a [`HandshakeGuard`], or `None` during a drain |
//! | the upstream's 101 is verified | the tunnel's task gets a [`Registration`], and the guard is released |
//! | a drain begins | each tunnel gets a [`ShutdownRequest`](crate::tunnel::shared::ShutdownRequest) from the [`Schedule`], and a [`Tracker`] that counts its end |
//! | a tunnel ends | its [`Registration`] is dropped: the tunnel is removed, and its trackers are notified |
//! | the last tunnel has ended, or time is over | the drain's future returns a [`DrainSummary`] |
//!
//! # Locking
//!
//! A registry has one lock, held for a few operations on a map when a tunnel opens or ends, and when tunnels are
//! listed or drained. No code of the application runs under it.
//!
//! [`Registry::shutdown`] does two things under one lock: it sends a request to every open tunnel, and leaves the
//! schedule for later ones. A handshake is counted before the drain, or refused; its tunnel is either in the map
//! then, or finds the schedule when it is inserted. Its guard is released after that, so that the drain waits for
//! the handshake or for the tunnel at any time. A tracker counts a tunnel under the same lock, hence before
//! the tunnel can be removed.
//!
//! A drain waits for its tracker and never looks at the tunnels again. Its future therefore ends, half a second after
//! the deadline or the last end of a tunnel at the latest, even if the runtime of a tunnel is stuck. `model.rs` checks the protocol under many interleavings of threads.

mod drain;
mod drain_config;
mod drain_summary;
mod registration;
mod schedule;
mod status;
mod tracker;
mod tunnels;
mod watcher;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use tokio::sync::watch;

use crate::{
    on_tunnel::TunnelInfo,
    sync::{Mutex, MutexGuard},
    tunnel::shared::Shared,
};
pub use drain::Drain;
pub use drain_config::DrainConfig;
pub use drain_summary::DrainSummary;
use drain_summary::Ended;
pub(crate) use registration::Registration;
use schedule::Schedule;
pub use status::TunnelStatus;
use tracker::Tracker;
pub use tunnels::Tunnels;
pub(crate) use watcher::HandshakeGuard;
pub use watcher::Watcher;

/// The open tunnels, the handshakes that may become tunnels, and the drains that wait for either.
struct Registry {
    state: Mutex<State>,
    /// True once [`shutdown`](Self::shutdown) was called. [`Watcher::draining`] waits for it.
    is_draining: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    tunnels: HashMap<u64, Entry>,
    /// Handshakes that a [`Drain`] has admitted and that may still become tunnels.
    handshakes: usize,
    /// Schedule for tunnels that open after [`Registry::shutdown`].
    shutdown: Option<Schedule>,
    /// One for each call of [`Registry::shutdown`].
    trackers: Vec<Tracker>,
}

struct Entry {
    info: TunnelInfo,
    shared: Arc<Shared>,
    /// One for each drain that waits for this tunnel.
    trackers: Vec<Tracker>,
}

impl Registry {
    fn new() -> Self {
        Self { state: Mutex::default(), is_draining: watch::Sender::new(false) }
    }

    fn len(&self) -> usize {
        self.state().tunnels.len()
    }

    fn list(&self) -> Vec<TunnelStatus> {
        self.state().tunnels.values().map(Entry::status).collect()
    }

    fn get(&self, id: u64) -> Option<TunnelStatus> {
        self.state().tunnels.get(&id).map(Entry::status)
    }

    fn infos(&self) -> Vec<TunnelInfo> {
        self.state().tunnels.values().map(|entry| entry.info.clone()).collect()
    }

    fn is_draining(&self) -> bool {
        self.state().shutdown.is_some()
    }

    /// Counts a handshake, unless a shutdown has begun. Returns true if it was counted.
    fn begin_handshake(&self) -> bool {
        let mut state = self.state();
        let is_open = state.shutdown.is_none();
        state.handshakes += usize::from(is_open);
        is_open
    }

    /// Releases a handshake that has failed, or that has become a registered tunnel.
    fn end_handshake(&self) {
        let mut state = self.state();
        state.handshakes = state.handshakes.saturating_sub(1);
        for tracker in &state.trackers {
            tracker.handshake_ended();
        }
    }

    /// Adds a tunnel that opens, and requests its shutdown if a shutdown has begun.
    fn insert(&self, info: &TunnelInfo, shared: &Arc<Shared>) {
        let mut state = self.state();
        for tracker in &state.trackers {
            tracker.tunnel_opened();
        }
        if let Some(schedule) = &state.shutdown {
            shared.request_shutdown(schedule.request(info.id()));
        }
        let trackers = state.trackers.clone();
        let entry = Entry { info: info.clone(), shared: Arc::clone(shared), trackers };
        state.tunnels.insert(info.id(), entry);
    }

    /// Removes a tunnel that has ended, and notifies the drains that wait for it.
    fn remove(&self, id: u64, ended: Ended) {
        let entry = self.state().tunnels.remove(&id);
        for tracker in entry.into_iter().flat_map(|entry| entry.trackers) {
            tracker.tunnel_ended(ended);
        }
    }

    /// Requests the shutdown of all tunnels, open and future ones.
    fn shutdown(&self, schedule: Schedule) -> impl Future<Output = DrainSummary> + Send + use<> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (tracker, summary) = schedule.track(state.handshakes);
        let schedule = schedule.for_tunnels(state.tunnels.len());
        for entry in state.tunnels.values_mut() {
            entry.request_shutdown(&schedule, &tracker);
        }
        state.trackers.retain(Tracker::is_awaited);
        state.trackers.push(tracker);
        state.shutdown = Some(match state.shutdown.take() {
            Some(earlier) => schedule.or_sooner(earlier),
            None => schedule,
        });
        drop(guard);
        self.is_draining.send_replace(true);
        summary
    }

    /// Requests the shutdown of those tunnels of `ids` that are still open.
    fn drain(&self, ids: &[u64], schedule: Schedule) -> impl Future<Output = DrainSummary> + Send + use<> {
        let mut state = self.state();
        let (tracker, summary) = schedule.track(0);
        let schedule = schedule.for_tunnels(ids.len());
        for id in ids {
            if let Some(entry) = state.tunnels.get_mut(id) {
                entry.request_shutdown(&schedule, &tracker);
            }
        }
        summary
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn status(&self) -> TunnelStatus {
        TunnelStatus::new(self.info.clone(), &self.shared)
    }

    fn request_shutdown(&mut self, schedule: &Schedule, tracker: &Tracker) {
        self.shared.request_shutdown(schedule.request(self.info.id()));
        self.trackers.retain(Tracker::is_awaited);
        self.trackers.push(tracker.clone());
        tracker.tunnel_opened();
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;
#[cfg(test)]
mod tests;
