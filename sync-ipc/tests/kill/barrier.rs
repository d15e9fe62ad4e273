//! Waiting at a barrier, and completing a cycle.

use std::time::Duration;

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
        let ours = if finished || barrier.waiting() == 0 {
            None
        } else {
            Some(barrier.wait_timeout(Duration::from_millis(500)))
        };
        match (child.borrow_mut().join(), ours) {
            (0, None | Some(Ok(_))) => {}
            // The dead one had decided, and our taking the lock over made it so: we came to the
            // next cycle, alone.
            (0, Some(Err(BarrierError::TimedOut))) => {}
            (1, None | Some(Err(BarrierError::Broken))) if !finished => {}
            other => panic!("{other:?}"),
        }
        barrier.reset().expect("no process is stopped");
        assert!(!barrier.is_broken());
    }
}

#[test]
fn completing_at_every_instruction() {
    every("barrier", &Complete);
}
