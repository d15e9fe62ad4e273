//! Two deaths: a participant, and the successor that deals with what the dead one left.

use std::time::Duration;

use sync_ipc::{
    Barrier, BoundedSemaphore, ByteQueue, Condvar, Event, InPlaceQueue, Item, JoinableQueue,
    ListError, LockError, Mutex, Queue, RecvError, ReentrantMutex, RwLock, Segment, Semaphore,
    SendError, ShareableList,
};

use crate::harness::{Case, Succession, two_deaths};
use crate::in_place::trusting;
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

            two_deaths(stringify!($name), &This, 40);
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

succession!(a_writer_and_the_reader_that_recovers: RwLock<u64>,
    world: |segment| RwLock::create(segment, "lock", 1).expect("room"),
    act: |lock| lock.write().expect("free").set(2),
    succeed: |lock| match lock.try_read_for(FOR_EVER) {
        Ok(guard) => assert!([1, 2].contains(&guard.get())),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.set(3);
            guard.mark_consistent();
        }
        Err(other) => panic!("{other}"),
    },
    check: |lock| crate::rwlock::survivor(lock, |value| [1, 2, 3].contains(&value))
);

succession!(a_reader_and_the_writer_that_clears_it_away: RwLock<u64>,
    world: |segment| RwLock::with_readers(segment, "lock", 1, 1).expect("room"),
    act: |lock| assert_eq!(lock.read().expect("free").get(), 1),
    succeed: |lock| lock.try_write_for(FOR_EVER).expect("a reader spoils nothing").set(3),
    check: |lock| crate::rwlock::survivor(lock, |value| [1, 3].contains(&value))
);

succession!(an_owner_of_a_reentrant_lock_and_the_one_that_recovers: ReentrantMutex<u64>,
    world: |segment| ReentrantMutex::create(segment, "lock", 1).expect("room"),
    act: |lock| {
        let outer = lock.lock().expect("free");
        lock.lock().expect("this thread's").set(2);
        drop(outer);
    },
    succeed: |lock| match lock.try_lock_for(FOR_EVER) {
        Ok(guard) => guard.set(3),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.set(3);
            guard.mark_consistent();
        }
        Err(other) => panic!("{other}"),
    },
    check: |lock| {
        let guard = match lock.try_lock_for(FOR_EVER) {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(mut guard)) => {
                guard.mark_consistent();
                guard
            }
            Err(other) => panic!("{other}"),
        };
        assert!([1, 2, 3].contains(&guard.get()) && guard.depth() == 1, "{guard:?}");
        drop(guard);
        drop(lock.try_lock().expect("free and consistent"));
    }
);

succession!(a_setter_and_a_setter: Event,
    world: |segment| Event::create(segment, "event").expect("room"),
    act: |event| {
        event.set();
        event.clear();
    },
    succeed: |event| {
        event.clear();
        event.set();
    },
    check: |event| {
        event.clear();
        let mut waiter = fork(|| event.wait_timeout(FOR_EVER).into());
        event.set();
        assert_eq!(waiter.join(), 1);
    }
);

succession!(a_waiter_and_a_notifier: (Mutex<u64>, Condvar),
    world: |segment| {
        let mutex = Mutex::create(segment, "mutex", 0).expect("room");
        (mutex, Condvar::with_waiters(segment, "condvar", 1).expect("room"))
    },
    act: |(mutex, condvar)| {
        let guard = mutex.lock().expect("free");
        drop(condvar.wait_for(guard, Duration::from_millis(1)));
    },
    succeed: |(mutex, condvar)| {
        let mut guard = mutex
            .try_lock_for(FOR_EVER)
            .or_else(|error| error.into_guard().ok_or("refused"))
            .expect("free or recoverable");
        guard.mark_consistent();
        condvar.notify_one();
    },
    check: |(mutex, condvar)| {
        let lock = || {
            let mut guard = mutex
                .try_lock_for(FOR_EVER)
                .or_else(|error| error.into_guard().ok_or("refused"))
                .expect("free or recoverable");
            guard.mark_consistent();
            guard
        };
        drop(lock());
        // A waiter that comes after both deaths is woken by a notification of its own.
        let mut waiter = fork(|| {
            let waited = condvar.wait_while_for(lock(), FOR_EVER, |value| *value == 0);
            waited.is_ok_and(|(guard, _)| guard.get() == 1).into()
        });
        std::thread::sleep(Duration::from_millis(1));
        lock().set(1);
        condvar.notify_all();
        assert_eq!(waiter.join(), 1);
    }
);

succession!(a_worker_and_the_worker_that_gets_its_task: JoinableQueue<u64>,
    world: |segment| {
        let jobs = JoinableQueue::create(segment, "jobs", 2).expect("room");
        jobs.put(1).expect("room");
        jobs
    },
    act: |jobs| jobs.get().expect("a task").done(),
    succeed: |jobs| {
        if let Ok(task) = jobs.get_timeout(Duration::from_millis(1)) {
            task.done();
        }
    },
    check: |jobs| {
        // Not over unfinished work: either all was done, or the task is there.
        if jobs.join_timeout(Duration::from_millis(1)) != Ok(true) {
            jobs.get_timeout(FOR_EVER).expect("the task").done();
        }
        assert_eq!(jobs.join_timeout(FOR_EVER), Ok(true));
    }
);

succession!(a_sender_and_a_receiver_of_messages: ByteQueue,
    world: |segment| {
        let queue = ByteQueue::create(segment, "queue", 2, 32).expect("room");
        queue.put(&[1; 20]).expect("room");
        queue
    },
    act: |queue| queue.put(&[2; 30]).expect("room"),
    succeed: |queue| {
        while queue.get_timeout(Duration::from_millis(1)).is_ok() {}
    },
    check: |queue| {
        let mut firsts = Vec::new();
        while let Ok(message) = queue.get_timeout(Duration::from_millis(1)) {
            assert!(message == [1; 20] || message == [2; 30], "{message:?}");
            firsts.push(message[0]);
        }
        firsts.sort_unstable();
        assert!(firsts.windows(2).all(|pair| pair[0] != pair[1]), "doubled: {firsts:?}");
        for _ in 0..2 {
            queue.put_timeout(&[], FOR_EVER).expect("no room is lost");
        }
        assert!(queue.try_put(&[]).is_err());
    }
);

succession!(two_holders_of_a_loan: InPlaceQueue<u64>,
    world: |segment| InPlaceQueue::create(&trusting(segment), "queue", 1).expect("room"),
    act: |queue| {
        let mut loan = queue.loan().expect("room");
        *loan = 1;
        core::mem::forget(loan);
    },
    succeed: |queue| {
        let mut loan = queue.loan_timeout(FOR_EVER).expect("the room of the dead");
        *loan = 2;
        core::mem::forget(loan);
    },
    check: |queue| {
        assert!(queue.as_queue().is_empty(), "nothing was sent");
        let mut loan = queue.loan_timeout(FOR_EVER).expect("the room of the dead");
        assert!(queue.try_loan().is_err());
        *loan = 3;
        loan.put().expect("open");
        assert_eq!(queue.as_queue().get(), Ok(3));
    }
);

succession!(two_holders_of_a_lease_in_place: InPlaceQueue<u64>,
    world: |segment| {
        let queue = InPlaceQueue::create(&trusting(segment), "queue", 1).expect("room");
        queue.as_queue().put(1).expect("room");
        queue
    },
    act: |queue| core::mem::forget(queue.get().expect("an item")),
    succeed: |queue| core::mem::forget(queue.get_timeout(FOR_EVER).expect("the dead one's item")),
    check: |queue| {
        let lease = queue.get_timeout(FOR_EVER).expect("the item of both");
        assert_eq!(*lease, 1);
        lease.ack();
        assert!(queue.try_get().is_err());
        drop(queue.loan_timeout(FOR_EVER).expect("no room is lost"));
    }
);

succession!(a_process_that_removes_and_one_that_creates: Segment,
    world: |segment| {
        Mutex::create(segment, "name", [3_u64; 4]).expect("room");
        segment.clone()
    },
    act: |segment| segment.remove("name").expect("it is there"),
    succeed: |segment| {
        let _ = segment.remove("name");
        Mutex::create(segment, "name", 7_u64).expect("the name is free");
    },
    check: |segment| {
        match Mutex::<u64>::open(segment, "name") {
            Ok(mutex) => assert_eq!(mutex.lock().expect("free").get(), 7),
            Err(sync_ipc::Error::NotFound) => {}
            Err(sync_ipc::Error::WrongType) => {
                let old = Mutex::<[u64; 4]>::open(segment, "name").expect("not removed yet");
                assert_eq!(old.lock().expect("free").get(), [3; 4]);
            }
            Err(other) => panic!("{other}"),
        }
        let _ = segment.remove("name");
        let new = Mutex::create(segment, "name", [9_u64; 8]).expect("free, and there is room");
        assert_eq!(new.lock().expect("free").get(), [9; 8]);
    }
);

succession!(two_that_close: Queue<u64>,
    world: two_of_three,
    act: |queue| queue.shutdown(),
    succeed: |queue| {
        queue.shutdown();
        core::mem::forget(queue.get_lease().expect("an item"));
    },
    check: |queue| {
        queue.shutdown();
        assert_eq!(queue.put(3), Err(SendError::Closed(3)));
        let mut items = [(); 2].map(|()| queue.get_timeout(FOR_EVER).expect("none is lost"));
        items.sort_unstable();
        assert_eq!(items, [1, 2]);
        assert_eq!(queue.get_timeout(FOR_EVER), Err(RecvError::Closed));
    }
);

succession!(two_that_add_permits: Semaphore,
    world: |segment| Semaphore::create(segment, "semaphore", 0, 2).expect("room"),
    act: |semaphore| semaphore.try_add_permits(2).expect("room"),
    succeed: |semaphore| {
        while semaphore.try_add_permits(1).is_ok() {}
        drop(semaphore.try_acquire_for(FOR_EVER).expect("all are there"));
    },
    check: |semaphore| {
        while semaphore.try_add_permits(1).is_ok() {}
        let both = [(); 2].map(|()| semaphore.try_acquire_for(FOR_EVER).expect("none is lost"));
        assert!(semaphore.try_acquire().is_err(), "and none is doubled");
        drop(both);
    }
);

succession!(one_that_forgets_a_permit_and_one_that_releases_it: BoundedSemaphore,
    world: |segment| BoundedSemaphore::create(segment, "semaphore", 1).expect("room"),
    act: |semaphore| semaphore.acquire().expect("a permit").forget(),
    succeed: |semaphore| {
        let _ = semaphore.release();
        drop(semaphore.try_acquire_for(FOR_EVER).expect("it is there"));
    },
    check: |semaphore| {
        let _ = semaphore.release();
        let permit = semaphore.try_acquire_for(FOR_EVER).expect("no permit is lost");
        assert!(semaphore.try_acquire().is_err(), "and none is doubled");
        drop(permit);
        assert!(semaphore.release().is_err(), "none is missing");
    }
);

succession!(one_that_aborts_a_barrier_and_one_that_resets_it: Barrier,
    world: |segment| Barrier::create(segment, "barrier", 2).expect("room"),
    act: |barrier| barrier.abort().expect("no process is stopped"),
    succeed: |barrier| barrier.reset().expect("no process is stopped"),
    check: |barrier| {
        barrier.reset().expect("no process is stopped");
        assert!(!barrier.is_broken());
        let mut other = fork(|| barrier.wait_timeout(FOR_EVER).is_ok().into());
        assert!(barrier.wait_timeout(FOR_EVER).is_ok());
        assert_eq!(other.join(), 1);
    }
);

succession!(two_writers_of_a_list: ShareableList,
    world: |segment| {
        let items = [Item::Str("one".into()), Item::Int(1)];
        ShareableList::create(segment, "list", &items).expect("room")
    },
    act: |list| list.set(0, &Item::Str("seven".into())).expect("free"),
    succeed: |list| list.set(0, &Item::Int(3)).expect("free"),
    check: |list| {
        match list.get(0) {
            Ok(Item::Int(3)) | Err(ListError::Torn) => {}
            Ok(Item::Str(text)) => assert!(["one", "seven"].contains(&&*text), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(list.get(1), Ok(Item::Int(1)));
        list.set(0, &Item::Int(4)).expect("free");
        assert_eq!(list.get(0), Ok(Item::Int(4)));
    }
);
