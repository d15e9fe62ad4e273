//! The slow paths neither allocate nor open files: our locks work behind the global allocator, in
//! the destructors of thread-locals and in signal handlers.
// The portable futex allocates to sleep, and so do the features when they watch.
#![cfg(all(
    target_os = "linux",
    not(any(sync_futex_fallback, feature = "deadlock", feature = "stats"))
))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use sync_core::thread;
use sync_core::{
    AutoResetEvent, Barrier, Condvar, Event, FairMutex, Latch, Mutex, Once, RawSemaphore,
    ReentrantMutex, RwLock,
};

/// The system's allocator behind a lock of ours.
struct Locked;

static LOCK: Mutex<()> = Mutex::new(());
/// The next one to hold the lock holds it for long.
static HOLD: AtomicBool = AtomicBool::new(false);
static DEEPEST: AtomicUsize = AtomicUsize::new(0);
/// Allocations of threads that are not allowed any.
static FORBIDDEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static MAY_ALLOCATE: Cell<bool> = const { Cell::new(true) };
    /// The thread stops once, after it has freed a block of this size.
    static STOPS_AT: Cell<usize> = const { Cell::new(0) };
}

/// Whether a thread has stopped, and whether it may go on.
static STOPPED: AtomicBool = AtomicBool::new(false);
static GO_ON: AtomicBool = AtomicBool::new(false);

fn locked<T>(f: impl FnOnce() -> T) -> T {
    let depth = DEPTH.replace(DEPTH.get() + 1) + 1;
    DEEPEST.fetch_max(depth, Ordering::Relaxed);
    if !MAY_ALLOCATE.get() {
        FORBIDDEN.fetch_add(1, Ordering::Relaxed);
    }
    let result = if depth > 1 {
        // It was called from inside the lock: fails the test below, instead of a deadlock or a
        // stack that overflows.
        f()
    } else {
        let _guard = LOCK.lock();
        if HOLD.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
        f()
    };
    DEPTH.set(depth - 1);
    result
}

// SAFETY: it is the system's, one call at a time.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to the caller.
        locked(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        locked(|| unsafe { System.dealloc(memory, layout) });
        if STOPS_AT.get() == layout.size() && layout.size() > 0 {
            STOPS_AT.set(0);
            STOPPED.store(true, Ordering::Release);
            while !GO_ON.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
    }
}

#[global_allocator]
static GLOBAL: Locked = Locked;

/// The tests of this file use one allocator: one at a time.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// This test must be the first to contend for any lock of the process, so it contends in a child.
#[test]
fn a_contended_lock_behind_the_allocator_does_not_allocate() {
    let _turn = turn();
    if std::env::var_os("SYNC_CORE_TEST_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["a_contended_lock_behind_the_allocator_does_not_allocate", "--exact"])
            .env("SYNC_CORE_TEST_CHILD", "1")
            .status()
            .unwrap();
        assert!(status.success(), "the child ended with {status}");
        return;
    }
    let holder = std::thread::spawn(|| {
        HOLD.store(true, Ordering::Relaxed);
        drop(Box::new(1));
    });
    while !LOCK.is_locked() {
        std::thread::yield_now();
    }
    for n in 0..100 {
        drop(std::hint::black_box(Box::new(n)));
    }
    holder.join().unwrap();
    assert_eq!(DEEPEST.load(Ordering::Relaxed), 1, "the allocator was called from within");
}

/// Runs `f` in a thread that may not allocate meanwhile, while `release` runs here once the other
/// is about to wait.
fn without_allocations(f: impl FnOnce() + Send, release: impl FnOnce()) {
    let begun = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            MAY_ALLOCATE.set(false);
            begun.store(1, Ordering::Relaxed);
            f();
            MAY_ALLOCATE.set(true);
        });
        while begun.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(5));
        release();
        waits.join().unwrap();
    });
}

#[test]
fn no_wait_allocates() {
    let _turn = turn();
    FORBIDDEN.store(0, Ordering::Relaxed);
    const LONG: Duration = Duration::from_secs(3600);

    let mutex = Mutex::new(());
    let held = mutex.lock();
    without_allocations(|| drop(mutex.lock()), || drop(held));
    let held = mutex.lock();
    without_allocations(|| drop(mutex.try_lock_for(LONG)), || drop(held));
    let held = mutex.lock();
    without_allocations(|| drop(mutex.try_lock_for(Duration::from_millis(1))), || ());
    drop(held);

    let fair = FairMutex::new(());
    let held = fair.lock();
    without_allocations(|| drop(fair.lock()), || drop(held));
    let nested = ReentrantMutex::new(());
    let held = nested.lock();
    without_allocations(|| drop(nested.lock()), || drop(held));
    let shared = RwLock::new(());
    let held = shared.write();
    without_allocations(|| drop(shared.read()), || drop(held));
    let held = shared.read();
    without_allocations(|| drop(shared.write()), || drop(held));

    let changed = Condvar::new();
    without_allocations(
        || {
            let mut guard = mutex.lock();
            let _ = changed.wait_for(&mut guard, Duration::from_millis(20));
        },
        || {
            changed.notify_all();
        },
    );
    let semaphore = RawSemaphore::new(0);
    without_allocations(|| semaphore.acquire(3).unwrap(), || semaphore.release(3).unwrap());
    let event = Event::new();
    without_allocations(|| event.wait(), || event.set());
    let auto = AutoResetEvent::new();
    without_allocations(|| auto.wait(), || auto.set());
    let barrier = Barrier::new(2);
    let arrives = || assert!(barrier.wait().is_ok());
    without_allocations(arrives, arrives);
    let latch = Latch::new(1);
    without_allocations(|| latch.wait(), || latch.count_down(1));
    let once = Once::new();
    without_allocations(|| once.wait(), || once.call_once(|| ()));
    assert_eq!(FORBIDDEN.load(Ordering::Relaxed), 0);
}

#[test]
fn a_contended_lock_in_the_destructor_of_a_thread_local() {
    let _turn = turn();
    static CONTENDED: Mutex<u32> = Mutex::new(0);
    struct AtTheEnd;
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            *CONTENDED.lock() += 1;
        }
    }
    thread_local! {
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }
    let held = CONTENDED.lock();
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| LAST.set(Some(AtTheEnd)))).collect();
    std::thread::sleep(Duration::from_millis(5));
    drop(held);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*CONTENDED.lock(), 4);
}

#[test]
fn a_contended_lock_in_a_signal_handler() {
    let _turn = turn();
    // The handler interrupts a thread that holds nothing: a lock that the interrupted code held
    // would be waited for forever.
    static IN_HANDLER: Mutex<u32> = Mutex::new(0);
    static PERMITS: RawSemaphore = RawSemaphore::new(0);
    extern "C" fn handler(_: libc::c_int) {
        *IN_HANDLER.lock() += 1;
        let _ = PERMITS.release(1);
    }
    let action = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler waits and adds, and does nothing else; no other code uses the signal.
    unsafe { libc::signal(libc::SIGUSR2, action) };
    let held = IN_HANDLER.lock();
    std::thread::scope(|scope| {
        // SAFETY: the thread signals itself, and holds nothing.
        let signalled = scope.spawn(|| unsafe { libc::raise(libc::SIGUSR2) });
        std::thread::sleep(Duration::from_millis(5));
        drop(held);
        signalled.join().unwrap();
        PERMITS.acquire(1).unwrap();
    });
    assert_eq!(*IN_HANDLER.lock(), 1);
}

/// At the fork a thread of the parent is in the middle of a change of the scope's list: the old
/// memory of the list is free, and the list does not have the new memory yet.
#[test]
fn the_child_of_a_fork_leaves_a_scope_that_was_just_being_changed() {
    let _turn = turn();
    let gate = Event::new();
    let mut pid = 0;
    thread::scope(|scope| {
        let spawns = scope.spawn(|| {
            // With this thread they fill the list.
            let idle = [(); 3].map(|()| scope.spawn(|| gate.wait()).unwrap());
            STOPS_AT.set(4 * size_of::<thread::Thread>());
            drop(scope.spawn(|| ()).unwrap());
            STOPS_AT.set(0);
            drop(idle);
        });
        while !STOPPED.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: the child drops the scope, which is under test, and ends.
        pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: an alarm for a child that hangs.
            unsafe { libc::alarm(60) };
        } else {
            GO_ON.store(true, Ordering::Release);
            gate.set();
        }
        drop(spawns);
    });
    if pid == 0 {
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(0) };
    }
    assert!(pid > 0);
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child dropped a list that was being changed");
}
