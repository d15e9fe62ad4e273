//! Replacements for `std::hint`.

/// Says that the thread can only go on when another one has done something.
#[track_caller]
pub fn spin_loop() {
    crate::thread::yield_now();
}

/// Waits until `condition` holds: a loop of [`spin_loop`], of which only the round that ends it is
/// explored.
///
/// In a loop with `spin_loop` the checker explores which of the earlier values each round saw,
/// because what the loop does next may depend on it. The condition promises that it does not: it
/// has no effect, and all that it tells is whether it holds. So an execution with rounds in which
/// it did not hold differs in nothing from the one without them. `n` threads at a ticket lock are
/// `n!` executions, not many times as many.
///
/// Outside of a model this is the loop.
///
/// ```
/// use verify::sync::Arc;
/// use verify::sync::atomic::{AtomicU32, Ordering::{Acquire, Release}};
///
/// verify::model(|| {
///     let turn = Arc::new(AtomicU32::new(0));
///     let theirs = turn.clone();
///     verify::thread::spawn(move || (1..5).for_each(|n| theirs.store(n, Release)));
///     verify::hint::wait_until(|| turn.load(Acquire) == 4);
/// });
/// ```
///
/// # Panics
/// The model fails when the condition does an atomic write and does not hold (a compare-exchange
/// that fails writes nothing), and when it can never hold.
#[track_caller]
pub fn wait_until(condition: impl FnMut() -> bool) {
    crate::engine::runtime::wait_until(condition, std::panic::Location::caller());
}

/// Says that this point is never reached; reaching it is a failure of the model.
///
/// # Safety
/// As `std::hint::unreachable_unchecked`; here it panics.
#[track_caller]
pub unsafe fn unreachable_unchecked() -> ! {
    unreachable!("unreachable_unchecked was reached");
}
