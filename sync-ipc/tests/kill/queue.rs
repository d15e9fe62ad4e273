//! Put, get, lease and ack.

use sync_ipc::{Queue, RecvError, Segment, SendError};

use crate::harness::{Case, Random, every};
use crate::processes::{FOR_EVER, Stepped};

pub(crate) type World = (Segment, Queue<u64>);

/// A queue of three with 1 and 2 in it.
pub(crate) fn world() -> World {
    let segment = Segment::anonymous(4096).expect("a segment");
    let queue = Queue::create(&segment, "queue", 3).expect("room");
    queue.put(1).expect("room");
    queue.put(2).expect("room");
    (segment, queue)
}

/// Everything that can be received; the dead ones' items come within the bound.
pub(crate) fn drain(queue: &Queue<u64>) -> Vec<u64> {
    let mut items = Vec::new();
    loop {
        match queue.get_timeout(std::time::Duration::from_millis(1)) {
            Ok(item) => items.push(item),
            Err(RecvError::TimedOut) => return items,
            Err(other) => panic!("{other}"),
        }
    }
}

/// No slot is lost: three fit, and not four; and they come out in order.
pub(crate) fn still_works(queue: &Queue<u64>) {
    for item in 10..13 {
        queue.put_timeout(item, FOR_EVER).expect("room for three");
    }
    assert!(matches!(queue.try_put(13), Err(SendError::Full(13))));
    assert_eq!(drain(queue), [10, 11, 12]);
    assert!(queue.is_empty());
}

pub(crate) fn touch(world: &World) {
    // Becomes a participant: everything goes there and back once.
    while let Ok(item) = world.1.try_get() {
        world.1.put(item).expect("room");
        if item == 2 {
            break;
        }
    }
}

macro_rules! case {
    ($name:ident, $act:expr, $check:expr) => {
        struct $name;

        impl Case for $name {
            type World = World;
            fn world(&self) -> World {
                world()
            }
            fn segment<'a>(&self, world: &'a World) -> &'a Segment {
                &world.0
            }
            fn prepare(&self, world: &World) {
                touch(world);
            }
            fn act(&self, world: &World) {
                let act: fn(&Queue<u64>) = $act;
                act(&world.1);
            }
            fn check(&self, world: &World, finished: bool) {
                let check: fn(&[u64], bool) = $check;
                check(&drain(&world.1), finished);
                still_works(&world.1);
            }
        }
    };
}

case!(Put, |queue| queue.put(3).expect("room"), |items, finished| match items {
    [1, 2, 3] => {}
    [1, 2] if !finished => {}
    other => panic!("{other:?}, finished: {finished}"),
});

#[test]
fn put_at_every_instruction() {
    every("put", &Put);
}

case!(Get, |queue| assert_eq!(queue.get(), Ok(1)), |items, finished| match items {
    [2] => {}
    // Taken and not acknowledged: redelivered, once.
    [1, 2] | [2, 1] if !finished => {}
    other => panic!("{other:?}, finished: {finished}"),
});

#[test]
fn get_at_every_instruction() {
    every("get", &Get);
}

case!(LeaseAck, |queue| queue.get_lease().expect("an item").ack(), |items, finished| match items {
    [2] => {}
    [1, 2] | [2, 1] if !finished => {}
    other => panic!("{other:?}, finished: {finished}"),
});

#[test]
fn lease_and_ack_at_every_instruction() {
    every("lease and ack", &LeaseAck);
}

case!(
    Lease,
    |queue| core::mem::forget(queue.get_lease().expect("an item")),
    |items, _| match items {
        [1, 2] | [2, 1] => {}
        other => panic!("{other:?}: a lease that was not acknowledged is lost or doubled"),
    }
);

#[test]
fn lease_at_every_instruction() {
    every("lease", &Lease);
}

case!(GiveBack, |queue| drop(queue.get_lease().expect("an item")), |items, _| match items {
    [1, 2] | [2, 1] => {}
    other => panic!("{other:?}: an item that was given back is lost or doubled"),
});

#[test]
fn giving_back_at_every_instruction() {
    every("give back", &GiveBack);
}

/// A sender, a receiver, and a process that does both, each killed anywhere, one after another, in
/// one queue. Then nothing is doubled, and nothing is lost except items that a dead receiver may
/// have acknowledged.
#[test]
fn senders_and_receivers_in_pairs() {
    let mut random = Random::new("senders_and_receivers");
    for _ in 0..40 {
        let world = world();
        let mut lost = 0;
        for turn in 0..3 {
            let sends = random.below(2) == 0;
            let mut child = Stepped::new(
                || (),
                |()| {
                    if sends {
                        let _ = world.1.try_put(100 + turn);
                    } else {
                        let _ = world.1.try_get();
                    }
                },
            );
            // A child's first use makes it a participant: some thousand instructions, most of them
            // system calls.
            while child.steps < 8000 && child.syscall() && random.below(12) > 0 {}
            child.steps(random.below(700));
            child.child.kill();
            lost += usize::from(!sends);
        }
        let items = drain(&world.1);
        let mut unique = items.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), items.len(), "doubled: {items:?}");
        assert!(unique.iter().all(|item| [1, 2, 100, 101, 102].contains(item)), "{items:?}");
        assert!(
            unique.iter().filter(|item| **item < 3).count() + lost >= 2,
            "lost: {items:?} after {lost} dead receivers"
        );
        still_works(&world.1);
    }
}
