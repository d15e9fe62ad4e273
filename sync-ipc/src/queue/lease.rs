//! An item that is a receiver's until the receiver acknowledges it.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use super::Queue;
use crate::error::{RecvError, Result};
use crate::plain::{self, Plain};
use crate::raw::queue::{Claim, Orphans};

/// An item that was received by a lease.
#[must_use = "a lease that is dropped gives its item back"]
pub struct Lease<'a, T: Plain> {
    queue: &'a Queue<T>,
    claim: Option<Claim>,
    item: T,
}

impl<T: Plain> Lease<'_, T> {
    /// The item.
    #[must_use]
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Acknowledges the item: no other receiver gets it. Does nothing in a forked child's copy of
    /// the lease.
    pub fn ack(mut self) {
        if let Some(claim) = self.claim.take() {
            self.queue.acknowledge(claim);
        }
    }
}

impl<T: Plain> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            // With `Orphans::Drop`, no other receiver gets the item of a dropped lease.
            match self.queue.orphans {
                Orphans::Redeliver => self.queue.give_back(claim),
                Orphans::Drop => self.queue.acknowledge(claim),
            }
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Lease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("item", &self.item).finish_non_exhaustive()
    }
}

impl<T: Plain> Queue<T> {
    /// Receives by a lease: until [`Lease::ack`], the item is not gone, and goes to another
    /// receiver if we drop the lease or die.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_lease")]
    pub fn get_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(None)?))
    }

    /// As [`get_lease`](Self::get_lease), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_lease_timeout")]
    pub fn get_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(Deadline::after(timeout))?))
    }

    /// As [`get_lease`](Self::get_lease), waiting until `deadline`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_lease_deadline")]
    pub fn get_lease_deadline(&self, deadline: Instant) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(Deadline::at(deadline))?))
    }

    /// As [`get_lease`](Self::get_lease), if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "try_recv_lease")]
    pub fn try_get_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        let claim = self.take_now(false).map_err(|error| RecvError::new(error, false))?;
        Ok(self.lease(claim))
    }

    pub(super) fn lease(&self, claim: Claim) -> Lease<'_, T> {
        Lease {
            item: plain::load(&self.block, self.item_at(claim.slot)),
            queue: self,
            claim: Some(claim),
        }
    }
}
