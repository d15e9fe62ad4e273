//! Clients and servers that are killed.

use std::thread;
use std::time::{Duration, Instant};

use sync_ipc::Process;
use sync_ipc::manager::{
    Barrier, Condition, Counter, Event, Lock, Manager, Queue, Refusal, Semaphore,
};

use super::support::{LIMIT, hold_lock, is_gone, until};

/// The time that a death may take to be noticed: no claim about speed.
const BOUND: Duration = Duration::from_secs(20);

/// CPython #88304: the lock of a killed process is never free again.
#[test]
fn the_lock_of_a_killed_client_is_free_and_its_next_owner_is_told() {
    let manager = Manager::start().unwrap();
    let (lock, held) = (manager.lock().unwrap(), manager.event().unwrap());
    let holder = Process::spawn(hold_lock, (lock.clone(), held.clone())).unwrap();
    held.wait().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.try_lock_for(BOUND).unwrap().map(|g| g.owner_died()));
        thread::sleep(Duration::from_millis(20));
        assert!(!waiter.is_finished());
        holder.kill().unwrap();
        assert_eq!(waiter.join().unwrap(), Some(true));
    });
    assert!(!lock.lock().unwrap().owner_died(), "told once");
}

fn hold_all(
    (semaphore, queue, held): (Semaphore, Queue<u32>, Event),
    (condition, barrier): (Condition, Barrier),
) {
    let _permit = semaphore.acquire().unwrap();
    let lease = queue.lease().unwrap();
    assert_eq!(*lease.item(), 1);
    let waiting = thread::spawn(move || barrier.wait());
    let mut guard = condition.lock().unwrap();
    held.set().unwrap();
    guard.wait().unwrap();
    let _ = waiting.join();
}
sync_ipc::entry!(hold_all);

/// CPython #75158: `notify_all` hangs after a waiter was killed.
#[test]
fn everything_of_a_killed_client_comes_back() {
    let manager = Manager::start().unwrap();
    let semaphore = manager.semaphore(1).unwrap();
    let queue = manager.queue(None).unwrap();
    let (held, condition) = (manager.event().unwrap(), manager.condition().unwrap());
    let barrier = manager.barrier(3).unwrap();
    queue.put(&1).unwrap();
    queue.put(&2).unwrap();
    let objects = manager.stats().unwrap().objects;
    let arguments =
        ((semaphore.clone(), queue.clone(), held.clone()), (condition.clone(), barrier.clone()));
    let client = Process::spawn(hold_all, arguments).unwrap();
    held.wait().unwrap();
    until("it waits at the barrier", || barrier.waiting().unwrap() == 1);
    drop(condition.lock().unwrap());
    client.kill().unwrap();
    assert!(semaphore.try_acquire_for(BOUND).unwrap().is_some());
    until("it is gone", || manager.stats().unwrap().clients == 1);
    assert_eq!(queue.get_timeout(BOUND).unwrap(), Some(1), "the leased item, at the front");
    until("the barrier is broken", || barrier.is_broken().unwrap());
    let guard = condition.lock().unwrap();
    guard.notify_all().unwrap();
    drop(guard);
    assert_eq!(manager.stats().unwrap().objects, objects);
}

fn wait_for_all(lock: Lock, event: Event, queue: Queue<u32>, ready: Counter<u8>) {
    thread::scope(|scope| {
        scope.spawn(|| lock.lock().map(drop));
        scope.spawn(|| event.wait());
        scope.spawn(|| queue.get());
        ready.add(&0, 1).unwrap();
    });
}
sync_ipc::entry!(wait_for_all);

#[test]
fn a_blocked_call_of_a_killed_client_has_no_effect() {
    let manager = Manager::start().unwrap();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let (queue, ready) = (manager.queue(None).unwrap(), manager.counter().unwrap());
    let guard = lock.lock().unwrap();
    let arguments = (lock.clone(), event.clone(), queue.clone(), ready.clone());
    let clients: Vec<_> =
        (0..3).map(|_| Process::spawn(wait_for_all, arguments.clone()).unwrap()).collect();
    until("all wait", || ready.get(&0).unwrap() == 3 && manager.stats().unwrap().connections > 9);
    thread::sleep(Duration::from_millis(50));
    for client in &clients {
        client.kill().unwrap();
    }
    until("they are gone", || manager.stats().unwrap().clients == 1);
    until("their connections are gone", || manager.stats().unwrap().connections <= 2);
    drop(guard);
    assert!(!lock.is_locked().unwrap());
    queue.put(&1).unwrap();
    assert_eq!(queue.try_get().unwrap(), Some(1), "no dead getter took it");
}

#[test]
fn calls_end_with_an_error_when_the_server_is_killed() {
    let manager = Manager::start().unwrap();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let (queue, barrier) = (manager.queue::<u8>(None).unwrap(), manager.barrier(2).unwrap());
    let guard = lock.lock().unwrap();
    thread::scope(|scope| {
        let calls = [
            scope.spawn(|| is_gone(&lock.lock().unwrap_err())),
            scope.spawn(|| is_gone(&event.wait().unwrap_err())),
            scope.spawn(|| is_gone(&queue.get().unwrap_err())),
            scope.spawn(|| is_gone(&barrier.wait().unwrap_err())),
            scope.spawn(|| is_gone(&event.wait_timeout(Duration::MAX).unwrap_err())),
        ];
        until("all wait", || manager.stats().unwrap().connections >= 6);
        manager.process().kill().unwrap();
        for call in calls {
            assert!(call.join().unwrap());
        }
    });
    // Neither a guard nor a proxy hangs in its drop.
    drop(guard);
    let started = Instant::now();
    assert!(is_gone(&lock.lock().unwrap_err()));
    drop((lock, event, queue, barrier, manager));
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_notification_is_not_lost_with_a_client_that_is_killed() {
    let manager = Manager::start().unwrap();
    let (condition, ready) = (manager.condition().unwrap(), manager.counter::<u8>().unwrap());
    let victim = Process::spawn(wait_at_condition, (condition.clone(), ready.clone())).unwrap();
    until("the victim waits", || {
        let _guard = condition.lock().unwrap();
        ready.get(&0).unwrap() == 1
    });
    thread::scope(|scope| {
        let survivor = scope.spawn(|| {
            let mut guard = condition.lock().unwrap();
            ready.add(&0, 1).unwrap();
            guard.wait_timeout(BOUND).unwrap()
        });
        until("the survivor waits", || {
            let _guard = condition.lock().unwrap();
            ready.get(&0).unwrap() == 2
        });
        // The victim is notified, and waits for the lock, when it is killed.
        let guard = condition.lock().unwrap();
        guard.notify(1).unwrap();
        victim.kill().unwrap();
        until("it is gone", || manager.stats().unwrap().clients == 1);
        drop(guard);
        assert!(survivor.join().unwrap());
    });
}

fn wait_at_condition(condition: Condition, ready: Counter<u8>) {
    let mut guard = condition.lock().unwrap();
    ready.add(&0, 1).unwrap();
    guard.wait().unwrap();
}
sync_ipc::entry!(wait_at_condition);

#[test]
fn a_barrier_is_broken_by_a_party_that_is_killed() {
    let manager = Manager::start().unwrap();
    let barrier = manager.barrier(3).unwrap();
    let victim = Process::spawn(wait_at_barrier, barrier.clone()).unwrap();
    thread::scope(|scope| {
        let party = scope.spawn(|| barrier.wait());
        until("both wait", || barrier.waiting().unwrap() == 2);
        victim.kill().unwrap();
        let refusal = party.join().unwrap().unwrap_err();
        assert_eq!(refusal.refusal(), Some(&Refusal::Broken));
    });
}

fn wait_at_barrier(barrier: Barrier) {
    let _ = barrier.wait();
}
sync_ipc::entry!(wait_at_barrier);
