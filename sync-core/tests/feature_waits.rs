//! The feature `waits`: the list of the threads that wait.
#![cfg(feature = "waits")]

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sync_core::thread::{self, Builder};
use sync_core::waits::{self, Waiting};
use sync_core::{Event, Mutex, Semaphore};

#[path = "support/watchdog.rs"]
mod watchdog;

use watchdog::watch;

/// Returns the wait of the thread with this name, once there is one.
fn wait_of(name: &str) -> Waiting {
    loop {
        let found = waits::waiting().into_iter().find(|wait| wait.thread_name() == Some(name));
        if let Some(wait) = found {
            return wait;
        }
        std::thread::yield_now();
    }
}

#[test]
fn each_wait_has_its_thread_call_and_place() {
    let _watch = watch();
    let (event, semaphore, mutex) = (Event::new(), Semaphore::new(0), Mutex::new(()));
    let held = mutex.lock();
    thread::scope(|scope| {
        let named = |name: &str| Builder::new().name(name);
        let line = line!();
        named("at the event").spawn_scoped(scope, || event.wait()).unwrap();
        named("at the mutex").spawn_scoped(scope, || drop(mutex.lock())).unwrap();
        let waits = || drop(semaphore.try_acquire_for(Duration::from_secs(3600)));
        named("at the semaphore").spawn_scoped(scope, waits).unwrap();
        let at_event = wait_of("at the event");
        assert!(at_event.call().contains("Event::wait"), "{at_event}");
        assert!(at_event.caller().unwrap().contains("feature_waits"), "{at_event}");
        let place = at_event.place().unwrap();
        assert!(place.contains(&format!("feature_waits.rs:{}", line + 1)), "{at_event}");
        assert!(!at_event.is_timed());
        let event_at = (&raw const event).addr();
        assert!((event_at..event_at + size_of::<Event>()).contains(&at_event.address()));

        let at_mutex = wait_of("at the mutex");
        assert!(at_mutex.call().contains("Mutex"), "{at_mutex}");
        let at_semaphore = wait_of("at the semaphore");
        assert!(at_semaphore.call().contains("try_acquire_for"), "{at_semaphore}");
        assert!(at_semaphore.is_timed() && at_semaphore.to_string().contains("waits for"));

        let longest = waits::waiting();
        assert!(longest.windows(2).all(|pair| pair[0].waited() >= pair[1].waited()));
        waits::print();
        event.set();
        drop(held);
        semaphore.add_permits(1);
    });
    let left: Vec<_> = waits::waiting();
    let ours = |wait: &&Waiting| wait.thread_name().is_some_and(|name| name.starts_with("at the"));
    assert_eq!(left.iter().filter(ours).count(), 0, "a wait that is over is not listed");
}

#[test]
fn the_list_is_whole_while_threads_come_and_go() {
    const STAY: usize = 100;
    let _watch = watch();
    let (stay, ended) = (Event::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..STAY {
            Builder::new().name("stays").spawn_scoped(scope, || stay.wait()).unwrap();
        }
        // Threads that wait for a moment and end.
        scope
            .spawn(|| {
                while !ended.load(Relaxed) {
                    let never = Event::new();
                    thread::scope(|scope| {
                        let goes = || assert!(!never.wait_timeout(Duration::from_micros(50)));
                        Builder::new().name("goes").spawn_scoped(scope, goes).unwrap();
                    });
                }
            })
            .unwrap();
        let stays = |wait: &&Waiting| wait.thread_name() == Some("stays");
        while waits::waiting().iter().filter(stays).count() < STAY {}
        let list = waits::waiting();
        assert_eq!(list.iter().filter(stays).count(), STAY);
        let thread_ids: HashSet<_> = list.iter().filter(stays).map(Waiting::thread_id).collect();
        assert_eq!(thread_ids.len(), STAY, "each thread once");
        ended.store(true, Relaxed);
        stay.set();
    });
}

#[test]
fn a_wait_in_the_destructor_of_a_thread_local_is_listed() {
    struct Waits(Arc<Event>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    std::thread_local!(static LAST: Cell<Option<Waits>> = const { Cell::new(None) });
    let _watch = watch();
    let event = Arc::new(Event::new());
    let theirs = Waits(Arc::clone(&event));
    let thread = std::thread::Builder::new().name("ends".into());
    let thread = thread.spawn(|| LAST.set(Some(theirs))).unwrap();
    assert!(wait_of("ends").call().contains("Event::wait"));
    event.set();
    thread.join().unwrap();
}

/// Forks, and returns the status that the child ends with: 14 if it hung for ten seconds, 256 if
/// `act` was not so.
#[cfg(target_os = "linux")]
fn status_of_a_child(act: impl Fn() -> bool) -> i32 {
    // SAFETY: the child waits, and uses memory, which the C library keeps usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: an alarm for a child that hangs; it ends without what belongs to the parent.
        unsafe {
            libc::alarm(10);
            libc::_exit(i32::from(!act()));
        }
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status
}

/// `std` captures stacks behind a lock, which a thread of the parent holds at most of these forks.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_waits_though_threads_of_the_parent_were_capturing_stacks() {
    let _watch = watch();
    let (ended, event) = (AtomicBool::new(false), Event::new());
    // The fork is noticed because the parent has waited.
    assert!(!event.wait_timeout(Duration::ZERO) && waits::waiting().len() < usize::MAX);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !ended.load(Relaxed) {
                    drop(std::backtrace::Backtrace::force_capture());
                }
            });
        }
        let child = || status_of_a_child(|| !event.wait_timeout(Duration::from_micros(100)));
        let failed = (0..20).map(|_| child()).find(|&status| status != 0);
        ended.store(true, Relaxed);
        assert_eq!(failed, None, "14: the child hung");
    });
}

/// Standard error has a lock, too.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_prints_its_waits_though_a_thread_of_the_parent_was_printing() {
    let _watch = watch();
    let (held, release) = (Event::new(), Event::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _stderr = std::io::stderr().lock();
            held.set();
            release.wait();
        });
        held.wait();
        until_waited_for(&release);
        let status = status_of_a_child(|| {
            waits::print();
            waits::waiting().is_empty()
        });
        release.set();
        assert_eq!(status, 0, "14: the child hung; 256: it lists its parent's wait");
    });
}

/// Returns once a thread waits for `event`.
#[cfg(target_os = "linux")]
fn until_waited_for(event: &Event) {
    let inside = (&raw const *event).addr()..(&raw const *event).addr() + size_of::<Event>();
    while !waits::waiting().iter().any(|wait| inside.contains(&wait.address())) {
        std::thread::yield_now();
    }
}

#[cfg(all(unix, feature = "sigquit"))]
#[test]
fn sigquit_prints_and_does_not_kill() {
    waits::print_on_sigquit().unwrap();
    // The second call changes nothing.
    waits::print_on_sigquit().unwrap();
    // SAFETY: it sends a signal to this process, which has a handler for it.
    assert_eq!(unsafe { libc::raise(libc::SIGQUIT) }, 0);
}
