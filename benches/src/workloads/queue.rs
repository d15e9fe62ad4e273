//! Queues and channels: crossbeam-channel, std's mpsc, flume, kanal, and a `Mutex<VecDeque>` with
//! two condition variables, of std.
//!
//! * `one-thread-<capacity>`: put and get in one thread;
//! * `spsc-`, `spmc-`, `mpsc-`, `mpmc-<capacity>`: one or four producers, one or four consumers
//!   (after kanal's and crossbeam's suites);
//! * `batch-<n>`: ours against itself: the same items put and got one by one, or `n` at a time by
//!   `put_many` and `get_many`;
//! * `ping-pong`: two threads, two queues of one item: there and back.
//!
//! With one place, and in the ping-pong, the processor time is measured too (of each transfer): a
//! peer that spins instead of sleeping is fast on an idle machine and takes from the others on a
//! busy one.
//!
//! Every item is a different number. A round counts the items that arrive and sums them up; the
//! self-check looks at each.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Subject, Workload};

/// Operations that a workload needs of a channel. Sides are handles, for some peers have no other
/// form.
pub trait Channel: 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// The side that puts.
    type Sender: Clone + Send;
    /// The side that gets.
    type Receiver: Send;

    /// A new channel; without a capacity it is unbounded.
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver);
    /// Puts, waiting for room.
    fn put(sender: &Self::Sender, item: u64);
    /// Gets, waiting for an item.
    fn get(receiver: &Self::Receiver) -> u64;
}

/// One that several threads may get from.
pub trait ManyConsumers: Channel {
    /// Another handle to the same side.
    fn another(receiver: &Self::Receiver) -> Self::Receiver;
}

macro_rules! channel {
    ($peer:expr, $name:ident, $sender:ty, $receiver:ty, $bounded:expr, $unbounded:expr) => {
        /// One of the peers.
        #[derive(Debug)]
        pub struct $name;

        impl Channel for $name {
            const PEER: &'static str = $peer;
            type Sender = $sender;
            type Receiver = $receiver;

            fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
                capacity.map_or_else($unbounded, $bounded)
            }

            #[inline]
            fn put(sender: &Self::Sender, item: u64) {
                sender.send(item).expect("the receiver is there");
            }

            #[inline]
            fn get(receiver: &Self::Receiver) -> u64 {
                receiver.recv().expect("the sender is there")
            }
        }

        impl ManyConsumers for $name {
            fn another(receiver: &Self::Receiver) -> Self::Receiver {
                receiver.clone()
            }
        }
    };
}

channel!(
    "crossbeam",
    Crossbeam,
    crossbeam_channel::Sender<u64>,
    crossbeam_channel::Receiver<u64>,
    crossbeam_channel::bounded,
    crossbeam_channel::unbounded
);
channel!(
    "flume",
    Flume,
    flume::Sender<u64>,
    flume::Receiver<u64>,
    flume::bounded,
    flume::unbounded
);
channel!(
    "kanal",
    Kanal,
    kanal::Sender<u64>,
    kanal::Receiver<u64>,
    kanal::bounded,
    kanal::unbounded
);

/// Ours: one queue, shared.
#[derive(Debug)]
pub struct Ours;

impl Channel for Ours {
    const PEER: &'static str = OURS;
    type Sender = Arc<sync_queue::Queue<u64>>;
    type Receiver = Arc<sync_queue::Queue<u64>>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        let queue = Arc::new(
            capacity.map_or_else(sync_queue::Queue::unbounded, sync_queue::Queue::bounded),
        );
        (Arc::clone(&queue), queue)
    }

    #[inline]
    fn put(sender: &Self::Sender, item: u64) {
        sender.put(item).expect("it is not shut down");
    }

    #[inline]
    fn get(receiver: &Self::Receiver) -> u64 {
        receiver.get().expect("it is not shut down")
    }
}

impl ManyConsumers for Ours {
    fn another(receiver: &Self::Receiver) -> Self::Receiver {
        Arc::clone(receiver)
    }
}

/// The standard library's; bounded and unbounded senders are different types there, and there is
/// one consumer.
#[derive(Debug)]
pub struct Std;

/// Either sender of the standard library.
#[derive(Clone, Debug)]
pub enum StdSender {
    /// Of a bounded channel.
    Bounded(std::sync::mpsc::SyncSender<u64>),
    /// Of an unbounded one.
    Unbounded(std::sync::mpsc::Sender<u64>),
}

impl Channel for Std {
    const PEER: &'static str = "std";
    type Sender = StdSender;
    type Receiver = std::sync::mpsc::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        match capacity {
            Some(capacity) => {
                let (sender, receiver) = std::sync::mpsc::sync_channel(capacity);
                (StdSender::Bounded(sender), receiver)
            }
            None => {
                let (sender, receiver) = std::sync::mpsc::channel();
                (StdSender::Unbounded(sender), receiver)
            }
        }
    }

    #[inline]
    fn put(sender: &Self::Sender, item: u64) {
        match sender {
            StdSender::Bounded(sender) => sender.send(item),
            StdSender::Unbounded(sender) => sender.send(item),
        }
        .expect("the receiver is there");
    }

    #[inline]
    fn get(receiver: &Self::Receiver) -> u64 {
        receiver.recv().expect("the sender is there")
    }
}

/// The queue that is written by hand from a mutex and a condition variable.
#[derive(Debug)]
pub struct Deque {
    items: Mutex<VecDeque<u64>>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

impl Channel for Deque {
    const PEER: &'static str = "vecdeque";
    type Sender = Arc<Self>;
    type Receiver = Arc<Self>;

    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        let items = Mutex::new(VecDeque::with_capacity(capacity.unwrap_or(0)));
        let (not_empty, not_full) = (Condvar::new(), Condvar::new());
        let deque =
            Arc::new(Self { items, capacity: capacity.unwrap_or(usize::MAX), not_empty, not_full });
        (Arc::clone(&deque), deque)
    }

    fn put(sender: &Self::Sender, item: u64) {
        let items = sender.items.lock().expect("no thread panics");
        let mut items = sender
            .not_full
            .wait_while(items, |items| items.len() == sender.capacity)
            .expect("no thread panics");
        items.push_back(item);
        drop(items);
        sender.not_empty.notify_one();
    }

    fn get(receiver: &Self::Receiver) -> u64 {
        let items = receiver.items.lock().expect("no thread panics");
        let mut items = receiver
            .not_empty
            .wait_while(items, |items| items.is_empty())
            .expect("no thread panics");
        let item = items.pop_front().expect("it was not empty");
        drop(items);
        if receiver.capacity != usize::MAX {
            receiver.not_full.notify_one();
        }
        item
    }
}

impl ManyConsumers for Deque {
    fn another(receiver: &Self::Receiver) -> Self::Receiver {
        Arc::clone(receiver)
    }
}

/// Calls a function for each channel, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<Crossbeam>($($argument),*),
            $function::<Flume>($($argument),*),
            $function::<Kanal>($($argument),*),
            $function::<Deque>($($argument),*),
        ]
    };
}

/// The same without those that have one consumer.
macro_rules! each_with_many_consumers {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Crossbeam>($($argument),*),
            $function::<Flume>($($argument),*),
            $function::<Kanal>($($argument),*),
            $function::<Deque>($($argument),*),
        ]
    };
}

const CAPACITIES: [Option<usize>; 4] = [Some(1), Some(64), Some(1024), None];

/// All workloads of the queue.
pub fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    let name = |shape: &str, capacity: Option<usize>| match capacity {
        Some(capacity) => format!("{shape}-{capacity}"),
        None => format!("{shape}-unbounded"),
    };
    for capacity in CAPACITIES {
        all.push(Workload::single(
            "queue",
            name("one-thread", capacity),
            each!(one_thread(capacity)),
        ));
    }
    for capacity in CAPACITIES {
        // Where nearly every item waits, the processor time shows which peers sleep and which spin.
        let metrics: &[_] = if capacity == Some(1) { &["", "cpu"] } else { &[""] };
        let shapes = [
            ("spsc", 2, each!(one_consumer(1, capacity))),
            ("spmc", 5, each_with_many_consumers!(many_consumers(1, 4, capacity))),
            ("mpsc", 5, each!(one_consumer(4, capacity))),
            ("mpmc", 8, each_with_many_consumers!(many_consumers(4, 4, capacity))),
        ];
        for (shape, threads, contestants) in shapes {
            all.push(
                Workload::team("queue", name(shape, capacity), threads, contestants)
                    .paced_by_ops()
                    .reporting(metrics),
            );
        }
    }
    for size in [8, 64] {
        let contestants = vec![batches(OURS, size), batches("singles", 1)];
        all.push(Workload::single("queue", format!("batch-{size}"), contestants));
    }
    all.push(
        Workload::team("queue", "ping-pong", 2, each!(ping_pong()))
            .paced_by_ops()
            .reporting(&["", "cpu"]),
    );
    all
}

fn one_thread<C: Channel>(capacity: Option<usize>) -> Contestant {
    shapes::custom(C::PEER, move || {
        let (sender, receiver) = C::open(capacity);
        let mut next = 0;
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = std::time::Instant::now();
            let mut wrong = 0;
            for _ in 0..ops {
                C::put(&sender, next);
                wrong += u64::from(C::get(&receiver) != next);
                next += 1;
            }
            let elapsed = start.elapsed();
            expect(0, wrong)?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

/// Ours alone: put and get in one thread, `size` items at a time; `ns/op` is an item's.
fn batches(name: &'static str, size: usize) -> Contestant {
    const LOT: u64 = 64;
    shapes::custom(name, move || {
        let queue = sync_queue::Queue::bounded(1024);
        let mut next = 0;
        let mut got = Vec::new();
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let lots = ops.div_ceil(LOT);
            let start = std::time::Instant::now();
            let mut wrong = 0;
            for _ in 0..lots {
                for _ in 0..LOT as usize / size {
                    if size == 1 {
                        queue.put(next).expect("it is not shut down");
                    } else {
                        queue
                            .put_many((next..next + size as u64).collect())
                            .expect("it is not shut down");
                    }
                    next += size as u64;
                }
                got.clear();
                while got.len() < LOT as usize {
                    if size == 1 {
                        got.push(queue.get().expect("it is not shut down"));
                    } else {
                        queue.get_many(&mut got, size).expect("it is not shut down");
                    }
                }
                wrong += u64::from(!got.iter().copied().eq(next - LOT..next));
            }
            let elapsed = start.elapsed();
            expect(0, wrong)?;
            Ok(Outcome::timed(lots * LOT, elapsed))
        }
    })
}

fn one_consumer<C: Channel>(producers: usize, capacity: Option<usize>) -> Contestant {
    shapes::custom(C::PEER, move || Transfer::<C> {
        producers,
        consumers: 1,
        capacity,
        another: |_| unreachable!("one consumer"),
    })
}

fn many_consumers<C: ManyConsumers>(
    producers: usize,
    consumers: usize,
    capacity: Option<usize>,
) -> Contestant {
    shapes::custom(C::PEER, move || Transfer::<C> {
        producers,
        consumers,
        capacity,
        another: C::another,
    })
}

/// Producers, consumers, and a channel between them.
struct Transfer<C: Channel> {
    producers: usize,
    consumers: usize,
    capacity: Option<usize>,
    another: fn(&C::Receiver) -> C::Receiver,
}

/// A side of the channel, to be taken by its thread.
enum Side<C: Channel> {
    Put(C::Sender),
    Get(C::Receiver),
}

impl<C: Channel> Transfer<C> {
    /// Moves at least `n` items and gives each to `see`, in the thread that received it.
    fn transfer<S: Send>(
        &self,
        items: u64,
        new: impl Fn() -> S + Sync,
        see: impl Fn(&mut S, u64) + Sync,
    ) -> (Vec<S>, Outcome) {
        // The same share for all producers, and the same for all consumers.
        let (producers, consumers) = (self.producers as u64, self.consumers as u64);
        let items = items.div_ceil(producers * consumers) * producers * consumers;
        let (sender, receiver) = C::open(self.capacity);
        let mut sides: Vec<Mutex<Option<Side<C>>>> = Vec::new();
        for _ in 1..self.consumers {
            sides.push(Mutex::new(Some(Side::Get((self.another)(&receiver)))));
        }
        sides.push(Mutex::new(Some(Side::Get(receiver))));
        for _ in 1..self.producers {
            sides.push(Mutex::new(Some(Side::Put(sender.clone()))));
        }
        sides.push(Mutex::new(Some(Side::Put(sender))));
        let seen = Mutex::new(Vec::new());
        let run = run_team(sides.len(), Length::Ops(items), |member| {
            match sides[member.index]
                .lock()
                .expect("no thread panics")
                .take()
                .expect("each side is taken once")
            {
                Side::Put(sender) => {
                    let producer = (member.index - self.consumers) as u64;
                    for number in 0..items / producers {
                        C::put(&sender, number * producers + producer);
                    }
                    0
                }
                Side::Get(receiver) => {
                    let mut mine = new();
                    for _ in 0..items / consumers {
                        see(&mut mine, C::get(&receiver));
                    }
                    seen.lock().expect("no thread panics").push(mine);
                    items / consumers
                }
            }
        });
        let mut outcome = Outcome::timed(run.ops(), run.elapsed);
        if self.capacity == Some(1) {
            outcome.metrics.push(run.cpu());
        }
        (seen.into_inner().expect("no thread panics"), outcome)
    }
}

impl<C: Channel> Subject for Transfer<C> {
    fn round(&mut self, length: Length) -> Result<Outcome, String> {
        let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
        let (sums, outcome) = self.transfer(ops, || 0_u64, |sum, item| *sum += item);
        // 0 + 1 + ... + (n - 1): two items for one, or one twice instead of another, change the
        // sum.
        expect(outcome.ops * outcome.ops.saturating_sub(1) / 2, sums.iter().sum())?;
        Ok(outcome)
    }

    fn check(&mut self) -> Result<(), String> {
        let (seen, outcome) = self.transfer(1_000, Vec::new, Vec::push);
        let producers = self.producers as u64;
        for items in &seen {
            for producer in 0..producers {
                let from_one = items.iter().filter(|&&item| item % producers == producer);
                if !from_one.is_sorted() {
                    return Err(format!("the items of producer {producer} came out of order"));
                }
            }
        }
        let mut all: Vec<u64> = seen.into_iter().flatten().collect();
        all.sort_unstable();
        if all.iter().copied().eq(0..outcome.ops) {
            Ok(())
        } else {
            Err("items were lost or doubled".to_owned())
        }
    }
}

fn ping_pong<C: Channel>() -> Contestant {
    shapes::custom(C::PEER, || {
        |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let (there, there_end) = C::open(Some(1));
            let (back, back_end) = C::open(Some(1));
            let ends = [Mutex::new(Some((there, back_end))), Mutex::new(Some((back, there_end)))];
            let run = run_team(2, Length::Ops(ops * 2), |member| {
                let (sender, receiver) = ends[member.index]
                    .lock()
                    .expect("no thread panics")
                    .take()
                    .expect("each end is taken once");
                let mut right = 0;
                for number in 0..ops {
                    if member.index == 0 {
                        C::put(&sender, number);
                        right += u64::from(C::get(&receiver) == number);
                    } else {
                        let item = C::get(&receiver);
                        right += u64::from(item == number);
                        C::put(&sender, item);
                    }
                }
                right
            });
            expect(ops * 2, run.ops())?;
            let mut outcome = Outcome::timed(ops, run.elapsed);
            outcome.metrics.push(run.cpu());
            Ok(outcome)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loses one item in a hundred and hands out the one before it twice.
    struct Broken;

    impl Channel for Broken {
        const PEER: &'static str = "broken";
        type Sender = Arc<Deque>;
        type Receiver = Arc<Deque>;

        fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
            Deque::open(capacity)
        }

        fn put(sender: &Self::Sender, item: u64) {
            Deque::put(sender, if item % 100 == 99 { item - 1 } else { item });
        }

        fn get(receiver: &Self::Receiver) -> u64 {
            Deque::get(receiver)
        }
    }

    #[test]
    fn a_queue_that_loses_and_doubles_is_found() {
        let mut subject = one_consumer::<Broken>(2, Some(8)).start();
        assert!(subject.check().is_err());
        assert!(subject.round(Length::Ops(200)).is_err());
        assert!(one_thread::<Broken>(None).start().check().is_err());
        assert!(ping_pong::<Broken>().start().check().is_err());
    }
}
