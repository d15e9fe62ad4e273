//! Objects of processes that are killed: what CPython's `multiprocessing` loses.

use std::time::Duration;

use sync_ipc::{Condvar, Event, LockError, Mutex, Process, RawValue, Segment};

use crate::support::{LIMIT, sleep_until_killed, until};

fn hold(mutex: Mutex<u32>, held: Event) {
    let mut guard = mutex.lock().unwrap();
    guard.set(1);
    held.set();
    sleep_until_killed();
    drop(guard);
}
sync_ipc::entry!(hold);

/// CPython #88304: the lock of a process that was killed is never free again.
#[test]
fn the_lock_of_a_killed_process_is_free_and_its_next_owner_is_told() {
    let segment = Segment::anonymous(4096).unwrap();
    let mutex = Mutex::create(&segment, "mutex", 0_u32).unwrap();
    let held = Event::create(&segment, "held").unwrap();
    let holder = Process::spawn(hold, (mutex.clone(), held.clone())).unwrap();
    assert!(held.wait_timeout(LIMIT));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| match mutex.try_lock_for(LIMIT) {
            Err(LockError::OwnerDied(mut guard)) => {
                assert_eq!(guard.get(), 1);
                guard.mark_consistent();
            }
            other => panic!("{other:?}"),
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiter.is_finished());
        holder.kill().unwrap();
        waiter.join().unwrap();
    });
    assert_eq!(mutex.lock().unwrap().get(), 1, "told once");
}

type Waiting = (Mutex<u32>, Condvar, Event, RawValue<u64>);

fn wait_at_condition((mutex, condvar, event, ready): Waiting) {
    std::thread::spawn(move || event.wait());
    let guard = mutex.lock().unwrap();
    ready.as_atomic().fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    drop(condvar.wait(guard));
}
sync_ipc::entry!(wait_at_condition);

/// CPython #75158: `Event.set` and `Condition.notify_all` wait for the answer of a waiter that was
/// killed.
#[test]
fn setting_and_notifying_do_not_wait_for_a_killed_waiter() {
    let segment = Segment::anonymous(1 << 16).unwrap();
    let mutex = Mutex::create(&segment, "mutex", 0_u32).unwrap();
    let condvar = Condvar::create(&segment, "condvar").unwrap();
    let event = Event::create(&segment, "event").unwrap();
    let ready = RawValue::create(&segment, "ready", 0_u64).unwrap();
    let all = || (mutex.clone(), condvar.clone(), event.clone(), ready.clone());
    let waiters: Vec<_> =
        (0..3).map(|_| Process::spawn(wait_at_condition, all()).unwrap()).collect();
    until("all wait", || {
        // A waiter gives the lock back when it waits.
        let _guard = mutex.lock().unwrap();
        ready.as_atomic().load(std::sync::atomic::Ordering::SeqCst) == 3
    });
    for waiter in &waiters[..2] {
        waiter.kill().unwrap();
        waiter.join().unwrap();
    }
    let guard = mutex.lock().unwrap();
    event.set();
    condvar.notify_all();
    drop(guard);
    assert_eq!(waiters[2].join_timeout(LIMIT).unwrap(), Some(0), "the living one is notified");
}

fn read_named(name: String) -> u64 {
    let segment = Segment::open(&name).unwrap();
    RawValue::<u64>::open(&segment, "value").unwrap().get()
}

fn read_named_until_killed(name: String, ready: Event) {
    assert_eq!(read_named(name.clone()), 42);
    let _segment = Segment::open(&name).unwrap();
    ready.set();
    sleep_until_killed();
}
sync_ipc::entry!(read_named, read_named_until_killed);

/// CPython #82300: the resource tracker of a process that only attached removes the segment's name
/// when that process ends.
#[test]
fn a_segment_keeps_its_name_when_a_process_that_opened_it_ends() {
    let name = format!("keeps-its-name-{}", std::process::id());
    let segment = Segment::create(&name, 4096).unwrap();
    let value = RawValue::create(&segment, "value", 42_u64).unwrap();
    let ready = Event::create(&segment, "ready").unwrap();
    assert_eq!(Process::spawn(read_named, name.clone()).unwrap().result().unwrap(), 42);
    let killed = Process::spawn(read_named_until_killed, (name.clone(), ready.clone())).unwrap();
    assert!(ready.wait_timeout(LIMIT));
    killed.kill().unwrap();
    killed.join().unwrap();
    // A process of another family tree finds it too.
    assert_eq!(Process::spawn(read_named, name.clone()).unwrap().result().unwrap(), 42);
    drop((segment, value, ready));
    assert!(Segment::open(&name).is_err(), "it ends with its last holder");
}
