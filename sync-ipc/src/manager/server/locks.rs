//! Locks, semaphores and conditions: objects that a client holds.
//!
//! A lock belongs to a client, and within it to a thread if it is reentrant. At the end of a client
//! its locks are free again, and the next owner is told; its permits come back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::super::wire::{Call, ConditionCall, Limit, LockCall, Refusal, Reply, SemaphoreCall};
use super::monitor::{Caller, Monitor, Woken};
use super::store::Served;

/// The owner of a lock: a client, or none in particular, after a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    client: Option<u64>,
    thread: u64,
}

/// The state of a lock.
#[derive(Debug, Default)]
struct Ownership {
    owner: Option<Owner>,
    depth: u64,
    /// Whether the last owner ended while it had the lock.
    died: bool,
}

impl Ownership {
    /// Takes the lock, if it is free or, with `reentrant`, the caller's own. Returns whether the
    /// last owner died.
    fn acquire(&mut self, caller: &Caller<'_>, reentrant: bool) -> Result<Option<bool>, Refusal> {
        let own = Owner { client: Some(caller.client()), thread: caller.thread };
        match self.owner {
            None => {
                caller.note()?;
                self.owner = Some(own);
                self.depth = 1;
                Ok(Some(core::mem::take(&mut self.died)))
            }
            Some(owner) if reentrant && owner == own => {
                self.depth += 1;
                Ok(Some(false))
            }
            Some(_) => Ok(None),
        }
    }

    fn is_own(&self, caller: &Caller<'_>, by_thread: bool) -> bool {
        self.owner.is_some_and(|owner| match owner.client {
            None => true,
            Some(client) => {
                client == caller.client() && (!by_thread || owner.thread == caller.thread)
            }
        })
    }

    /// Releases one level. Returns whether it is free now.
    fn release(&mut self) -> bool {
        self.depth -= 1;
        if self.depth == 0 {
            self.owner = None;
        }
        self.depth == 0
    }

    /// Whether it became free.
    fn client_ended(&mut self, client: u64) -> bool {
        let its = self.owner.is_some_and(|owner| owner.client == Some(client));
        if its {
            *self = Self { owner: None, depth: 0, died: true };
        }
        its
    }
}

/// A lock, reentrant or not.
pub(super) struct Lock {
    reentrant: bool,
    state: Arc<Monitor<Ownership>>,
}

impl Lock {
    pub(super) fn new(reentrant: bool) -> Self {
        Self { reentrant, state: Monitor::new(Ownership::default()) }
    }
}

impl Served for Lock {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Lock(call) = call else { return Err(Refusal::WrongType) };
        match call {
            LockCall::Acquire(limit) => {
                let act = |state: &mut Ownership| state.acquire(caller, self.reentrant);
                let acquired = caller.until(&self.state, limit, act)?;
                // Bit 0: acquired. Bit 1: the last owner died.
                let died = acquired.map(|died| 1 | u64::from(died) << 1);
                Ok(Reply::Number(died.unwrap_or(0)))
            }
            LockCall::Release => {
                let mut state = self.state.lock();
                if !state.is_own(caller, self.reentrant) {
                    return Err(Refusal::NotOwner);
                }
                let free = state.release();
                drop(state);
                if free {
                    self.state.notify();
                }
                Ok(Reply::Done)
            }
            LockCall::HandOver => {
                let mut state = self.state.lock();
                if !state.is_own(caller, self.reentrant) {
                    return Err(Refusal::NotOwner);
                }
                if let Some(owner) = &mut state.owner {
                    owner.client = None;
                }
                Ok(Reply::Done)
            }
            LockCall::IsLocked => Ok(Reply::Flag(self.state.lock().owner.is_some())),
        }
    }

    fn client_ended(&self, client: u64) {
        let freed = self.state.lock().client_ended(client);
        if freed {
            self.state.notify();
        }
    }
}

/// A semaphore, with or without a bound.
pub(super) struct Semaphore {
    most: Option<u64>,
    state: Arc<Monitor<Permits>>,
}

struct Permits {
    free: u64,
    held: HashMap<u64, u64>,
}

impl Permits {
    /// Takes one permit from this client. Returns whether it had one.
    fn forget(&mut self, client: u64) -> bool {
        match self.held.get_mut(&client) {
            None => false,
            Some(count) => {
                *count -= 1;
                if *count == 0 {
                    self.held.remove(&client);
                }
                true
            }
        }
    }
}

impl Semaphore {
    pub(super) fn new(permits: u64, most: Option<u64>) -> Self {
        Self { most, state: Monitor::new(Permits { free: permits, held: HashMap::new() }) }
    }
}

impl Served for Semaphore {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Semaphore(call) = call else { return Err(Refusal::WrongType) };
        match call {
            SemaphoreCall::Acquire(limit) => {
                let acquired = caller.until(&self.state, limit, |state| {
                    if state.free == 0 {
                        return Ok(None);
                    }
                    caller.note()?;
                    state.free -= 1;
                    *state.held.entry(caller.client()).or_insert(0) += 1;
                    Ok(Some(()))
                })?;
                Ok(Reply::Flag(acquired.is_some()))
            }
            SemaphoreCall::Release(count) => {
                let mut state = self.state.lock();
                let free = state.free.checked_add(count).ok_or(Refusal::TooManyReleases)?;
                if self.most.is_some_and(|most| free > most) {
                    return Err(Refusal::TooManyReleases);
                }
                state.free = free;
                for _ in 0..count {
                    if !state.forget(caller.client()) {
                        break;
                    }
                }
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
            SemaphoreCall::Forget => {
                let had = self.state.lock().forget(caller.client());
                if had { Ok(Reply::Done) } else { Err(Refusal::NotOwner) }
            }
            SemaphoreCall::Count => Ok(Reply::Number(self.state.lock().free)),
        }
    }

    fn client_ended(&self, client: u64) {
        let mut state = self.state.lock();
        let Some(count) = state.held.remove(&client) else { return };
        let free = state.free.saturating_add(count);
        state.free = self.most.map_or(free, |most| free.min(most));
        drop(state);
        self.state.notify();
    }
}

/// A condition with its reentrant lock.
///
/// **Invariant.** A notification is one waiting call's number, removed from `waiting` and put into
/// `notified`. Only that call takes it out. If that call's client ends before it has the lock, the
/// call gives the notification to the next number.
pub(super) struct Condition {
    state: Arc<Monitor<Waiters>>,
}

#[derive(Default)]
struct Waiters {
    lock: Ownership,
    next: u64,
    waiting: VecDeque<u64>,
    notified: Vec<u64>,
}

impl Waiters {
    fn notify(&mut self, count: u64) {
        for _ in 0..count {
            let Some(number) = self.waiting.pop_front() else { return };
            self.notified.push(number);
        }
    }
}

impl Condition {
    pub(super) fn new() -> Self {
        Self { state: Monitor::new(Waiters::default()) }
    }

    fn wait(&self, caller: &Caller<'_>, limit: Limit) -> Result<Reply, Refusal> {
        let deadline = limit.and_then(|limit| std::time::Instant::now().checked_add(limit));
        let mut state = self.state.lock();
        if !state.lock.is_own(caller, true) {
            return Err(Refusal::NotOwner);
        }
        let before = core::mem::take(&mut state.lock);
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(number);
        self.state.notify();
        let mut up = limit.is_some_and(|limit| limit.is_zero());
        let mut ended = false;
        while !state.notified.contains(&number) && !up && !ended {
            match caller.session.wait(&self.state, &mut state, deadline) {
                Woken::Changed => {}
                Woken::TimedOut => up = true,
                Woken::Ended => ended = true,
            }
        }
        let notified = state.notified.contains(&number);
        state.notified.retain(|other| *other != number);
        state.waiting.retain(|other| *other != number);
        // The lock is waited for without limit, as always with conditions.
        while !ended {
            match state.lock.acquire(caller, false) {
                Ok(None) => {
                    ended = caller.session.wait(&self.state, &mut state, None) == Woken::Ended;
                }
                Ok(Some(died)) => {
                    state.lock.depth = before.depth;
                    let flags = u64::from(notified) | u64::from(died) << 1;
                    return Ok(Reply::Number(flags));
                }
                Err(_) => ended = true,
            }
        }
        if notified {
            state.notify(1);
        }
        drop(state);
        self.state.notify();
        Err(Refusal::Interrupted)
    }
}

impl Served for Condition {
    fn call(&self, caller: &Caller<'_>, call: Call) -> Result<Reply, Refusal> {
        let Call::Condition(call) = call else { return Err(Refusal::WrongType) };
        match call {
            ConditionCall::Acquire(limit) => {
                let act = |state: &mut Waiters| state.lock.acquire(caller, true);
                let acquired = caller.until(&self.state, limit, act)?;
                let died = acquired.map(|died| 1 | u64::from(died) << 1);
                Ok(Reply::Number(died.unwrap_or(0)))
            }
            ConditionCall::Release => {
                let mut state = self.state.lock();
                if !state.lock.is_own(caller, true) {
                    return Err(Refusal::NotOwner);
                }
                state.lock.release();
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
            ConditionCall::Wait(limit) => self.wait(caller, limit),
            ConditionCall::Notify(count) => {
                let mut state = self.state.lock();
                if !state.lock.is_own(caller, true) {
                    return Err(Refusal::NotOwner);
                }
                state.notify(count);
                drop(state);
                self.state.notify();
                Ok(Reply::Done)
            }
        }
    }

    fn client_ended(&self, client: u64) {
        let freed = self.state.lock().lock.client_ended(client);
        if freed {
            self.state.notify();
        }
    }
}
