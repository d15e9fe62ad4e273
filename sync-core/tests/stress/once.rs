//! Many cells, many threads that race for each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sync_core::OnceLock;

use crate::watchdog::{note, watch};

/// Some of the closures fail and some panic; in the end each cell has exactly one value, which
/// every thread saw.
#[test]
fn every_cell_is_written_once() {
    const THREADS: usize = 6;
    const CELLS: usize = 2_000;
    let _watch = watch();
    let cells: Vec<OnceLock<usize>> = (0..CELLS).map(|_| OnceLock::new()).collect();
    let (start, written) = (Barrier::new(THREADS), AtomicUsize::new(0));
    thread::scope(|scope| {
        for me in 0..THREADS {
            let (cells, start, written) = (&cells, &start, &written);
            scope.spawn(move || {
                start.wait();
                for (at, cell) in cells.iter().enumerate() {
                    note(format!("cell {at}"));
                    let write = || {
                        written.fetch_add(1, Ordering::Relaxed);
                        me
                    };
                    let seen = match (at + me) % 5 {
                        0 => cell.get_or_try_init(|| Err(())).ok(),
                        1 if at % 97 == 0 => catch_unwind(AssertUnwindSafe(|| {
                            cell.get_or_init(|| std::panic::resume_unwind(Box::new(())))
                        }))
                        .ok(),
                        2 => cell.get(),
                        _ => Some(cell.get_or_init(write)),
                    };
                    if let Some(seen) = seen {
                        assert_eq!(Some(seen), cell.get());
                    }
                }
            });
        }
    });
    assert!(cells.iter().all(|cell| cell.get().is_some_and(|by| *by < THREADS)));
    assert_eq!(written.into_inner(), CELLS);
}
