//! Here processes are not killed but stopped, while they hold the internal locks of the crate:
//! every wait for them has a bound in time.

use std::time::{Duration, Instant};

use sync_ipc::{Barrier, BarrierError, Item, ListError, Mutex, Segment, ShareableList};

use crate::processes::{FOR_EVER, Stepped};

/// Longer than any bound of the crate, and shorter than a hang.
const GENEROUS: Duration = Duration::from_secs(20);

fn bounded<R>(act: impl FnOnce() -> R) -> R {
    let started = Instant::now();
    let done = act();
    assert!(started.elapsed() < GENEROUS, "it took {:?}", started.elapsed());
    done
}

#[test]
fn a_party_that_is_stopped_anywhere_holds_up_no_timed_wait_and_no_abort() {
    let world = || {
        let segment = Segment::anonymous(4096).expect("a segment");
        Barrier::create(&segment, "barrier", 2).expect("room")
    };
    let start = |barrier: &Barrier| {
        Stepped::new(
            || barrier.reset().expect("no process is stopped"),
            |()| {
                let _ = barrier.wait_timeout(FOR_EVER);
            },
        )
    };
    let mut inside = 0;
    // Arriving takes some hundred instructions, and reading the clock before it some more.
    for steps in (0..3000).step_by(23) {
        if inside == 3 {
            break;
        }
        let barrier = world();
        let mut child = start(&barrier);
        child.steps(steps);
        match bounded(|| barrier.wait_timeout(Duration::from_millis(3))) {
            Ok(_) => {}
            Err(BarrierError::TimedOut | BarrierError::Broken) => {
                assert!(barrier.is_broken());
                assert!(bounded(|| barrier.wait_timeout(Duration::from_millis(3))).is_err());
            }
            Err(other) => panic!("{other}"),
        }
        let started = Instant::now();
        let aborted = bounded(|| barrier.abort());
        assert!(matches!(aborted, Ok(()) | Err(BarrierError::Busy)), "{aborted:?}");
        inside += u32::from(started.elapsed() > Duration::from_millis(500));
        // Continued, it comes to its end, and the barrier can be had again.
        child.finish();
        barrier.reset().expect("no process is stopped");
        assert!(!barrier.is_broken());
    }
    assert!(inside > 0, "no process was stopped with the lock held: nothing was tested");
}

#[test]
fn a_writer_that_is_stopped_anywhere_holds_up_a_list_for_a_second() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let list =
        ShareableList::create(&segment, "list", &[Item::Int(1), Item::Int(2)]).expect("room");
    let (mut refused, mut steps) = (0, 0);
    while refused < 2 {
        let mut child = Stepped::new(
            || list.get(0).expect("free"),
            |_| list.set(0, &Item::Int(3)).expect("free"),
        );
        assert!(
            child.steps(steps),
            "no process was stopped with the lock held: nothing was tested"
        );
        match bounded(|| list.get(0)) {
            Ok(Item::Int(1 | 3)) => {}
            Err(ListError::Locked) => refused += 1,
            other => panic!("{other:?}"),
        }
        child.child.kill();
        // And dead, for no longer than the bound.
        assert!(matches!(list.get(0), Ok(_) | Err(ListError::Torn)));
        list.set(0, &Item::Int(1)).expect("free");
        // Fewer than the lock is held for.
        steps += 7;
    }
}

#[test]
fn a_maker_of_objects_that_is_stopped_anywhere_holds_up_others_for_a_second() {
    let (mut refused, mut steps) = (0, 0);
    while refused < 2 {
        let segment = Segment::anonymous(4096).expect("a segment");
        let before = Mutex::create(&segment, "before", 1_u64).expect("room");
        let mut child = Stepped::new(
            || drop(before.lock()),
            |()| drop(Mutex::create(&segment, "theirs", 7_u64)),
        );
        assert!(
            child.steps(steps),
            "no process was stopped with the lock held: nothing was tested"
        );
        match bounded(|| Mutex::create(&segment, "ours", 8_u64)) {
            Ok(mutex) => assert_eq!(mutex.lock().expect("free").get(), 8),
            Err(sync_ipc::Error::Busy) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        child.finish();
        assert_eq!(
            Mutex::<u64>::open(&segment, "theirs")
                .expect("made at last")
                .lock()
                .expect("free")
                .get(),
            7
        );
        // Fewer than the lock is held for.
        steps += 101;
    }
}
