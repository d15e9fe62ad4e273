//! Each operation with a second process that waits for its result: whichever process is killed in
//! the operation, and wherever, the waiter comes to its end.

use std::cell::RefCell;
use std::time::Duration;

use sync_ipc::{
    Barrier, BarrierError, BoundedSemaphore, ByteQueue, Event, InPlaceQueue, Item, JoinableQueue,
    ListError, LockError, Mutex, Queue, Receiver, RecvError, ReentrantMutex, RwLock, Segment,
    Semaphore, SendError, Sender, ShareableList,
};

use crate::harness::{Case, every_effect};
use crate::in_place::trusting;
use crate::processes::{Child, FOR_EVER, fork, until};

/// `wait`: what the second process waits for, and whether it came. `when`: the second process
/// begins to wait once this holds, or once the first process is dead; it only looks. `waits`: the
/// first process begins once this holds. `act`: what is killed. `make_up`: what a survivor does if
/// the killed process was not through.
macro_rules! awaited {
    (
        $name:ident: $object:ty, world: $world:expr, wait: $wait:expr, act: $act:expr,
        make_up: $make_up:expr
    ) => {
        awaited!(
            $name: $object, world: $world, when: |_| true, wait: $wait, act: $act,
            make_up: $make_up
        );
    };
    (
        $name:ident: $object:ty, world: $world:expr, when: $when:expr, wait: $wait:expr,
        act: $act:expr, make_up: $make_up:expr
    ) => {
        awaited!(
            $name: $object, world: $world, when: $when, wait: $wait, waits: |_| true, act: $act,
            make_up: $make_up
        );
    };
    (
        $name:ident: $object:ty, world: $world:expr, when: $when:expr, wait: $wait:expr,
        waits: $waits:expr, act: $act:expr, make_up: $make_up:expr
    ) => {
        #[test]
        fn $name() {
            struct This;

            impl Case for This {
                type World = (Segment, $object, Event, RefCell<Child>);
                fn world(&self) -> Self::World {
                    let segment = Segment::anonymous(8192).expect("a segment");
                    Mutex::create(&segment, "touch", 0_u32).expect("room");
                    let dead = Event::create(&segment, "dead").expect("room");
                    let make: fn(&Segment) -> $object = $world;
                    let object = make(&segment);
                    let when: fn(&$object) -> bool = $when;
                    let wait: fn(&$object) -> bool = $wait;
                    let child = fork(|| {
                        while !when(&object) && !dead.is_set() {
                            std::thread::sleep(Duration::from_micros(100));
                        }
                        wait(&object).into()
                    });
                    let waits: fn(&$object) -> bool = $waits;
                    until("the second process waits", || waits(&object));
                    // So that it sleeps in most of the cases.
                    std::thread::sleep(Duration::from_millis(2));
                    (segment, object, dead, child.into())
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
                    world.2.set();
                    if !finished {
                        let make_up: fn(&$object) = $make_up;
                        make_up(&world.1);
                    }
                    assert_eq!(world.3.borrow_mut().join(), 1, "the waiter has what it waits for");
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
    when: |semaphore| semaphore.available_permits() == 0,
    wait: |semaphore| semaphore.try_acquire_for(FOR_EVER).is_ok(),
    act: |semaphore| drop(semaphore.acquire()),
    make_up: |_| {}
);

awaited!(an_unlock_with_a_waiter: Mutex<u64>,
    world: |segment| Mutex::create(segment, "mutex", 1).expect("room"),
    when: |mutex| mutex.is_locked(),
    wait: |mutex| match mutex.try_lock_for(FOR_EVER) {
        Ok(_) => true,
        Err(LockError::OwnerDied(mut guard)) => {
            guard.mark_consistent();
            true
        }
        Err(_) => false,
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
    when: |lock| format!("{lock:?}").contains("true"),
    wait: |lock| match lock.try_read_for(FOR_EVER) {
        Ok(_) => true,
        Err(LockError::OwnerDied(mut guard)) => {
            guard.mark_consistent();
            true
        }
        Err(_) => false,
    },
    act: |lock| drop(lock.write()),
    make_up: |_| {}
);

awaited!(a_read_unlock_with_a_waiting_writer: (RwLock<u64>, Event),
    world: |segment| {
        let lock = RwLock::create(segment, "lock", 1).expect("room");
        (lock, Event::create(segment, "held").expect("room"))
    },
    when: |(_, held)| held.is_set(),
    wait: |(lock, _)| lock.try_write_for(FOR_EVER).is_ok(),
    act: |(lock, held)| {
        let guard = lock.read();
        held.set();
        drop(guard);
    },
    make_up: |_| {}
);

awaited!(an_unlock_of_a_reentrant_lock_with_a_waiter: ReentrantMutex<u64>,
    world: |segment| ReentrantMutex::create(segment, "lock", 1).expect("room"),
    when: |lock| lock.is_locked(),
    wait: |lock| match lock.try_lock_for(FOR_EVER) {
        Ok(_) => true,
        Err(LockError::OwnerDied(mut guard)) => {
            guard.mark_consistent();
            true
        }
        Err(_) => false,
    },
    act: |lock| {
        let outer = lock.lock().expect("free");
        drop(lock.lock().expect("this thread's"));
        drop(outer);
    },
    make_up: |_| {}
);

awaited!(an_arrival_with_a_waiting_party: Barrier,
    world: |segment| Barrier::create(segment, "barrier", 2).expect("room"),
    // It passes, or learns that the barrier is broken.
    wait: |barrier| {
        let outcome = barrier.wait_timeout(FOR_EVER);
        outcome.is_ok() || barrier.is_broken()
    },
    act: |barrier| {
        let _ = barrier.wait_timeout(FOR_EVER);
    },
    make_up: |barrier| {
        // The killed party had not arrived, or had arrived and breaks the barrier, or all passed.
        let _ = barrier.wait_timeout(Duration::from_millis(50));
    }
);

awaited!(a_message_with_a_waiting_receiver: ByteQueue,
    world: |segment| ByteQueue::create(segment, "queue", 2, 32).expect("room"),
    wait: |queue| {
        queue.get_timeout(FOR_EVER).is_ok_and(|got| got == [7; 20] || got == [8; 3])
    },
    act: |queue| queue.put(&[7; 20]).expect("room"),
    make_up: |queue| queue.put_timeout(&[8; 3], FOR_EVER).expect("room")
);

awaited!(a_received_message_with_a_waiting_sender: ByteQueue,
    world: |segment| {
        let queue = ByteQueue::create(segment, "queue", 1, 32).expect("room");
        queue.put(&[7; 20]).expect("room");
        queue
    },
    wait: |queue| queue.put_timeout(&[8; 3], FOR_EVER).is_ok(),
    act: |queue| assert_eq!(queue.get().expect("a message"), [7; 20]),
    make_up: |queue| {
        let got = queue.get_timeout(FOR_EVER).expect("the first, or the second");
        assert!(got == [7; 20] || got == [8; 3], "{got:?}");
    }
);

awaited!(a_loan_that_is_sent_with_a_waiting_receiver: InPlaceQueue<[u64; 4]>,
    world: |segment| InPlaceQueue::create(&trusting(segment), "queue", 2).expect("room"),
    wait: |queue| {
        let Ok(lease) = queue.get_timeout(FOR_EVER) else { return false };
        let whole = *lease == [7; 4] || *lease == [8; 4];
        lease.ack();
        whole
    },
    act: |queue| {
        let mut loan = queue.loan().expect("room");
        *loan = [7; 4];
        loan.put().expect("open");
    },
    make_up: |queue| queue.as_queue().put_timeout([8; 4], FOR_EVER).expect("room")
);

awaited!(a_loan_that_is_dropped_with_a_waiting_sender: (InPlaceQueue<u64>, Event),
    world: |segment| {
        let queue = InPlaceQueue::create(&trusting(segment), "queue", 1).expect("room");
        (queue, Event::create(segment, "held").expect("room"))
    },
    when: |(_, held)| held.is_set(),
    wait: |(queue, _)| queue.loan_timeout(FOR_EVER).is_ok(),
    act: |(queue, held)| {
        let loan = queue.loan().expect("room");
        held.set();
        drop(loan);
    },
    make_up: |_| {}
);

awaited!(an_item_in_place_with_a_waiting_sender: InPlaceQueue<u64>,
    world: |segment| {
        let queue = InPlaceQueue::create(&trusting(segment), "queue", 1).expect("room");
        queue.as_queue().put(1).expect("room");
        queue
    },
    wait: |queue| queue.loan_timeout(FOR_EVER).is_ok_and(|loan| loan.put().is_ok()),
    act: |queue| queue.get().expect("an item").ack(),
    make_up: |queue| queue.get_timeout(FOR_EVER).expect("the first, or the second").ack()
);

awaited!(a_dropped_lease_in_place_with_a_waiting_receiver: InPlaceQueue<u64>,
    world: |segment| {
        let queue = InPlaceQueue::create(&trusting(segment), "queue", 1).expect("room");
        queue.as_queue().put(1).expect("room");
        queue
    },
    when: |queue| queue.as_queue().is_empty(),
    wait: |queue| queue.get_timeout(FOR_EVER).is_ok_and(|lease| *lease == 1),
    act: |queue| drop(queue.get().expect("an item")),
    make_up: |_| {}
);

awaited!(a_removal_with_a_waiting_creator: Segment,
    world: |segment| {
        Mutex::create(segment, "name", [3_u64; 4]).expect("room");
        segment.clone()
    },
    // The name is free in the end, also if the process that removes dies with the directory's lock.
    wait: |segment| {
        loop {
            match Mutex::create(segment, "name", 7_u64) {
                Ok(_) => return true,
                Err(sync_ipc::Error::AlreadyExists) => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(_) => return false,
            }
        }
    },
    act: |segment| segment.remove("name").expect("it is there"),
    make_up: |segment| {
        // Not if the waiter has created its own already.
        if Mutex::<[u64; 4]>::open(segment, "name").is_ok() {
            let _ = segment.remove("name");
        }
    }
);

awaited!(a_dropped_lease_with_a_waiting_receiver: Queue<u64>,
    world: |segment| {
        let queue = Queue::create(segment, "queue", 1).expect("room");
        queue.put(1).expect("room");
        queue
    },
    when: |queue| queue.is_empty(),
    wait: |queue| queue.get_timeout(FOR_EVER) == Ok(1),
    act: |queue| drop(queue.get_lease().expect("an item")),
    make_up: |_| {}
);

awaited!(a_forgotten_permit_that_is_released_with_a_waiter: BoundedSemaphore,
    world: |segment| BoundedSemaphore::create(segment, "semaphore", 1).expect("room"),
    when: |semaphore| semaphore.available_permits() == 0,
    wait: |semaphore| semaphore.try_acquire_for(FOR_EVER).is_ok(),
    act: |semaphore| {
        semaphore.acquire().expect("a permit").forget();
        semaphore.release().expect("a permit is missing");
    },
    make_up: |semaphore| {
        // None is missing, if it was not forgotten yet, or released already.
        let _ = semaphore.release();
    }
);

awaited!(an_abort_with_a_waiting_party: Barrier,
    world: |segment| Barrier::create(segment, "barrier", 2).expect("room"),
    when: |_| true,
    wait: |barrier| matches!(barrier.wait_timeout(FOR_EVER), Err(BarrierError::Broken)),
    waits: |barrier| barrier.waiting() == 1,
    act: |barrier| barrier.abort().expect("no process is stopped"),
    make_up: |barrier| barrier.abort().expect("no process is stopped")
);

awaited!(a_reset_with_a_waiting_party: Barrier,
    world: |segment| Barrier::create(segment, "barrier", 2).expect("room"),
    when: |_| true,
    wait: |barrier| matches!(barrier.wait_timeout(FOR_EVER), Err(BarrierError::Broken)),
    waits: |barrier| barrier.waiting() == 1,
    act: |barrier| barrier.reset().expect("no process is stopped"),
    make_up: |barrier| barrier.reset().expect("no process is stopped")
);

awaited!(the_end_of_the_last_sender_with_a_waiting_receiver: (Receiver<u64>, Event),
    world: |segment| {
        Queue::<u64>::create(segment, "queue", 1).expect("room");
        let receiver = Receiver::open(segment).expect("it is there");
        (receiver, Event::create(segment, "held").expect("room"))
    },
    when: |(_, held)| held.is_set(),
    wait: |(receiver, _)| receiver.recv_timeout(FOR_EVER) == Err(RecvError::Disconnected),
    act: |(receiver, held)| {
        let sender = Sender::<u64>::open(receiver.segment()).expect("it is there");
        held.set();
        drop(sender);
    },
    make_up: |_| {}
);

awaited!(the_end_of_the_last_receiver_with_a_waiting_sender: (Sender<u64>, Event),
    world: |segment| {
        let queue = Queue::<u64>::create(segment, "queue", 1).expect("room");
        queue.put(1).expect("room");
        let sender = Sender::open(segment).expect("it is there");
        (sender, Event::create(segment, "held").expect("room"))
    },
    when: |(_, held)| held.is_set(),
    wait: |(sender, _)| sender.send_timeout(2, FOR_EVER) == Err(SendError::Disconnected(2)),
    act: |(sender, held)| {
        let receiver = Receiver::<u64>::open(sender.segment()).expect("it is there");
        held.set();
        drop(receiver);
    },
    make_up: |_| {}
);

awaited!(a_list_that_is_written_with_a_waiting_reader: ShareableList,
    world: |segment| ShareableList::create(segment, "list", &[Item::Int(1)]).expect("room"),
    // Each look waits for the lock; a writer that dies leaves an item that is known to be torn.
    wait: |list| {
        (0..50).all(|_| matches!(list.get(0), Ok(Item::Int(1 | 3)) | Err(ListError::Torn)))
    },
    act: |list| list.set(0, &Item::Int(3)).expect("free"),
    make_up: |list| list.set(0, &Item::Int(3)).expect("free")
);
