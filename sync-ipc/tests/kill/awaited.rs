//! Each operation with a second process that waits for its result: whichever process is killed in
//! the operation, and wherever, the waiter comes to its end.

use std::cell::RefCell;
use std::time::Duration;

use sync_ipc::{
    Event, JoinableQueue, LockError, Mutex, Queue, RecvError, RwLock, Segment, Semaphore,
};

use crate::harness::{Case, every_effect};
use crate::processes::{Child, FOR_EVER, fork};

/// `wait`: what the second process waits for, and whether it came. `act`: what is killed.
/// `make_up`: what a survivor does if the killed process was not through.
macro_rules! awaited {
    (
        $name:ident: $object:ty, world: $world:expr, wait: $wait:expr, act: $act:expr,
        make_up: $make_up:expr
    ) => {
        #[test]
        fn $name() {
            struct This;

            impl Case for This {
                type World = (Segment, $object, RefCell<Child>);
                fn world(&self) -> Self::World {
                    let segment = Segment::anonymous(4096).expect("a segment");
                    Mutex::create(&segment, "touch", 0_u32).expect("room");
                    let make: fn(&Segment) -> $object = $world;
                    let object = make(&segment);
                    let wait: fn(&$object) -> bool = $wait;
                    let child = fork(|| wait(&object).into());
                    // So that it sleeps in most of the cases.
                    std::thread::sleep(Duration::from_millis(2));
                    (segment, object, child.into())
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
                fn check(&self, world: &Self::World, finished: bool) {
                    if !finished {
                        let make_up: fn(&$object) = $make_up;
                        make_up(&world.1);
                    }
                    assert_eq!(world.2.borrow_mut().join(), 1, "the waiter has what it waits for");
                }
            }

            every_effect(stringify!($name), &This, 30);
        }
    };
}

awaited!(a_send_with_a_waiting_receiver: Queue<u64>,
    world: |segment| Queue::create(segment, "queue", 2).expect("room"),
    wait: |queue| queue.get_timeout(FOR_EVER).is_ok(),
    act: |queue| queue.put(1).expect("room"),
    make_up: |queue| queue.put_timeout(2, FOR_EVER).expect("room")
);

awaited!(a_receive_with_a_waiting_sender: Queue<u64>,
    world: |segment| {
        let queue = Queue::create(segment, "queue", 1).expect("room");
        queue.put(1).expect("room");
        queue
    },
    wait: |queue| queue.put_timeout(2, FOR_EVER).is_ok(),
    act: |queue| assert_eq!(queue.get(), Ok(1)),
    make_up: |queue| {
        queue.get_timeout(FOR_EVER).expect("the first, or the second");
    }
);

awaited!(a_last_acknowledgement_with_a_waiting_join: JoinableQueue<u64>,
    world: |segment| {
        let jobs = JoinableQueue::create(segment, "jobs", 2).expect("room");
        jobs.put(1).expect("room");
        jobs
    },
    wait: |jobs| jobs.join_timeout(FOR_EVER) == Ok(true),
    act: |jobs| jobs.get().expect("a task").done(),
    make_up: |jobs| {
        // The task, unless it was done.
        if let Ok(task) = jobs.get_timeout(Duration::from_millis(100)) {
            task.done();
        }
    }
);

awaited!(a_close_with_a_waiting_receiver: Queue<u64>,
    world: |segment| Queue::create(segment, "queue", 2).expect("room"),
    wait: |queue| queue.get_timeout(FOR_EVER) == Err(RecvError::Closed),
    act: |queue| queue.shutdown(),
    make_up: |queue| queue.shutdown()
);

awaited!(a_last_lease_of_a_closed_queue_with_a_waiting_receiver: Queue<u64>,
    world: |segment| {
        let queue = Queue::create(segment, "queue", 2).expect("room");
        queue.put(1).expect("room");
        queue
    },
    // The item, if it is given back or its receiver dies; the end, if it is acknowledged.
    wait: |queue| {
        while !queue.is_shutdown() {
            std::thread::sleep(Duration::from_micros(100));
        }
        matches!(queue.get_timeout(FOR_EVER), Ok(1) | Err(RecvError::Closed))
    },
    act: |queue| {
        let lease = queue.get_lease().expect("an item");
        queue.shutdown();
        lease.ack();
    },
    make_up: |queue| queue.shutdown()
);

awaited!(an_added_permit_with_a_waiter: Semaphore,
    world: |segment| Semaphore::create(segment, "semaphore", 0, 1).expect("room"),
    wait: |semaphore| semaphore.try_acquire_for(FOR_EVER).is_ok(),
    act: |semaphore| semaphore.try_add_permits(1).expect("room"),
    make_up: |semaphore| {
        // No room, if it was added.
        let _ = semaphore.try_add_permits(1);
    }
);

awaited!(a_permit_with_a_waiter: Semaphore,
    world: |segment| Semaphore::create(segment, "semaphore", 1, 1).expect("room"),
    wait: |semaphore| {
        std::thread::sleep(Duration::from_millis(1));
        semaphore.try_acquire_for(FOR_EVER).is_ok()
    },
    act: |semaphore| drop(semaphore.acquire()),
    make_up: |_| {}
);

awaited!(an_unlock_with_a_waiter: Mutex<u64>,
    world: |segment| Mutex::create(segment, "mutex", 1).expect("room"),
    wait: |mutex| {
        std::thread::sleep(Duration::from_millis(1));
        match mutex.try_lock_for(FOR_EVER) {
            Ok(_) => true,
            Err(LockError::OwnerDied(mut guard)) => {
                guard.mark_consistent();
                true
            }
            Err(_) => false,
        }
    },
    act: |mutex| drop(mutex.lock()),
    make_up: |_| {}
);

awaited!(a_set_with_a_waiter: Event,
    world: |segment| Event::create(segment, "event").expect("room"),
    wait: |event| event.wait_timeout(FOR_EVER),
    act: |event| event.set(),
    make_up: |event| event.set()
);

awaited!(a_write_unlock_with_a_waiting_reader: RwLock<u64>,
    world: |segment| RwLock::create(segment, "lock", 1).expect("room"),
    wait: |lock| {
        std::thread::sleep(Duration::from_millis(1));
        match lock.try_read_for(FOR_EVER) {
            Ok(_) => true,
            Err(LockError::OwnerDied(mut guard)) => {
                guard.mark_consistent();
                true
            }
            Err(_) => false,
        }
    },
    act: |lock| drop(lock.write()),
    make_up: |_| {}
);

awaited!(a_read_unlock_with_a_waiting_writer: RwLock<u64>,
    world: |segment| RwLock::create(segment, "lock", 1).expect("room"),
    wait: |lock| {
        std::thread::sleep(Duration::from_millis(1));
        lock.try_write_for(FOR_EVER).is_ok()
    },
    act: |lock| drop(lock.read()),
    make_up: |_| {}
);
