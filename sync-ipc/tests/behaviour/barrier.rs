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
fn lockstep() {
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
fn action_runs_once_before_any_thread_passes() {
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
fn abort_and_reset() {
    let (_segment, barrier) = world(3);
    let mut waiters = [(); 2].map(|()| fork(|| broken(&barrier)));
    until("two wait", || barrier.waiting() == 2);
    barrier.abort().expect("no process is stopped");
    assert_eq!(waiters.each_mut().map(Child::join), [1; 2]);
    assert!(barrier.is_broken());
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    barrier.reset().expect("no process is stopped");
    assert!(!barrier.is_broken());
    let mut parties = [(); 2].map(|()| fork(|| barrier.wait().is_err().into()));
    barrier.wait().expect("whole again");
    assert_eq!(parties.each_mut().map(Child::join), [0; 2]);
    let mut waiter = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    barrier.reset().expect("no process is stopped");
    assert_eq!(waiter.join(), 1);
    assert!(!barrier.is_broken());
}

#[test]
fn timeout_breaks_it_for_all() {
    let (_segment, barrier) = world(3);
    let mut waiter = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    assert_eq!(barrier.wait_timeout(Duration::from_millis(30)), Err(BarrierError::TimedOut));
    assert_eq!(waiter.join(), 1);
}

#[test]
fn single_party() {
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
    // CPython #123899: the other parties wait forever.
    let (_segment, barrier) = world(3);
    let mut dead = fork(|| broken(&barrier));
    let mut waiter = fork(|| broken(&barrier));
    until("two wait", || barrier.waiting() == 2);
    dead.kill();
    assert_eq!(waiter.join(), 1);
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

#[test]
fn no_thread_passes_with_the_dead() {
    let (_segment, barrier) = world(2);
    let mut dead = fork(|| broken(&barrier));
    until("one waits", || barrier.waiting() == 1);
    dead.kill();
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}

#[test]
fn a_thousand_passes() {
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

/// Aborts the barrier if `wait` goes on for so long that it is a hang.
fn or_abort<R>(barrier: &Barrier, wait: impl FnOnce() -> R) -> R {
    let (done, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let hangs = std::sync::mpsc::RecvTimeoutError::Timeout;
            if ended.recv_timeout(Duration::from_secs(60)) == Err(hangs) {
                let _ = barrier.abort();
            }
        });
        let result = wait();
        drop(done);
        result
    })
}

/// As many panicking actions as there are places, and many more.
#[test]
fn a_barrier_survives_any_number_of_panicking_actions() {
    for parties in 1..4 {
        let (_segment, barrier) = world(parties);
        let meets = |panics: bool| {
            let others: Vec<_> =
                (1..parties).map(|_| fork(|| barrier.wait().is_ok().into())).collect();
            until("the others wait", || barrier.waiting() == parties - 1);
            let outcome = or_abort(&barrier, || {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    barrier.wait_with(|| {
                        if panics {
                            std::panic::resume_unwind(Box::new("the action fails"));
                        }
                    })
                }))
            });
            let others = others.into_iter().map(|mut other| other.join()).collect::<Vec<_>>();
            (outcome, others)
        };
        for turn in 0..10 {
            let (outcome, others) = meets(true);
            assert!(outcome.is_err(), "no place was free after {turn} panics: {outcome:?}");
            assert_eq!(others, vec![0; parties - 1], "the barrier is broken for the others");
            assert_eq!((barrier.is_broken(), barrier.waiting()), (true, 0));
            barrier.reset().expect("no process is stopped");
        }
        let (outcome, others) = meets(false);
        assert!(outcome.expect("no panic").is_ok());
        assert_eq!(others, vec![1; parties - 1]);
    }
}

/// An action that forks: the child's copy of the call completes nothing and breaks nothing.
#[test]
fn an_action_that_forks_has_one_party() {
    let (_segment, barrier) = world(1);
    for panics in [false, true] {
        let ours = std::process::id();
        let met = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            barrier.wait_with(|| {
                // SAFETY: the child calls this crate alone, and leaves by `_exit`.
                let child = unsafe { libc::fork() };
                assert!(child >= 0, "fork");
                if child == 0 && panics {
                    std::panic::resume_unwind(Box::new("in the child"));
                }
                if child > 0 {
                    let mut status = 0;
                    // SAFETY: our own child, and a place for its status.
                    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status}");
                }
            })
        }));
        if std::process::id() != ours {
            let right = if panics { met.is_err() } else { matches!(met, Ok(Err(_))) };
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!right)) };
        }
        assert!(met.expect("no panic").is_ok(), "the parent's party passes");
        assert!(!barrier.is_broken());
    }
}
