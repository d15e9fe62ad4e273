//! A signal whose handler returns, and that does not restart system calls, ends no operation.

use std::os::fd::AsRawFd;
use std::time::Duration;

use sync_ipc::{Connection, Listener, Segment};

use crate::processes::alone;

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
        unsafe { assert_eq!(libc::listen(std::os::fd::AsFd::as_fd(&listener).as_raw_fd(), 0), 0) };
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

/// This thread gets no signals.
fn block_signals() {
    // SAFETY: the set is filled before it is used, and is this thread's own.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut()), 0);
    }
}
