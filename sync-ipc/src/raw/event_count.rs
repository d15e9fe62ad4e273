//! An event count, at which the waiters of a lock-free structure sleep: a word with a number that
//! changes at every wake, and the number of waiters to wake.
//!
//! **Source.** An event count (the `eventcount` of Reed and Kanodia, 1979), with the number and the
//! count in one futex word, so that a notifier takes the waiters that it wakes off the count in the
//! step that changes the number. A woken waiter has nothing to take back, no other waiter is woken
//! for it, and a dead waiter leaves nothing permanent: a count that is too high costs one wake too
//! many, and is corrected by it.
//!
//! `sync_queue`'s event count is another algorithm: a waiter takes its signal itself. If a waiter
//! is killed there, it stays counted: a later notifier turns its count into a signal, which the
//! next waiter takes in place of its own, so that one count too many is left again, for each death.
//! This one would not do for threads: its number comes back after 2^20 wakes, which costs a waiter
//! its bound (invariant 4), and threads sleep without a bound. Nor does it come free: a notifier
//! looks for waiters behind a fence.
//!
//! **The word**: `number:20 | count:12`.
//!
//! The count: legal to be higher than there are sleepers; illegal to be lower for longer than a
//! sleeper's bound, wakes that are on their way included.
//!
//! **Invariants**
//!
//! 1. A waiter announces itself (counts itself) before it looks at the structure for the last time;
//!    a notifier changes the structure before it looks at the count. One of the two sees the other.
//! 2. A waiter sleeps only on a word with the number that it announced itself in. A notifier that
//!    saw the count changes that number: the waiter wakes or does not fall asleep.
//! 3. The count and the wakes on their way are together at least as many as the sleepers and the
//!    waiters that announced themselves in the present number. Announcing counts up. A notifier
//!    takes off as many as it then wakes. With the new number, a waiter that had only announced
//!    itself has to do so again. A waiter that was woken, or observes another number, does not
//!    count itself down: the notifier has done that. A waiter that stops in the number that it
//!    announced itself in, without a wake, counts itself down.
//! 4. As everywhere: a notifier that dies between its two steps costs the waiters the rest of their
//!    bound, and nothing else. So do 2^20 wakes between two instructions of one waiter, and more
//!    than 4095 waiters at once.
//!
//! **Orderings.** Invariant 1 is store buffering: both sides need a full fence between their write
//! and their read, and both have one.

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::Deadline;

use super::{Platform, RecheckInterval, Slept};

const COUNT: u32 = (1 << 12) - 1;
const ONE_NUMBER: u32 = COUNT + 1;

/// A waiter that is counted: for [`sleep`] or [`withdraw`].
#[derive(Debug)]
#[must_use = "the waiter stays counted"]
pub struct Announced {
    number: u32,
}

/// Announces a waiter. Look at the structure once more before you [`sleep`].
pub fn announce<P: Platform>(word: &AtomicU32, peers: &P) -> Announced {
    // Relaxed, each access to the word: the fence below orders it before the look.
    let mut seen = peers.at(word).load(Ordering::Relaxed);
    // At the limit there is a waiter to wake anyhow (invariant 4).
    while seen & COUNT != COUNT {
        match peers.at(word).compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    // SeqCst: pairs with the fence in `is_awaited` (invariant 1).
    fence(Ordering::SeqCst);
    Announced { number: seen & !COUNT }
}

/// Sleeps until the next notification, a bound, or the deadline. Afterwards the waiter is not
/// counted any more.
pub fn sleep<P: Platform>(
    word: &AtomicU32,
    peers: &P,
    announced: Announced,
    interval: &mut RecheckInterval,
    deadline: Option<Deadline>,
) -> Slept {
    // Relaxed: the futex compares it again.
    let now = peers.at(word).load(Ordering::Relaxed);
    if now & !COUNT != announced.number {
        return Slept::Woken;
    }
    let why = peers.sleep(word, now, interval.next_bound(), deadline);
    if why != Slept::Woken {
        withdraw(word, peers, announced);
    }
    // Woken, or another waiter announced itself just before we slept; the two cannot be told apart.
    // So the count may now be too high by one.
    why
}

/// Stops waiting: the structure satisfied the waiter.
pub fn withdraw<P: Platform>(word: &AtomicU32, peers: &P, announced: Announced) {
    // Relaxed: the count orders nothing here.
    let mut seen = peers.at(word).load(Ordering::Relaxed);
    while seen & !COUNT == announced.number && seen & COUNT != 0 {
        match peers.at(word).compare_exchange(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// Repeats `attempt` until it returns something, or the deadline passes: then returns `None`.
/// Announces the waiter before the last attempt, and sleeps between the attempts.
///
/// `attempt` gets `true` after a sleep that no wake ended: then it also looks for what the dead
/// left.
pub fn wait_until<P: Platform, R>(
    word: &AtomicU32,
    peers: &P,
    deadline: Option<Deadline>,
    mut attempt: impl FnMut(bool) -> Option<R>,
) -> Option<R> {
    let mut interval = RecheckInterval::of_an_event_count();
    loop {
        let announced = announce(word, peers);
        if let Some(done) = attempt(false) {
            withdraw(word, peers, announced);
            return Some(done);
        }
        let why = sleep(word, peers, announced, &mut interval, deadline);
        if let Some(done) = attempt(why != Slept::Woken) {
            return Some(done);
        }
        if why == Slept::Deadline {
            return None;
        }
    }
}

/// Looks at the structure for a waiter that sleeps at several event counts at once and takes
/// nothing. Returns what `attempt` found; or, as the error, the value of the word while which there
/// is nothing to look for: to sleep on, together with other words.
///
/// `announced` is this waiter's own, `None` at first. It stays announced until something is found,
/// also while other event counts wake it, or until [`unwatch`]. `attempt` is called where the
/// number has changed since the last call, and where `look` is set; `look` is passed on to it.
///
/// The waiter may have consumed a wake. So when something is found, another waiter is woken.
///
/// # Errors
///
/// The value of the word.
pub fn watch<P: Platform, R>(
    word: &AtomicU32,
    peers: &P,
    announced: &mut Option<Announced>,
    mut look: bool,
    mut attempt: impl FnMut(bool) -> Option<R>,
) -> Result<R, u32> {
    loop {
        // Relaxed: the futex compares it again.
        let now = peers.at(word).load(Ordering::Relaxed);
        let known = announced.take_if(|known| known.number == now & !COUNT);
        // With another number it was counted off (invariant 3).
        *announced = None;
        let is_new = known.is_none();
        let mine = known.unwrap_or_else(|| announce(word, peers));
        if is_new || look {
            if let Some(found) = attempt(look) {
                withdraw(word, peers, mine);
                pass_on(word, peers);
                return Ok(found);
            }
            look = false;
        }
        // Relaxed: the futex compares it again.
        let now = peers.at(word).load(Ordering::Relaxed);
        if now & !COUNT == mine.number {
            *announced = Some(mine);
            return Err(now);
        }
    }
}

/// Ends a [`watch`]. A wake that it may have consumed goes to another waiter.
pub fn unwatch<P: Platform>(word: &AtomicU32, peers: &P, announced: &mut Option<Announced>) {
    let Some(mine) = announced.take() else { return };
    let number = mine.number;
    withdraw(word, peers, mine);
    // Relaxed: the number is that of the announcement, or a notifier has changed it.
    if peers.at(word).load(Ordering::Relaxed) & !COUNT != number {
        pass_on(word, peers);
    }
}

/// Wakes at most `count` waiters after the structure changed, by a read-modify-write.
#[inline]
pub fn notify<P: Platform>(word: &AtomicU32, peers: &P, count: u32) {
    if is_awaited(word, peers) {
        wake(word, peers, count);
    }
}

/// Whether a waiter may wait, after the structure changed by a read-modify-write: then [`wake`] is
/// to be called.
#[inline]
pub fn is_awaited<P: Platform>(word: &AtomicU32, peers: &P) -> bool {
    // SeqCst: pairs with the fence in `announce` (invariant 1).
    peers.fence_after_change();
    is_awaited_fenced(word, peers)
}

/// As [`is_awaited`], when there has been a fence since the change.
#[inline]
pub fn is_awaited_fenced<P: Platform>(word: &AtomicU32, peers: &P) -> bool {
    // Relaxed: the fence orders it after the change.
    peers.at(word).load(Ordering::Relaxed) & COUNT != 0
}

/// Passes a wake on to another waiter, after a thread that was woken has left to the others what it
/// was woken for.
pub fn pass_on<P: Platform>(word: &AtomicU32, peers: &P) {
    // SeqCst: as in `is_awaited`; the structure was changed by the thread that woke this one.
    fence(Ordering::SeqCst);
    if is_awaited_fenced(word, peers) {
        wake(word, peers, 1);
    }
}

/// Wakes at most `count` waiters.
#[cold]
pub fn wake<P: Platform>(word: &AtomicU32, peers: &P, count: u32) {
    // Relaxed, here and below: the number orders nothing, it only differs; and a waiter that is
    // counted off has yet to look for the change.
    let mut seen = peers.at(word).load(Ordering::Relaxed);
    let now = loop {
        let waiting = seen & COUNT;
        if waiting == 0 {
            // Other notifiers took the waiters off, and wake them: after the change, before which
            // those waiters cannot have looked for the last time.
            return;
        }
        let next = (seen - waiting.min(count)).wrapping_add(ONE_NUMBER);
        match peers.at(word).compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => break next,
            Err(other) => seen = other,
        }
    };
    if peers.wake(word, count) != 0 || now & COUNT == 0 {
        return;
    }
    // No waiter slept, and the count is not 0: those waiters are on their way to sleep, and will
    // observe another number, or they are dead. Begin again at 0. A waiter announced in this number
    // is counted beyond what `now` says, so that the exchange fails; the wake is for those beyond
    // the limit of the count, which are not counted.
    // Relaxed: as at the top of this function.
    let empty = (now & !COUNT).wrapping_add(ONE_NUMBER);
    if peers.at(word).compare_exchange(now, empty, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        peers.wake(word, u32::MAX);
    }
}
