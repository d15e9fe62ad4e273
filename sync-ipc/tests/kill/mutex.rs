//! Lock, unlock, try_lock and recovery.

use sync_ipc::{LockError, Mutex, Segment};

use crate::harness::{Case, every};
use crate::processes::{FOR_EVER, fork};

pub(crate) struct World {
    segment: Segment,
    pub(crate) mutex: Mutex<u64>,
}

pub(crate) fn world() -> World {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "mutex", 1).expect("a mutex");
    World { segment, mutex }
}

/// The survivor locks within the bound, and what it finds is whole.
pub(crate) fn survivor(mutex: &Mutex<u64>, whole: &[u64]) {
    match mutex.try_lock_for(FOR_EVER) {
        Ok(guard) => assert!(whole.contains(&guard.get()), "clean, but {}", guard.get()),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.set(whole[0]);
            guard.mark_consistent();
        }
        Err(other) => panic!("{other}"),
    }
    assert!(whole.contains(&mutex.try_lock().expect("free and consistent").get()));
}

struct LockUnlock;

impl Case for LockUnlock {
    type World = World;
    fn world(&self) -> World {
        world()
    }
    fn segment<'a>(&self, world: &'a World) -> &'a Segment {
        &world.segment
    }
    fn prepare(&self, world: &World) {
        // A fork becomes a participant at its first use: that is `segment::joining`'s matter.
        drop(world.mutex.lock());
    }
    fn act(&self, world: &World) {
        world.mutex.lock().expect("free").set(2);
    }
    fn check(&self, world: &World, finished: bool) {
        survivor(&world.mutex, if finished { &[2] } else { &[1, 2] });
    }
}

#[test]
fn lock_and_unlock_at_every_instruction() {
    every("lock_and_unlock", &LockUnlock);
}

struct TryLock;

impl Case for TryLock {
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
        world.mutex.try_lock().expect("free").set(2);
    }
    fn check(&self, world: &World, finished: bool) {
        survivor(&world.mutex, if finished { &[2] } else { &[1, 2] });
    }
}

#[test]
fn try_lock_at_every_instruction() {
    every("try_lock", &TryLock);
}

/// The owner is dead already; the recovering process is killed too.
struct Recover;

impl Case for Recover {
    type World = World;
    fn world(&self) -> World {
        let world = world();
        let mut owner = fork(|| {
            core::mem::forget(world.mutex.lock());
            0
        });
        assert_eq!(owner.join(), 0);
        world
    }
    fn segment<'a>(&self, world: &'a World) -> &'a Segment {
        &world.segment
    }
    fn prepare(&self, world: &World) {
        assert!(!world.mutex.is_locked_by_us());
    }
    fn act(&self, world: &World) {
        let Err(LockError::OwnerDied(mut guard)) = world.mutex.try_lock() else {
            panic!("the owner is dead")
        };
        guard.set(3);
        guard.mark_consistent();
    }
    fn check(&self, world: &World, finished: bool) {
        survivor(&world.mutex, if finished { &[3] } else { &[1, 3] });
    }
}

#[test]
fn recovery_at_every_instruction() {
    every("recovery", &Recover);
}
