//! Set, clear and wait.

use std::time::Duration;

use sync_ipc::{Event, Segment};

use crate::harness::{Case, every};
use crate::processes::{FOR_EVER, fork};

type World = (Segment, Event);

fn world() -> World {
    let segment = Segment::anonymous(4096).expect("a segment");
    let event = Event::create(&segment, "event").expect("room");
    (segment, event)
}

struct Set;

impl Case for Set {
    type World = World;
    fn world(&self) -> World {
        world()
    }
    fn segment<'a>(&self, world: &'a World) -> &'a Segment {
        &world.0
    }
    fn act(&self, world: &World) {
        world.1.set();
        world.1.clear();
        world.1.set();
    }
    fn check(&self, world: &World, finished: bool) {
        assert!(!finished || world.1.is_set());
        world.1.clear();
        let mut waiter = fork(|| world.1.wait_timeout(FOR_EVER).into());
        std::thread::sleep(Duration::from_millis(1));
        world.1.set();
        assert_eq!(waiter.join(), 1);
    }
}

#[test]
fn set_and_clear_at_every_instruction() {
    every("set_and_clear", &Set);
}

struct Wait;

impl Case for Wait {
    type World = World;
    fn world(&self) -> World {
        world()
    }
    fn segment<'a>(&self, world: &'a World) -> &'a Segment {
        &world.0
    }
    fn act(&self, world: &World) {
        assert!(!world.1.wait_timeout(Duration::from_millis(3)));
    }
    fn check(&self, world: &World, _: bool) {
        world.1.set();
        assert!(world.1.wait_timeout(FOR_EVER));
    }
}

#[test]
fn wait_at_every_instruction() {
    every("wait", &Wait);
}
