//! Errors go through `?`, and carry nothing that they should not.

use std::time::Duration;

use sync_ipc::{
    Array, BoundedSemaphore, Condvar, Error, Item, JoinableQueue, LockError, Mutex, Queue,
    RawArray, ReentrantMutex, RwLock, Segment, Semaphore, ShareableList, SharedMemory, Value, pipe,
};

use crate::processes::fork;

/// Each kind of call, in a function that returns the crate's own error.
fn everything() -> sync_ipc::Result<u64> {
    let segment = Segment::anonymous(1 << 16)?;
    let mutex = Mutex::create(&segment, "mutex", 1_u64)?;
    let again = ReentrantMutex::create(&segment, "again", 1_u64)?;
    let value = Value::create(&segment, "value", 1_u64)?;
    let array = Array::create(&segment, "array", &[1_u64])?;
    let raw = RawArray::create(&segment, "raw", &[1_u64])?;
    let permits = Semaphore::create(&segment, "permits", 1, 1)?;
    let bounded = BoundedSemaphore::create(&segment, "bounded", 1)?;
    let queue = Queue::<u64>::create(&segment, "queue", 4)?;
    let jobs = JoinableQueue::<u64>::create(&segment, "jobs", 4)?;
    let list = ShareableList::create(&segment, "list", &[Item::Int(1)])?;
    let memory = SharedMemory::anonymous(8)?;
    let (ours, theirs) = pipe()?;
    mutex.lock()?.update(|n| *n += 1);
    again.lock()?.update(|n| *n += 1);
    value.set(value.get()? + 1)?;
    let row = array.lock()?;
    row.set(0, 2)?;
    raw.set(0, 2)?;
    drop(permits.acquire()?);
    bounded.acquire()?.forget();
    bounded.release()?;
    queue.put(queue.capacity() as u64)?;
    queue.get()?;
    jobs.put(1)?;
    jobs.get()?.done();
    jobs.join()?;
    list.set(0, &Item::Int(2))?;
    memory.write(0, b"12")?;
    ours.send(&mutex.lock()?.get())?;
    Ok(theirs.recv::<u64>()?)
}

/// In a function that returns any error, and whose locks are its own.
fn anything() -> Result<u64, Box<dyn std::error::Error>> {
    let segment = Segment::anonymous(4096)?;
    let value = Value::create(&segment, "value", 1_u64)?;
    let mutex = Mutex::create(&segment, "mutex", 2_u64)?;
    let again = ReentrantMutex::create(&segment, "again", 3_u64)?;
    let array = Array::create(&segment, "array", &[4_u64])?;
    let settings = RwLock::create(&segment, "settings", 5_u64)?;
    let permits = Semaphore::create(&segment, "permits", 1, 1)?;
    value.set(value.get()? + 1)?;
    settings.write()?.update(|value| *value += 1);
    drop(permits.acquire()?);
    let sum = value.get()? + mutex.lock()?.get() + again.lock()?.get() + settings.read()?.get();
    Ok(sum + array.lock()?.len() as u64)
}

/// The same, of an error that may change its thread.
fn anything_to_send() -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let segment = Segment::anonymous(4096)?;
    let mutex = Mutex::create(&segment, "mutex", 2_u64)?;
    let mut owner = fork(|| {
        core::mem::forget(mutex.lock());
        0
    });
    assert_eq!(owner.join(), 0);
    Ok(mutex.lock()?.get())
}

#[test]
fn errors_go_through_the_question_mark() {
    assert_eq!(everything().expect("all of it works"), 2);
    assert_eq!(anything().expect("all of it works"), 2 + 2 + 3 + 6 + 1);
    let error = anything_to_send().expect_err("the owner died");
    let error = error.downcast_ref::<Error>().expect("the crate's error");
    assert!(matches!(error, Error::Lock(LockError::OwnerDied(()))), "{error}");
}

#[test]
fn an_error_on_its_way_up_leaves_a_dead_owners_lock_to_be_repaired() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "mutex", 2_u64).expect("room");
    let again = ReentrantMutex::create(&segment, "again", 2_u64).expect("room");
    let array = Array::create(&segment, "array", &[2_u64]).expect("room");
    let mut owner = fork(|| {
        core::mem::forget((mutex.lock(), again.lock(), array.lock()));
        0
    });
    assert_eq!(owner.join(), 0);
    let read = || -> sync_ipc::Result<u64> { Ok(mutex.lock()?.get()) };
    let read_again = || -> sync_ipc::Result<u64> { Ok(again.lock()?.get()) };
    let read_array = || -> sync_ipc::Result<usize> { Ok(array.lock()?.len()) };
    let died = |error: Error| matches!(error, Error::Lock(LockError::OwnerDied(())));
    for _ in 0..3 {
        assert!(read().is_err_and(died) && read_again().is_err_and(died));
        assert!(read_array().is_err_and(died));
        // Another process is told too.
        assert_eq!(fork(|| i32::from(read().is_err_and(died))).join(), 1);
    }
    let mut guard = mutex.lock().expect_err("its owner died").into_guard().expect("recoverable");
    guard.mark_consistent();
    drop(guard);
    assert_eq!(read().expect("clean"), 2);
    // A guard that is dropped without it still decides.
    drop(again.lock().expect_err("its owner died"));
    assert!(matches!(again.lock(), Err(LockError::NotRecoverable)));
}

#[test]
fn a_waiter_gets_a_lock_that_was_left_to_be_repaired() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = Mutex::create(&segment, "mutex", 2_u64).expect("room");
    let mut owner = fork(|| {
        core::mem::forget(mutex.lock());
        0
    });
    assert_eq!(owner.join(), 0);
    let error = mutex.lock().expect_err("its owner died");
    let mut waiter = fork(|| match mutex.lock() {
        Err(LockError::OwnerDied(mut guard)) => {
            guard.mark_consistent();
            1
        }
        _ => 0,
    });
    std::thread::sleep(std::time::Duration::from_millis(20));
    drop(Error::from(error));
    assert_eq!(waiter.join(), 1);
    assert!(mutex.lock().is_ok());
}

#[test]
fn no_type_of_rustix_becomes_an_error() {
    // Compiles only as long as the trait has one implementation for the error.
    trait NotFrom<Marker> {
        fn holds() {}
    }
    struct Taken;
    impl<T> NotFrom<()> for T {}
    impl<T: From<rustix::io::Errno>> NotFrom<Taken> for T {}
    <Error as NotFrom<_>>::holds();
    <sync_ipc::ConnectionError as NotFrom<_>>::holds();
}

#[test]
fn the_errors_of_timed_waits_go_through_the_question_mark() {
    fn waits(mutex: &Mutex<u32>, condvar: &Condvar) -> sync_ipc::Result<bool> {
        let (_guard, notified) = condvar.wait_for(mutex.lock()?, Duration::ZERO)?;
        Ok(notified)
    }
    fn waits_boxed(
        mutex: &Mutex<u32>,
        condvar: &Condvar,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let deadline = std::time::Instant::now();
        let (_guard, notified) = condvar.wait_until(mutex.lock()?, deadline)?;
        Ok(notified)
    }
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let mutex = Mutex::create(&segment, "m", 0_u32).expect("room");
    let condvar = Condvar::create(&segment, "c").expect("room");
    assert!(matches!(waits(&mutex, &condvar), Ok(false)));
    assert!(matches!(waits_boxed(&mutex, &condvar), Ok(false)));
}
