//! `Queue`: hand-over of items, sleeping and waking on both sides, tasks, shutting down, and the
//! bugs that other queues shipped.
//!
//! The blocks of the unbounded queue hold two items here, so that their ends are met.

use std::time::Duration;

use sync_queue::{GetError, PutError, Queue, ShutDown};

use crate::support::{Arc, Body, Order, Tracked, with};

const SOON: Duration = Duration::from_millis(1);

/// An item with plain data that the checker watches.
struct Item(Tracked);

fn item(value: u32) -> Item {
    let tracked = Tracked::new(0);
    // Written after construction, so that the hand-over is what makes reading it legal.
    tracked.set(value);
    Item(tracked)
}

impl Item {
    fn value(&self) -> u32 {
        self.0.get()
    }
}

fn bounded(capacity: usize) -> Arc<Queue<Item>> {
    Arc::new(Queue::bounded(capacity))
}

fn unbounded() -> Arc<Queue<Item>> {
    Arc::new(Queue::unbounded())
}

fn puts(queue: &Arc<Queue<Item>>, values: &'static [u32]) -> Body {
    with(queue, move |queue| {
        for &value in values {
            queue.put(item(value)).unwrap();
        }
    })
}

/// Gets `count` items and adds them up in `sum`.
fn gets(queue: &Arc<Queue<Item>>, sum: &Arc<Tally>, count: usize) -> Body {
    with(&(queue.clone(), sum.clone()), move |(queue, sum)| {
        for _ in 0..count {
            sum.add(queue.get().unwrap().value());
        }
    })
}

/// The total that the threads of a model took out. Not instrumented: it only counts.
#[derive(Default)]
struct Tally(std::sync::atomic::AtomicU32);

impl Tally {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn add(&self, value: u32) {
        self.0.fetch_add(value, std::sync::atomic::Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn rest(queue: &Queue<Item>) -> u32 {
    queue.try_iter().map(|item| item.value()).sum()
}

model! {
    /// One item handed over: the getter may be asleep, going to sleep, or not there yet.
    fn one_handed_over(order) small whole {
        let (queue, sum) = (bounded(1), Tally::new());
        order.run([puts(&queue, &[1]), gets(&queue, &sum, 1)]);
        assert_eq!(sum.get(), 1);
    }
}

model! {
    /// The same without a limit.
    fn one_handed_over_unbounded(order) small whole {
        let (queue, sum) = (unbounded(), Tally::new());
        order.run([puts(&queue, &[1]), gets(&queue, &sum, 1)]);
        assert_eq!(sum.get(), 1);
    }
}

model! {
    /// Room for one, two items: the putter waits too.
    fn room_for_one(order) small whole {
        let (queue, sum) = (bounded(1), Tally::new());
        order.run([puts(&queue, &[1, 2]), gets(&queue, &sum, 2)]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// Over the end of a block.
    fn over_the_end_of_a_block(order) small {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put(item(1)).unwrap();
        order.run([puts(&queue, &[2]), gets(&queue, &sum, 2)]);
        assert_eq!(sum.get(), 3);
        queue.put(item(4)).unwrap();
        assert_eq!(rest(&queue), 4);
    }
}

model! {
    /// Beyond the end of a block: a thread that finds the head moved on must not find the tail
    /// behind it, and wait for an item that no thread puts.
    fn empty_beyond_a_block(order) small {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put(item(1)).unwrap();
        sum.add(queue.get().unwrap().value());
        let tries = || with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            if let Ok(item) = queue.try_get() {
                sum.add(item.value());
            }
        });
        order.run([puts(&queue, &[2]), tries(), tries()]);
        assert_eq!(sum.get() + rest(&queue), 3);
    }
}

model! {
    /// A block whose items two threads have read is used again by one of them: the other must be
    /// done with it.
    fn a_block_is_used_again(order) small {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put_many(vec![item(1), item(2), item(4), item(8)]).unwrap();
        let gets_and_puts = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            for _ in 0..3 {
                sum.add(queue.try_get().unwrap().value());
            }
            // The second of these links a block, the third fills it.
            for value in [16, 32, 64] {
                queue.put(item(value)).unwrap();
            }
        });
        order.run([
            with(&(queue.clone(), sum.clone()), |(queue, sum)| {
                sum.add(queue.try_get().unwrap().value())
            }),
            gets_and_puts,
        ]);
        assert_eq!(sum.get() + rest(&queue), 127);
    }
}

model! {
    /// A block is given back by one thread and used again by another.
    fn a_block_is_handed_on(order) small {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put_many(vec![item(1), item(2), item(4), item(8)]).unwrap();
        let gets = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            for _ in 0..4 {
                sum.add(queue.try_get().unwrap().value());
            }
        });
        order.run([gets, puts(&queue, &[16, 32, 64])]);
        assert_eq!(sum.get() + rest(&queue), 127);
    }
}

model! {
    /// The publish gap: one producer has claimed its place and stalls, another publishes behind it.
    /// The consumer must not sleep forever between the two.
    fn publish_gap(order) tight {
        let (queue, sum) = (bounded(2), Tally::new());
        order.run([puts(&queue, &[1]), puts(&queue, &[2]), gets(&queue, &sum, 2)]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// Two sleepers, two items: each put wakes one, and a stale mark is no missing one.
    fn two_getters(order) tight {
        let (queue, sum) = (bounded(2), Tally::new());
        order.run([puts(&queue, &[1, 2]), gets(&queue, &sum, 1), gets(&queue, &sum, 1)]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// Two putters wait for room.
    fn two_putters_wait(order) tight {
        let (queue, sum) = (bounded(1), Tally::new());
        order.run([puts(&queue, &[1]), puts(&queue, &[2]), gets(&queue, &sum, 2)]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// One getter has a timeout. If it takes the only wake along when its time is up, the other
    /// sleeps forever.
    fn timed_out_getter_passes_the_wake_on(order) tight {
        let (queue, sum) = (bounded(2), Tally::new());
        let timed =
            with(&(queue.clone(), sum.clone()), |(queue, sum)| match queue.get_timeout(SOON) {
                Ok(item) => sum.add(item.value()),
                Err(why) => {
                    assert_eq!(why, GetError::Empty);
                    // The other one gets the first item; this makes up for the second.
                    sum.add(queue.get().unwrap().value());
                }
            });
        order.run([puts(&queue, &[1, 2]), timed, gets(&queue, &sum, 1)]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// A putter with a timeout and one without wait for one place.
    fn timed_out_putter_passes_the_wake_on(order) tight {
        let (queue, sum) = (bounded(1), Tally::new());
        queue.put(item(1)).unwrap();
        let timed = with(&queue, |queue| {
            if let Err(PutError::Full(back)) = queue.put_timeout(item(2), SOON) {
                queue.put(back).unwrap();
            }
        });
        order.run([timed, puts(&queue, &[4]), gets(&queue, &sum, 2)]);
        assert_eq!(sum.get() + rest(&queue), 7);
    }
}

model! {
    /// Empty, then shut down: an item that was put before the shutdown is not lost, and the getter
    /// does not sleep on (crossfire #70, flume #120, CPython #117531).
    fn shutdown_after_a_put(order) small {
        let (queue, sum) = (bounded(2), Tally::new());
        let puts_and_shuts = with(&queue, |queue| {
            queue.put(item(1)).unwrap();
            queue.shutdown();
        });
        let drains = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            for item in &*queue {
                sum.add(item.value());
            }
        });
        order.run([puts_and_shuts, drains]);
        assert_eq!(sum.get(), 1);
    }
}

model! {
    /// The same without a limit.
    fn shutdown_after_a_put_unbounded(order) small whole {
        let (queue, sum) = (unbounded(), Tally::new());
        let puts_and_shuts = with(&queue, |queue| {
            queue.put(item(1)).unwrap();
            queue.shutdown();
        });
        let drains = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            for item in &*queue {
                sum.add(item.value());
            }
        });
        order.run([puts_and_shuts, drains]);
        assert_eq!(sum.get(), 1);
    }
}

/// A thread that observes the shutdown sees what was done before it.
fn shutdown_publishes(order: Order, queue: &Arc<Queue<Item>>) {
    let data = Arc::new(Tracked::new(0));
    let shuts = with(&(queue.clone(), data.clone()), |(queue, data)| {
        data.set(1);
        queue.shutdown();
    });
    let puts = with(&(queue.clone(), data.clone()), |(queue, data)| {
        if queue.try_put(item(1)).is_err() {
            assert_eq!(data.get(), 1);
        }
    });
    let gets = with(&(queue.clone(), data.clone()), |(queue, data)| {
        if let Err(GetError::ShutDown) = queue.try_get() {
            assert_eq!(data.get(), 1);
        }
    });
    order.run([shuts, puts, gets]);
}

model! {
    /// A put and a get that are told of the shutdown see what was done before it.
    fn shutdown_publishes_bounded(order) small whole {
        shutdown_publishes(order, &bounded(1));
    }
}

model! {
    /// The same without a limit.
    fn shutdown_publishes_unbounded(order) small whole {
        shutdown_publishes(order, &unbounded());
    }
}

model! {
    /// Two getters asleep, or about to be, and a shutdown: both wake.
    fn shutdown_wakes_every_getter(order) tight {
        let queue = bounded(1);
        let getter = || with(&queue, |queue| assert!(queue.get().is_err()));
        let shuts = with(&queue, |queue| queue.shutdown());
        order.run([getter(), getter(), shuts]);
    }
}

model! {
    /// A putter asleep, or about to be, and a shutdown: the item comes back.
    fn shutdown_wakes_putters(order) small whole {
        let queue = bounded(1);
        queue.put(item(1)).unwrap();
        let putter = with(&queue, |queue| match queue.put(item(2)) {
            Ok(()) => panic!("there is no room"),
            Err(ShutDown(back)) => assert_eq!(back.value(), 2),
        });
        let shuts = with(&queue, |queue| queue.shutdown());
        order.run([putter, shuts]);
        assert_eq!(rest(&queue), 1);
    }
}

model! {
    /// The same for an immediate shutdown.
    fn shutdown_now_wakes_putters(order) small whole {
        let queue = bounded(1);
        queue.put(item(1)).unwrap();
        let putter = with(&queue, |queue| match queue.put(item(2)) {
            Ok(()) => panic!("there is no room before the shutdown, and no putting after it"),
            Err(ShutDown(back)) => assert_eq!(back.value(), 2),
        });
        let shuts = with(&queue, |queue| assert_eq!(queue.shutdown_now().len(), 1));
        order.run([putter, shuts]);
    }
}

model! {
    /// A put, a get and an immediate shutdown at once: the item is put or given back, got or
    /// drained, once.
    fn shutdown_now_among_others(order) tight {
        let (queue, sum) = (bounded(1), Tally::new());
        let putter = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            if let Err(ShutDown(back)) = queue.put(item(1)) {
                sum.add(back.value());
            }
        });
        let getter = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            if let Ok(task) = queue.get_task() {
                sum.add(task.value());
            }
        });
        let shuts = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            sum.add(queue.shutdown_now().iter().map(Item::value).sum());
            assert!(queue.is_empty());
            queue.join();
        });
        order.run([putter, getter, shuts]);
        assert_eq!(sum.get(), 1);
        assert_eq!(queue.unfinished(), 0);
    }
}

model! {
    /// The same without a limit, over the end of a block.
    fn shutdown_now_among_others_unbounded(order) small whole {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put(item(1)).unwrap();
        let putter = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            for value in [2, 4] {
                if let Err(ShutDown(back)) = queue.put(item(value)) {
                    sum.add(back.value());
                }
            }
        });
        let shuts = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            sum.add(queue.shutdown_now().iter().map(Item::value).sum());
        });
        order.run([putter, shuts]);
        assert_eq!(sum.get(), 7);
    }
}

model! {
    /// Join ends when the task is done, and sees what was done.
    fn join_sees_what_was_done(order) small {
        let queue = bounded(1);
        let data = Arc::new(Tracked::new(0));
        queue.put(item(1)).unwrap();
        let works = with(&(queue.clone(), data.clone()), |(queue, data)| {
            let task = queue.get_task().unwrap();
            data.set(task.value());
        });
        let joins = with(&(queue.clone(), data.clone()), |(queue, data)| {
            queue.join();
            assert_eq!(data.get(), 1);
        });
        order.run([works, joins]);
    }
}

model! {
    /// Two joiners asleep, or about to be, and the last task done: both wake.
    fn the_last_task_wakes_every_joiner(order) tight {
        let queue = bounded(1);
        queue.put(item(1)).unwrap();
        let joins = || with(&queue, |queue| queue.join());
        order.run([joins(), joins(), with(&queue, |queue| queue.task_done().unwrap())]);
    }
}

model! {
    /// One joiner gives up and another comes, behind the same mark: the first must not hide the
    /// second from who does the last task.
    fn a_joiner_that_gives_up_hides_no_other(order) tight {
        let queue = bounded(1);
        queue.put(item(1)).unwrap();
        let joins_in_time = with(&queue, |queue| _ = queue.join_timeout(SOON));
        order.run([
            joins_in_time,
            with(&queue, |queue| queue.join()),
            with(&queue, |queue| queue.task_done().unwrap()),
        ]);
    }
}

model! {
    /// Two joiners, two tasks done by two threads.
    fn two_joiners(order) tight whole {
        let queue = bounded(2);
        queue.put_many(vec![item(1), item(2)]).unwrap();
        let works = with(&queue, |queue| {
            queue.task_done().unwrap();
            queue.task_done().unwrap();
        });
        let joins = with(&queue, |queue| queue.join());
        let joins_in_time = with(&queue, |queue| {
            if queue.join_timeout(SOON) {
                assert_eq!(queue.unfinished(), 0);
            }
        });
        order.run([works, joins, joins_in_time]);
    }
}

model! {
    /// Two force their items into a full queue: each evicts one, and nothing is lost or doubled.
    fn two_force_puts(order) small whole {
        let (queue, sum) = (bounded(1), Tally::new());
        queue.put(item(1)).unwrap();
        let forces = |value| with(&(queue.clone(), sum.clone()), move |(queue, sum)| {
            if let Ok(Some(evicted)) = queue.force_put(item(value)) {
                sum.add(evicted.value());
            }
        });
        order.run([forces(2), forces(4)]);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.unfinished(), 1, "what was thrown out cannot be called done");
        assert_eq!(sum.get() + rest(&queue), 7);
    }
}

model! {
    /// A forced put against a get of the very item it would evict.
    fn force_put_against_get(order) small {
        let (queue, sum) = (bounded(1), Tally::new());
        queue.put(item(1)).unwrap();
        let forces = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            if let Ok(Some(evicted)) = queue.force_put(item(2)) {
                sum.add(evicted.value());
            }
        });
        order.run([forces, gets(&queue, &sum, 1)]);
        assert_eq!(sum.get() + rest(&queue), 3);
    }
}

model! {
    /// A forced put and a getter that sleeps, or is about to.
    fn force_put_wakes(order) small whole {
        let (queue, sum) = (bounded(1), Tally::new());
        let forces = with(&queue, |queue| assert!(matches!(queue.force_put(item(1)), Ok(None))));
        order.run([forces, gets(&queue, &sum, 1)]);
        assert_eq!(sum.get(), 1);
    }
}

model! {
    /// A run of items put and got in one step each, by threads that may sleep.
    fn many_at_once(order) small whole {
        let (queue, sum) = (bounded(2), Tally::new());
        queue.put(item(1)).unwrap();
        let puts = with(&queue, |queue| assert!(queue.put_many(vec![item(2), item(4)]).is_ok()));
        let gets = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            let mut got = Vec::new();
            queue.get_many(&mut got, 3).unwrap();
            sum.add(got.iter().map(Item::value).sum());
        });
        order.run([puts, gets]);
        assert_eq!(sum.get() + rest(&queue), 7);
    }
}

model! {
    /// Two getters asleep, or about to be, and two items at once: both wake.
    fn many_put_wake_many(order) tight {
        let (queue, sum) = (bounded(2), Tally::new());
        let puts = with(&queue, |queue| assert!(queue.put_many(vec![item(1), item(2)]).is_ok()));
        order.run([gets(&queue, &sum, 1), gets(&queue, &sum, 1), puts]);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// The same for putters, and room for two at once.
    fn many_got_wake_many(order) tight {
        let (queue, sum) = (bounded(2), Tally::new());
        queue.put_many(vec![item(1), item(2)]).unwrap();
        let gets = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            let mut got = Vec::new();
            queue.get_many(&mut got, 2).unwrap();
            sum.add(got.iter().map(Item::value).sum());
        });
        order.run([puts(&queue, &[4]), puts(&queue, &[8]), gets]);
        assert_eq!(sum.get() + rest(&queue), 15);
    }
}

model! {
    /// crossbeam #971 (rust #110001), #1084, #1187: one producer is about to link the second block
    /// when another puts behind it and the queue is dropped by the last thread. Every item is
    /// dropped once, every block freed.
    fn dropped_by_the_last(order) tight {
        struct Counted(Arc<Tally>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.add(1);
            }
        }
        let sum = Tally::new();
        let queue = Arc::new(Queue::unbounded());
        assert!(queue.put(Counted(sum.clone())).is_ok());
        let puts = || {
            with(&(queue.clone(), sum.clone()), |(queue, sum)| {
                assert!(queue.put(Counted(sum)).is_ok())
            })
        };
        let gets = with(&queue, |queue| drop(queue.try_get()));
        let bodies = [puts(), puts(), gets];
        drop(queue);
        order.run(bodies);
        assert_eq!(sum.get(), 3);
    }
}

model! {
    /// deque CVE-2021-32810: two who take at once get two different items.
    fn two_takers_two_items(order) small {
        let (queue, sum) = (unbounded(), Tally::new());
        queue.put_many(vec![item(1), item(2), item(4)]).unwrap();
        let takes = || with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            sum.add(queue.try_get().unwrap().value());
        });
        order.run([takes(), takes()]);
        assert_eq!(sum.get(), 3);
        assert_eq!(rest(&queue), 4);
    }
}

model! {
    /// kanal #14, #15, #19, std #39364, #94518: a receive with a timeout expires at the moment of a
    /// put.
    fn timeout_against_put(order) small whole {
        let (queue, sum) = (unbounded(), Tally::new());
        let timed = with(&(queue.clone(), sum.clone()), |(queue, sum)| {
            if let Ok(item) = queue.get_timeout(SOON) {
                sum.add(item.value());
            }
        });
        order.run([puts(&queue, &[1]), timed]);
        assert_eq!(sum.get() + rest(&queue), 1);
    }
}

model! {
    /// Two queues: two threads that each put into one and find the other empty cannot both be
    /// right. Needs one order that all agree on.
    fn empty_is_true_of_a_moment(order) small {
        let queues = Arc::new([Queue::<u32>::bounded(1), Queue::unbounded()]);
        let found = Tally::new();
        let crosses = |mine: usize| with(&(queues.clone(), found.clone()), move |(queues, found)| {
            queues[mine].put(1).unwrap();
            if queues[1 - mine].try_get().is_ok() {
                found.add(1);
            }
        });
        order.run([crosses(0), crosses(1)]);
        assert!(found.get() >= 1);
    }
}

model! {
    /// The counterpart for "full", which needs one order that all agree on too.
    fn full_is_true_of_a_moment(order) small {
        let queues = Arc::new([Queue::<u32>::bounded(1), Queue::bounded(1)]);
        let found = Tally::new();
        for queue in &*queues {
            queue.put(1).unwrap();
        }
        let crosses = |mine: usize| with(&(queues.clone(), found.clone()), move |(queues, found)| {
            queues[mine].get().unwrap();
            if queues[1 - mine].try_put(2).is_ok() {
                found.add(1);
            }
        });
        order.run([crosses(0), crosses(1)]);
        assert!(found.get() >= 1);
    }
}
