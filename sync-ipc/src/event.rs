//! An event between processes. The algorithm is in [`raw::event`](crate::raw::event). Memory: the
//! word u32, unused u32.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Deadline;
use sync_core::raw_event::Unset;

use crate::error::Result;
use crate::plain;
use crate::raw::event;
use crate::readiness::{self, Readiness, Watched};
use crate::segment::{Block, Segment};

const SIZE: usize = 8;

/// A flag that processes wait for.
///
/// No waiter is counted and none acknowledges, so the death of a waiter or of a setter does not
/// affect any other process (CPython's event hangs, #75158). Every process that waited when
/// [`set`](Self::set) was called is released, even if [`clear`](Self::clear) follows at once.
///
/// ```
/// use sync_ipc::{Event, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let ready = Event::create(&segment, "ready")?;
/// assert!(!ready.wait_timeout(std::time::Duration::from_millis(1)));
/// ready.set();
/// ready.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// Writes before `set` are visible after a wait that this `set` ended.
pub struct Event(Block);

impl Event {
    /// A new event, not set.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self(segment.place(name, plain::kind_of::<()>("event"), SIZE, 0, |_| {})?))
    }

    /// The event of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Ok(Self(segment.find(name, plain::kind_of::<()>("event"))?.expect_size(Some(SIZE))?))
    }

    /// Sets it and releases all waiters.
    pub fn set(&self) {
        event::set(self.0.u32(0), &self.0);
    }

    /// Clears it.
    pub fn clear(&self) {
        event::clear(self.0.u32(0), &self.0);
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        event::is_set(self.0.u32(0), &self.0)
    }

    /// A descriptor that is readable when the event was set. For `poll` loops and `async` code. A
    /// `set` that is followed by [`clear`](Self::clear) at once may be missed, other than by
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// If the system has no descriptor or no thread.
    pub fn readiness(&self) -> Result<Readiness> {
        Ok(Readiness::new(self.0.segment(), self.watched())?)
    }

    pub(crate) fn watched(&self) -> WatchedEvent {
        WatchedEvent { block: self.0.nameless(), wait: Unset::new() }
    }

    /// Waits until it is set, as a task: on any executor. One thread of this process waits for all
    /// its tasks, see [`Readiness`]. A `set` that is followed by [`clear`](Self::clear) ends the
    /// wait, if the wait had begun at the thread; otherwise it may be missed.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::task::block_on;
    /// use sync_ipc::{Event, Segment};
    ///
    /// let segment = Segment::anonymous(4096)?;
    /// let ready = Event::create(&segment, "ready")?;
    /// # let ready = &ready;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| ready.set());
    ///     block_on(ready.wait_async())
    /// })?;
    /// # Ok::<(), sync_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system has no thread.
    pub async fn wait_async(&self) -> Result<()> {
        if !self.is_set() {
            readiness::once(self.0.segment(), || self.watched()).await?;
        }
        Ok(())
    }

    /// Waits until it is set.
    pub fn wait(&self) {
        event::wait(self.0.u32(0), &self.0, None);
    }

    /// Waits at most `timeout`. Returns whether it was set.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        event::wait(self.0.u32(0), &self.0, Deadline::after(timeout))
    }

    /// Waits at most until `deadline`. Returns whether it was set.
    #[must_use]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        event::wait(self.0.u32(0), &self.0, Deadline::at(deadline))
    }
}

/// The event as the thread of the tasks waits for it.
pub(crate) struct WatchedEvent {
    block: Block,
    wait: Unset,
}

impl Watched for WatchedEvent {
    fn word(&self) -> &AtomicU32 {
        self.block.u32(0)
    }

    fn watch(&mut self, _: bool) -> core::result::Result<(), u32> {
        event::watch(self.block.u32(0), &self.block, &mut self.wait)?;
        // The next wait begins here.
        self.wait = Unset::new();
        Ok(())
    }

    fn unwatch(&mut self) {}
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}

handle!([] Event, |this| &this.0, Self(this.0.clone()));
