//! Events and barriers: objects that clients wait at.

use std::sync::Arc;

use super::super::wire::{BarrierCall, Call, EventCall, Limit, Refusal, Reply};
use super::monitor::{Caller, Monitor, Woken};
use super::store::Served;

/// A flag. The generation counts its settings, so that a waiting call sees a `set` that was
/// followed by a `clear`.
pub(super) struct Event {
    state: Arc<Monitor<(bool, u64)>>,
}

impl Event {
    pub(super) fn new() -> Self {
        Self { state: Monitor::new((false, 0)) }
    }
}

impl Served for Event {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Event(call) = call else { return Err(Refusal::WrongType) };
        match call {
            EventCall::Set => {
                let mut state = self.state.lock();
                state.0 = true;
                state.1 += 1;
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
            EventCall::Clear => {
                self.state.lock().0 = false;
                Ok(Reply::Done)
            }
            EventCall::IsSet => Ok(Reply::Flag(self.state.lock().0)),
            EventCall::Wait(limit) => {
                let mut first = None;
                let set = caller.until(&self.state, limit, |(set, generation)| {
                    let first = *first.get_or_insert(*generation);
                    Ok((*set || *generation != first).then_some(()))
                })?;
                Ok(Reply::Flag(set.is_some()))
            }
        }
    }
}

/// A barrier. A party that gives up, or whose client ends, breaks it for the parties of its cycle.
pub(super) struct Barrier {
    parties: u64,
    state: Arc<Monitor<Cycle>>,
}

#[derive(Default)]
struct Cycle {
    number: u64,
    arrived: u64,
    broken: bool,
    /// The cycles that were broken by `reset` while parties waited in them.
    reset: Option<u64>,
}

impl Barrier {
    pub(super) fn new(parties: u64) -> Self {
        Self { parties, state: Monitor::new(Cycle::default()) }
    }

    fn wait(&self, caller: &Caller<'_>, limit: Limit) -> Result<Reply, Refusal> {
        let deadline = limit.and_then(|limit| std::time::Instant::now().checked_add(limit));
        let mut state = self.state.lock();
        if state.broken {
            return Err(Refusal::Broken);
        }
        let cycle = state.number;
        let place = state.arrived;
        state.arrived += 1;
        if state.arrived == self.parties {
            state.arrived = 0;
            state.number += 1;
            drop(state);
            self.state.notify();
            return Ok(Reply::Number(place));
        }
        let mut last = limit.is_some_and(|limit| limit.is_zero());
        loop {
            if state.number != cycle {
                // A reset begins the next cycle too, and the parties of the last one are broken.
                let broken = state.reset == Some(cycle);
                return if broken { Err(Refusal::Broken) } else { Ok(Reply::Number(place)) };
            }
            if state.broken {
                return Err(Refusal::Broken);
            }
            let woken = if last {
                Woken::TimedOut
            } else {
                caller.session.wait(&self.state, &mut state, deadline)
            };
            match woken {
                Woken::Changed => {}
                Woken::TimedOut if !last => last = true,
                woken => {
                    if state.number == cycle && !state.broken {
                        state.broken = true;
                        drop(state);
                        self.state.notify();
                    }
                    let ended = woken == Woken::Ended;
                    return Err(if ended { Refusal::Interrupted } else { Refusal::Broken });
                }
            }
        }
    }
}

impl Served for Barrier {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Barrier(call) = call else { return Err(Refusal::WrongType) };
        match call {
            BarrierCall::Wait(limit) => return self.wait(caller, limit),
            BarrierCall::Abort => self.state.lock().broken = true,
            BarrierCall::Reset => {
                let mut state = self.state.lock();
                let cycle = state.number;
                if state.arrived > 0 {
                    state.reset = Some(cycle);
                }
                state.number += 1;
                state.arrived = 0;
                state.broken = false;
            }
            BarrierCall::State => {
                let state = self.state.lock();
                return Ok(Reply::State(self.parties, state.arrived, state.broken));
            }
        }
        self.state.notify();
        Ok(Reply::Done)
    }
}
