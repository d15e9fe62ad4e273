//! Models that must pass, models that must fail, and threads in either order.

use super::checker::thread;

/// The longest counterexample that a person reads: a page.
const PAGE: usize = 66;

/// Threads of a model, spawned as listed or the other way round, and joined.
pub(super) fn run(reversed: bool, mut threads: Vec<Box<dyn FnOnce() + Send>>) {
    if reversed {
        threads.reverse();
    }
    let threads: Vec<_> = threads.into_iter().map(|thread| thread::spawn(thread)).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a panic fails the model"));
}

/// Asserts that the model passes in either spawn order.
#[track_caller]
pub(super) fn passes(model: impl Fn(bool) + Copy + Send + Sync + 'static) {
    for reversed in [false, true] {
        if let Some(failure) = super::explore(move || model(reversed)) {
            panic!("the right version fails, reversed: {reversed}\n{failure}");
        }
    }
}

/// Asserts that the model fails in either spawn order, for a reason that contains one of `reasons`,
/// told on a page.
#[track_caller]
pub(super) fn fails(reasons: &[&str], model: impl Fn(bool) + Copy + Send + Sync + 'static) {
    fails_with(reasons, model, false);
}

/// As `fails`, of an ordering that is too weak: stronger ones that would cure it are named, and the
/// edge that is missing.
#[track_caller]
pub(super) fn fails_for_an_ordering(
    reasons: &[&str],
    model: impl Fn(bool) + Copy + Send + Sync + 'static,
) {
    fails_with(reasons, model, true);
}

#[track_caller]
fn fails_with(
    reasons: &[&str],
    model: impl Fn(bool) + Copy + Send + Sync + 'static,
    curable: bool,
) {
    for reversed in [false, true] {
        let Some(failure) = super::explore(move || model(reversed)) else {
            panic!("the bug is not found, reversed: {reversed}");
        };
        assert!(
            reasons.iter().any(|reason| failure.contains(reason)),
            "found for another reason than {reasons:?}, reversed: {reversed}\n{failure}"
        );
        assert!(
            !curable || failure.contains("would cure it"),
            "no cure, reversed: {reversed}\n{failure}"
        );
        let explained =
            failure.contains("does not synchronise") || failure.contains("nothing orders");
        assert!(!curable || explained, "no edge is missing, reversed: {reversed}\n{failure}");
        let lines = failure.lines().count();
        assert!(lines <= PAGE, "{lines} lines are no page, reversed: {reversed}\n{failure}");
    }
}
