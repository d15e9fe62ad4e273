//! Waiting at a barrier, and completing a cycle.

use sync_ipc::{Barrier, BarrierError, Mutex, Segment};

use crate::harness::{Case, every};
use crate::processes::{Child, FOR_EVER, fork, until};

/// Completes the cycle of a waiter.
struct Complete;

impl Case for Complete {
    type World = (Segment, Barrier, std::cell::RefCell<Child>);
    fn world(&self) -> Self::World {
        let segment = Segment::anonymous(4096).expect("a segment");
        let barrier = Barrier::create(&segment, "barrier", 2).expect("room");
        Mutex::create(&segment, "touch", 0_u32).expect("room");
        let child = fork(|| match barrier.wait_timeout(FOR_EVER) {
            Ok(_) => 0,
            Err(BarrierError::Broken) => 1,
            Err(_) => 2,
        });
        until("it waits", || barrier.waiting() == 1);
        (segment, barrier, child.into())
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        // Becomes a participant.
        let touch = Mutex::<u32>::open(&world.0, "touch").expect("it is there");
        assert!(!touch.is_locked_by_us());
    }
    fn act(&self, world: &Self::World) {
        world.1.wait().expect("the other waits");
    }
    fn check(&self, (_, barrier, child): &Self::World, finished: bool) {
        // Either no party came (then this process does), or the cycle was completed, or it was
        // broken by the death of a party that had arrived.
        if finished || barrier.waiting() == 0 {
            let outcome = child.borrow_mut().join();
            assert!(outcome == 0 || outcome == 1 && !finished, "{outcome}");
        } else {
            std::thread::scope(|scope| {
                let ours = scope.spawn(|| barrier.wait_timeout(FOR_EVER));
                let outcome = child.borrow_mut().join();
                // If the dead one had decided, and our taking the lock over made it so, then this
                // process came to the next cycle, alone: nothing else ends its wait.
                let ended = ours.is_finished();
                barrier.abort().expect("no process is stopped");
                match (outcome, ours.join().expect("no panic")) {
                    (0, Ok(_)) | (1, Err(BarrierError::Broken)) => {}
                    (0, Err(BarrierError::Broken)) if !ended => {}
                    other => panic!("{other:?}"),
                }
            });
        }
        barrier.reset().expect("no process is stopped");
        assert!(!barrier.is_broken());
    }
}

#[test]
fn completing_at_every_instruction() {
    every("barrier", &Complete);
}
