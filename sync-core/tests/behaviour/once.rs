//! Once, OnceLock and LazyLock.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sync_core::{LazyLock, Once, OnceLock};

use crate::WATCHED;
use crate::watchdog::watch;

/// Long enough for a thread to fall asleep; no result depends on it.
const A_MOMENT: Duration = Duration::from_millis(10);

fn panics<R>(f: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn it_is_four_bytes_and_built_in_constants() {
    static ONCE: Once = Once::new();
    static CELL: OnceLock<u64> = OnceLock::new();
    static LAZY: LazyLock<u64> = LazyLock::new(|| 7);
    const { assert!(WATCHED || size_of::<Once>() == 4) };
    const { assert!(WATCHED || size_of::<OnceLock<u32>>() == 8) };
    ONCE.call_once(|| {});
    assert_eq!((*CELL.get_or_init(|| 5), *LAZY), (5, 7));
}

#[test]
fn it_happens_once() {
    let _watch = watch();
    let (once, times) = (Once::new(), AtomicUsize::new(0));
    assert!(!once.is_completed());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                once.call_once(|| {
                    thread::sleep(A_MOMENT);
                    times.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(
                    times.load(Ordering::Relaxed),
                    1,
                    "no call returns before it has happened"
                );
            });
        }
    });
    assert!(once.is_completed());
}

#[test]
fn a_panic_poisons_it_and_force_gets_past() {
    let once = Once::new();
    assert!(panics(|| once.call_once(|| panic!("in the closure"))));
    assert_eq!(format!("{once:?}"), "Once { state: poisoned }");
    assert!(panics(|| once.call_once(|| unreachable!("it is poisoned"))));
    assert!(panics(|| once.wait()));
    assert!(!once.is_completed());
    assert!(panics(|| once.call_once_force(|state| {
        assert!(state.is_poisoned());
        panic!("again")
    })));
    once.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(once.is_completed());
    once.call_once(|| unreachable!("it has happened"));
    once.call_once_force(|_| unreachable!("it has happened"));
    once.wait();
}

#[test]
fn a_waiter_learns_of_a_panic() {
    let _watch = watch();
    let once = Once::new();
    thread::scope(|scope| {
        let (running, run) = channel();
        let fails = scope.spawn(|| {
            panics(|| {
                once.call_once(move || {
                    running.send(()).unwrap();
                    thread::sleep(A_MOMENT);
                    panic!("in the closure")
                })
            })
        });
        run.recv().unwrap();
        let waits = scope.spawn(|| panics(|| once.wait()));
        let calls = scope.spawn(|| panics(|| once.call_once(|| {})));
        let waits_on = scope.spawn(|| once.wait_force());
        assert!(fails.join().unwrap() && waits.join().unwrap() && calls.join().unwrap());
        once.call_once_force(|state| assert!(state.is_poisoned()));
        waits_on.join().unwrap();
    });
}

#[test]
fn a_once_that_counts_as_run_runs_no_closure() {
    static DONE: Once = Once::new_completed();
    DONE.call_once(|| unreachable!());
    DONE.call_once_force(|_| unreachable!());
    DONE.wait();
    assert!(DONE.is_completed() && DONE.state().done());
}

#[test]
fn once_debug() {
    let once = Once::new();
    assert_eq!(format!("{once:?}"), "Once { state: incomplete }");
    once.call_once_force(|state| {
        assert_eq!(
            format!("{once:?} {state:?}"),
            "Once { state: running } OnceState { poisoned: false }"
        );
    });
    assert_eq!(format!("{once:?}"), "Once { state: complete }");
}

#[test]
fn a_cell_is_written_once() {
    let mut cell = OnceLock::new();
    assert_eq!(cell.get(), None);
    assert!(cell.get_mut().is_none());
    assert_eq!(format!("{cell:?}"), "OnceLock(<empty>)");
    assert_eq!(cell.set(1), Ok(()));
    assert_eq!(cell.set(2), Err(2));
    assert_eq!(cell.try_insert(3), Err((&1, 3)));
    assert_eq!((cell.get_or_init(|| unreachable!()), cell.wait()), (&1, &1));
    *cell.get_mut().unwrap() = 4;
    assert_eq!(format!("{cell:?} {:?}", cell.clone()), "OnceLock(4) OnceLock(4)");
    assert_eq!(cell.clone(), cell);
    assert_eq!(cell.take(), Some(4));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.take(), None);
    assert_eq!(cell.try_insert(5), Ok(&5));
    assert_eq!(cell.into_inner(), Some(5));
    assert_eq!(
        (OnceLock::from(6).into_inner(), OnceLock::<u8>::default().into_inner()),
        (Some(6), None)
    );
}

#[test]
fn a_cell_that_could_not_be_filled_is_empty() {
    let cell = OnceLock::new();
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    assert!(panics(|| cell.get_or_init(|| panic!("in the closure"))));
    assert_eq!(cell.get(), None);
    assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(1)), Ok(&1));
}

#[test]
fn a_cell_drops_its_value_once() {
    let value = Arc::new(());
    let mut cell = OnceLock::from(Arc::clone(&value));
    drop(cell.take());
    assert_eq!(Arc::strong_count(&value), 1);
    cell.set(Arc::clone(&value)).unwrap();
    drop(cell);
    drop(OnceLock::<Arc<()>>::new());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_cell_is_waited_for() {
    let _watch = watch();
    let cell = OnceLock::new();
    thread::scope(|scope| {
        let waits: Vec<_> = (0..3).map(|_| scope.spawn(|| *cell.wait())).collect();
        thread::sleep(A_MOMENT);
        cell.set(7).unwrap();
        assert!(waits.into_iter().all(|wait| wait.join().unwrap() == 7));
    });
}

#[test]
fn a_lazy_value_is_made_when_looked_at() {
    let times = AtomicUsize::new(0);
    let mut lazy = LazyLock::new(|| times.fetch_add(1, Ordering::Relaxed) + 10);
    assert_eq!(format!("{lazy:?}"), "LazyLock(<not yet>)");
    assert_eq!((LazyLock::get(&lazy), times.load(Ordering::Relaxed)), (None, 0));
    assert_eq!((*lazy, *LazyLock::force(&lazy)), (10, 10));
    assert_eq!(LazyLock::get(&lazy), Some(&10));
    *lazy += 1;
    assert_eq!(format!("{lazy:?}"), "LazyLock(11)");
    assert_eq!(LazyLock::into_inner(lazy).ok(), Some(11));
    assert_eq!(times.into_inner(), 1);
    let function = LazyLock::into_inner(LazyLock::new(|| 5)).expect_err("no thread looked");
    assert_eq!(function(), 5);
    assert_eq!(*LazyLock::<u8>::default(), 0);
    assert_eq!(*LazyLock::force_mut(&mut LazyLock::new(|| 3)), 3);
}

#[test]
fn a_panic_poisons_a_lazy_value() {
    let held = Arc::new(());
    let in_function = Arc::clone(&held);
    let lazy: LazyLock<u8, _> = LazyLock::new(move || {
        let _held = in_function;
        panic!("in the function")
    });
    assert!(panics(|| *lazy));
    assert!(panics(|| *lazy), "there is no second function to try");
    assert!(LazyLock::get(&lazy).is_none());
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(panics(|| LazyLock::into_inner(lazy).is_ok()));
}

#[test]
fn a_lazy_value_is_dropped_once() {
    let held = Arc::new(());
    let (a, b) = (Arc::clone(&held), Arc::clone(&held));
    let (looked_at, not) = (LazyLock::new(move || a), LazyLock::new(move || b));
    assert_eq!(Arc::strong_count(&looked_at), 3);
    drop(looked_at);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(not);
    assert_eq!(Arc::strong_count(&held), 1);
}
