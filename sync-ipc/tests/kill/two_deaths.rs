//! Two deaths: a participant, and the successor that deals with what the dead one left.

use std::time::Duration;

use sync_ipc::{Barrier, LockError, Mutex, Queue, Segment, Semaphore};

use crate::harness::{Case, Succession, two_deaths};
use crate::processes::{FOR_EVER, fork};
use crate::{mutex, queue};

/// `act` dies, then `succeed` dies, then `check` holds.
macro_rules! succession {
    (
        $name:ident: $object:ty, world: $world:expr, act: $act:expr, succeed: $succeed:expr,
        check: $check:expr
    ) => {
        #[test]
        fn $name() {
            struct This;

            impl Case for This {
                type World = (Segment, $object);
                fn world(&self) -> Self::World {
                    let segment = Segment::anonymous(4096).expect("a segment");
                    Mutex::create(&segment, "touch", 0_u32).expect("room");
                    let make: fn(&Segment) -> $object = $world;
                    let object = make(&segment);
                    (segment, object)
                }
                fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment {
                    &world.0
                }
                fn prepare(&self, world: &Self::World) {
                    // Becomes a participant.
                    drop(Mutex::<u32>::open(&world.0, "touch").expect("it is there").lock());
                }
                fn act(&self, world: &Self::World) {
                    let act: fn(&$object) = $act;
                    act(&world.1);
                }
                fn check(&self, world: &Self::World, _: bool) {
                    let check: fn(&$object) = $check;
                    check(&world.1);
                }
            }

            impl Succession for This {
                fn succeed(&self, world: &Self::World) {
                    let succeed: fn(&$object) = $succeed;
                    succeed(&world.1);
                }
            }

            two_deaths(stringify!($name), &This, 60);
        }
    };
}

fn two_of_three(segment: &Segment) -> Queue<u64> {
    let queue = Queue::create(segment, "queue", 3).expect("room");
    queue.put(1).expect("room");
    queue.put(2).expect("room");
    queue
}

fn none_twice(queue: &Queue<u64>) {
    let items = queue::drain(queue);
    let mut unique = items.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), items.len(), "doubled: {items:?}");
    assert!(unique.iter().all(|item| [1, 2, 3].contains(item)), "{items:?}");
    queue::still_works(queue);
}

succession!(a_sender_and_the_receiver_that_sweeps: Queue<u64>,
    world: two_of_three,
    act: |queue| queue.put(3).expect("room"),
    succeed: |queue| drop(queue::drain(queue)),
    check: none_twice
);

succession!(a_leaser_and_the_receiver_that_gets_its_item: Queue<u64>,
    world: two_of_three,
    act: |queue| core::mem::forget(queue.get_lease().expect("an item")),
    succeed: |queue| {
        for _ in 0..2 {
            core::mem::forget(queue.get_lease_timeout(Duration::from_millis(1)));
        }
    },
    // No acknowledgement: both items are there.
    check: |queue| {
        let mut items = queue::drain(queue);
        items.sort_unstable();
        assert_eq!(items, [1, 2]);
        queue::still_works(queue);
    }
);

succession!(an_owner_and_the_one_that_recovers: Mutex<u64>,
    world: |segment| Mutex::create(segment, "mutex", 1).expect("room"),
    act: |mutex| mutex.lock().expect("free").set(2),
    succeed: |mutex| match mutex.try_lock_for(FOR_EVER) {
        Ok(mut guard) => guard.set(3),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.set(3);
            guard.mark_consistent();
        }
        Err(other) => panic!("{other}"),
    },
    check: |mutex| mutex::survivor(mutex, &[1, 2, 3])
);

succession!(a_holder_and_the_one_that_reclaims_its_permit: Semaphore,
    world: |segment| Semaphore::create(segment, "semaphore", 1, 1).expect("room"),
    act: |semaphore| drop(semaphore.acquire()),
    succeed: |semaphore| drop(semaphore.try_acquire_for(FOR_EVER).expect("reclaimed")),
    check: |semaphore| {
        let permit = semaphore.try_acquire_for(FOR_EVER).expect("no permit is lost");
        assert!(semaphore.try_acquire().is_err(), "and none is doubled");
        drop(permit);
    }
);

succession!(a_party_and_the_one_that_resets: Barrier,
    world: |segment| Barrier::create(segment, "barrier", 2).expect("room"),
    act: |barrier| {
        let _ = barrier.wait_timeout(Duration::from_millis(1));
    },
    succeed: |barrier| barrier.reset().expect("no process is stopped"),
    check: |barrier| {
        barrier.reset().expect("no process is stopped");
        let mut other = fork(|| barrier.wait_timeout(FOR_EVER).is_ok().into());
        assert!(barrier.wait_timeout(FOR_EVER).is_ok());
        assert_eq!(other.join(), 1);
    }
);
