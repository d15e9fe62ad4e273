//! A futex modelled above loom, which has none.
//!
//! Loom runs all threads of a model as coroutines of one thread, so the table of sleepers is an
//! ordinary thread-local: it costs loom nothing, adds no happens-before, and between two loom
//! operations no other thread runs, which makes "compare and fall asleep" one step.
//!
//! * The comparison is a compare-exchange that fails: it sees the newest value, as the kernel's
//!   does, and not a stale one; and it writes nothing, which matters. Loom orders a plain store
//!   neither before nor after a read-modify-write that it does not synchronise with, not even one
//!   that read what was there before the store (atomicity would put the store after it). Had the
//!   comparison written what it read, a sleeper that the store was to wake could find its own write
//!   again, as if it were the newest, and sleep on.
//! * **A timed wait** sleeps on a ticket for one scheduling point and then checks whether a thread
//!   took it. Loom runs any others at that point, for as long as it likes, so this covers every
//!   moment at which the time could be up, and every wake that comes before. The ticket is accessed
//!   with Relaxed: a timed wait transfers no happens-before, just as the kernel's.
//! * **An untimed wait** blocks for good, so that a lost wake-up is a deadlock that loom reports.
//!   Loom has no way to block that does not transfer happens-before; an ordering that only this
//!   hides is found by the runs with spurious wake-ups, which transfer none.
//! * **Spurious wake-ups**: the first [`Knobs::spurious`] untimed waits of an execution return as a
//!   timed one would, without being woken.
//!
//! Loom itself has no choice points that a library may use, so [`Knobs`] are set per model and a
//! model is run once for every setting that matters; see the models of the workspace.

use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use core::ptr;
use std::collections::VecDeque;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::sync::mpsc::{self, Sender};

pub use super::checked::Deadline;
pub use crate::futex::Channel;

/// The choices that loom cannot make by itself, set for the executions of one model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knobs {
    /// The number of untimed waits of an execution that wake up for no reason.
    pub spurious: usize,
    /// The answer of every `Stopwatch::has_run`.
    pub impatient: bool,
}

std::thread_local! {
    static KNOBS: Cell<Knobs> = const { Cell::new(Knobs { spurious: 0, impatient: false }) };
    static SPURIOUS_LEFT: Cell<usize> = const { Cell::new(0) };
    static SLEEPERS: RefCell<VecDeque<Sleeper>> = const { RefCell::new(VecDeque::new()) };
}

/// Sets the knobs for the model that runs on this thread. Call it first in every execution: it also
/// forgets the sleepers that an execution before this one left when it failed.
pub fn set_knobs(knobs: Knobs) {
    KNOBS.set(knobs);
    SPURIOUS_LEFT.set(knobs.spurious);
    // Leaked, not dropped: the content belongs to an execution that is gone, and loom would reject
    // it.
    core::mem::forget(SLEEPERS.take());
}

pub(super) fn knobs() -> Knobs {
    KNOBS.get()
}

struct Sleeper {
    address: usize,
    channel: Channel,
    ticket: usize,
    wakeup: Wakeup,
}

enum Wakeup {
    /// Blocked until the message comes.
    Blocked(Sender<()>),
    /// At a scheduling point; takes the first of WOKEN and LEFT that happens.
    Racing(Arc<AtomicUsize>),
}

const ASLEEP: usize = 0;
const WOKEN: usize = 1;
const LEFT: usize = 2;

fn enqueue(address: usize, channel: Channel, wakeup: Wakeup) -> usize {
    std::thread_local! {
        static NEXT: Cell<usize> = const { Cell::new(0) };
    }
    let ticket = NEXT.replace(NEXT.get() + 1);
    SLEEPERS.with_borrow_mut(|sleepers| {
        sleepers.push_back(Sleeper { address, channel, ticket, wakeup })
    });
    ticket
}

fn dequeue(ticket: usize) {
    // Dropped after the borrow ends: to drop one is a loom operation, at which others may run.
    let gone = SLEEPERS.with_borrow_mut(|sleepers| {
        sleepers
            .iter()
            .position(|sleeper| sleeper.ticket == ticket)
            .and_then(|at| sleepers.remove(at))
    });
    drop(gone);
}

fn pop(address: usize, channel: Channel) -> Option<Sleeper> {
    SLEEPERS.with_borrow_mut(|sleepers| {
        let at = sleepers
            .iter()
            .position(|sleeper| sleeper.address == address && sleeper.channel.overlaps(channel))?;
        sleepers.remove(at)
    })
}

/// Sleeps while `*word == expected`.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32) {
    block(word, expected, Channel::ALL);
}

/// Sleeps on a channel of `word` while `*word == expected`, at most until some moment, or forever
/// where there is no deadline. `false`: that moment came and no wake was consumed.
#[track_caller]
pub fn wait_channel(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    channel: Channel,
) -> bool {
    match deadline {
        None => {
            block(word, expected, channel);
            true
        }
        Some(_) => doze(word, expected, channel),
    }
}

/// The newest value of the word, as the kernel sees it.
#[track_caller]
fn newest(word: &AtomicU32) -> u32 {
    // A value that no word of this workspace has. If a word has it, it is replaced by itself.
    // Relaxed: a futex orders nothing.
    const NONE: u32 = 0xA5A5_5A5A;
    match word.compare_exchange(NONE, NONE, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(value) | Err(value) => value,
    }
}

#[track_caller]
fn block(word: &AtomicU32, expected: u32, channel: Channel) {
    if SPURIOUS_LEFT.get() > 0 {
        SPURIOUS_LEFT.set(SPURIOUS_LEFT.get() - 1);
        doze(word, expected, channel);
        return;
    }
    let (sender, receiver) = mpsc::channel();
    // When a model fails, loom unwinds the threads that still sleep, after its execution is gone: a
    // channel dropped then would abort the process before the reason is printed.
    let receiver = ManuallyDrop::new(receiver);
    if newest(word) != expected {
        return;
    }
    enqueue(ptr::from_ref(word).addr(), channel, Wakeup::Blocked(sender));
    receiver.recv().expect("the sender is in the table until it has sent");
    drop(ManuallyDrop::into_inner(receiver));
}

/// Sleeps while `*word == expected`, at most until some moment. `false`: that moment came and no
/// wake was consumed.
#[track_caller]
pub fn wait_until(word: &AtomicU32, expected: u32, _: Deadline) -> bool {
    doze(word, expected, Channel::ALL)
}

/// Like [`wait_until`]; forever where there is no deadline.
#[track_caller]
pub fn wait_maybe(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> bool {
    match deadline {
        None => {
            wait(word, expected);
            true
        }
        Some(deadline) => wait_until(word, expected, deadline),
    }
}

#[track_caller]
fn doze(word: &AtomicU32, expected: u32, channel: Channel) -> bool {
    let state = Arc::new(AtomicUsize::new(ASLEEP));
    let wakeup = Wakeup::Racing(Arc::clone(&state));
    if newest(word) != expected {
        return true;
    }
    let ticket = enqueue(ptr::from_ref(word).addr(), channel, wakeup);
    // Relaxed: one atomic, whose modification order decides who was first.
    let woken = state.compare_exchange(ASLEEP, LEFT, Ordering::Relaxed, Ordering::Relaxed).is_err();
    if !woken {
        dequeue(ticket);
    }
    woken
}

/// Wakes one thread that sleeps on the address.
#[track_caller]
pub fn wake_one(word: *const AtomicU32) {
    wake(word, 1);
}

/// Wakes every thread that sleeps on the address.
#[track_caller]
pub fn wake_all(word: *const AtomicU32) {
    wake(word, u32::MAX);
}

/// Wakes at most `count` threads that sleep on the address; returns the number.
#[track_caller]
pub fn wake(word: *const AtomicU32, count: u32) -> usize {
    super::checked::said(wake_channel(word, count, Channel::ALL))
}

/// Wakes at most `count` threads that sleep on a channel of the address; returns the number.
#[track_caller]
pub fn wake_channel(word: *const AtomicU32, count: u32, channel: Channel) -> usize {
    let mut woken = 0;
    while woken < count as usize {
        let Some(sleeper) = pop(word.addr(), channel) else { break };
        match sleeper.wakeup {
            Wakeup::Blocked(sender) => {
                sender.send(()).expect("the receiver waits");
                woken += 1;
            }
            Wakeup::Racing(state) => {
                // Relaxed: as in `doze`. If the sleeper left first, the wake goes to the next one,
                // as the kernel would have it.
                if state
                    .compare_exchange(ASLEEP, WOKEN, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    woken += 1;
                }
            }
        }
    }
    woken
}

/// If `*from == expected`, wakes at most `wake_count` of the threads that sleep on `from` and moves
/// at most `move_` others to sleep on `to`.
#[track_caller]
pub fn requeue(
    from: &AtomicU32,
    expected: u32,
    wake_count: u32,
    move_: u32,
    to: *const AtomicU32,
) -> bool {
    if newest(from) != expected {
        return false;
    }
    let address = ptr::from_ref(from).addr();
    // Moved before any thread is woken, because a wake lets other threads run and the kernel does
    // both in one step: the first `wake_count` stay.
    SLEEPERS.with_borrow_mut(|sleepers| {
        let (first, most) = (wake_count as usize, move_ as usize);
        for sleeper in
            sleepers.iter_mut().filter(|sleeper| sleeper.address == address).skip(first).take(most)
        {
            sleeper.address = to.addr();
        }
    });
    wake(ptr::from_ref(from), wake_count);
    true
}

/// Futexes in memory that processes share: in a model, all participants share one memory anyway.
pub mod shared {
    pub use super::super::checked::{MOST_WORDS, wait_many};
    pub use super::{wait_maybe, wake};
}
