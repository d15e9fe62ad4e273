//! Processes that watch an object by a descriptor, and are killed: what they were woken for goes to
//! another waiter.

use std::os::fd::AsFd;
use std::time::Duration;

use sync_core::task::block_on;
use sync_ipc::{Event, InPlaceQueue, Queue, RecvError, Segment, Semaphore};

use crate::harness::Random;
use crate::in_place::trusting;
use crate::processes::{FOR_EVER, fork};

const ROUNDS: usize = 40;

/// A process that watches is killed at a random moment around `give`, while another process waits
/// for what is given: `take`. And a watcher that comes afterwards sees what is there.
fn watcher_is_killed<T: 'static>(
    name: &str,
    object: &T,
    readiness: fn(&T) -> sync_ipc::Result<sync_ipc::Readiness>,
    give: fn(&T),
    take: fn(&T) -> bool,
) {
    let watch = |object: &T| {
        let ready = readiness(object).expect("a descriptor and a thread");
        loop {
            let _ = sync_ipc::wait(&[ready.as_fd()], None);
            ready.rearm();
        }
    };
    is_killed(name, object, watch, give, take);
    give(object);
    let ready = readiness(object).expect("a descriptor and a thread");
    let seen = sync_ipc::wait(&[ready.as_fd()], Some(FOR_EVER)).expect("it can be waited for");
    assert_eq!(seen, [0]);
    assert!(take(object));
}

/// A process in `watch`, which does not return, is killed at a random moment around `give`, while
/// another process waits for what is given: `take`.
fn is_killed<T: 'static>(
    name: &str,
    object: &T,
    watch: impl Fn(&T),
    give: fn(&T),
    take: fn(&T) -> bool,
) {
    let mut random = Random::new(name);
    for round in 0..ROUNDS {
        let mut watcher = fork(|| {
            watch(object);
            0
        });
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        let mut waiter = fork(|| take(object).into());
        std::thread::sleep(Duration::from_micros(random.below(1000)));
        let mut giver = fork(|| {
            give(object);
            0
        });
        std::thread::sleep(Duration::from_micros(random.below(300)));
        watcher.kill();
        assert_eq!(giver.join(), 0);
        assert_eq!(waiter.join(), 1, "round {round}");
    }
}

#[test]
fn a_killed_watcher_of_a_queue_takes_no_wake_along() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let queue = Queue::<u64>::create(&segment, "queue", 2).expect("room");
    watcher_is_killed(
        "watched queue",
        &queue,
        |queue| queue.readiness(),
        |queue| queue.put_timeout(1, FOR_EVER).expect("room"),
        |queue| queue.get_timeout(FOR_EVER) == Ok(1),
    );
}

#[test]
fn a_killed_watcher_of_a_semaphore_takes_no_permit_along() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let semaphore = Semaphore::create(&segment, "semaphore", 0, 1).expect("room");
    watcher_is_killed(
        "watched semaphore",
        &semaphore,
        |semaphore| semaphore.readiness(),
        |semaphore| semaphore.try_add_permits(1).expect("room"),
        |semaphore| semaphore.try_acquire_for(FOR_EVER).map(|permit| permit.forget()).is_ok(),
    );
}

#[test]
fn a_killed_watcher_of_an_event_leaves_its_waiters_alone() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let event = Event::create(&segment, "event").expect("room");
    watcher_is_killed(
        "watched event",
        &event,
        |event| event.readiness(),
        |event| event.set(),
        |event| {
            let came = event.wait_timeout(FOR_EVER);
            event.clear();
            came
        },
    );
}

#[test]
fn a_killed_task_that_leases_items_takes_none_along() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let queue = Queue::<u64>::create(&segment, "queue", 2).expect("room");
    is_killed(
        "leasing task",
        &queue,
        |queue| {
            loop {
                drop(block_on(queue.get_lease_async()).expect("open"));
            }
        },
        |queue| queue.put_timeout(1, FOR_EVER).expect("room"),
        |queue| queue.get_timeout(FOR_EVER) == Ok(1),
    );
    assert_eq!(queue.try_get(), Err(RecvError::Empty));
}

#[test]
fn a_killed_task_that_acquires_takes_no_permit_along() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let semaphore = Semaphore::create(&segment, "semaphore", 0, 1).expect("room");
    is_killed(
        "acquiring task",
        &semaphore,
        |semaphore| {
            loop {
                drop(block_on(semaphore.acquire_async()).expect("clean"));
            }
        },
        |semaphore| semaphore.try_add_permits(1).expect("room"),
        |semaphore| semaphore.try_acquire_for(FOR_EVER).map(|permit| permit.forget()).is_ok(),
    );
}

#[test]
fn a_killed_task_that_waits_for_an_event_leaves_its_waiters_alone() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let event = Event::create(&segment, "event").expect("room");
    is_killed(
        "waiting task",
        &event,
        |event| {
            loop {
                block_on(event.wait_async()).expect("a thread");
            }
        },
        |event| event.set(),
        |event| {
            let came = event.wait_timeout(FOR_EVER);
            event.clear();
            came
        },
    );
}

/// Senders and receivers of one queue, by copies and in place, are killed at random and replaced;
/// each item is whole, none that was sent is lost, and no room.
#[test]
fn a_storm_of_kills_over_loans_and_leases_in_place() {
    const ITEMS: u64 = 400;
    let mut random = Random::new("storm in place");
    let segment = trusting(&Segment::anonymous(65536).expect("a segment"));
    let queue = InPlaceQueue::<[u64; 16]>::create(&segment, "queue", 8).expect("room");
    let done = Queue::<u64>::create(segment.segment(), "done", 8).expect("room");
    // Moves items in place to the other queue.
    let worker = || {
        fork(|| {
            loop {
                let lease = queue.get().expect("open");
                assert!(lease.iter().all(|word| *word == lease[0]), "{:?}", *lease);
                done.put(lease[0]).expect("open");
                lease.ack();
            }
        })
    };
    // Takes room and never sends: what it wrote is never received.
    let spoiler = || {
        fork(|| {
            loop {
                let mut loan = queue.loan().expect("open");
                for (at, word) in loan.iter_mut().enumerate() {
                    *word = at as u64 + 1_000_000;
                }
            }
        })
    };
    let mut victims = [worker(), worker(), spoiler()];
    let mut seen = vec![0_u32; ITEMS as usize];
    let (mut next, mut missing, mut kills) = (0, ITEMS, 0);
    while missing > 0 {
        while next < ITEMS {
            let Ok(mut loan) = queue.try_loan() else { break };
            loan.fill(next);
            loan.put().expect("open");
            next += 1;
        }
        if let Ok(number) = done.get_timeout(Duration::from_millis(1)) {
            let count = &mut seen[number as usize];
            missing -= u64::from(*count == 0);
            *count += 1;
        }
        if random.below(3) == 0 {
            let victim = random.below(3) as usize;
            victims[victim].kill();
            victims[victim] = if victim < 2 { worker() } else { spoiler() };
            kills += 1;
        }
    }
    drop(victims);
    let doubled: u32 = seen.iter().map(|count| count - 1).sum();
    println!("{ITEMS} items, {kills} kills, {doubled} delivered again");
    assert!(doubled <= kills, "more were delivered again than workers died");
    while let Ok(lease) = queue.get_timeout(Duration::from_millis(40)) {
        lease.ack();
    }
    let loans: Vec<_> =
        (0..8).map(|_| queue.loan_timeout(FOR_EVER).expect("no room is lost")).collect();
    assert!(queue.try_loan().is_err());
    drop(loans);
}
