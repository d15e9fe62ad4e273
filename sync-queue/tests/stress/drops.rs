//! Waits of tasks that are dropped at random, on queues, channels and jobs, next to threads.
//!
//! An item whose put or send returned `Ok` comes out once, or is inside at the end.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::CancelToken;
use sync_queue::channel::{self, select};
use sync_queue::{
    LifoQueue, PriorityQueue, Queue, SimpleQueue, ThreadPool, Until, as_completed, wait_async,
};

use crate::storm::{Job, Random, Storm, turns};
use crate::watchdog::watch;

const A_MOMENT: Duration = Duration::from_micros(50);

/// An item that knows whether it came out. All are equal, for the priority queue.
#[derive(Debug)]
struct Item(Arc<AtomicBool>);

impl PartialEq for Item {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, _: &Self) -> core::cmp::Ordering {
        core::cmp::Ordering::Equal
    }
}

/// The items of a test.
#[derive(Default)]
struct Items {
    /// Those whose put returned `Ok`, until they are known to have come out.
    put: Mutex<Vec<Arc<AtomicBool>>>,
    out: AtomicU64,
}

impl Items {
    /// Makes an item, and what is left here of it.
    fn item(&self) -> (Item, Arc<AtomicBool>) {
        let out = Arc::new(AtomicBool::new(false));
        (Item(Arc::clone(&out)), out)
    }

    fn was_put(&self, item: Arc<AtomicBool>) {
        let mut put = self.put.lock().unwrap();
        put.push(item);
        if put.len() > 10_000 {
            put.retain(|item| !item.load(SeqCst));
        }
    }

    fn came_out(&self, item: Item) {
        assert!(!item.0.swap(true, SeqCst), "it came out twice");
        self.out.fetch_add(1, SeqCst);
    }

    fn none_is_lost(&self) {
        let lost = self.put.lock().unwrap().iter().filter(|item| !item.load(SeqCst)).count();
        assert_eq!(lost, 0, "items that were put and never came out");
        assert!(self.out.load(SeqCst) > 0);
    }
}

/// Writes the storm over a queue.
macro_rules! storm_of_a_queue {
    ($queue:expr) => {{
        let _watchdog = watch();
        let (queue, items) = ($queue, Items::default());
        let try_put = || {
            let (item, out) = items.item();
            if queue.try_put(item).is_ok() {
                items.was_put(out);
            }
        };
        let try_get = || queue.try_get().into_iter().for_each(|item| items.came_out(item));
        Storm {
            start: |random: &mut Random| -> Job<'_> {
                let gets = random.one_in(2);
                let (queue, items) = (&queue, &items);
                Box::pin(async move {
                    if gets {
                        items.came_out(queue.get_async().await.unwrap());
                    } else {
                        let (item, out) = items.item();
                        queue.put_async(item).await.unwrap();
                        items.was_put(out);
                    }
                })
            },
            thread: |random: &mut Random| {
                if random.one_in(2) {
                    match random.below(3) {
                        0 => queue
                            .get_timeout(A_MOMENT)
                            .into_iter()
                            .for_each(|item| items.came_out(item)),
                        1 => try_get(),
                        _ => items.came_out(queue.get().unwrap()),
                    }
                } else {
                    let (item, out) = items.item();
                    let done = match random.below(3) {
                        0 => queue.put_timeout(item, A_MOMENT).is_ok(),
                        1 => queue.try_put(item).is_ok(),
                        _ => queue.put(item).is_ok(),
                    };
                    if done {
                        items.was_put(out);
                    }
                }
            },
            serve: || {
                if queue.is_full() {
                    try_get()
                } else if queue.is_empty() {
                    try_put()
                }
            },
        }
        .run();
        queue.try_iter().for_each(|item| items.came_out(item));
        items.none_is_lost();
    }};
}

#[test]
fn drops_of_puts_and_gets_of_a_queue_with_room_for_one() {
    storm_of_a_queue!(Queue::bounded(1));
}

#[test]
fn drops_of_puts_and_gets_of_a_queue() {
    storm_of_a_queue!(Queue::bounded(3));
}

#[test]
fn drops_of_puts_and_gets_of_a_stack() {
    storm_of_a_queue!(LifoQueue::bounded(2));
}

#[test]
fn drops_of_puts_and_gets_of_a_priority_queue() {
    storm_of_a_queue!(PriorityQueue::bounded(2));
}

#[test]
fn drops_of_gets_of_a_simple_queue() {
    let _watchdog = watch();
    let (queue, items) = (SimpleQueue::new(), Items::default());
    let put = || {
        let (item, out) = items.item();
        queue.put(item);
        items.was_put(out);
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let gets = random.below(3) > 0;
            let (queue, items, put) = (&queue, &items, &put);
            Box::pin(async move {
                if gets {
                    items.came_out(queue.get_async().await);
                } else {
                    put();
                }
            })
        },
        thread: |random: &mut Random| match random.below(4) {
            0 => queue.get_timeout(A_MOMENT).into_iter().for_each(|item| items.came_out(item)),
            1 => items.came_out(queue.get()),
            _ => put(),
        },
        serve: || {
            if queue.is_empty() {
                put();
            }
        },
    }
    .run();
    queue.try_iter().for_each(|item| items.came_out(item));
    items.none_is_lost();
}

/// Tasks, threads and selects on one channel.
fn storm_of_a_channel(capacity: usize) {
    let _watchdog = watch();
    let (sender, receiver) = channel::bounded(capacity);
    let items = Items::default();
    let send = |random: &mut Random| {
        let (item, out) = items.item();
        let sent = match random.below(4) {
            0 => sender.send_timeout(item, A_MOMENT).is_ok(),
            1 => sender.try_send(item).is_ok(),
            2 => select! {
                send(sender, item) -> sent => sent.is_ok(),
                default(A_MOMENT) => false,
            },
            _ => sender.send(item).is_ok(),
        };
        if sent {
            items.was_put(out);
        }
    };
    let recv = |random: &mut Random| {
        let item = match random.below(4) {
            0 => receiver.recv_timeout(A_MOMENT).ok(),
            1 => receiver.try_recv().ok(),
            2 => select! {
                recv(receiver) -> item => item.ok(),
                default(A_MOMENT) => None,
            },
            _ => receiver.recv().ok(),
        };
        item.into_iter().for_each(|item| items.came_out(item));
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let gets = random.one_in(2);
            let (sender, receiver, items) = (&sender, &receiver, &items);
            Box::pin(async move {
                if gets {
                    items.came_out(receiver.recv_async().await.unwrap());
                } else {
                    let (item, out) = items.item();
                    sender.send_async(item).await.unwrap();
                    items.was_put(out);
                }
            })
        },
        thread: |random: &mut Random| if random.one_in(2) { send(random) } else { recv(random) },
        // With room for none neither succeeds unless the other side waits. Else one of the two: a
        // call that took an item and put one at once would leave no room to those that wait.
        serve: || {
            if sender.is_full() || capacity == 0 {
                receiver.try_recv().into_iter().for_each(|item| items.came_out(item));
            }
            if receiver.is_empty() || capacity == 0 {
                let (item, out) = items.item();
                if sender.try_send(item).is_ok() {
                    items.was_put(out);
                }
            }
        },
    }
    .run();
    receiver.try_iter().for_each(|item| items.came_out(item));
    items.none_is_lost();
}

#[test]
fn drops_of_sends_and_receives_with_room() {
    storm_of_a_channel(2);
}

#[test]
fn drops_of_sends_and_receives_with_room_for_none() {
    storm_of_a_channel(0);
}

#[test]
fn drops_of_joins_of_a_queue() {
    let _watchdog = watch();
    let queue = Queue::unbounded();
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (puts, long) = (random.one_in(2), random.below(3));
            let queue = &queue;
            Box::pin(async move {
                if puts {
                    queue.put(()).unwrap();
                    turns(long).await;
                }
                queue.join_async().await;
            })
        },
        thread: |random: &mut Random| match random.below(4) {
            0 => queue.put(()).unwrap(),
            1 => drop(queue.join_timeout(A_MOMENT)),
            _ => queue.join(),
        },
        serve: || {
            while queue.try_get().is_ok() {
                queue.task_done().unwrap();
            }
        },
    }
    .run();
    queue.try_iter().for_each(|()| queue.task_done().unwrap());
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn drops_of_waits_for_jobs() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let ran = Arc::new(AtomicU64::new(0));
    let submitted = AtomicU64::new(0);
    let submit = || {
        submitted.fetch_add(1, SeqCst);
        let ran = Arc::clone(&ran);
        pool.submit(move || {
            ran.fetch_add(1, SeqCst);
            7
        })
        .unwrap()
    };
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let (kind, long) = (random.below(4), random.below(3));
            let submit = &submit;
            Box::pin(async move {
                match kind {
                    0 => assert_eq!(submit().await.unwrap(), 7),
                    1 => {
                        let waited = wait_async([submit(), submit()], Until::First).await;
                        assert!(!waited.done.is_empty());
                    }
                    2 => {
                        let mut jobs = as_completed([submit(), submit()]);
                        while let Some(job) = jobs.next_async().await {
                            turns(long).await;
                            assert_eq!(job.await.unwrap(), 7);
                        }
                    }
                    _ => assert_eq!(wait_async([submit()], Until::All).await.done.len(), 1),
                }
            })
        },
        thread: |random: &mut Random| match random.below(3) {
            0 => drop(submit().result_timeout(A_MOMENT)),
            _ => assert_eq!(submit().result().unwrap(), 7),
        },
        serve: || (),
    }
    .run();
    pool.join().unwrap();
    drop(pool);
    assert_eq!(ran.load(SeqCst), submitted.load(SeqCst), "a job whose handle is dropped runs");
}

#[test]
fn drops_of_waits_for_futures_of_a_pool() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let queue = Arc::new(Queue::unbounded());
    let token = CancelToken::new();
    Storm {
        start: |random: &mut Random| -> Job<'_> {
            let long = random.below(3);
            let (pool, queue) = (&pool, &queue);
            Box::pin(async move {
                let inside = Arc::clone(queue);
                let job = pool.spawn_future(async move { inside.get_async().await });
                queue.put(7).unwrap();
                turns(long).await;
                assert_eq!(job.unwrap().await.unwrap(), Ok(7));
            })
        },
        thread: |_: &mut Random| {
            let inside = Arc::clone(&queue);
            let job = pool.spawn_future(async move { inside.get_async().await });
            queue.put(7).unwrap();
            assert_eq!(token.block_on(job.unwrap().into_future()).unwrap().unwrap(), Ok(7));
        },
        serve: || (),
    }
    .run();
    pool.join().unwrap();
}
