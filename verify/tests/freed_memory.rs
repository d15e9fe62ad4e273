//! Memory that is freed in a model: an access after that fails, and no address is used twice.

use verify::cell::UnsafeCell;
use verify::model::{Builder, model};
use verify::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use verify::sync::{Arc, Mutex};
use verify::thread;

fn message(f: impl Fn() + Send + Sync + 'static) -> String {
    let failure = Builder::new().explore(f).failure.expect("a use after free");
    assert!(failure.message.contains("use after free"), "{failure}");
    assert!(failure.message.matches("freed_memory.rs").count() == 2, "{failure}");
    failure.message
}

/// A pointer that is passed to another thread.
struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: the models say which thread may use it when.
unsafe impl<T> Send for Shared<T> {}

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Shared(Box::into_raw(Box::new(value)))
    }

    /// # Safety
    /// It is not freed before, or the checker keeps the memory.
    unsafe fn get<'a>(self) -> &'a T {
        // SAFETY: as the caller says.
        unsafe { &*self.0 }
    }

    /// # Safety
    /// It is freed once.
    unsafe fn free(self) {
        // SAFETY: as the caller says; it was a box.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

#[test]
fn an_access_of_an_atomic_that_was_freed() {
    let text = message(|| {
        let x = Shared::new(AtomicUsize::new(1));
        let t = thread::spawn(move || {
            // SAFETY: it is not freed yet.
            unsafe { x.get() }.store(2, Relaxed);
            // SAFETY: once.
            unsafe { x.free() };
        });
        t.join().unwrap();
        // SAFETY: the checker keeps the memory.
        unsafe { x.get() }.load(Relaxed);
    });
    assert!(text.contains("thread 1 freed it"), "{text}");
}

#[test]
fn an_access_of_a_cell_or_a_lock_that_was_freed() {
    message(|| {
        let x = Shared::new((AtomicUsize::new(0), UnsafeCell::new(1)));
        // SAFETY: it is not freed yet.
        unsafe { x.get() }.0.load(Relaxed);
        // SAFETY: once.
        unsafe { x.free() };
        // SAFETY: the checker keeps the memory.
        unsafe { x.get() }.1.with_mut(|_| ());
    });
    message(|| {
        let x = Shared::new((AtomicUsize::new(0), Mutex::new(1)));
        // SAFETY: it is not freed yet.
        unsafe { x.get() }.0.load(Relaxed);
        // SAFETY: once.
        unsafe { x.free() };
        // SAFETY: the checker keeps the memory.
        let _ = unsafe { x.get() }.1.try_lock();
    });
}

/// In one of the executions the reader still holds the pointer when the other thread frees what it
/// points to.
#[test]
fn a_reader_that_holds_on_to_what_another_thread_frees() {
    message(|| {
        let node = Shared::new(AtomicUsize::new(7));
        let head = Arc::new(AtomicPtr::new(node.0));
        let theirs = head.clone();
        let t = thread::spawn(move || {
            let old = theirs.swap(std::ptr::null_mut(), Acquire);
            // SAFETY: no other thread takes it out. But one may still look at it.
            unsafe { Shared(old).free() };
        });
        let seen = head.load(Acquire);
        thread::yield_now();
        if !seen.is_null() {
            t.join().unwrap();
            // SAFETY: the checker keeps the memory.
            unsafe { &*seen }.load(Relaxed);
        }
    });
}

/// A compare-exchange of addresses never takes a new object for one that is gone.
#[test]
fn no_address_is_used_twice() {
    model(|| {
        let mut seen = Vec::new();
        for i in 0..20_usize {
            let x = Box::new(AtomicUsize::new(i));
            seen.push(std::ptr::from_ref(&*x).addr());
            x.fetch_add(1, Relaxed);
        }
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    });
}

/// Vectors that grow while their elements are in use, boxes that change hands: no false alarm.
#[test]
fn memory_that_is_used_as_it_should_be() {
    model(|| {
        let x = Arc::new(Mutex::new(vec![Box::new(AtomicUsize::new(0))]));
        let y = x.clone();
        let t = thread::spawn(move || {
            for i in 0..3 {
                y.lock().unwrap().push(Box::new(AtomicUsize::new(i)));
            }
            y.lock().unwrap().pop()
        });
        let mut plain = Vec::new();
        for i in 0..5 {
            plain.push(AtomicUsize::new(i));
            plain[0].store(i, Release);
        }
        drop(x.lock().unwrap().pop());
        let last = t.join().unwrap();
        assert_eq!(plain[0].load(Acquire), 4);
        if let Some(last) = last {
            last.store(1, Relaxed);
        }
    });
}
