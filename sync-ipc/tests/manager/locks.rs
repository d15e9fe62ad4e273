//! Locks, semaphores, events, conditions, barriers and queues of a manager.

use std::thread;
use std::time::{Duration, Instant};

use sync_ipc::Process;
use sync_ipc::manager::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Manager, Queue, ReentrantLock, Refusal,
    Semaphore,
};

use super::support::{LIMIT, refused, until};

fn set_and_hand_over(event: Event, lock: Lock) {
    event.set().unwrap();
    lock.lock().unwrap().hand_over().unwrap();
}

fn use_all(
    (reentrant, semaphore, bounded): (ReentrantLock, Semaphore, BoundedSemaphore),
    (condition, barrier, queue): (Condition, Barrier, Queue<u32>),
) {
    let (outer, inner) = (reentrant.lock().unwrap(), reentrant.lock().unwrap());
    drop((outer, inner));
    drop(semaphore.acquire().unwrap());
    semaphore.release(1).unwrap();
    drop(bounded.acquire().unwrap());
    assert_eq!(refused(bounded.release(1)), Refusal::TooManyReleases);
    drop(condition.lock().unwrap());
    assert_eq!(barrier.parties().unwrap(), 2);
    barrier.reset().unwrap();
    assert_eq!(queue.len().unwrap(), 1);
    assert!(!queue.try_put(&2).unwrap(), "full");
    assert_eq!(queue.get().unwrap(), 1);
    queue.task_done().unwrap();
    assert_eq!(refused(queue.task_done()), Refusal::TooManyReleases);
}
sync_ipc::entry!(set_and_hand_over, use_all);

#[test]
fn a_child_uses_every_kind_of_object() {
    let manager = Manager::start().unwrap();
    let (event, lock) = (manager.event().unwrap(), manager.lock().unwrap());
    Process::spawn(set_and_hand_over, (event.clone(), lock.clone())).unwrap().result().unwrap();
    assert!(event.is_set().unwrap());
    event.clear().unwrap();
    assert!(!event.wait_timeout(Duration::from_millis(1)).unwrap());
    // Acquired in the child, released in the parent; a second time it is an error.
    assert!(lock.is_locked().unwrap());
    assert!(lock.try_lock().unwrap().is_none());
    lock.unlock().unwrap();
    assert_eq!(refused(lock.unlock()), Refusal::NotOwner);
    let queue = manager.queue(Some(1)).unwrap();
    queue.put(&1).unwrap();
    let (semaphore, bounded) =
        (manager.semaphore(1).unwrap(), manager.bounded_semaphore(1).unwrap());
    let arguments = (
        (manager.reentrant_lock().unwrap(), semaphore.clone(), bounded.clone()),
        (manager.condition().unwrap(), manager.barrier(2).unwrap(), queue.clone()),
    );
    Process::spawn(use_all, arguments).unwrap().result().unwrap();
    assert_eq!(semaphore.available_permits().unwrap(), 2);
    assert_eq!(bounded.available_permits().unwrap(), 1);
    assert!(queue.join_timeout(Duration::ZERO).unwrap());
    assert!(queue.is_empty().unwrap());
}

#[test]
fn a_reentrant_lock_is_a_threads() {
    let manager = Manager::start().unwrap();
    let lock = manager.reentrant_lock().unwrap();
    let first = lock.lock().unwrap();
    let second = lock.try_lock().unwrap().unwrap();
    let other =
        || thread::scope(|s| s.spawn(|| lock.try_lock().unwrap().is_some()).join().unwrap());
    assert!(!other());
    second.unlock().unwrap();
    assert!(!other(), "still held once");
    drop(first);
    assert!(other());
}

#[test]
fn timed_waits_end_and_what_was_not_taken_stays() {
    let manager = Manager::start().unwrap();
    let short = Duration::from_millis(20);
    let lock = manager.lock().unwrap();
    let guard = lock.lock().unwrap();
    assert!(!guard.owner_died());
    assert!(lock.try_lock_for(short).unwrap().is_none(), "not reentrant");
    assert!(lock.try_lock_until(Instant::now() + short).unwrap().is_none(), "not reentrant");
    drop(guard);
    assert!(lock.try_lock_for(short).unwrap().is_some());
    assert!(lock.try_lock_until(Instant::now()).unwrap().is_some());
    let semaphore = manager.semaphore(1).unwrap();
    let permit = semaphore.try_acquire().unwrap().unwrap();
    assert!(semaphore.try_acquire_for(short).unwrap().is_none());
    assert!(semaphore.try_acquire_until(Instant::now() + short).unwrap().is_none());
    permit.forget().unwrap();
    assert_eq!(semaphore.available_permits().unwrap(), 0);
    let queue = manager.queue::<u8>(None).unwrap();
    assert_eq!(queue.try_get().unwrap(), None);
    assert_eq!(queue.get_timeout(short).unwrap(), None);
    assert_eq!(queue.get_deadline(Instant::now() + short).unwrap(), None);
    queue.put(&1).unwrap();
    let lease = queue.lease().unwrap();
    assert!(queue.lease_timeout(short).unwrap().is_none());
    assert!(queue.lease_deadline(Instant::now() + short).unwrap().is_none());
    assert!(!queue.join_deadline(Instant::now() + short).unwrap(), "a task is not done");
    drop(lease);
    assert_eq!(queue.lease().unwrap().acknowledge().unwrap(), 1, "a dropped lease comes back");
    assert!(queue.join_timeout(Duration::ZERO).unwrap());
    assert!(queue.join_deadline(Instant::now()).unwrap());
    let full = manager.queue(Some(1)).unwrap();
    assert!(full.put_deadline(&1, Instant::now()).unwrap(), "room, though the time is up");
    assert!(!full.put_deadline(&2, Instant::now() + short).unwrap());
    let event = manager.event().unwrap();
    assert!(!event.wait_deadline(Instant::now() + short).unwrap());
    event.set().unwrap();
    assert!(event.wait_deadline(Instant::now()).unwrap());
    let barrier = manager.barrier(2).unwrap();
    assert_eq!(refused(barrier.wait_deadline(Instant::now() + short)), Refusal::Broken);
}

#[test]
fn a_condition_wakes_as_many_as_were_notified() {
    let manager = Manager::start().unwrap();
    let (condition, ready) = (manager.condition().unwrap(), manager.counter::<u8>().unwrap());
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut guard = condition.lock().unwrap();
                    ready.add(&0, 1).unwrap();
                    guard.wait_timeout(LIMIT).unwrap()
                })
            })
            .collect();
        until("all wait", || {
            let _guard = condition.lock().unwrap();
            ready.get(&0).unwrap() == 3
        });
        condition.lock().unwrap().notify(2).unwrap();
        until("two are through", || waiters.iter().filter(|one| one.is_finished()).count() == 2);
        condition.lock().unwrap().notify_all().unwrap();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
    });
    let mut guard = condition.lock().unwrap();
    assert!(!guard.wait_timeout(Duration::from_millis(1)).unwrap());
    let short = Duration::from_millis(5);
    assert!(!guard.wait_until_timeout(short, || Ok(false)).unwrap());
    assert!(!guard.wait_deadline(Instant::now() + short).unwrap());
    assert!(!guard.wait_until_deadline(Instant::now() + short, || Ok(false)).unwrap());
    assert!(guard.wait_until_deadline(Instant::now(), || Ok(true)).unwrap());
    assert!(guard.wait_until_timeout(LIMIT, || Ok(true)).unwrap());
}

#[test]
fn a_barrier_lets_all_pass_or_none() {
    let manager = Manager::start().unwrap();
    let barrier = manager.barrier(3).unwrap();
    for _ in 0..3 {
        let mut places: Vec<_> = thread::scope(|scope| {
            let parties: Vec<_> = (0..3).map(|_| scope.spawn(|| barrier.wait().unwrap())).collect();
            parties.into_iter().map(|party| party.join().unwrap()).collect()
        });
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
    }
    assert_eq!(refused(barrier.wait_timeout(Duration::from_millis(5))), Refusal::Broken);
    assert!(barrier.is_broken().unwrap());
    assert_eq!(refused(barrier.wait()), Refusal::Broken);
    barrier.reset().unwrap();
    thread::scope(|scope| {
        let party = scope.spawn(|| refused(barrier.wait()));
        until("it waits", || barrier.waiting().unwrap() == 1);
        barrier.reset().unwrap();
        assert_eq!(party.join().unwrap(), Refusal::Broken, "a reset breaks those that wait");
        assert!(!barrier.is_broken().unwrap());
        let party = scope.spawn(|| refused(barrier.wait()));
        until("it waits", || barrier.waiting().unwrap() == 1);
        barrier.abort().unwrap();
        assert_eq!(party.join().unwrap(), Refusal::Broken);
    });
    assert_eq!(refused(manager.barrier(0)), Refusal::OutOfRange);
}

#[test]
fn threads_of_one_client_do_not_hold_each_other_up() {
    let manager = Manager::start().unwrap();
    let event = manager.event().unwrap();
    let list = manager.list::<u8>().unwrap();
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..8).map(|_| scope.spawn(|| event.wait().unwrap())).collect();
        until("each has its connection", || manager.stats().unwrap().connections >= 9);
        list.push(&1).unwrap();
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        event.set().unwrap();
    });
    assert_eq!(manager.stats().unwrap().clients, 1);
}
