//! Proxies of events, barriers and queues.

use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::fork::ProcessMark;

use super::super::error::Result;
use super::super::link::{Core, Takes, decode, encode};
use super::super::wire::{BarrierCall, Call, EventCall, Limit, QueueCall, Reply};
use super::containers::maybe;
use super::{done, flag, length, number, proxy, unexpected, until};

proxy! {
    /// A flag in a manager that clients wait for. Python's `Manager().Event()`.
    Event
}

impl Event {
    fn event(&self, call: EventCall) -> Result<Reply> {
        self.core.now(Call::Event(call))
    }

    /// Sets the flag, and wakes all that wait for it.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn set(&self) -> Result<()> {
        done(&self.event(EventCall::Set)?)
    }

    /// Clears the flag.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn clear(&self) -> Result<()> {
        done(&self.event(EventCall::Clear)?)
    }

    /// Whether the flag is set. A snapshot.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn is_set(&self) -> Result<bool> {
        flag(&self.event(EventCall::IsSet)?)
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn wait(&self) -> Result<()> {
        self.core.call(Call::Event(EventCall::Wait(None)), Takes::Limit(None)).map(drop)
    }

    /// As [`wait`](Self::wait), at most `timeout`. Returns whether the flag was set.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        let limit = Some(timeout);
        flag(&self.core.call(Call::Event(EventCall::Wait(limit)), Takes::Limit(limit))?)
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.wait_timeout(until(deadline))
    }
}

proxy! {
    /// A barrier in a manager. Python's `Manager().Barrier(n)`. A party whose client ends breaks
    /// it.
    Barrier
}

impl Barrier {
    fn pass(&self, limit: Limit) -> Result<u64> {
        number(&self.core.call(Call::Barrier(BarrierCall::Wait(limit)), Takes::Limit(limit))?)
    }

    fn state(&self) -> Result<(u64, u64, bool)> {
        match self.core.now(Call::Barrier(BarrierCall::State))? {
            Reply::State(parties, waiting, broken) => Ok((parties, waiting, broken)),
            _ => Err(unexpected()),
        }
    }

    /// Waits for all parties. Returns this party's place in the order of arrival, from 0.
    ///
    /// # Errors
    ///
    /// [`Refusal::Broken`](crate::manager::Refusal::Broken); other variants.
    pub fn wait(&self) -> Result<u64> {
        self.pass(None)
    }

    /// As [`wait`](Self::wait), at most `timeout`: then it is broken, for all parties.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<u64> {
        self.pass(Some(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<u64> {
        self.wait_timeout(until(deadline))
    }

    /// Breaks it.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn abort(&self) -> Result<()> {
        done(&self.core.now(Call::Barrier(BarrierCall::Abort))?)
    }

    /// Makes it whole and empty. Parties that wait get
    /// [`Refusal::Broken`](crate::manager::Refusal::Broken).
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn reset(&self) -> Result<()> {
        done(&self.core.now(Call::Barrier(BarrierCall::Reset))?)
    }

    /// Returns the number of parties.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn parties(&self) -> Result<u64> {
        Ok(self.state()?.0)
    }

    /// Returns the number of parties that wait. A snapshot.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> Result<u64> {
        Ok(self.state()?.1)
    }

    /// Whether it is broken. A snapshot.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn is_broken(&self) -> Result<bool> {
        Ok(self.state()?.2)
    }
}

proxy! {
    /// A queue in a manager, first in first out. Python's `Manager().Queue()` and
    /// `Manager().JoinableQueue()`.
    ///
    /// An item whose `put` returned survives its client. [`get`](Self::get) delivers once: an item
    /// is lost with a client that ends in that call. [`lease`](Self::lease) delivers at least once.
    #[doc(alias = "JoinableQueue")]
    Queue<T>
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    fn queue(&self, call: QueueCall, limit: Limit) -> Result<Reply> {
        self.core.call(Call::Queue(call), Takes::Limit(limit))
    }

    fn put_within(&self, item: &T, limit: Limit) -> Result<bool> {
        flag(&self.queue(QueueCall::Put(encode(&self.core.link, item)?, limit), limit)?)
    }

    pub(in crate::manager) fn call_put(&self, item: &T) -> Result<Call> {
        let data = encode(&self.core.link, item)?;
        Ok(Call::Queue(QueueCall::Put(data, Some(Duration::ZERO))))
    }

    fn get_within(&self, limit: Limit) -> Result<Option<T>> {
        maybe(&self.core.link, &self.queue(QueueCall::Get(limit), limit)?)
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "send")]
    pub fn put(&self, item: &T) -> Result<()> {
        self.put_within(item, None).map(drop)
    }

    /// Puts an item if there is room. Returns whether it was put.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, item: &T) -> Result<bool> {
        self.put_within(item, Some(Duration::ZERO))
    }

    /// Puts an item, waiting at most `timeout` for room. Returns whether it was put.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "send_timeout")]
    pub fn put_timeout(&self, item: &T, timeout: Duration) -> Result<bool> {
        self.put_within(item, Some(timeout))
    }

    /// As [`put_timeout`](Self::put_timeout), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "send_deadline")]
    pub fn put_deadline(&self, item: &T, deadline: Instant) -> Result<bool> {
        self.put_timeout(item, until(deadline))
    }

    /// Takes an item, waiting for one.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<T> {
        self.get_within(None)?.ok_or_else(unexpected)
    }

    /// Takes an item if there is one.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<Option<T>> {
        self.get_within(Some(Duration::ZERO))
    }

    /// Takes an item, waiting at most `timeout` for one.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<T>> {
        self.get_within(Some(timeout))
    }

    /// As [`get_timeout`](Self::get_timeout), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Result<Option<T>> {
        self.get_timeout(until(deadline))
    }

    fn lease_within(&self, limit: Limit) -> Result<Option<Lease<'_, T>>> {
        match self.queue(QueueCall::Lease(limit), limit)? {
            Reply::Maybe(None) => Ok(None),
            Reply::Versioned(number, data) => {
                let returned = Returned { core: &self.core, number, mark: ProcessMark::current() };
                let item = decode(&self.core.link, &data.bytes)?;
                Ok(Some(Lease { item, returned, queue: PhantomData }))
            }
            _ => Err(unexpected()),
        }
    }

    /// Takes an item, waiting for one. It comes back, to the front, if this client ends before
    /// [`Lease::acknowledge`].
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn lease(&self) -> Result<Lease<'_, T>> {
        self.lease_within(None)?.ok_or_else(unexpected)
    }

    /// As [`lease`](Self::lease), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn lease_timeout(&self, timeout: Duration) -> Result<Option<Lease<'_, T>>> {
        self.lease_within(Some(timeout))
    }

    /// As [`lease`](Self::lease), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn lease_deadline(&self, deadline: Instant) -> Result<Option<Lease<'_, T>>> {
        self.lease_timeout(until(deadline))
    }

    /// Returns the number of items. A snapshot.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "qsize")]
    pub fn len(&self) -> Result<usize> {
        length(&self.queue(QueueCall::Len, Some(Duration::ZERO))?)
    }

    /// Whether there is no item. A snapshot.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Finishes the task of an item that [`get`](Self::get) has taken.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyReleases`](crate::manager::Refusal::TooManyReleases) if all tasks are
    /// finished; other variants.
    pub fn task_done(&self) -> Result<()> {
        done(&self.queue(QueueCall::TaskDone, Some(Duration::ZERO))?)
    }

    /// Waits until the tasks of all items are finished. A task is finished by
    /// [`task_done`](Self::task_done), or by [`Lease::acknowledge`].
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn join(&self) -> Result<()> {
        self.queue(QueueCall::Join(None), None).map(drop)
    }

    /// As [`join`](Self::join), at most `timeout`. Returns whether all are finished.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        flag(&self.queue(QueueCall::Join(Some(timeout)), Some(timeout))?)
    }

    /// As [`join`](Self::join), until `deadline`. Returns whether all are finished.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool> {
        self.join_timeout(until(deadline))
    }
}

/// An item that comes back unless it is acknowledged. From [`Queue::lease`].
#[must_use = "the item comes back when the lease is dropped"]
#[derive(Debug)]
pub struct Lease<'a, T> {
    item: T,
    returned: Returned<'a>,
    queue: PhantomData<&'a T>,
}

/// Returns a leased item when it is dropped.
#[derive(Debug)]
struct Returned<'a> {
    core: &'a Core,
    number: u64,
    mark: ProcessMark,
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        if self.mark.is_current() {
            // If the server cannot be reached, it has noticed the end of this client.
            let _ = self.core.now(Call::Queue(QueueCall::Return(self.number)));
        }
    }
}

impl<T> Lease<'_, T> {
    /// The item.
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Takes the item for good, and finishes its task.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError): another client may get the item again.
    pub fn acknowledge(self) -> Result<T> {
        let Self { item, returned, .. } = self;
        let returned = core::mem::ManuallyDrop::new(returned);
        done(&returned.core.now(Call::Queue(QueueCall::Acknowledge(returned.number)))?)?;
        Ok(item)
    }
}
