//! One-time initialisation: `Once` (std, parking_lot), `OnceLock` and `LazyLock` (std, once_cell).
//!
//! * `once-done`, `cell-get`, `lazy-deref`: look at what has happened, in one thread: the case that
//!   counts;
//! * `once-first`, `cell-first`: make one and let it happen, in one thread;
//! * `cell-race`: all threads ask a fresh cell at the same moment, again and again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of a once.
pub trait Once: Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// One that has not happened.
    fn new() -> Self;

    /// Lets it happen, unless it has.
    fn call(&self, f: impl FnOnce());
}

/// Operations that a workload needs of a cell.
pub trait Cell: Sync + Send + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// An empty one.
    fn new() -> Self;

    /// The value, made if it is not there.
    fn get_or_init(&self, f: impl FnOnce() -> u64) -> &u64;
}

macro_rules! once {
    ($($peer:expr, $once:ty);*) => {$(
        impl Once for $once {
            const PEER: &'static str = $peer;

            fn new() -> Self {
                <$once>::new()
            }

            #[inline]
            fn call(&self, f: impl FnOnce()) {
                self.call_once(f);
            }
        }
    )*};
}

macro_rules! cell {
    ($($peer:expr, $cell:ty);*) => {$(
        impl Cell for $cell {
            const PEER: &'static str = $peer;

            fn new() -> Self {
                <$cell>::new()
            }

            #[inline]
            fn get_or_init(&self, f: impl FnOnce() -> u64) -> &u64 {
                <$cell>::get_or_init(self, f)
            }
        }
    )*};
}

once!(OURS, sync_core::Once; "std", std::sync::Once; "parking_lot", parking_lot::Once);
cell!(
    OURS, sync_core::OnceLock<u64>;
    "std", std::sync::OnceLock<u64>;
    "once_cell", once_cell::sync::OnceCell<u64>
);

/// All workloads of what happens once.
pub fn workloads() -> Vec<Workload> {
    type OurCell = sync_core::OnceLock<u64>;
    type StdCell = std::sync::OnceLock<u64>;
    type OnceCell = once_cell::sync::OnceCell<u64>;
    let stem = "once";
    let lazy = vec![
        lazy(OURS, || sync_core::LazyLock::<u64>::new(|| 1)),
        lazy("std", || std::sync::LazyLock::<u64>::new(|| 1)),
        lazy("once_cell", || once_cell::sync::Lazy::<u64>::new(|| 1)),
    ];
    vec![
        Workload::single(
            stem,
            "once-done",
            vec![done::<sync_core::Once>(), done::<std::sync::Once>(), done::<parking_lot::Once>()],
        ),
        Workload::single(
            stem,
            "once-first",
            vec![
                first::<sync_core::Once>(),
                first::<std::sync::Once>(),
                first::<parking_lot::Once>(),
            ],
        ),
        Workload::single(
            stem,
            "cell-get",
            vec![get::<OurCell>(), get::<StdCell>(), get::<OnceCell>()],
        ),
        Workload::single(
            stem,
            "cell-first",
            vec![make::<OurCell>(), make::<StdCell>(), make::<OnceCell>()],
        ),
        Workload::single(stem, "lazy-deref", lazy),
        Workload::team(
            stem,
            "cell-race",
            4,
            vec![race::<OurCell>(4), race::<StdCell>(4), race::<OnceCell>(4)],
        )
        .paced_by_ops(),
    ]
}

/// The timed closures count here, so that the compiler cannot drop them.
type Counted<T> = (T, AtomicU64);

fn count(counter: &AtomicU64, by: u64) {
    // Relaxed, and not a read-modify-write: one thread.
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

fn counted<T>(state: &Counted<T>) -> u64 {
    state.1.load(Ordering::Relaxed)
}

fn done<O: Once>() -> Contestant {
    let make = || {
        let once = O::new();
        once.call(|| ());
        (once, AtomicU64::new(0))
    };
    let ops = |(once, counter): &Counted<O>, n| {
        for _ in 0..n {
            once.call(|| unreachable!("it has happened"));
            count(counter, 1);
        }
    };
    shapes::looping(O::PEER, make, ops, counted)
}

fn first<O: Once>() -> Contestant {
    let ops = |counter: &AtomicU64, n| {
        for _ in 0..n {
            std::hint::black_box(O::new()).call(|| count(counter, 1));
        }
    };
    shapes::looping(O::PEER, || AtomicU64::new(0), ops, |counter| counter.load(Ordering::Relaxed))
}

fn get<C: Cell>() -> Contestant {
    let make = || {
        let cell = C::new();
        cell.get_or_init(|| 1);
        (cell, AtomicU64::new(0))
    };
    let ops = |(cell, counter): &Counted<C>, n| {
        for _ in 0..n {
            count(counter, *cell.get_or_init(|| unreachable!("it is there")));
        }
    };
    shapes::looping(C::PEER, make, ops, counted)
}

fn make<C: Cell>() -> Contestant {
    let ops = |counter: &AtomicU64, n| {
        for _ in 0..n {
            count(counter, *std::hint::black_box(C::new()).get_or_init(|| 1));
        }
    };
    shapes::looping(C::PEER, || AtomicU64::new(0), ops, |counter| counter.load(Ordering::Relaxed))
}

fn lazy<L: std::ops::Deref<Target = u64> + 'static>(
    peer: &'static str,
    make: fn() -> L,
) -> Contestant {
    let ops = |(lazy, counter): &Counted<L>, n| {
        for _ in 0..n {
            count(counter, **lazy);
        }
    };
    shapes::looping(peer, move || (make(), AtomicU64::new(0)), ops, counted)
}

/// All threads go through the same fresh cells, in the same order.
fn race<C: Cell>(threads: usize) -> Contestant {
    shapes::custom(C::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let cells: Vec<C> = (0..ops).map(|_| C::new()).collect();
            let (made, got) = (AtomicU64::new(0), AtomicU64::new(0));
            let run = run_team(threads, Length::Ops(ops * threads as u64), |_| {
                let mut sum = 0;
                for cell in &cells {
                    sum += *cell.get_or_init(|| {
                        made.fetch_add(1, Ordering::Relaxed);
                        1
                    });
                }
                got.fetch_add(sum, Ordering::Relaxed);
                ops
            });
            expect(ops, made.into_inner())?;
            expect(ops * threads as u64, got.into_inner())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
