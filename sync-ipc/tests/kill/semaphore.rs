//! Acquire and release.

use sync_ipc::{Segment, Semaphore};

use crate::harness::{Case, every};
use crate::processes::FOR_EVER;

struct AcquireRelease;

impl Case for AcquireRelease {
    type World = (Segment, Semaphore);
    fn world(&self) -> Self::World {
        let segment = Segment::anonymous(4096).expect("a segment");
        let semaphore = Semaphore::create(&segment, "semaphore", 2, 2).expect("room");
        (segment, semaphore)
    }
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
        &world.0
    }
    fn prepare(&self, world: &Self::World) {
        drop(world.1.acquire());
    }
    fn act(&self, world: &Self::World) {
        drop(world.1.acquire());
    }
    fn check(&self, world: &Self::World, finished: bool) {
        if finished {
            assert_eq!(world.1.available_permits(), 2);
        }
        let both = [(); 2].map(|()| world.1.try_acquire_for(FOR_EVER).expect("no permit is lost"));
        assert!(world.1.try_acquire().is_err(), "and none is doubled");
        drop(both);
        assert_eq!(world.1.available_permits(), 2);
    }
}

#[test]
fn acquire_and_release_at_every_instruction() {
    every("acquire_and_release", &AcquireRelease);
}
