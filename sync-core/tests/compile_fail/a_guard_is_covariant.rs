//! A guard that writes is invariant in its data.
use sync_core::MutexGuard;

fn shorter<'a, 'b>(guard: MutexGuard<'b, &'static str>) -> MutexGuard<'b, &'a str> {
    guard
}

fn main() {}
