use std::time::Duration;

use sync_ipc::{Condvar, LockError, ReentrantMutex, Segment};

use crate::processes::{FOR_EVER, fork};

fn world() -> (Segment, ReentrantMutex<u64>) {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = ReentrantMutex::create(&segment, "mutex", 1).expect("room");
    (segment, mutex)
}

#[test]
fn three_times_and_free_after_the_third() {
    let (_segment, mutex) = world();
    let guards = [(); 3].map(|()| mutex.lock().expect("ours"));
    let free = || fork(|| mutex.try_lock().is_ok().into()).join() == 1;
    for (left, guard) in guards.into_iter().enumerate() {
        assert_eq!(guard.depth() as usize, 3 - left);
        assert!(!free() && mutex.is_locked_by_us());
        drop(guard);
    }
    assert!(free() && !mutex.is_locked());
}

#[test]
fn debug_says_owner_and_depth() {
    let (_segment, mutex) = world();
    assert!(format!("{mutex:?}").contains("owner: Unowned, count: 0"));
    let guards = [(); 2].map(|()| mutex.lock().expect("ours"));
    assert!(format!("{mutex:?}").contains("owner: ThisProcess, count: 2"));
    drop(guards);
}

#[test]
fn another_thread_of_the_owner_is_not_the_owner() {
    let (_segment, mutex) = world();
    let guard = mutex.lock().expect("free");
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(mutex.try_lock().is_err() && !mutex.is_locked_by_us())).join()
    })
    .expect("no panic");
    drop(guard);
}

#[test]
fn a_fork_does_not_own_it() {
    let (_segment, mutex) = world();
    let guard = mutex.lock().expect("free");
    assert_eq!(fork(|| mutex.try_lock().is_err_and(|error| error.is_timeout()).into()).join(), 1);
    assert_eq!(guard.depth(), 1);
}

#[test]
fn a_dead_owners_count_is_forgotten() {
    let (_segment, mutex) = world();
    let mut child = fork(|| {
        core::mem::forget([(); 5].map(|()| mutex.lock().expect("ours")));
        0
    });
    assert_eq!(child.join(), 0);
    let Err(LockError::OwnerDied(mut guard)) = mutex.try_lock_for(FOR_EVER) else {
        panic!("the owner died")
    };
    assert_eq!(guard.depth(), 1);
    let again = mutex.lock().expect("ours");
    guard.mark_consistent();
    drop((again, guard));
    assert_eq!(mutex.lock().expect("consistent").depth(), 1);
}

#[test]
fn a_count_that_a_peer_wrote_is_an_error() {
    let (segment, mutex) = world();
    let guard = mutex.lock().expect("free");
    // The count is the word that became 1 by the first lock and 2 by the second: 4 bytes behind the
    // lock's word, in which this process's identity is.
    let words = || {
        let mut bytes = vec![0; 1 << 16];
        let read = rustix::io::pread(&segment, &mut bytes, 0).expect("it can be read");
        bytes.truncate(read / 4 * 4);
        bytes
    };
    let before = words();
    let again = mutex.lock().expect("ours");
    let after = words();
    let at = (0..before.len())
        .step_by(4)
        .find(|at| before[*at..at + 4] == 1_u32.to_ne_bytes() && after[*at] == 2)
        .expect("the count");
    rustix::io::pwrite(&segment, &u32::MAX.to_ne_bytes(), at as u64).expect("it can be written");
    assert!(matches!(mutex.lock(), Err(LockError::TooManyLevels)));
    assert!(matches!(mutex.try_lock(), Err(LockError::TooManyLevels)));
    drop((again, guard));
}

#[test]
fn a_forked_childs_copy_of_a_guard_waits_with_one_level() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let mutex = ReentrantMutex::create(&segment, "m", 0_u32).expect("room");
    let condvar = Condvar::create(&segment, "c").expect("room");
    let levels = [(); 3].map(|()| mutex.lock().expect("free"));
    let mut child = fork(|| {
        // SAFETY: the child's copy, which it does not use again.
        let copy = unsafe { core::ptr::read(&levels[2]) };
        let (guard, _) = condvar.wait_for(copy, Duration::from_millis(1)).expect("clean");
        let depth = guard.depth();
        drop(guard);
        i32::from(depth != 1 || mutex.is_locked_by_us())
    });
    // The child begins its wait meanwhile. Where it is late, it has less to get wrong.
    std::thread::sleep(Duration::from_millis(100));
    drop(levels);
    assert_eq!(child.join(), 0);
    drop(mutex.try_lock_for(FOR_EVER).expect("no process has it"));
}
