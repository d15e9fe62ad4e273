//! First in, first out.

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled, user_code};

use crate::buffer::array::Array;
use crate::buffer::fifo::Fifo;
use crate::buffer::list::List;
use crate::buffer::{Buffer, Closed, PushError};
use crate::queue::blocking::Blocking;
use crate::queue::error::{
    GetCancelError, GetError, PutCancelError, PutError, ShutDown, TooManyDone,
};
use crate::queue::iter::{Iter, TryIter};
use crate::queue::task_counter::Done;
use crate::queue::task_guard::TaskGuard;
use crate::wait::timeout::Timeout;

/// A queue for any number of producers and consumers: first in, first out.
///
/// Python's `queue.Queue`: bounded or not, with timeouts, with `task_done` and `join`, and with an
/// orderly [`shutdown`](Self::shutdown). To be shared by reference or in an `Arc`.
///
/// | | bounded | unbounded |
/// |---|---|---|
/// | structure | ring of slots with sequence stamps (Vyukov) | list of blocks of 63 slots |
/// | linearisable | yes | yes |
/// | fast path | no lock; a thread stopped in the middle of a put or get delays those that need its very slot | the same |
/// | blocking | sleeps on a futex, after a spin of at most 2 microseconds, where that pays, and up to 16 yields | the same, gets only |
/// | fair | items yes, threads no: a thread that comes first may be overtaken | the same |
/// | atomic operations of a put | 1 read-modify-write, 1 store, 2 loads | 1 read-modify-write, 1 store, 2 loads |
/// | of a get | the same | the same, and 1 load more while both ends are in one block |
/// | memory | allocated once | given back, but for at most three blocks |
///
/// Neither blocking nor task tracking adds to these: one bit of the word that is changed anyway
/// records that threads sleep.
///
/// ```
/// use std::thread;
/// use sync_queue::Queue;
///
/// let queue = Queue::bounded(8);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         for n in 1..=100 {
///             queue.put(n).unwrap();
///         }
///         queue.shutdown();
///     });
///     assert_eq!(queue.iter().sum::<u32>(), 5050);
/// });
/// ```
#[doc(alias = "queue.Queue")]
#[doc(alias = "channel")]
pub struct Queue<T> {
    shared: Blocking<Fifo<T>>,
}

impl<T> Queue<T> {
    /// Returns the number of items that were put so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.shared.buffer.pushed()
    }

    fn buffer(capacity: Option<usize>) -> Fifo<T> {
        match capacity {
            Some(capacity) => Fifo::Bounded(Array::new(capacity)),
            None => Fifo::Unbounded(List::new()),
        }
    }
}

queue_methods!(
    Queue,
    "The oldest item makes room.",
    "A bounded queue takes all its memory at once: if there is not that much, that is a panic, too."
);

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Queue<core::cell::Cell<u8>>>();
};
