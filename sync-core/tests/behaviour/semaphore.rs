//! Semaphore, BoundedSemaphore and RawSemaphore.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{
    ArcPermit, BoundedPermit, BoundedSemaphore, Closed, OverRelease, Permit, RawSemaphore,
    Semaphore, TooManyPermits, TryAcquireError,
};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// Waits until `done`: for what other threads bring about.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

/// That `count` is `expected` and stays so for a moment, in which a thread too many would show
/// itself.
fn settles_at(count: &AtomicU32, expected: u32) {
    until(|| count.load(Ordering::Relaxed) >= expected);
    thread::sleep(SHORT);
    assert_eq!(count.load(Ordering::Relaxed), expected);
}

#[test]
fn a_semaphore_is_four_bytes_and_built_in_constants() {
    static SEMAPHORE: Semaphore = Semaphore::new(2);
    static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(2);
    const { assert!(size_of::<Semaphore>() == 4) };
    const { assert!(size_of::<RawSemaphore>() == 4) };
    const { assert!(size_of::<BoundedSemaphore>() == 8) };
    assert_eq!((SEMAPHORE.available_permits(), BOUNDED.available_permits()), (2, 2));
}

#[test]
fn permits_and_semaphores_go_everywhere() {
    fn everywhere<T: Send + Sync>() {}
    everywhere::<Semaphore>();
    everywhere::<Permit<'_>>();
    everywhere::<BoundedPermit<'_>>();
    everywhere::<ArcPermit>();
    everywhere::<RawSemaphore>();
}

#[test]
fn more_permits_than_it_can_hold() {
    assert_eq!(Semaphore::new(Semaphore::MAX_PERMITS).available_permits(), Semaphore::MAX_PERMITS);
    assert!(catch_unwind(|| Semaphore::new(Semaphore::MAX_PERMITS + 1)).is_err());
    assert!(catch_unwind(|| BoundedSemaphore::new(u32::MAX)).is_err());
    assert!(catch_unwind(|| RawSemaphore::new(u32::MAX)).is_err());
}

#[test]
fn acquired_then_dropped() {
    {
        let semaphore = Semaphore::new(1);
        semaphore.acquire().unwrap().forget();
    }
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire_arc(1).unwrap();
    drop(semaphore);
    assert_eq!(permit.semaphore().available_permits(), 0, "the permit keeps it alive");
}

/// Seven permits, one of them taken, ten threads that take two each: exact counts at every step,
/// however the releases come.
fn contended(release: impl Fn(&Semaphore, u32)) {
    let _watch = watch();
    let semaphore = Semaphore::new(7);
    let passed = AtomicU32::new(0);
    semaphore.acquire().unwrap().forget();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..2 {
                    semaphore.acquire().unwrap().forget();
                    passed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        settles_at(&passed, 6);
        release(&semaphore, 7);
        settles_at(&passed, 13);
        release(&semaphore, 6);
        settles_at(&passed, 19);
        assert!(semaphore.try_acquire().is_err());
        semaphore.add_permits(1);
    });
    assert_eq!(passed.into_inner(), 20);
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn releases_one_by_one_let_exactly_as_many_pass() {
    contended(|semaphore, n| (0..n).for_each(|_| semaphore.add_permits(1)));
}

#[test]
fn releases_at_once_let_exactly_as_many_pass() {
    contended(|semaphore, n| semaphore.add_permits(n));
}

#[test]
fn try_acquire() {
    let semaphore = Semaphore::new(2);
    let one = semaphore.try_acquire().unwrap();
    let _two = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    drop(one);
    assert!(semaphore.try_acquire().is_ok());
}

#[test]
fn try_acquire_contended() {
    let semaphore = Semaphore::new(4);
    semaphore.acquire().unwrap().forget();
    let got: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..5)
            .map(|_| {
                scope.spawn(|| {
                    (0..2).filter(|_| semaphore.try_acquire().map(Permit::forget).is_ok()).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(got, 3);
}

#[test]
fn the_default_is_one_permit() {
    let _watch = watch();
    let semaphore = Semaphore::default();
    let passed = AtomicU32::new(0);
    let first = semaphore.acquire().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _second = semaphore.acquire().unwrap();
            passed.fetch_add(1, Ordering::Relaxed);
        });
        settles_at(&passed, 0);
        drop(first);
    });
    assert_eq!(passed.into_inner(), 1);
    assert_eq!(BoundedSemaphore::default().bound(), 1);
}

#[test]
fn permits_return_at_the_end_of_the_scope_and_in_a_panic() {
    let semaphore = Semaphore::new(2);
    {
        let _outer = semaphore.acquire().unwrap();
        assert!(semaphore.try_acquire().is_ok());
        let _inner = semaphore.acquire().unwrap();
        assert!(semaphore.try_acquire().is_err());
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _permits = semaphore.acquire_many(2).unwrap();
        panic!("with two permits");
    }));
    assert!(panicked.is_err());
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn permits_may_be_added_beyond_the_first_number() {
    let semaphore = Semaphore::new(1);
    semaphore.add_permits(1);
    let _both = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
    assert!(semaphore.try_acquire().is_err());
}

#[test]
fn debug_shows_the_permits() {
    let semaphore = Semaphore::new(3);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 3 }");
    semaphore.acquire().unwrap().forget();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 2 }");
    semaphore.add_permits(2);
    semaphore.close();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 4, closed: true }");
    assert_eq!(
        format!("{:?}", BoundedSemaphore::new(3)),
        "BoundedSemaphore { permits: 3, bound: 3 }"
    );
    assert_eq!(format!("{:?}", RawSemaphore::new(3)), "RawSemaphore { permits: 3 }");
    assert_eq!(format!("{:?}", Semaphore::new(3).acquire_many(2).unwrap()), "Permit { count: 2 }");
}

#[test]
fn bounded_release_without_acquire() {
    let semaphore = BoundedSemaphore::new(1);
    assert_eq!(semaphore.release(1), Err(OverRelease));
    semaphore.acquire().unwrap().forget();
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(semaphore.release(1), Err(OverRelease));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn released_by_threads_that_did_not_acquire() {
    for limit in 1..10 {
        let semaphore = BoundedSemaphore::new(limit);
        thread::scope(|scope| {
            for _ in 0..limit {
                scope.spawn(|| semaphore.acquire().unwrap().forget());
            }
        });
        thread::scope(|scope| {
            for _ in 0..limit {
                scope.spawn(|| semaphore.release(1).unwrap());
            }
        });
        assert_eq!(semaphore.release(1), Err(OverRelease));
    }
}

#[test]
fn never_more_than_three_inside() {
    let _watch = watch();
    let semaphore = BoundedSemaphore::new(3);
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let _permit = semaphore.acquire().unwrap();
                    most.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert_eq!((inside.into_inner(), semaphore.available_permits()), (0, 3));
}

#[test]
fn a_timeout_of_zero_takes_what_is_there() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire_for(Duration::ZERO).unwrap();
    assert_eq!(semaphore.try_acquire_for(Duration::ZERO).unwrap_err(), TryAcquireError::TimedOut);
    assert!(semaphore.try_acquire_until(Instant::now() - SHORT).is_err());
    drop(permit);
    assert!(semaphore.try_acquire_until(Instant::now() - SHORT).is_ok());
}

#[test]
fn nothing_released_is_nothing_changed() {
    let semaphore = Semaphore::new(1);
    semaphore.add_permits(0);
    assert_eq!(BoundedSemaphore::new(1).release(0), Ok(()));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn over_release_is_all_or_nothing() {
    let semaphore = BoundedSemaphore::new(3);
    let two = semaphore.acquire_many(2).unwrap();
    assert_eq!(semaphore.release(3), Err(OverRelease));
    assert_eq!(semaphore.release(u32::MAX), Err(OverRelease));
    assert_eq!(semaphore.available_permits(), 1);
    // Other code returns the permits of the guard: the guard then observes room for one of its two.
    semaphore.release(1).unwrap();
    drop(two);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn permits_over_the_maximum() {
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(1))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(u32::MAX))).is_err());
    assert_eq!(semaphore.try_add_permits(1), Err(TooManyPermits));
    assert_eq!(semaphore.try_add_permits(0), Ok(()));
    let permit = semaphore.try_acquire().unwrap();
    semaphore.try_add_permits(1).unwrap();
    drop(permit);
    assert_eq!(
        semaphore.available_permits(),
        Semaphore::MAX_PERMITS,
        "no room, and no panic in a drop"
    );
    assert_eq!(RawSemaphore::new(5).release(RawSemaphore::MAX_PERMITS - 4), Err(TooManyPermits));
    drop(semaphore.acquire_many(Semaphore::MAX_PERMITS).unwrap());
}

#[test]
fn requests_for_more_than_there_can_ever_be() {
    let (semaphore, bounded) = (Semaphore::new(1), BoundedSemaphore::new(2));
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.acquire_many(u32::MAX).map(drop))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| bounded.acquire_many(3).map(drop))).is_err());
    assert_eq!(bounded.try_acquire_many(3).unwrap_err(), TryAcquireError::NoPermits);
    assert!(bounded.acquire_many(2).is_ok());
}

#[test]
fn the_longest_duration_means_forever() {
    let _watch = watch();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        let waits = scope.spawn(|| semaphore.try_acquire_for(Duration::MAX).map(Permit::forget));
        thread::sleep(SHORT);
        semaphore.add_permits(1);
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_timeout_is_never_early_and_leaves_nothing_behind() {
    let semaphore = Semaphore::new(1);
    for n in [1, 2] {
        let held = semaphore.acquire().unwrap();
        let started = Instant::now();
        assert_eq!(
            semaphore.try_acquire_many_for(n, SHORT).unwrap_err(),
            TryAcquireError::TimedOut
        );
        assert!(started.elapsed() >= SHORT);
        drop(held);
        assert!(semaphore.try_acquire().is_ok(), "a head that gave up bars no thread");
    }
}

#[test]
fn a_request_for_many_is_not_starved_by_requests_for_one() {
    let _watch = watch();
    let semaphore = Semaphore::new(4);
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        // Four hogs that between them leave no moment in which all four permits are there.
        for _ in 0..4 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) == 0 {
                    let _permit = semaphore.acquire().unwrap();
                    thread::yield_now();
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(semaphore.acquire_many(4).unwrap().count(), 4);
        }
        done.store(1, Ordering::Relaxed);
    });
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn a_later_request_waits_behind_a_request_for_many() {
    let _watch = watch();
    let semaphore = Semaphore::new(2);
    let passed = AtomicU32::new(0);
    let one = semaphore.acquire().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _two = semaphore.acquire_many(2).unwrap();
            assert_eq!(passed.fetch_add(1, Ordering::Relaxed), 0);
        });
        // Until the head stands there a permit can be had.
        until(|| semaphore.try_acquire().is_err());
        assert_eq!(semaphore.available_permits(), 1);
        scope.spawn(|| {
            let _one = semaphore.acquire().unwrap();
            assert_eq!(passed.fetch_add(1, Ordering::Relaxed), 1);
        });
        settles_at(&passed, 0);
        drop(one);
    });
    assert_eq!((passed.into_inner(), semaphore.available_permits()), (2, 2));
}

#[test]
fn close_ends_every_wait_and_every_acquisition_to_come() {
    let _watch = watch();
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire().unwrap();
    thread::scope(|scope| {
        let waits: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let semaphore = &semaphore;
                    move || semaphore.acquire_many(n % 2 + 1).map(Permit::forget)
                })
            })
            .collect();
        thread::sleep(SHORT);
        semaphore.close();
        semaphore.close();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Err(Closed));
        }
    });
    drop(held);
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.available_permits(), 1, "permits still return");
    assert_eq!(semaphore.acquire().unwrap_err(), Closed);
    assert_eq!(semaphore.acquire_many(0).unwrap_err(), Closed);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert_eq!(semaphore.try_acquire_for(Duration::MAX).unwrap_err(), TryAcquireError::Closed);
}

#[test]
fn permits_merge_split_and_are_forgotten() {
    let semaphore = Semaphore::new(5);
    let mut three = semaphore.acquire_many(3).unwrap();
    three.merge(semaphore.acquire().unwrap());
    assert_eq!((three.count(), semaphore.available_permits()), (4, 1));
    assert!(three.split(5).is_none());
    let two = three.split(2).unwrap();
    two.forget();
    drop(three);
    assert_eq!(semaphore.available_permits(), 3);
    let other = Semaphore::new(1);
    let mut mine = semaphore.acquire().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| mine.merge(other.acquire().unwrap()))).is_err());
    drop(mine);
    assert_eq!((semaphore.available_permits(), other.available_permits()), (3, 1));
    assert_eq!(semaphore.acquire_many(0).unwrap().count(), 0);
}

#[test]
fn an_arc_permit_goes_to_another_thread() {
    let semaphore = Arc::new(BoundedSemaphore::new(2));
    let permit: ArcPermit<BoundedSemaphore> = semaphore.acquire_arc(2).unwrap();
    assert!(semaphore.try_acquire_arc(1).is_err());
    thread::spawn(move || drop(permit)).join().unwrap();
    assert_eq!(semaphore.available_permits(), 2);
    semaphore.acquire_arc(1).unwrap().forget();
    assert_eq!(Arc::strong_count(&semaphore), 1, "a forgotten permit keeps nothing alive");
}
/// The combination that Python refuses, an attempt with a timeout, cannot be written down:
/// `try_acquire` takes none.
#[test]
fn an_attempt_is_one_thing_and_a_timeout_another() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert_eq!(semaphore.try_acquire_for(Duration::ZERO).unwrap_err(), TryAcquireError::TimedOut);
    drop(held);
    assert!(semaphore.try_acquire_for(Duration::ZERO).is_ok());
}

/// The next thread is not specified, and a running thread may be before a thread that was woken,
/// which then looks again: no permit is lost or doubled.
#[test]
fn a_permit_that_was_snatched_is_waited_for_again() {
    let _watch = watch();
    let semaphore = Semaphore::new(0);
    let got = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                semaphore.acquire().unwrap().forget();
                got.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut given = 0;
        let mut snatched = 0;
        while got.load(Ordering::Relaxed) < 100 {
            if given - snatched < 100 {
                semaphore.add_permits(1);
                given += 1;
            }
            // Now and then before the one that was woken.
            if given % 2 == 0 {
                if let Ok(permit) = semaphore.try_acquire() {
                    permit.forget();
                    snatched += 1;
                }
            }
            thread::yield_now();
        }
        assert_eq!(semaphore.available_permits() + 100 + snatched, given);
    });
}

#[test]
fn permits_are_added_up_to_a_limit() {
    let semaphore = Semaphore::new(1);
    assert_eq!(semaphore.add_permits_up_to(5, 3), 2);
    assert_eq!((semaphore.add_permits_up_to(1, 3), semaphore.add_permits_up_to(0, 9)), (0, 0));
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!(semaphore.add_permits_up_to(1, 2), 0, "there are more than the limit already");
    assert_eq!(semaphore.try_add_permits(Semaphore::MAX_PERMITS), Err(TooManyPermits));
    assert_eq!((semaphore.try_add_permits(4), semaphore.available_permits()), (Ok(()), 7));
    assert_eq!(semaphore.add_permits_up_to(u32::MAX, u32::MAX), Semaphore::MAX_PERMITS - 7);
    drop(semaphore.acquire_many(Semaphore::MAX_PERMITS).unwrap());
}

#[test]
fn permits_added_up_to_a_limit_wake_the_waiters() {
    let _watch = watch();
    let semaphore = Semaphore::new(0);
    thread::scope(|scope| {
        let all = [(); 3].map(|()| scope.spawn(|| semaphore.acquire().map(Permit::forget)));
        while all.iter().any(|waiter| !waiter.is_finished()) {
            semaphore.add_permits_up_to(2, 2);
            thread::yield_now();
        }
    });
    assert!(semaphore.available_permits() <= 2);
}
