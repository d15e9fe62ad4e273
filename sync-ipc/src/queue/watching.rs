//! How tasks, and descriptors, wait for the items of a queue: see [`readiness`].

use sync_core::primitive::atomic::AtomicU32 as Word;

use super::{Lease, Queue, SENDERS_LEFT};
use crate::error::{RecvError, Result};
use crate::plain::Plain;
use crate::raw::event_count;
use crate::raw::queue::{Claim, RingError};
use crate::readiness::{self, Readiness, Watched};

/// A queue as the thread of the tasks waits for its items.
pub(crate) struct WatchedQueue<T> {
    queue: Queue<T>,
    announced: Option<event_count::Announced>,
}

impl<T> Watched for WatchedQueue<T> {
    fn word(&self) -> &Word {
        self.queue.channel().items
    }

    fn watch(&mut self, look: bool) -> core::result::Result<(), u32> {
        let queue = &self.queue;
        let (channel, peers) = (queue.channel(), queue.peers());
        event_count::watch(channel.items, peers, &mut self.announced, look, |look| {
            let ended = queue.other_end_is_gone(SENDERS_LEFT, true);
            channel.is_ready(peers, look, ended).then_some(())
        })
    }

    fn unwatch(&mut self) {
        let (channel, peers) = (self.queue.channel(), self.queue.peers());
        event_count::unwatch(channel.items, peers, &mut self.announced);
    }
}

impl<T: Plain> Queue<T> {
    /// Receives, waiting while there is no item as a task does: on any executor. One thread of this
    /// process waits for all its tasks, see [`Readiness`].
    ///
    /// Cancel-safe: a wait that is dropped has taken no item, and a wake that it had consumed goes
    /// to the next receiver. Tasks are not in a line.
    ///
    /// ```
    /// use sync_core::task::block_on;
    /// use sync_ipc::{Queue, Segment};
    ///
    /// let segment = Segment::anonymous(4096)?;
    /// let jobs = Queue::<u32>::create(&segment, "jobs", 4)?;
    /// # let jobs = &jobs;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| jobs.put(7).expect("room"));
    ///     assert_eq!(block_on(jobs.get_async()), Ok(7));
    /// });
    /// # Ok::<(), sync_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`]; [`RecvError::NotAttached`] also if the system has no thread.
    #[doc(alias = "recv_async")]
    pub async fn get_async(&self) -> Result<T, RecvError>
    where
        T: 'static,
    {
        let claim = self.take_async().await?;
        Ok(self.finish(claim))
    }

    /// As [`get_lease`](Self::get_lease), as a task: see [`get_async`](Self::get_async).
    ///
    /// # Errors
    ///
    /// As [`get_async`](Self::get_async).
    pub async fn get_lease_async(&self) -> Result<Lease<'_, T>, RecvError>
    where
        T: 'static,
    {
        let claim = self.take_async().await?;
        Ok(self.lease(claim))
    }
}

impl<T> Queue<T> {
    /// A descriptor that is readable when a receive may find something. For `poll` loops and for
    /// `async` code.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor or no thread.
    pub fn readiness(&self) -> Result<Readiness>
    where
        T: 'static,
    {
        Ok(Readiness::new(self.segment(), self.watched())?)
    }

    pub(crate) fn watched(&self) -> WatchedQueue<T> {
        let mut queue =
            Self::with_stride(self.block.nameless(), self.capacity, self.orphans, self.stride);
        queue.other_end = self.other_end.clone();
        WatchedQueue { queue, announced: None }
    }

    /// Takes an item as a task: what [`get_async`](Self::get_async) does.
    pub(super) async fn take_async(&self) -> Result<Claim, RecvError>
    where
        T: 'static,
    {
        let mut taken = self.take_now(false);
        loop {
            match taken {
                Err(RingError::Empty) => {}
                taken => return taken.map_err(|error| RecvError::new(error, true)),
            }
            // An item that was there may be taken already.
            if readiness::once(self.segment(), || self.watched()).await.is_err() {
                return Err(RecvError::new(RingError::NotAttached, true));
            }
            let ended = self.other_end_is_gone(SENDERS_LEFT, true);
            taken = self.take(true, ended);
        }
    }
}
