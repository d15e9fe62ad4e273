//! Last in, first out.

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled, user_code};

use crate::buffer::drop_each;
use crate::buffer::locked::{Arrangement, Locked, shrunk};
use crate::buffer::{Buffer, Closed, PushError};
use crate::queue::blocking::Blocking;
use crate::queue::error::{
    GetCancelError, GetError, PutCancelError, PutError, ShutDown, TooManyDone,
};
use crate::queue::iter::{Iter, TryIter};
use crate::queue::task_counter::Done;
use crate::queue::task_guard::TaskGuard;
use crate::wait::timeout::Timeout;

/// A stack for any number of producers and consumers: last in, first out.
///
/// Python's `queue.LifoQueue`, with all that [`Queue`](crate::Queue) has. The top of a stack is one
/// hot place, so this is a lock over a vector: linearisable; blocking; neither items nor threads
/// are served fairly. A put and a get each cost the lock's two read-modify-writes.
///
/// ```
/// use sync_queue::LifoQueue;
///
/// let queue = LifoQueue::unbounded();
/// queue.put_many(vec![1, 2, 3]).unwrap();
/// assert!(queue.try_iter().eq([3, 2, 1]));
/// ```
#[doc(alias = "queue.LifoQueue")]
#[doc(alias = "stack")]
pub struct LifoQueue<T> {
    shared: Blocking<Locked<Stack<T>>>,
}

impl<T> LifoQueue<T> {
    fn buffer(capacity: Option<usize>) -> Locked<Stack<T>> {
        Locked::new(capacity)
    }
}

queue_methods!(LifoQueue, "The oldest item makes room: the item that would have come last.", "");

struct Stack<T>(VecDeque<T>);

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Arrangement<T> for Stack<T> {
    const COMPARES: bool = false;
    type InsertionPoint = ();
    type Choice = ();

    #[inline]
    fn insertion_point(&self, _: &T) {}

    #[inline]
    fn insert(&mut self, (): (), item: T) {
        self.0.push_back(item);
    }

    #[inline]
    fn choose(&self) -> Option<()> {
        (!self.0.is_empty()).then_some(())
    }

    #[inline]
    fn remove(&mut self, (): ()) -> T {
        let Some(item) = self.0.pop_back() else { unreachable!("chosen, so there is one") };
        if let Some(capacity) = shrunk(self.0.len(), self.0.capacity()) {
            self.0.shrink_to(capacity);
        }
        item
    }

    fn choose_last(&self, _: &T) {}

    fn replace(&mut self, (): (), item: T) -> T {
        self.0.push_back(item);
        self.0.pop_front().expect("one was just pushed")
    }

    fn order(&self) -> Vec<usize> {
        Vec::new()
    }

    fn drain(&mut self, _: Vec<usize>) -> Vec<T> {
        let mut items = Vec::from(core::mem::take(&mut self.0));
        items.reverse();
        items
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        drop_each(|| self.0.pop_back());
    }
}
