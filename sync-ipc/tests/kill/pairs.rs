//! Two children at a time: owner and successor, sender and receiver, waiter and waker.

use std::time::Duration;

use sync_ipc::{Barrier, BarrierError, Event, LockError, RawArray, RecvError, Segment, Semaphore};

use crate::harness::{Pair, pairs};
use crate::processes::{FOR_EVER, fork};
use crate::{condvar, mutex, queue};

/// Short: a stepped process cannot be woken by one that stands still.
const SOON: Duration = Duration::from_millis(5);

/// Two recover a dead owner's lock, and take it over from each other.
struct OwnerAndRecoverer;

impl Pair for OwnerAndRecoverer {
    type World = mutex::World;
    fn world(&self) -> Self::World {
        let world = mutex::world();
        assert_eq!(
            fork(|| i32::from(world.mutex.lock().map(core::mem::forget).is_err())).join(),
            0
        );
        world
    }
    fn prepare(&self, world: &Self::World) {
        assert!(!world.mutex.is_locked_by_us());
    }
    fn act(&self, who: usize, world: &Self::World) {
        for _ in 0..2 {
            match world.mutex.try_lock_for(SOON) {
                Ok(mut guard) => guard.set(2 + who as u64),
                Err(LockError::OwnerDied(mut guard)) => {
                    guard.set(2 + who as u64);
                    guard.mark_consistent();
                }
                Err(other) => assert!(other.is_timeout(), "{other}"),
            }
        }
    }
    fn check(&self, world: &Self::World, _: [bool; 2]) {
        mutex::survivor(&world.mutex, &[1, 2, 3]);
    }
}

#[test]
fn owner_and_recoverer() {
    pairs("owner_and_recoverer", &OwnerAndRecoverer, 60, 1200);
}

struct ProducerAndConsumer;

impl Pair for ProducerAndConsumer {
    type World = queue::World;
    fn world(&self) -> Self::World {
        queue::world()
    }
    fn prepare(&self, world: &Self::World) {
        queue::touch(world);
    }
    fn act(&self, who: usize, (_, queue): &Self::World) {
        match who {
            0 => assert!((3..6).all(|item| {
                queue
                    .put_timeout(item, SOON)
                    .map_or_else(|error| error.into_inner() == item, |()| true)
            })),
            _ => {
                assert!((0..3).all(|_| matches!(
                    queue.get_timeout(SOON),
                    Ok(1..6) | Err(RecvError::TimedOut)
                )))
            }
        }
    }
    fn check(&self, (_, queue): &Self::World, _: [bool; 2]) {
        let items = queue::drain(queue);
        let mut unique = items.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), items.len(), "doubled: {items:?}");
        // The consumer takes three at most, in order; what it took last may come back late.
        let kept: Vec<u64> = items.iter().copied().filter(|item| *item > 3).collect();
        assert!(kept.is_sorted() && items.iter().all(|item| (1..6).contains(item)), "{items:?}");
        assert!(items.iter().filter(|item| **item < 3).count() + 3 >= 2, "{items:?}");
        queue::still_works(queue);
    }
}

#[test]
fn producer_and_consumer() {
    pairs("producer_and_consumer", &ProducerAndConsumer, 60, 1500);
}

struct WaiterAndNotifier;

impl Pair for WaiterAndNotifier {
    type World = condvar::World;
    fn world(&self) -> Self::World {
        condvar::world()
    }
    fn prepare(&self, world: &Self::World) {
        drop(world.mutex.lock());
    }
    fn act(&self, who: usize, world: &Self::World) {
        let Ok(mut guard) = world.mutex.try_lock_for(SOON) else { return };
        if who == 0 {
            drop(world.condvar.wait_while_for(guard, SOON, |value| *value == 0));
        } else {
            guard.set(1);
            drop(guard);
            world.condvar.notify_one();
        }
    }
    fn check(&self, world: &Self::World, _: [bool; 2]) {
        condvar::still_works(world);
    }
}

#[test]
fn waiter_and_notifier() {
    pairs("waiter_and_notifier", &WaiterAndNotifier, 60, 1500);
}

/// Two parties of a barrier; each that was through writes down its outcome.
struct Parties;

impl Pair for Parties {
    type World = (Barrier, RawArray<u32>);
    fn world(&self) -> Self::World {
        let segment = Segment::anonymous(4096).expect("a segment");
        let barrier = Barrier::create(&segment, "barrier", 2).expect("room");
        (barrier, RawArray::zeroed(&segment, "passed", 2).expect("room"))
    }
    fn prepare(&self, world: &Self::World) {
        // Makes us a participant, and leaves a barrier as if new.
        world.0.reset().expect("no process is stopped");
    }
    fn act(&self, who: usize, (barrier, passed): &Self::World) {
        let outcome = match barrier.wait_timeout(SOON) {
            Ok(_) => 1,
            Err(BarrierError::TimedOut | BarrierError::Broken) => 2,
            Err(_) => 3,
        };
        passed.set(who, outcome).expect("two");
    }
    fn check(&self, (barrier, passed): &Self::World, finished: [bool; 2]) {
        let outcomes = passed.to_vec();
        assert!(outcomes.iter().all(|outcome| *outcome < 3), "{outcomes:?}");
        assert!(
            finished != [true; 2] || outcomes[0] == outcomes[1],
            "one passed and the other did not: {outcomes:?}"
        );
        barrier.reset().expect("no process is stopped");
        let mut other = fork(|| i32::from(barrier.wait_timeout(FOR_EVER).is_err()));
        barrier.wait_timeout(FOR_EVER).expect("as new");
        assert_eq!(other.join(), 0);
    }
}

#[test]
fn parties_of_a_barrier() {
    pairs("parties", &Parties, 60, 2500);
}

struct SetterAndWaiter;

impl Pair for SetterAndWaiter {
    type World = Event;
    fn world(&self) -> Self::World {
        Event::create(&Segment::anonymous(4096).expect("a segment"), "event").expect("room")
    }
    fn prepare(&self, event: &Self::World) {
        event.set();
        event.clear();
    }
    fn act(&self, who: usize, event: &Self::World) {
        if who == 0 {
            event.set();
            event.clear();
            event.set();
        } else {
            let _ = event.wait_timeout(SOON);
        }
    }
    fn check(&self, event: &Self::World, finished: [bool; 2]) {
        assert!(!finished[0] || event.is_set());
        event.clear();
        let mut waiter = fork(|| event.wait_timeout(FOR_EVER).into());
        event.set();
        assert_eq!(waiter.join(), 1);
    }
}

#[test]
fn setter_and_waiter() {
    pairs("setter_and_waiter", &SetterAndWaiter, 60, 300);
}

/// Two share one permit.
struct Holders;

impl Pair for Holders {
    type World = Semaphore;
    fn world(&self) -> Self::World {
        Semaphore::create(&Segment::anonymous(4096).expect("a segment"), "semaphore", 1, 1)
            .expect("room")
    }
    fn prepare(&self, semaphore: &Self::World) {
        drop(semaphore.try_acquire_for(SOON));
    }
    fn act(&self, _: usize, semaphore: &Self::World) {
        (0..2).for_each(|_| drop(semaphore.try_acquire_for(SOON)));
    }
    fn check(&self, semaphore: &Self::World, _: [bool; 2]) {
        let permit = semaphore.try_acquire_for(FOR_EVER).expect("not lost");
        assert!(semaphore.try_acquire().is_err(), "not doubled");
        drop(permit);
        assert_eq!(semaphore.available_permits(), 1);
    }
}

#[test]
fn holders_of_a_permit() {
    pairs("holders", &Holders, 60, 600);
}
