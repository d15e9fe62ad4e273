//! An object that a thread has just made is not there for another thread unless it was handed over
//! properly.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc as StdArc;
use verify::cell::UnsafeCell;
use verify::model::Builder;
use verify::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, Ordering::*};
use verify::{sync::Mutex, thread};

fn failure(f: impl Fn() + Send + Sync + 'static) -> Option<String> {
    Builder::new().explore(f).failure.map(|f| f.to_string())
}

#[track_caller]
fn races(f: impl Fn() + Send + Sync + 'static) {
    let text = failure(f).expect("a race with the initialisation");
    assert!(text.contains("data race") && text.contains("another thread made"), "{text}");
}

#[track_caller]
fn passes(f: impl Fn() + Send + Sync + 'static) {
    assert_eq!(failure(f), None);
}

/// One thread makes an object and publishes its address, the other one uses it. The main thread
/// frees it.
fn published<T: 'static>(
    make: fn() -> T,
    publish: Ordering,
    find: Ordering,
    use_it: fn(&T),
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let place = StdArc::new(AtomicPtr::new(ptr::null_mut::<T>()));
        let theirs = place.clone();
        let maker = thread::spawn(move || theirs.store(Box::into_raw(Box::new(make())), publish));
        let theirs = place.clone();
        let user = thread::spawn(move || {
            let found = theirs.load(find);
            if !found.is_null() {
                // SAFETY: it is freed after both threads have ended.
                use_it(unsafe { &*found });
            }
        });
        maker.join().unwrap();
        user.join().unwrap();
        // SAFETY: the last access.
        drop(unsafe { Box::from_raw(place.load(Relaxed)) });
    }
}

fn load(x: &AtomicUsize) {
    assert_eq!(x.load(Relaxed), 7);
}

#[test]
fn a_fresh_atomic_published_relaxed() {
    passes(published(|| AtomicUsize::new(7), Release, Acquire, load));
    races(published(|| AtomicUsize::new(7), Relaxed, Acquire, load));
    races(published(|| AtomicUsize::new(7), Release, Relaxed, load));
    races(published(|| AtomicUsize::new(7), Relaxed, Relaxed, |x| x.store(1, Relaxed)));
    races(published(
        || AtomicUsize::new(7),
        Relaxed,
        Relaxed,
        |x| assert_eq!(x.fetch_add(1, SeqCst), 7),
    ));
}

#[test]
fn a_fresh_lock_or_cell_published_relaxed() {
    passes(published(|| Mutex::new(1), Release, Acquire, |m| *m.lock().unwrap() += 1));
    races(published(|| Mutex::new(1), Relaxed, Acquire, |m| *m.lock().unwrap() += 1));
    // SAFETY: no thread writes.
    let read = |c: &UnsafeCell<usize>| assert_eq!(c.with(|v| unsafe { *v }), 3);
    passes(published(|| UnsafeCell::new(3), Release, Acquire, read));
    races(published(|| UnsafeCell::new(3), Relaxed, Acquire, read));
}

/// The maker has used it before, so that it is no new object when the other one finds it.
#[test]
fn a_used_atomic_published_relaxed() {
    let make = || {
        let x = AtomicUsize::new(0);
        x.store(7, Relaxed);
        x
    };
    passes(published(make, Release, Acquire, |x| assert_eq!(x.load(Relaxed), 7)));
    races(published(make, Relaxed, Relaxed, |x| assert_eq!(x.load(Relaxed), 7)));
}

#[test]
fn on_the_stack_of_a_thread() {
    let model = |publish| {
        move || {
            let place = AtomicPtr::new(ptr::null_mut::<AtomicUsize>());
            let seen = AtomicUsize::new(0);
            thread::scope(|s| {
                s.spawn(|| {
                    let mine = AtomicUsize::new(7);
                    place.store(ptr::from_ref(&mine).cast_mut(), publish);
                    // Stays until the other one is done with it.
                    while seen.load(Acquire) == 0 {
                        thread::yield_now();
                    }
                });
                s.spawn(|| {
                    let found = place.load(Acquire);
                    if !found.is_null() {
                        // SAFETY: its thread waits.
                        load(unsafe { &*found });
                    }
                    seen.store(1, Release);
                });
            });
        }
    };
    passes(model(Release));
    races(model(Relaxed));
}

#[test]
fn written_to_by_its_only_owner() {
    let make = || {
        let mut x = AtomicUsize::new(0);
        *x.get_mut() = 7;
        x
    };
    passes(published(make, Release, Acquire, load));
    races(published(make, Relaxed, Acquire, load));
}

/// An object that was there before the threads needs nothing: neither does a static, nor what a
/// thread gets with its closure.
#[test]
fn made_before() {
    static SHARED: AtomicUsize = AtomicUsize::new(0);
    passes(|| {
        let nodes: StdArc<[AtomicUsize; 2]> =
            StdArc::new([AtomicUsize::new(7), AtomicUsize::new(7)]);
        let place = StdArc::new(AtomicUsize::new(0));
        let (n, p) = (nodes.clone(), place.clone());
        let own = AtomicUsize::new(1);
        thread::spawn(move || {
            n[1].load(Relaxed);
            own.fetch_add(1, Relaxed);
            p.store(1, Relaxed);
            SHARED.fetch_add(1, Relaxed);
        });
        load(&nodes[place.load(Relaxed)]);
        SHARED.fetch_add(1, Relaxed);
        thread::current().unpark();
    });
}

/// Memory that comes back to another thread belongs to that one.
#[test]
fn allocated_again() {
    passes(|| {
        let turn = StdArc::new(AtomicUsize::new(0));
        let t = turn.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                drop(Box::new(Cell::new([0_usize; 4])));
            }
            t.store(1, Relaxed);
        });
        turn.load(Relaxed);
        let mine = Box::new(AtomicUsize::new(7));
        load(&mine);
        thread::scope(|s| {
            s.spawn(|| load(&mine));
        });
    });
}
