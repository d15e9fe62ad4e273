//! Accesses that are not atomic: `unsync_load`, `get_mut` and `Debug` of atomics, guards of cells.

use std::sync::Arc;
use verify::cell::{MutPtr, UnsafeCell};
use verify::model::{Builder, model};
use verify::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use verify::thread;

/// Runs `f`, which fails; returns what is wrong with it.
fn message(f: impl Fn() + Send + Sync + 'static) -> String {
    Builder::new().explore(f).failure.expect("a race").message
}

/// A thread that loads while another one stores: the first part of the model runs several times,
/// each time with the later stores of the same thread in the graph already.
fn with_several_executions(f: impl Fn() + Send + Sync + 'static) {
    model(move || {
        let y = Arc::new(AtomicUsize::new(0));
        let z = y.clone();
        let t = thread::spawn(move || z.store(1, Relaxed));
        f();
        y.load(Relaxed);
        t.join().unwrap();
    });
}

#[test]
fn an_unsynchronised_load_does_not_see_what_its_thread_stores_later() {
    with_several_executions(|| {
        let x = AtomicUsize::new(0);
        x.store(5, Relaxed);
        // SAFETY: no other thread has it.
        let seen = unsafe { x.unsync_load() };
        x.store(6, Relaxed);
        assert_eq!(seen, 5);
    });
}

#[test]
fn debug_output_does_not_show_what_its_thread_stores_later() {
    with_several_executions(|| {
        let x = AtomicUsize::new(0);
        x.store(5, Relaxed);
        let seen = format!("{x:?}");
        x.store(6, Relaxed);
        assert_eq!(seen, "5");
    });
}

/// The newest value that happens before the load, also when another thread has stored it, and
/// stores others later.
#[test]
fn an_unsynchronised_load_sees_what_happens_before_it() {
    model(|| {
        let x = Arc::new([0, 0, 0].map(AtomicUsize::new));
        let y = x.clone();
        let t = thread::spawn(move || {
            y[0].store(1, Relaxed);
            y[0].fetch_add(1, Relaxed);
            y[1].store(1, Release);
            if y[2].load(Acquire) == 1 {
                y[0].store(3, Relaxed);
            }
        });
        if x[1].load(Acquire) == 1 {
            // SAFETY: the other thread stores again when it is told.
            assert_eq!(unsafe { x[0].unsync_load() }, 2);
            x[2].store(1, Release);
        }
        t.join().unwrap();
    });
}

#[test]
fn a_race_with_the_first_access_of_an_atomic_is_found() {
    let text = message(|| {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        let t = thread::spawn(move || y.store(7, Relaxed));
        // SAFETY: not at all: this is the race.
        let _ = unsafe { x.unsync_load() };
        t.join().unwrap();
    });
    assert!(text.contains("not atomic") && text.contains("not_atomic.rs"), "{text}");
}

/// The load is run again, before the store, in an execution in which nothing orders them.
#[test]
fn a_race_that_exists_in_a_later_execution_only_is_found() {
    let text = message(|| {
        let x = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let y = x.clone();
        let t = thread::spawn(move || {
            y.0.store(7, Relaxed);
            y.1.store(1, Release);
        });
        thread::yield_now();
        x.1.load(Acquire);
        // SAFETY: not when the flag was not up.
        let _ = unsafe { x.0.unsync_load() };
        t.join().unwrap();
    });
    assert!(text.contains("not atomic"), "{text}");
}

/// A compare-exchange that acquires what was released after the load comes after it.
#[test]
fn a_read_modify_write_that_synchronises_does_not_race() {
    model(|| {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        let t = thread::spawn(move || {
            // SAFETY: the other thread writes when it sees 1, which is stored later.
            let _ = unsafe { y.unsync_load() };
            y.store(1, Release);
        });
        let _ = x.compare_exchange(1, 2, Acquire, Relaxed);
        t.join().unwrap();
    });
}

#[test]
fn two_unsynchronised_loads_do_not_race() {
    model(|| {
        let x = Arc::new(AtomicUsize::new(3));
        let y = x.clone();
        // SAFETY: no thread writes.
        let t = thread::spawn(move || unsafe { y.unsync_load() });
        // SAFETY: no thread writes.
        assert_eq!(unsafe { x.unsync_load() }, 3);
        assert_eq!(x.load(Relaxed) + t.join().unwrap(), 6);
    });
}

/// A slot of a queue, and the guard of its cell as a field of a reference, as in thingbuf.
#[derive(Default)]
struct Slot {
    cell: UnsafeCell<usize>,
    state: AtomicUsize,
    later: AtomicUsize,
}

// SAFETY: the models use the cell in turns, or the checker finds that they do not.
unsafe impl Sync for Slot {}

struct SlotRef<'a> {
    guard: MutPtr<usize>,
    slot: &'a Slot,
}

// SAFETY: shared by the models, of which the checker finds those that race.
unsafe impl Send for SlotRef<'_> {}

impl Drop for SlotRef<'_> {
    /// The field `guard` is dropped after this.
    fn drop(&mut self) {
        self.slot.state.store(1, Release);
    }
}

/// A thread takes a guard of a cell, hands the cell on, and does `then`.
fn hands_on(then: impl Fn(&Slot, MutPtr<usize>) + Send + Sync + 'static) -> Option<String> {
    let then = Arc::new(then);
    let found = Builder::new().explore(move || {
        let slot = Arc::new(Slot::default());
        let (mine, then) = (slot.clone(), then.clone());
        let t = thread::spawn(move || {
            let guard = mine.cell.get_mut();
            mine.state.store(1, Release);
            then(&mine, guard);
        });
        if slot.state.load(Acquire) == 1 {
            slot.cell.with_mut(|_| ());
        }
        t.join().unwrap();
    });
    found.failure.map(|f| f.message)
}

#[test]
fn a_guard_that_is_dropped_after_the_step_that_hands_its_cell_on_is_no_race() {
    model(|| {
        let slot = Arc::new(Slot::default());
        let mine = slot.clone();
        let t = thread::spawn(move || {
            let taken = SlotRef { guard: mine.cell.get_mut(), slot: &mine };
            // SAFETY: the guard is exclusive.
            unsafe { *taken.guard.deref() = 5 };
        });
        if slot.state.load(Acquire) == 1 {
            // SAFETY: the other thread has handed the cell on.
            assert_eq!(unsafe { *slot.cell.get().deref() }, 5);
        }
        t.join().unwrap();
    });
    assert_eq!(hands_on(|_, guard| drop(guard)), None);
}

#[test]
fn a_guard_that_is_alive_at_a_step_after_its_cell_was_handed_on_is_a_race() {
    let found = hands_on(|slot, guard| {
        slot.later.load(Relaxed);
        drop(guard);
    });
    assert!(found.is_some_and(|text| text.contains("is written")));
}

#[test]
fn the_use_of_a_guard_after_its_cell_was_handed_on_is_a_race() {
    let uses: [fn(&Slot, MutPtr<usize>); 2] = [
        |_, guard| guard.with(|_| ()),
        // SAFETY: not at all: this is the race.
        |_, guard| unsafe { *guard.deref() = 1 },
    ];
    for then in uses {
        assert!(hands_on(then).is_some_and(|text| text.contains("is written")));
    }
}

/// The closure has the pointer up to its end.
#[test]
fn a_closure_that_hands_its_cell_on_is_a_race() {
    let text = message(|| {
        let slot = Arc::new(Slot::default());
        let mine = slot.clone();
        let t = thread::spawn(move || mine.cell.with_mut(|_| mine.state.store(1, Release)));
        if slot.state.load(Acquire) == 1 {
            slot.cell.with_mut(|_| ());
        }
        t.join().unwrap();
    });
    assert!(text.contains("is written"), "{text}");
}

/// A guard goes to another thread, which drops it with the step that hands the cell on.
#[test]
fn a_guard_that_another_thread_drops_is_no_race() {
    model(|| {
        let slot = Slot::default();
        let taken = SlotRef { guard: slot.cell.get_mut(), slot: &slot };
        thread::scope(|scope| {
            let slot = &slot;
            scope.spawn(move || {
                let _taken = &taken;
                slot.later.store(1, Relaxed);
            });
            scope.spawn(move || {
                if slot.state.load(Acquire) == 1 {
                    slot.cell.with(|_| ());
                }
            });
        });
        slot.cell.with_mut(|_| ());
    });
}
