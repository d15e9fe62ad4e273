//! `PriorityQueue`: the heap under the lock. The orders are in `linear`, what it shares with
//! `LifoQueue` in `lifo`; here, comparisons among threads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sync_queue::PriorityQueue;

use crate::support::{Arc, Tracked, with};

/// Compares by data that the checker watches; refuses to be compared with the number 9.
struct Rank(Tracked);

impl Rank {
    fn new(value: u32) -> Self {
        let tracked = Tracked::new(0);
        tracked.set(value);
        Self(tracked)
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let (mine, others) = (self.0.get(), other.0.get());
        assert!(mine != 9 && others != 9, "not to be compared");
        mine.cmp(&others)
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Rank {}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

model! {
    /// Items are compared by the thread that holds the lock, with everything written in them.
    fn compared_by_others(order) small {
        let queue = Arc::new(PriorityQueue::unbounded());
        let puts = |value| with(&queue, move |queue| queue.put(Rank::new(value)).unwrap());
        order.run([puts(2), puts(1)]);
        let order: Vec<_> = queue.try_iter().map(|item| item.0.get()).collect();
        assert_eq!(order, [1, 2]);
    }
}

model! {
    /// A getter sleeps, or is about to, and the putter's item is the one it gets.
    fn handed_over(order) small {
        let queue = Arc::new(PriorityQueue::bounded(1));
        let puts = with(&queue, |queue| queue.put(Rank::new(1)).unwrap());
        let gets = with(&queue, |queue| assert_eq!(queue.get().unwrap().0.get(), 1));
        order.run([puts, gets]);
    }
}

model! {
    /// A comparison panics in one thread: the lock is free for the other, and nothing that was
    /// inside is lost.
    fn a_panicking_comparison(order) small {
        let queue = Arc::new(PriorityQueue::unbounded());
        queue.put(Rank::new(1)).unwrap();
        let panics = with(&queue, |queue| {
            // The other thread may have emptied the queue: then there is nothing to be compared
            // with.
            if catch_unwind(AssertUnwindSafe(|| queue.put(Rank::new(9)))).is_ok() {
                assert_eq!(queue.try_get().map(|item| item.0.get()), Ok(9));
            }
        });
        let gets = with(&queue, |queue| assert_eq!(queue.get().unwrap().0.get(), 1));
        order.run([panics, gets]);
        assert!(queue.is_empty());
        assert!(queue.task_done().is_ok());
        assert!(queue.unfinished() <= 1);
    }
}
