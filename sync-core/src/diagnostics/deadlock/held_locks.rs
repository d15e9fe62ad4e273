//! The locks that the calling thread holds, and the checks when it attempts to take another.

use core::cell::RefCell;
use core::panic::Location;
use std::backtrace::Backtrace;
use std::sync::Arc;
use std::thread;

use super::cycle::{self, Cycle, Lock, Step};
use super::lock_order::{self, Node};
use crate::diagnostics::quiet::unreported;
use crate::diagnostics::std_locks;
use crate::user_code;

/// A lock that the thread holds.
struct Held {
    lock: Lock,
    levels: u32,
    since: &'static Location<'static>,
}

thread_local! {
    /// First taken, first in the list. Guards do not leave their thread, so no other thread needs
    /// to see it.
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the list, unless the thread is ending and its list is destroyed already.
fn held<R>(f: impl FnOnce(&mut Vec<Held>) -> R) -> Option<R> {
    HELD.try_with(|held| f(&mut held.borrow_mut())).ok()
}

/// The ways in which a cycle may be reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Without a hook by a panic; a panic of the hook reaches the caller.
    MayPanic,
    /// Without a hook on standard error; nothing unwinds, whatever the hook, its panic payload or
    /// standard error do.
    Prints,
}

/// Records that the calling thread is about to wait for `lock`, and reports a cycle.
pub(crate) fn attempt(
    lock: Lock,
    at: &'static Location<'static>,
    report: Report,
    is_held: impl FnOnce() -> bool,
) {
    let mut own = None;
    let mut new = Vec::new();
    held(|held| {
        for held in &*held {
            if held.lock.number == lock.number {
                own = Some(step(held, lock, at));
            } else if !lock_order::read().knows(held.lock.number, lock.number) {
                new.push(step(held, lock, at));
            }
        }
    });
    if let Some(own) = own {
        if is_held() {
            deliver(Cycle { steps: vec![own] }, report);
        } else {
            // Released through the raw lock, by the owner of a guard that was forgotten.
            forget(lock.number);
        }
    }
    for step in new {
        let (from, to) = (step.holds.number, step.asks_for.number);
        let added = lock_order::write().add(step.clone());
        let Err(rest) = added else { continue };
        if !cycle::HOOK.is_set() || lock_order::write().show(from, to) {
            let steps = [vec![step], rest].concat();
            deliver(Cycle { steps }, report);
        }
    }
}

/// Records that the calling thread holds `lock` and is about to wait until no other thread holds
/// it. Reports a second hold of the calling thread itself.
pub(crate) fn attempt_upgrade(lock: Lock, at: &'static Location<'static>) {
    let own = held(|held| {
        held.iter()
            .find(|held| held.lock.number == lock.number && held.levels > 1)
            .map(|held| step(held, lock, at))
    });
    if let Some(own) = own.flatten() {
        deliver(Cycle { steps: vec![own] }, Report::MayPanic);
    }
}

/// Records that the calling thread has taken `lock`.
pub(crate) fn got(lock: Lock, since: &'static Location<'static>) {
    held(|held| match held.iter_mut().find(|held| held.lock.number == lock.number) {
        Some(again) => again.levels += 1,
        None => held.push(Held { lock, levels: 1, since }),
    });
}

/// Records that the calling thread holds a lock `levels` times more.
pub(crate) fn deeper(node: &Node, levels: u32) {
    held(|held| {
        if let Some(held) = held.iter_mut().find(|held| held.lock.number == node.number()) {
            held.levels = held.levels.saturating_add(levels);
        }
    });
}

/// Records that the calling thread releases a lock `levels` times, or all its holds if they are
/// fewer.
pub(crate) fn released(node: &Node, levels: u32) {
    held(|held| {
        if let Some(at) = held.iter().rposition(|held| held.lock.number == node.number()) {
            held[at].levels = held[at].levels.saturating_sub(levels);
            if held[at].levels == 0 {
                held.remove(at);
            }
        }
    });
}

/// Removes a lock that is gone, or that other code released.
fn forget(number: u64) {
    held(|held| held.retain(|held| held.lock.number != number));
}

fn step(held: &Held, asks_for: Lock, asked_at: &'static Location<'static>) -> Step {
    let thread = thread::current();
    let name = thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned);
    Step {
        thread: name.into(),
        holds: held.lock,
        held_since: held.since,
        asks_for,
        asked_at,
        backtrace: Arc::new(std_locks::stack(Backtrace::capture)),
    }
}

/// Reports a cycle to the hook, by a panic or on standard error.
fn deliver(cycle: Cycle, report: Report) {
    let may_unwind = report == Report::MayPanic && !thread::panicking();
    let hooked = cycle::HOOK.with(|hook| {
        if may_unwind {
            hook(&cycle);
        } else {
            user_code::run_and_forget_panic(|| hook(&cycle));
        }
    });
    if hooked {
        return;
    }
    assert!(!may_unwind, "{cycle}");
    std_locks::print(&format!("{cycle}\n"));
}

impl Drop for Node {
    fn drop(&mut self) {
        let number = *self.0.get_mut();
        if number != 0 {
            unreported(|| {
                forget(number);
                if lock_order::read().mentions(number) {
                    lock_order::write().remove(number);
                }
            });
        }
    }
}
