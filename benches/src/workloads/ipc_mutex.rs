//! Locks in shared memory, uncontended: ours, pthread's process-shared mutex, plain and robust, and
//! POSIX's semaphore.
//!
//! All of them survive in memory that processes share; of the peers, only the robust mutex survives
//! its owner.

use std::cell::UnsafeCell;
use std::ptr;

use sync_ipc::{Mutex, Segment, Semaphore};

use crate::compare::shapes;
use crate::compare::subject::{Contestant, OURS, Workload};

/// All workloads of the lock between processes.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::single(
            "ipc_mutex",
            "uncontended",
            vec![ours(), pthread(false), pthread(true), posix_semaphore()],
        ),
        Workload::single("ipc_semaphore", "uncontended", vec![our_semaphore(), posix_semaphore()]),
    ]
}

fn ours() -> Contestant {
    let make = || {
        let segment = Segment::anonymous(4096).expect("a segment");
        Mutex::create(&segment, "mutex", 0_u64).expect("room")
    };
    let ops = |mutex: &Mutex<u64>, n| {
        for _ in 0..n {
            mutex.lock().expect("no process dies").update(|count| *count += 1);
        }
    };
    shapes::looping(OURS, make, ops, |mutex| mutex.lock().expect("no process dies").get())
}

fn our_semaphore() -> Contestant {
    let make = || {
        let segment = Segment::anonymous(4096).expect("a segment");
        (Semaphore::create(&segment, "semaphore", 1, 1).expect("room"), UnsafeCell::new(0_u64))
    };
    let ops = |(semaphore, count): &(Semaphore, UnsafeCell<u64>), n| {
        for _ in 0..n {
            let _permit = semaphore.acquire().expect("attached");
            // SAFETY: one thread, and no other reference.
            unsafe { *count.get() += 1 };
        }
    };
    // SAFETY: one thread, and no other reference.
    shapes::looping(OURS, make, ops, |(_, count)| unsafe { *count.get() })
}

/// In a box, as one must not move them.
struct Pthread {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    count: UnsafeCell<u64>,
}

impl Drop for Pthread {
    fn drop(&mut self) {
        // SAFETY: initialised, and no thread holds it.
        unsafe { libc::pthread_mutex_destroy(self.mutex.get()) };
    }
}

fn pthread(robust: bool) -> Contestant {
    let make = move || {
        // SAFETY: an attribute object that lives until the mutex is made, and a mutex that stays
        // where it is.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
            libc::pthread_mutexattr_init(&mut attributes);
            libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            if robust {
                libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            let this = Box::new(Pthread {
                mutex: UnsafeCell::new(std::mem::zeroed()),
                count: UnsafeCell::new(0),
            });
            assert_eq!(libc::pthread_mutex_init(this.mutex.get(), ptr::from_ref(&attributes)), 0);
            libc::pthread_mutexattr_destroy(&mut attributes);
            this
        }
    };
    #[expect(clippy::borrowed_box, reason = "the state is a box: a pthread mutex must not move")]
    let ops = |this: &Box<Pthread>, n| {
        for _ in 0..n {
            // SAFETY: an initialised mutex, locked and unlocked by this thread; the counter is only
            // touched under it.
            unsafe {
                libc::pthread_mutex_lock(this.mutex.get());
                *this.count.get() += 1;
                libc::pthread_mutex_unlock(this.mutex.get());
            }
        }
    };
    // SAFETY: one thread, and no other reference.
    shapes::looping(
        if robust { "pthread-robust" } else { "pthread-pshared" },
        make,
        ops,
        |this| unsafe { *this.count.get() },
    )
}

/// In a box, as one must not move it.
struct Posix {
    semaphore: UnsafeCell<libc::sem_t>,
    count: UnsafeCell<u64>,
}

fn posix_semaphore() -> Contestant {
    let make = || {
        // SAFETY: a semaphore that stays where it is.
        unsafe {
            let this = Box::new(Posix {
                semaphore: UnsafeCell::new(std::mem::zeroed()),
                count: UnsafeCell::new(0),
            });
            assert_eq!(libc::sem_init(this.semaphore.get(), 1, 1), 0);
            this
        }
    };
    #[expect(clippy::borrowed_box, reason = "the state is a box: a semaphore must not move")]
    let ops = |this: &Box<Posix>, n| {
        for _ in 0..n {
            // SAFETY: an initialised semaphore of one permit; the counter is only touched while we
            // hold it.
            unsafe {
                libc::sem_wait(this.semaphore.get());
                *this.count.get() += 1;
                libc::sem_post(this.semaphore.get());
            }
        }
    };
    // SAFETY: one thread, and no other reference.
    shapes::looping("sem_t", make, ops, |this| unsafe { *this.count.get() })
}
