//! Wait and notify.

use std::cell::RefCell;
use std::time::Duration;

use sync_ipc::{Condvar, Mutex, Segment};

use crate::harness::{Case, every};
use crate::processes::{Child, fork, until};

pub(crate) struct World {
    segment: Segment,
    pub(crate) mutex: Mutex<u32>,
    pub(crate) condvar: Condvar,
}

pub(crate) fn world() -> World {
    let segment = Segment::anonymous(8192).expect("a segment");
    let mutex = Mutex::create(&segment, "mutex", 0).expect("room");
    let condvar = Condvar::with_waiters(&segment, "condvar", 4).expect("room");
    World { segment, mutex, condvar }
}

/// A survivor waits and another one notifies: it arrives.
pub(crate) fn still_works(world: &World) {
    let mut guard = world
        .mutex
        .lock()
        .or_else(|error| error.into_guard().ok_or("refused"))
        .expect("free or recoverable");
    guard.mark_consistent();
    guard.set(0);
    let mut child = fork(|| {
        world.mutex.lock().expect("free").set(1);
        world.condvar.notify_one();
        0
    });
    let guard = world.condvar.wait_while(guard, |value| *value == 0).expect("clean");
    drop(guard);
    assert_eq!(child.join(), 0);
}

struct Wait;

impl Case for Wait {
    type World = World;
    fn world(&self) -> World {
        world()
    }
    fn segment<'a>(&self, world: &'a World) -> &'a Segment {
        &world.segment
    }
    fn prepare(&self, world: &World) {
        drop(world.mutex.lock());
    }
    fn act(&self, world: &World) {
        let guard = world.mutex.lock().expect("free");
        drop(world.condvar.wait_for(guard, Duration::from_millis(3)).expect("clean"));
    }
    fn check(&self, world: &World, _: bool) {
        still_works(world);
    }
}

#[test]
fn wait_at_every_instruction() {
    every("condvar wait", &Wait);
}

/// One notification for one waiter; its sender is killed: the waiter has it, or another
/// notification reaches it.
struct Notify;

impl Case for Notify {
    type World = (World, RefCell<Child>);
    fn world(&self) -> Self::World {
        let world = world();
        let child = fork(|| {
            let guard = world.mutex.lock().expect("free");
            drop(world.condvar.wait_while(guard, |value| *value < 2).expect("clean"));
            0
        });
        // It waits once it has enrolled and let go of the lock: its ticket is drawn.
        until("it waits", || {
            world.mutex.lock().expect("clean").update(|value| *value = 1);
            tickets(&world) > 0
        });
        (world, child.into())
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0.segment
    }
    fn prepare(&self, world: &Self::World) {
        drop(world.0.mutex.lock());
    }
    fn act(&self, world: &Self::World) {
        world.0.mutex.lock().expect("free").set(2);
        world.0.condvar.notify_one();
    }
    fn check(&self, (world, waiter): &Self::World, finished: bool) {
        if !finished {
            let mut guard = world
                .mutex
                .lock()
                .or_else(|error| error.into_guard().ok_or("refused"))
                .expect("free or recoverable");
            guard.mark_consistent();
            guard.set(2);
            drop(guard);
            world.condvar.notify_one();
        }
        // Its condition holds and it has been notified.
        assert_eq!(waiter.borrow_mut().join(), 0);
    }
}

/// Two waiters and one notification. The notified waiter is killed while it waits for the lock that
/// the notifier still holds: the other waiter has the notification.
#[test]
fn a_notification_outlives_a_waiter_that_waits_for_the_lock() {
    for _ in 0..4 {
        let world = world();
        let take = || {
            let guard = world.mutex.lock().expect("free");
            let mut guard = world.condvar.wait_while(guard, |stock| *stock == 0).expect("clean");
            guard.set(0);
            0
        };
        let mut waiters = [1, 2].map(|number| {
            let waiter = fork(take);
            until("it is enrolled", || tickets(&world) == number);
            // It has released the lock.
            drop(world.mutex.lock().expect("clean"));
            waiter
        });
        let mut guard = world.mutex.lock().expect("clean");
        guard.set(1);
        world.condvar.notify_one();
        // The first waiter wakes up, and waits for the lock.
        std::thread::sleep(Duration::from_millis(20));
        waiters[0].kill();
        drop(guard);
        assert_eq!(waiters[1].join(), 0);
        assert_eq!(world.mutex.lock().expect("clean").get(), 0);
    }
}

/// The number of tickets that were drawn.
fn tickets(world: &World) -> u64 {
    let mut bytes = [0; 8];
    rustix::io::pread(&world.segment, &mut bytes, offset_of_tickets(world)).expect("readable");
    u64::from_ne_bytes(bytes)
}

/// Where the condvar's ticket counter is: the second object, 64 bytes after the first.
fn offset_of_tickets(world: &World) -> u64 {
    rustix::fs::fstat(&world.segment).expect("a file").st_size as u64 - 8192 + 64
}

#[test]
fn notify_at_every_instruction() {
    every("notify", &Notify);
}
