//! Row MB.

use std::time::Duration;

use sync_ipc::{Barrier, BarrierError, Mutex, Segment};

use crate::processes::{Child, FOR_EVER, fork, until};

fn world(parties: usize) -> (Segment, Barrier) {
    let segment = Segment::anonymous(16384).expect("a segment");
    let barrier = Barrier::create(&segment, "barrier", parties).expect("room");
    (segment, barrier)
}

fn broken(barrier: &Barrier) -> i32 {
    i32::from(barrier.wait_timeout(FOR_EVER) == Err(BarrierError::Broken))
}

#[test]
fn mb_01_lockstep() {
    let (segment, barrier) = world(4);
    let turns = Mutex::create(&segment, "turns", [0_u32; 2]).expect("room");
    let party = || {
        let mut leader = 0;
        for turn in 0..50 {
            turns.lock().expect("clean").update(|[arrived, _]| *arrived += 1);
            leader += i32::from(barrier.wait().expect("whole").is_leader());
            assert!(
                turns.lock().expect("clean").get()[0] >= 4 * (turn + 1),
                "passed before all had arrived"
            );
        }
        turns.lock().expect("clean").update(|[_, leaders]| *leaders += leader as u32);
        0
    };
    let mut children = [(); 3].map(|()| fork(party));
    party();
    assert_eq!(children.each_mut().map(Child::join), [0; 3]);
    assert_eq!(turns.lock().expect("clean").get(), [200, 50], "one leader in every cycle");
}

#[test]
fn mb_01_action_runs_once_before_anybody_passes() {
    let (segment, barrier) = world(3);
    let ran = Mutex::create(&segment, "ran", 0_u32).expect("room");
    let party = || {
        barrier.wait_with(|| ran.lock().expect("clean").update(|n| *n += 1)).expect("whole");
        i32::from(ran.lock().expect("clean").get() != 1)
    };
    let mut children = [(); 2].map(|()| fork(party));
    assert_eq!(party(), 0);
    assert_eq!(children.each_mut().map(Child::join), [0; 2]);
}

#[test]
fn mb_01_abort_and_reset() {
    let (_segment, barrier) = world(3);
    let mut waiters = [(); 2].map(|()| fork(|| broken(&barrier)));
    until("two wait", || barrier.waiting() == 2);
    barrier.abort().expect("nobody is stopped");
    assert_eq!(waiters.each_mut().map(Child::join), [1; 2]);
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    barrier.reset().expect("nobody is stopped");
    assert!(!barrier.is_broken());
    let mut parties = [(); 2].map(|()| fork(|| barrier.wait().is_err().into()));
    barrier.wait().expect("whole again");
    assert_eq!(parties.each_mut().map(Child::join), [0; 2]);
    let mut waiter = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    barrier.reset().expect("nobody is stopped");
    assert_eq!(waiter.join(), 1);
    assert!(!barrier.is_broken());
}

#[test]
fn mb_01_timeout_breaks_it_for_all() {
    let (_segment, barrier) = world(3);
    let mut waiter = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    assert_eq!(barrier.wait_timeout(Duration::from_millis(30)), Err(BarrierError::TimedOut));
    assert_eq!(waiter.join(), 1);
}

#[test]
fn mb_01_single_party() {
    let (_segment, barrier) = world(1);
    for _ in 0..3 {
        assert!(barrier.wait().expect("alone").is_leader());
    }
}

#[test]
fn a_panicking_action_breaks_it() {
    let (_segment, barrier) = world(1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        barrier.wait_with(|| panic!("on purpose"))
    }));
    assert!(panicked.is_err() && barrier.is_broken());
}

#[test]
fn a_killed_party_breaks_it() {
    // CPython #123899: the others wait for ever.
    let (_segment, barrier) = world(3);
    let mut dead = fork(|| broken(&barrier));
    let mut waiter = fork(|| broken(&barrier));
    until("two wait", || barrier.waiting() == 2);
    dead.kill();
    assert_eq!(waiter.join(), 1);
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

#[test]
fn nobody_passes_with_the_dead() {
    let (_segment, barrier) = world(2);
    let mut dead = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    dead.kill();
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

#[test]
fn mb_03_a_thousand_passes() {
    let (segment, barrier) = world(5);
    let sum = Mutex::create(&segment, "sum", 0_u32).expect("room");
    let mut children = [(); 5].map(|()| {
        fork(|| {
            for _ in 0..200 {
                barrier.wait().expect("whole");
                sum.lock().expect("clean").update(|n| *n += 1);
            }
            0
        })
    });
    assert_eq!(children.each_mut().map(Child::join), [0; 5]);
    assert_eq!(sum.lock().expect("clean").get(), 1000);
}
