//! A signal whose handler returns, and that does not restart system calls, ends no operation.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use sync_ipc::{
    Condvar, Connection, ConnectionError, Event, JoinableQueue, Listener, LockError, Mutex, Queue,
    RecvError, ReentrantMutex, RwLock, Segment, Semaphore, SendError,
};

use crate::processes::{FOR_EVER, alone, fork};

extern "C" fn nothing(_: libc::c_int) {}

/// Runs `act` while `SIGALRM` arrives each time that `pause` has gone by.
fn interrupted<T>(pause: Duration, act: impl FnOnce() -> T) -> T {
    // SAFETY: a handler that does nothing, in a process of the test's own; all zeros is no flag and
    // an empty mask.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
    }
    let set = |micros: i64| {
        let every = libc::timeval { tv_sec: 0, tv_usec: micros };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        // SAFETY: it reads `timer` only.
        unsafe { assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0) };
    };
    set(pause.as_micros() as i64);
    let result = act();
    set(0);
    result
}

/// Until Linux 6.17 a signal interrupts the allocation, and what it had allocated is given back.
/// Here one may not; then this shows that a large segment is allocated whole.
#[test]
fn a_large_segment_is_allocated_whatever_signals_arrive() {
    alone(|| {
        let made = interrupted(Duration::from_millis(2), || Segment::anonymous(256 << 20));
        made.expect("signals are no error");
    });
}

#[test]
fn a_connection_waits_for_its_place_whatever_signals_arrive() {
    alone(|| {
        let path = std::env::temp_dir().join(format!("signals-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a path");
        // SAFETY: a call for the listener's own descriptor. Room for one that is not accepted.
        unsafe { assert_eq!(libc::listen(listener.as_fd().as_raw_fd(), 0), 0) };
        let _first = Connection::connect(&path).expect("there is room");
        let path = &path;
        std::thread::scope(|scope| {
            // Signals go to the first thread that may have them: the one that connects.
            let accepts = scope.spawn(|| {
                block_signals();
                std::thread::sleep(Duration::from_millis(50));
                (listener.accept().expect("the first"), listener.accept().expect("the second"))
            });
            let second = interrupted(Duration::from_millis(5), || Connection::connect(path));
            if second.is_err() {
                // For the thread that accepts.
                let _ = Connection::connect(path);
            }
            second.expect("signals are no error");
            drop(accepts.join().expect("both"));
        });
    });
}

/// Each wait with a time takes its time, and ends by it.
#[test]
fn waits_take_their_time_whatever_signals_arrive() {
    alone(|| {
        let time = Duration::from_millis(20);
        let segment = Segment::anonymous(1 << 16).expect("a segment");
        let mutex = Mutex::create(&segment, "mutex", 0_u32).expect("room");
        let reentrant = ReentrantMutex::create(&segment, "reentrant", 0_u32).expect("room");
        let permits = Semaphore::create(&segment, "permits", 0, 1).expect("room");
        let event = Event::create(&segment, "event").expect("room");
        let condvar = Condvar::create(&segment, "condvar").expect("room");
        let full = Queue::create(&segment, "full", 1).expect("room");
        full.put(1_u32).expect("room");
        let empty = Queue::<u32>::create(&segment, "empty", 1).expect("room");
        let other = JoinableQueue::create(&segment, "other", 1).expect("room");
        other.put(1_u32).expect("room");
        let list = RwLock::create(&segment, "list", 0_u32).expect("room");
        let (ours, theirs) = sync_ipc::pipe().expect("descriptors");
        let path = std::env::temp_dir().join(format!("waits-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("a path");
        let ready = empty.readiness().expect("descriptors");
        let mut holder = fork(|| {
            let _guards = (mutex.lock(), reentrant.lock(), list.write());
            theirs.send(&1_u8).expect("room");
            std::thread::sleep(FOR_EVER);
            0
        });
        assert_eq!(ours.recv::<u8>().expect("sent"), 1);
        let waits: [(&str, &dyn Fn() -> bool); 13] = [
            ("mutex", &|| matches!(mutex.try_lock_for(time), Err(LockError::TimedOut))),
            ("reentrant", &|| matches!(reentrant.try_lock_for(time), Err(LockError::TimedOut))),
            ("read", &|| matches!(list.try_read_for(time), Err(LockError::TimedOut))),
            ("write", &|| matches!(list.try_write_for(time), Err(LockError::TimedOut))),
            ("permit", &|| permits.try_acquire_for(time).is_err()),
            ("event", &|| !event.wait_timeout(time)),
            ("put", &|| matches!(full.put_timeout(2, time), Err(SendError::TimedOut(2)))),
            ("get", &|| empty.get_timeout(time) == Err(RecvError::TimedOut)),
            ("join", &|| other.join_timeout(time) == Ok(false)),
            ("receive", &|| {
                matches!(ours.recv_bytes_timeout(1, time), Err(ConnectionError::TimedOut))
            }),
            ("poll", &|| !ours.poll(time).expect("open")),
            ("accept", &|| listener.accept_timeout(time).expect("works").is_none()),
            ("wait", &|| {
                let sources = [ours.as_fd(), ready.as_fd()];
                sync_ipc::wait(&sources, Some(time)).expect("works").is_empty()
            }),
        ];
        interrupted(Duration::from_millis(1), || {
            for (what, wait) in waits {
                let started = Instant::now();
                assert!(wait(), "{what}");
                assert!(started.elapsed() >= time, "{what} ends early");
            }
            let free = Mutex::create(&segment, "free", 0_u32).expect("room");
            let guard = free.lock().expect("free");
            let started = Instant::now();
            let (_guard, notified) = condvar.wait_for(guard, time).expect("no owner died");
            assert!(!notified && started.elapsed() >= time, "the condition");
        });
        holder.kill();
    });
}

/// This thread gets no signals.
fn block_signals() {
    // SAFETY: the set is filled before it is used, and is this thread's own.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut()), 0);
    }
}
