//! `LifoQueue` and `PriorityQueue` among threads: nothing lost, nothing doubled, no one left
//! asleep, and the order where one can see it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sync_queue::{LifoQueue, PriorityQueue, PutError};

use crate::items;
use crate::watchdog::{note, watch};

/// Four put, three get, one of each with a timeout that often runs out; the last producer shuts the
/// queue down.
macro_rules! transfer {
    ($Queue:ident, $capacity:expr) => {{
        let items = items(($capacity > 0).then_some($capacity));
        let queue = $Queue::with_maxsize($capacity);
        let putting = AtomicUsize::new(4);
        let got: Vec<Vec<usize>> = thread::scope(|scope| {
            let getters: Vec<_> = (0..3)
                .map(|getter| {
                    let queue = &queue;
                    scope.spawn(move || {
                        let mut got = Vec::new();
                        loop {
                            let answer = match getter {
                                0 => queue
                                    .get_timeout(Duration::from_micros(20))
                                    .map(|item| got.push(item)),
                                1 => queue.get_many(&mut got, 5).map(drop).map_err(Into::into),
                                _ => queue.get().map(|item| got.push(item)).map_err(Into::into),
                            };
                            match answer {
                                Err(sync_queue::GetError::ShutDown) => return got,
                                Ok(()) | Err(sync_queue::GetError::Empty) => {}
                            }
                        }
                    })
                })
                .collect();
            for producer in 0..4 {
                let (queue, putting) = (&queue, &putting);
                scope.spawn(move || {
                    for n in (producer..items).step_by(4) {
                        let mut item = n;
                        while let Err(why) = if producer == 0 {
                            queue.put_timeout(item, Duration::from_micros(20))
                        } else {
                            queue.put(item).map_err(PutError::from)
                        } {
                            item = why.into_inner();
                        }
                    }
                    if putting.fetch_sub(1, Ordering::AcqRel) == 1 {
                        queue.shutdown();
                    }
                });
            }
            getters.into_iter().map(|getter| getter.join().unwrap()).collect()
        });
        let mut all = got.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..items));
        assert!(queue.is_empty());
    }};
}

#[test]
fn nothing_is_lost_or_doubled() {
    let _watchdog = watch();
    for capacity in [1, 3, 64, 0] {
        note(format!("LIFO, {capacity}"));
        transfer!(LifoQueue, capacity);
        note(format!("priority, {capacity}"));
        transfer!(PriorityQueue, capacity);
    }
}

#[test]
fn what_was_put_before_comes_out_in_order() {
    let _watchdog = watch();
    let queue = PriorityQueue::unbounded();
    thread::scope(|scope| {
        for producer in 0..4 {
            let queue = &queue;
            // Priorities repeat: among equals, each producer's order is kept.
            scope.spawn(move || {
                (0..2_000).for_each(|n| queue.put(Ranked { rank: n % 7, producer, n }).unwrap())
            });
        }
    });
    // Two get at once: each sees an order.
    thread::scope(|scope| {
        let getters = [(); 2].map(|()| scope.spawn(|| queue.try_iter().collect::<Vec<_>>()));
        for getter in getters {
            let got = getter.join().unwrap();
            assert!(got.is_sorted(), "lowest first");
            for producer in 0..4 {
                let one = got
                    .iter()
                    .filter(|item| item.producer == producer)
                    .map(|item| (item.rank, item.n));
                assert!(one.is_sorted(), "equals in the order they came");
            }
        }
    });
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    rank: usize,
    producer: usize,
    n: usize,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}
