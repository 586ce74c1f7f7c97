//! Who is there, and who waits for whom to leave.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use super::{
    drain_summary::Ended,
    schedule::Schedule,
    status::TunnelStatus,
    tracker::{Tracker, Wait},
};
use crate::{on_tunnel::TunnelInfo, sync::Mutex, sync::MutexGuard, tunnel::shared::Shared};

/// The live tunnels. Nothing of the user's runs under the lock.
#[derive(Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Default)]
struct State {
    members: HashMap<u64, Member>,
    /// Those that may still become tunnels. Only a [`Drain`](crate::Drain) has them counted.
    handshakes: usize,
    closing: Option<Closing>,
}

struct Member {
    info: TunnelInfo,
    live: Arc<Shared>,
    /// Of those who wait for its end.
    trackers: Vec<Tracker>,
}

/// What a tunnel is told that opens although all are to end.
struct Closing {
    schedule: Schedule,
    trackers: Vec<Tracker>,
}

/// A tunnel's place in a registry. It is given back on drop, also when the tunnel's task is dropped.
pub(crate) struct Membership {
    registry: Arc<Registry>,
    id: u64,
    ended: Ended,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.state().members.len()
    }

    pub(super) fn list(&self) -> Vec<TunnelStatus> {
        self.state().members.values().map(Member::status).collect()
    }

    pub(super) fn get(&self, id: u64) -> Option<TunnelStatus> {
        self.state().members.get(&id).map(Member::status)
    }

    pub(super) fn infos(&self) -> Vec<TunnelInfo> {
        self.state().members.values().map(|member| member.info.clone()).collect()
    }

    /// Counts a handshake, unless all tunnels are to end.
    pub(crate) fn begin_handshake(&self) -> bool {
        let mut state = self.state();
        let admitted = state.closing.is_none();
        state.handshakes += usize::from(admitted);
        admitted
    }

    /// It failed, or its tunnel was given a place.
    pub(crate) fn end_handshake(&self) {
        let mut state = self.state();
        state.handshakes = state.handshakes.saturating_sub(1);
        for tracker in state.closing.iter().flat_map(|closing| &closing.trackers) {
            tracker.handshake_ended();
        }
    }

    /// Gives a place to a tunnel that opens. When all are to end, it is told so.
    pub(crate) fn register(self: &Arc<Self>, info: &TunnelInfo, live: &Arc<Shared>) -> Membership {
        let mut member = Member { info: info.clone(), live: Arc::clone(live), trackers: Vec::new() };
        let mut state = self.state();
        for tracker in state.closing.iter().flat_map(|closing| &closing.trackers) {
            tracker.tunnel_opened();
            member.trackers.push(tracker.clone());
        }
        if let Some(closing) = &state.closing {
            live.request_shutdown(closing.schedule.order(info.id()));
        }
        state.members.insert(info.id(), member);
        drop(state);
        Membership { registry: Arc::clone(self), id: info.id(), ended: Ended::Aborted }
    }

    /// Has all end, those that are there and those that come.
    pub(crate) fn close(&self, schedule: Schedule) -> Wait {
        let mut guard = self.state();
        let state = &mut *guard;
        let (tracker, wait) = schedule.tracker(state.handshakes);
        let schedule = schedule.for_number(state.members.len());
        for member in state.members.values_mut() {
            member.tell(&schedule, &tracker);
        }
        match &mut state.closing {
            Some(closing) => {
                closing.trackers.retain(Tracker::is_waited_for);
                closing.trackers.push(tracker);
                closing.schedule = schedule.or_sooner(closing.schedule.clone());
            }
            None => state.closing = Some(Closing { schedule, trackers: vec![tracker] }),
        }
        wait
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state().closing.is_some()
    }

    /// Has those of `ids` end that are still there.
    pub(super) fn drain(&self, ids: &[u64], schedule: Schedule) -> Wait {
        let mut state = self.state();
        let (tracker, wait) = schedule.tracker(0);
        let schedule = schedule.for_number(ids.len());
        for id in ids {
            if let Some(member) = state.members.get_mut(id) {
                member.tell(&schedule, &tracker);
            }
        }
        wait
    }

    fn leave(&self, id: u64, ended: Ended) {
        let member = self.state().members.remove(&id);
        for tracker in member.into_iter().flat_map(|member| member.trackers) {
            tracker.tunnel_ended(ended);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn status(&self) -> TunnelStatus {
        TunnelStatus::new(self.info.clone(), &self.live)
    }

    fn tell(&mut self, schedule: &Schedule, tracker: &Tracker) {
        self.live.request_shutdown(schedule.order(self.info.id()));
        self.trackers.retain(Tracker::is_waited_for);
        self.trackers.push(tracker.clone());
        tracker.tunnel_opened();
    }
}

impl Membership {
    /// Gives it back, and says how the tunnel ended.
    pub(super) fn leave(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.leave(self.id, self.ended);
    }
}
