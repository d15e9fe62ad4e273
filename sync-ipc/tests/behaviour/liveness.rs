//! Liveness: no lock of the living is taken over, whatever its waiters can see of the owner.

use std::time::Duration;

use sync_ipc::{LockError, Mutex, Segment};

use crate::namespace::Namespace;
use crate::processes::{FOR_EVER, alone, fork, until};
use crate::surroundings::{self, Surroundings};

const HELD: i32 = 1;
const OWNER_DIED: i32 = 2;

fn look(mutex: &Mutex<u64>) -> i32 {
    match mutex.try_lock_for(Duration::from_millis(60)) {
        Err(LockError::TimedOut) => HELD,
        Err(LockError::OwnerDied(guard)) => {
            core::mem::forget(guard);
            OWNER_DIED
        }
        Ok(_) => 3,
        Err(_) => 4,
    }
}

#[test]
fn a_living_owner_keeps_its_lock_and_a_dead_one_loses_it_in_all_surroundings() {
    for place in surroundings::all() {
        for dead in [false, true] {
            let segment = Segment::anonymous(4096).expect("a segment");
            let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
            let mut owner = fork(|| {
                core::mem::forget(mutex.lock().expect("free"));
                loop {
                    std::thread::sleep(FOR_EVER);
                }
            });
            until("it is locked", || mutex.is_locked());
            if dead {
                owner.kill();
            }
            // It becomes a participant before, where it could not afterwards.
            let before = || assert!(matches!(look(&mutex), HELD) || dead);
            let early = matches!(
                place,
                Surroundings::Other(Namespace::NoProc) | Surroundings::NoDescriptors
            );
            let seen = if early && !dead {
                place.run(before, || look(&mutex))
            } else if early {
                // Joins by another object.
                let join = || drop(Mutex::create(&segment, "other", 1_u64).expect("room"));
                place.run(join, || look(&mutex))
            } else {
                place.run(|| (), || look(&mutex))
            };
            let expected = if dead { OWNER_DIED } else { HELD };
            assert!(seen.is_none_or(|seen| seen == expected), "{place:?}, dead: {dead}: {seen:?}");
        }
    }
}

#[test]
fn without_proc_participants_go_on_and_no_process_becomes_one() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
    let before = || drop(mutex.lock().expect("free"));
    let seen = Surroundings::Other(Namespace::NoProc).run(before, || {
        mutex.lock().expect("a participant").update(|value| *value += 1);
        assert!(Segment::anonymous(4096).is_err());
        assert!(Segment::create(&format!("noproc-{}", std::process::id()), 4096).is_err());
        assert!(Segment::from_fd(segment.try_clone_fd().expect("one")).is_err());
        // A forked child has not used the segment yet.
        let mut child = fork(|| i32::from(!matches!(mutex.lock(), Err(LockError::NotAttached))));
        child.join()
    });
    assert!(seen.is_none_or(|seen| seen == 0), "{seen:?}");
    if seen.is_some() {
        assert_eq!(mutex.lock().expect("free").get(), 2);
    }
}

#[test]
fn an_owner_that_cannot_be_judged_is_not_robbed() {
    // It is killed, and its forked child, which has never used the segment, keeps its description.
    // In its PID namespace that can be found out; in another one it cannot.
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
    let shared = Segment::anonymous(4096).expect("a segment");
    let idle = sync_ipc::RawValue::create(&shared, "idle", 0_u32).expect("room");
    let mut owner = fork(|| {
        core::mem::forget(mutex.lock().expect("free"));
        let child = fork(|| {
            until("the test is done", || idle.get() == 2);
            0
        });
        idle.set(1);
        core::mem::forget(child);
        loop {
            std::thread::sleep(FOR_EVER);
        }
    });
    until("both are there", || idle.get() == 1);
    owner.kill();
    let far = Surroundings::Other(Namespace::OtherPids).run(|| (), || look(&mutex));
    assert!(far.is_none_or(|far| far == HELD), "unknown is not dead: {far:?}");
    assert_eq!(look(&mutex), OWNER_DIED, "seen from its own PID namespace");
    idle.set(2);
}

#[test]
fn a_slot_is_used_by_many_participants_before_an_identity_comes_back() {
    alone(|| {
        // 16,384 memberships was the documented limit; a process that opens and drops used to reach
        // it after half that number.
        let segment = Segment::anonymous(4096).expect("a segment");
        let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
        let owner = Segment::from_fd(segment.try_clone_fd().expect("a descriptor")).expect("ours");
        let theirs = Mutex::<u64>::open(&owner, "m").expect("it is there");
        core::mem::forget(theirs.lock().expect("free"));
        drop((theirs, owner));
        // Each of them in the owner's slot, the second one: in rotation it would take 512 times as
        // many. The number at this place says which slot is tried first.
        const NEXT_SLOT: u64 = 44;
        for turn in 0..16_383 {
            rustix::io::pwrite(&segment, &1_u32.to_ne_bytes(), NEXT_SLOT).expect("a memfd");
            let again =
                Segment::from_fd(segment.try_clone_fd().expect("a descriptor")).expect("ours");
            if turn % 64 == 0 || turn > 16_350 || (8_100..8_300).contains(&turn) {
                let theirs = Mutex::<u64>::open(&again, "m").expect("it is there");
                assert!(!theirs.is_locked_by_us(), "after {turn} memberships");
            }
        }
        assert_eq!(look(&mutex), OWNER_DIED);
    });
}

/// A limit, and the reason for it: the descriptor that a process has closed was its proof of life.
#[test]
fn a_process_that_closes_its_descriptors_is_dead_to_the_others() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
    let owner = fork(|| {
        core::mem::forget(mutex.lock().expect("free"));
        // SAFETY: the child uses none of its descriptors again.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
        loop {
            std::thread::sleep(FOR_EVER);
        }
    });
    until("its lock is taken over", || mutex.is_locked() && look(&mutex) == OWNER_DIED);
    // SAFETY: asks whether the process is there.
    assert_eq!(unsafe { libc::kill(owner.pid(), 0) }, 0, "it runs all the same");
}
