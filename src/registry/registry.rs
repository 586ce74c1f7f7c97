//! Who is there, and who waits for whom to leave.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use super::{
    drain_summary::Outcome,
    plan::Plan,
    status::TunnelStatus,
    tally::{Tally, Wait},
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
    tallies: Vec<Tally>,
}

/// What a tunnel is told that opens although all are to end.
struct Closing {
    plan: Plan,
    tallies: Vec<Tally>,
}

/// A tunnel's place in a registry. It is given back on drop, also when the tunnel's task is dropped.
pub(crate) struct Place {
    registry: Arc<Registry>,
    id: u64,
    outcome: Outcome,
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
        for tally in state.closing.iter().flat_map(|closing| &closing.tallies) {
            tally.handshake_ended();
        }
    }

    /// Gives a place to a tunnel that opens. When all are to end, it is told so.
    pub(crate) fn register(self: &Arc<Self>, info: &TunnelInfo, live: &Arc<Shared>) -> Place {
        let mut member = Member { info: info.clone(), live: Arc::clone(live), tallies: Vec::new() };
        let mut state = self.state();
        for tally in state.closing.iter().flat_map(|closing| &closing.tallies) {
            tally.tunnel_opened();
            member.tallies.push(tally.clone());
        }
        if let Some(closing) = &state.closing {
            live.request_shutdown(closing.plan.order(info.id()));
        }
        state.members.insert(info.id(), member);
        drop(state);
        Place { registry: Arc::clone(self), id: info.id(), outcome: Outcome::Cut }
    }

    /// Has all end, those that are there and those that come.
    pub(crate) fn close(&self, plan: Plan) -> Wait {
        let mut guard = self.state();
        let state = &mut *guard;
        let (tally, wait) = plan.tally(state.handshakes);
        let plan = plan.for_number(state.members.len());
        for member in state.members.values_mut() {
            member.tell(&plan, &tally);
        }
        match &mut state.closing {
            Some(closing) => {
                closing.tallies.retain(Tally::is_waited_for);
                closing.tallies.push(tally);
                closing.plan = plan.or_sooner(closing.plan.clone());
            }
            None => state.closing = Some(Closing { plan, tallies: vec![tally] }),
        }
        wait
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state().closing.is_some()
    }

    /// Has those of `ids` end that are still there.
    pub(super) fn drain(&self, ids: &[u64], plan: Plan) -> Wait {
        let mut state = self.state();
        let (tally, wait) = plan.tally(0);
        let plan = plan.for_number(ids.len());
        for id in ids {
            if let Some(member) = state.members.get_mut(id) {
                member.tell(&plan, &tally);
            }
        }
        wait
    }

    fn leave(&self, id: u64, outcome: Outcome) {
        let member = self.state().members.remove(&id);
        for tally in member.into_iter().flat_map(|member| member.tallies) {
            tally.tunnel_ended(outcome);
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

    fn tell(&mut self, plan: &Plan, tally: &Tally) {
        self.live.request_shutdown(plan.order(self.info.id()));
        self.tallies.retain(Tally::is_waited_for);
        self.tallies.push(tally.clone());
        tally.tunnel_opened();
    }
}

impl Place {
    /// Gives it back, and says how the tunnel ended.
    pub(super) fn leave(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.leave(self.id, self.outcome);
    }
}
