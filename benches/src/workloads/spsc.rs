//! Rings for one producer and one consumer that never sleep: rtrb.
//!
//! * `one-thread`: push and pop in one thread;
//! * `transfer-<capacity>`: two threads; a thread that finds the ring full (or empty) lets the
//!   other run.

use std::sync::Mutex;

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of a ring.
pub trait Ring: 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// The side that puts.
    type Producer: Send;
    /// The side that gets.
    type Consumer: Send;

    /// A new ring.
    fn new(capacity: usize) -> (Self::Producer, Self::Consumer);
    /// Puts if there is room.
    fn put(producer: &mut Self::Producer, item: u64) -> bool;
    /// Gets if there is an item.
    fn get(consumer: &mut Self::Consumer) -> Option<u64>;
}

/// Ours.
#[derive(Debug)]
pub struct Ours;

impl Ring for Ours {
    const PEER: &'static str = OURS;
    type Producer = sync_queue::Producer<u64>;
    type Consumer = sync_queue::Consumer<u64>;

    fn new(capacity: usize) -> (Self::Producer, Self::Consumer) {
        sync_queue::spsc(capacity)
    }

    #[inline]
    fn put(producer: &mut Self::Producer, item: u64) -> bool {
        producer.try_put(item).is_ok()
    }

    #[inline]
    fn get(consumer: &mut Self::Consumer) -> Option<u64> {
        consumer.try_get()
    }
}

/// The crate of that name.
#[derive(Debug)]
pub struct Rtrb;

impl Ring for Rtrb {
    const PEER: &'static str = "rtrb";
    type Producer = rtrb::Producer<u64>;
    type Consumer = rtrb::Consumer<u64>;

    fn new(capacity: usize) -> (Self::Producer, Self::Consumer) {
        rtrb::RingBuffer::new(capacity)
    }

    #[inline]
    fn put(producer: &mut Self::Producer, item: u64) -> bool {
        producer.push(item).is_ok()
    }

    #[inline]
    fn get(consumer: &mut Self::Consumer) -> Option<u64> {
        consumer.pop().ok()
    }
}

fn one_thread<R: Ring>() -> Contestant {
    shapes::custom(R::PEER, || {
        let (mut producer, mut consumer) = R::new(1024);
        let mut next = 0;
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let start = std::time::Instant::now();
            let mut right = 0;
            for _ in 0..ops {
                let put = R::put(&mut producer, next);
                right += u64::from(put && R::get(&mut consumer) == Some(next));
                next += 1;
            }
            let elapsed = start.elapsed();
            expect(ops, right)?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

fn transfer<R: Ring>(capacity: usize) -> Contestant {
    shapes::custom(R::PEER, move || {
        move |length: Length| {
            let Length::Ops(items) = length else { return Err("measured in operations".into()) };
            let (producer, consumer) = R::new(capacity);
            let (producer, consumer) = (Mutex::new(Some(producer)), Mutex::new(Some(consumer)));
            let run = run_team(2, Length::Ops(items), |member| {
                if member.index == 0 {
                    let mut producer =
                        producer.lock().expect("no thread panics").take().expect("taken once");
                    for item in 0..items {
                        while !R::put(&mut producer, item) {
                            std::thread::yield_now();
                        }
                    }
                    return 0;
                }
                let mut consumer =
                    consumer.lock().expect("no thread panics").take().expect("taken once");
                let mut right = 0;
                for expected in 0..items {
                    let item = loop {
                        match R::get(&mut consumer) {
                            Some(item) => break item,
                            None => std::thread::yield_now(),
                        }
                    };
                    right += u64::from(item == expected);
                }
                right
            });
            expect(items, run.ops())?;
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}

/// All workloads of the ring.
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![Workload::single(
        "spsc",
        "one-thread",
        vec![one_thread::<Ours>(), one_thread::<Rtrb>()],
    )];
    for capacity in [64, 1024] {
        let contestants = vec![transfer::<Ours>(capacity), transfer::<Rtrb>(capacity)];
        all.push(
            Workload::team("spsc", format!("transfer-{capacity}"), 2, contestants).paced_by_ops(),
        );
    }
    all
}
