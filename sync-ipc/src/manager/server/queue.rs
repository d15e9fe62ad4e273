//! Queues, with leases and unfinished tasks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::wire::{Call, QueueCall, Refusal, Reply};
use super::monitor::{Caller, Monitor};
use super::store::{Item, Registry, Served};

/// A first-in first-out queue.
pub(super) struct Queue {
    capacity: Option<u64>,
    registry: Arc<Registry>,
    state: Arc<Monitor<Items>>,
}

#[derive(Default)]
struct Items {
    items: VecDeque<Item>,
    /// Items that were put and not finished.
    unfinished: u64,
    /// Leased items, with their clients.
    leased: HashMap<u64, (u64, Item)>,
    next_lease: u64,
}

impl Queue {
    pub(super) fn new(registry: &Arc<Registry>, capacity: Option<u64>) -> Self {
        let registry = Arc::clone(registry);
        Self { capacity, registry, state: Monitor::new(Items::default()) }
    }
}

impl Served for Queue {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Queue(call) = call else { return Err(Refusal::WrongType) };
        match call {
            QueueCall::Put(data, limit) => {
                let mut item = Some(self.registry.item(data)?);
                let put = caller.until(&self.state, limit, |state| {
                    if self.capacity.is_some_and(|most| state.items.len() as u64 >= most) {
                        return Ok(None);
                    }
                    state.items.extend(item.take());
                    state.unfinished += 1;
                    Ok(Some(()))
                })?;
                if put.is_some() {
                    self.state.notify();
                }
                Ok(Reply::Flag(put.is_some()))
            }
            QueueCall::Get(limit) => {
                let act = |state: &mut Items| Ok(state.items.pop_front());
                let item = caller.until(&self.state, limit, act)?;
                if item.is_some() {
                    self.state.notify();
                }
                Ok(Reply::Maybe(item.as_ref().map(Item::data)))
            }
            QueueCall::Lease(limit) => {
                let leased = caller.until(&self.state, limit, |state| {
                    if state.items.is_empty() {
                        return Ok(None);
                    }
                    caller.note()?;
                    let Some(item) = state.items.pop_front() else { return Ok(None) };
                    state.next_lease += 1;
                    let (lease, data) = (state.next_lease, item.data());
                    state.leased.insert(lease, (caller.client(), item));
                    Ok(Some((lease, data)))
                })?;
                if leased.is_some() {
                    self.state.notify();
                }
                Ok(match leased {
                    Some((lease, data)) => Reply::Versioned(lease, data),
                    None => Reply::Maybe(None),
                })
            }
            QueueCall::Acknowledge(lease) | QueueCall::Return(lease) => {
                let mut state = self.state.lock();
                let own = state.leased.get(&lease).is_some_and(|(of, _)| *of == caller.client());
                let leased = if own { state.leased.remove(&lease) } else { None };
                let (_, item) = leased.ok_or(Refusal::NotOwner)?;
                if matches!(call, QueueCall::Return(_)) {
                    state.items.push_front(item);
                } else {
                    state.unfinished = state.unfinished.saturating_sub(1);
                }
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
            QueueCall::Len => Ok(Reply::Number(self.state.lock().items.len() as u64)),
            QueueCall::TaskDone => {
                let mut state = self.state.lock();
                let unfinished = state.unfinished.checked_sub(1).ok_or(Refusal::TooManyReleases)?;
                state.unfinished = unfinished;
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
            QueueCall::Join(limit) => {
                let act = |state: &mut Items| Ok((state.unfinished == 0).then_some(()));
                Ok(Reply::Flag(caller.until(&self.state, limit, act)?.is_some()))
            }
        }
    }

    fn client_ended(&self, client: u64) {
        let mut state = self.state.lock();
        let its = state.leased.iter().filter(|(_, (of, _))| *of == client);
        let mut leases: Vec<u64> = its.map(|(lease, _)| *lease).collect();
        // The earliest comes to the front again.
        leases.sort_unstable_by(|a, b| b.cmp(a));
        for lease in leases {
            if let Some((_, item)) = state.leased.remove(&lease) {
                state.items.push_front(item);
            }
        }
        drop(state);
        self.state.notify();
    }
}
