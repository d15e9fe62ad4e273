//! A channel with room for none: a send returns when its item has been taken.
//!
//! Two lists under one lock: senders that wait with their item, receivers that wait with an empty
//! place. A thread takes the first waiter out of the other side's list, hands the item over, and
//! wakes it. Each waiter has a word of its own:
//!
//! | word | meaning |
//! |---|---|
//! | `WAITING` | in its list, or claimed by a select that has not sent its item yet |
//! | `MATCHED` | taken out of the list by the other side, the item handed over |
//! | `CLOSED` | taken out, or its claim, because the channel was closed |
//! | `LEFT` | taken out by a select that will not send: a receiver tries again |
//!
//! A select stands in the lists as a ticket. It has no item to be taken and no place to be filled
//! at once, so its partner claims it first ([`selector`](crate::wait::selector)):
//!
//! | comes | is in the list | what happens |
//! |---|---|---|
//! | a sender | a select that receives | the sender claims it and hands it the item |
//! | a receiver | a select that sends | the receiver claims it, hands it the number of a claim on its waiter, and waits for the item or for `LEFT` |
//! | a select that sends | a receiver | the select claims the waiter, and sends or leaves later |
//! | a select that sends | a select that receives | the first claims the second, and hands it the item or leaves later |
//! | a select that receives | a select that sends | as a receiver |
//!
//! A select is in no list while it looks for partners, and what it finds in a list while it adds
//! its own tickets is only a reason to start again. So it never meets itself.
//!
//! Between its choice and its send a select runs user code, which may take any time, and may drop
//! the task that it has chosen. So the select has no pointer to its partner, but the number of a
//! *claim* in a list next to the two. A task that is dropped takes the claim back. The channel
//! takes all claims back when it is closed. A select that does not find its claim any more gives
//! the item to the next receiver, and keeps it in the channel for one if none waits; or it gets the
//! item back from a channel that is closed.
//!
//! A waiter that gives up (its time is up) removes itself under the lock. If it is not in its list
//! any more, it was matched or claimed, and waits for the end of that: so no item is lost to a
//! waiter that gave up, and a send returns before its item was taken (flume #140) only if its
//! receiver was a task that is dropped. A receiver that gave up on a claim would leave a send that
//! was chosen, must end, and has no receiver.
//!
//! # Invariants
//!
//! A waiter lives on the stack of the thread that waits: nothing is counted, and nothing is
//! allocated but for lists that grow longer than ever before.
//!
//! M1. A waiter, and a select, stays in place while it is in a list or claimed, and after that
//! until its word says that the wait has ended. Its thread leaves only after it has removed the
//! waiter or the claim, or after it has read such a word.
//!
//! M2 (ownership of `item`). The waiting thread until it is enqueued; the partner from dequeue
//! until it stores `word`; the waiting thread again after that. A sender's item is there until the
//! partner takes it, a receiver's only after the partner has put it there.
//!
//! M3. After the word was stored, only its address is used: the waiter may be gone. A wake that
//! reaches another waiter at that address is a spurious wake.
//!
//! M4. A thread that took a waiter out, or claimed a select that sends, hands something over within
//! a few instructions. A select that claimed a receiver sends or leaves, or its claim is taken
//! back: when the receiver is a task that is dropped, or when the channel is closed.

use core::cell::Cell;
use core::mem;
use core::ptr::NonNull;
use std::collections::VecDeque;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::{self, Deadline};
use sync_core::user_code::AbortOnUnwind;
use sync_core::{Mutex, MutexGuard};

use crate::buffer::{PopError, PushError};
use crate::channel::token::Token;
use crate::wait::selector::{Claimed, Selector, Ticket, Wakeup};
use crate::wait::stash::Stash;
use crate::wait::timeout::Timeout;

const WAITING: u32 = 0;
const MATCHED: u32 = 1;
const CLOSED: u32 = 2;
const LEFT: u32 = 3;

pub(super) struct Waiter<T> {
    word: AtomicU32,
    /// A sender's item, or what a receiver was given.
    item: UnsafeCell<Option<T>>,
}

impl<T> Waiter<T> {
    pub(super) fn new(item: Option<T>) -> Self {
        Self { word: AtomicU32::new(WAITING), item: UnsafeCell::new(item) }
    }

    /// Makes the waiter as it was when it was new.
    ///
    /// # Safety
    ///
    /// The waiter is in no list, and its item is the caller's (M2).
    unsafe fn reset(&self, item: Option<T>) -> Option<T> {
        // Relaxed: no other thread uses the waiter. The lock of the lists publishes it.
        self.word.store(WAITING, Ordering::Relaxed);
        // SAFETY: the caller promises it (`# Safety`).
        unsafe { self.replace(item) }
    }

    /// Sleeps until the word changes, and returns it; `WAITING` if the time is up.
    fn wait(&self, deadline: Option<Deadline>) -> u32 {
        let mut in_time = true;
        loop {
            // Acquire: pairs with the Release in `report`.
            let word = self.word.load(Ordering::Acquire);
            if word != WAITING || !in_time {
                return word;
            }
            in_time = futex::wait_maybe(&self.word, WAITING, deadline);
        }
    }

    /// # Safety
    ///
    /// The item is the caller's (M2).
    unsafe fn replace(&self, item: Option<T>) -> Option<T> {
        // SAFETY: the caller promises it (`# Safety`).
        self.item.with_mut(|cell| unsafe { mem::replace(&mut *cell, item) })
    }

    /// The result of a send whose wait ended with this word.
    ///
    /// # Safety
    ///
    /// The waiter is in no list, and a thread that took it out has stored its word (M2).
    unsafe fn sent(&self, word: u32) -> Result<(), PushError<T>> {
        // SAFETY: the caller promises it (`# Safety`).
        match (word, unsafe { self.replace(None) }) {
            (MATCHED, None) => Ok(()),
            (WAITING, Some(item)) => Err(PushError::Full(item)),
            (CLOSED, Some(item)) => Err(PushError::Closed(item)),
            _ => unreachable!("M2: a sender's item is gone if the sender was met, and only then"),
        }
    }

    /// The result of a receive whose wait ended with this word; `None`: it tries again.
    ///
    /// # Safety
    ///
    /// As for [`sent`](Self::sent).
    unsafe fn received(&self, word: u32) -> Option<Result<T, PopError>> {
        // SAFETY: the caller promises it (`# Safety`).
        match (word, unsafe { self.replace(None) }) {
            (MATCHED, Some(item)) => Some(Ok(item)),
            (WAITING, None) => Some(Err(PopError::Empty)),
            (CLOSED, None) => Some(Err(PopError::Closed)),
            (LEFT, None) => None,
            _ => unreachable!("M2: a receiver has an item if it was met, and only then"),
        }
    }
}

/// A waiter that stands in a list.
struct Listed<T>(NonNull<Waiter<T>>);

// SAFETY: it hands an item from one thread to another (M2); the word is an atomic.
unsafe impl<T: Send> Send for Listed<T> {}

impl<T> Listed<T> {
    fn new(waiter: &Waiter<T>) -> Self {
        Self(NonNull::from(waiter))
    }

    /// Gives or takes the item, then reports to the waiter that it was matched.
    ///
    /// # Safety
    ///
    /// The caller took the waiter out of its list.
    unsafe fn exchange(self, give: Option<T>) -> Option<T> {
        // SAFETY: the waiter was taken out, and its word is still `WAITING` (M1). So it is there,
        // and its item is the caller's (M2).
        let taken = unsafe { self.0.as_ref().replace(give) };
        // SAFETY: the caller promises it (`# Safety`).
        unsafe { self.report(MATCHED) };
        taken
    }

    /// Stores `what` in the waiter's word and wakes it. The waiter may be gone afterwards.
    ///
    /// # Safety
    ///
    /// The caller took the waiter out of its list.
    unsafe fn report(self, what: u32) {
        // SAFETY: the waiter was taken out, and its word is still `WAITING` (M1).
        let word = unsafe { &raw const (*self.0.as_ptr()).word };
        // SAFETY: as for the address.
        // Release: pairs with the Acquire in `wait`: everything that this side did happens before.
        unsafe { (*word).store(what, Ordering::Release) };
        // Only the address (M3).
        futex::wake_one(word);
    }
}

/// A thread or a select that waits in a list.
enum Party<T> {
    Waiter(Listed<T>),
    Select(Ticket),
}

/// A party that was taken out of its list.
enum Taken<T> {
    Waiter(Listed<T>),
    Select(Claimed),
}

impl<T> Taken<T> {
    /// Hands a receiver its item. No lock is held: the receiver may use the channel at once.
    fn give(self, item: T) {
        match self {
            Self::Waiter(receiver) => {
                // SAFETY: it was taken out of its list.
                let nothing = unsafe { receiver.exchange(Some(item)) };
                debug_assert!(nothing.is_none(), "M2: a receiver waits with an empty place");
            }
            Self::Select(receiver) => receiver.hand(Stash::new(item)).go(),
        }
    }

    /// Reports to a receiver that no item will come (`LEFT`), or `CLOSED`. No lock is held. A
    /// select tries all of its cases again.
    fn leave(self, what: u32) {
        match self {
            // SAFETY: it was taken out of its list.
            Self::Waiter(receiver) => unsafe { receiver.report(what) },
            Self::Select(receiver) => receiver.leave().go(),
        }
    }

    fn is_waiter(&self, waiter: &Waiter<T>) -> bool {
        matches!(self, Self::Waiter(listed) if core::ptr::eq(listed.0.as_ptr(), waiter))
    }
}

/// The parties of one side.
struct Side<T> {
    parties: VecDeque<Party<T>>,
    /// Selects of the other side that only want to know when a party is listed here.
    observers: Vec<Ticket>,
    /// The number of parties that were ever listed.
    listed: u64,
}

impl<T> Side<T> {
    fn new() -> Self {
        Self { parties: VecDeque::new(), observers: Vec::new(), listed: 0 }
    }

    /// Lists a party. Returns the observers that it woke, for after the lock is released.
    fn list(&mut self, party: Party<T>) -> Vec<Wakeup> {
        self.parties.push_back(party);
        self.listed += 1;
        self.wake_observers()
    }

    fn wake_observers(&mut self) -> Vec<Wakeup> {
        // SAFETY: the tickets were in this list; the caller holds the lock, as it has `&mut`.
        self.observers.drain(..).filter_map(|ticket| unsafe { ticket.choose() }).collect()
    }

    /// Takes out the party that has waited longest.
    fn take(&mut self) -> Option<Taken<T>> {
        loop {
            match self.parties.pop_front()? {
                Party::Waiter(waiter) => return Some(Taken::Waiter(waiter)),
                Party::Select(ticket) => {
                    // SAFETY: the ticket was in this list; the caller holds the lock.
                    if let Some(claimed) = unsafe { ticket.claim() } {
                        return Some(Taken::Select(claimed));
                    }
                    // Chosen elsewhere: it is about to leave the list.
                }
            }
        }
    }

    /// Returns whether a party could be taken by another than `me`.
    fn has_partner(&self, me: Option<&Selector>) -> bool {
        self.parties.iter().any(|party| match party {
            Party::Waiter(_) => true,
            Party::Select(ticket) => {
                !me.is_some_and(|me| ticket.is_of(me))
                    // SAFETY: the ticket is in this list; the caller holds the lock.
                    && unsafe { ticket.is_waiting() }
            }
        })
    }

    /// Takes one waiter out. Returns `false` if it is not there.
    fn remove(&mut self, waiter: &Waiter<T>) -> bool {
        let at = self.parties.iter().position(|party| match party {
            Party::Waiter(other) => core::ptr::eq(other.0.as_ptr(), waiter),
            Party::Select(_) => false,
        });
        at.is_some_and(|at| self.parties.remove(at).is_some())
    }

    /// Removes all tickets of the selector.
    fn unwatch(&mut self, selector: &Selector) {
        self.parties.retain(|party| match party {
            Party::Waiter(_) => true,
            Party::Select(ticket) => !ticket.is_of(selector),
        });
        self.observers.retain(|ticket| !ticket.is_of(selector));
    }
}

struct Lists<T> {
    senders: Side<T>,
    receivers: Side<T>,
    /// Items whose receiver has gone: a task that was dropped.
    returned: VecDeque<T>,
    /// Receivers that selects have taken out and not sent to yet, with the numbers of the claims.
    claimed: Vec<(u64, Taken<T>)>,
    /// The number of claims that there ever were.
    claims: u64,
    closed: bool,
}

impl<T> Lists<T> {
    /// Returns whether a receiver or a sender other than `me` would not wait.
    fn has_partner(&self, receive: bool, me: Option<&Selector>) -> bool {
        if receive {
            !self.returned.is_empty() || self.senders.has_partner(me)
        } else {
            self.receivers.has_partner(me)
        }
    }

    /// Claims a receiver that is in no list, for a select.
    fn claim(&mut self, receiver: Taken<T>) -> u64 {
        self.claimed.push((self.claims, receiver));
        self.claims += 1;
        self.claims - 1
    }

    /// Takes a claim back, or ends it.
    fn unclaim(&mut self, is_it: impl Fn(u64, &Taken<T>) -> bool) -> Option<Taken<T>> {
        let at = self.claimed.iter().position(|(number, taken)| is_it(*number, taken))?;
        Some(self.claimed.swap_remove(at).1)
    }

    /// The side on which a receiver or a sender waits, and the side of its partners.
    fn sides(&mut self, receive: bool) -> (&mut Side<T>, &mut Side<T>) {
        if receive {
            (&mut self.receivers, &mut self.senders)
        } else {
            (&mut self.senders, &mut self.receivers)
        }
    }
}

pub(super) struct Zero<T> {
    lists: Mutex<Lists<T>>,
}

/// The limit of a wait, computed when a wait begins, once.
struct Limit {
    timeout: Timeout,
    deadline: Option<Result<Option<Deadline>, ()>>,
}

impl Limit {
    fn new(timeout: Timeout) -> Self {
        Self { timeout, deadline: None }
    }

    fn deadline(&mut self) -> Result<Option<Deadline>, ()> {
        *self.deadline.get_or_insert_with(|| self.timeout.deadline())
    }
}

const LEFT_BY_A_PANIC: &str = "a wait in a channel without room was left by a panic";

impl<T> Zero<T> {
    pub(super) fn new() -> Self {
        Self {
            lists: Mutex::new(Lists {
                senders: Side::new(),
                receivers: Side::new(),
                returned: VecDeque::new(),
                claimed: Vec::new(),
                claims: 0,
                closed: false,
            }),
        }
    }

    pub(super) fn send(&self, item: T, timeout: Timeout) -> Result<(), PushError<T>> {
        let mut lists = self.lists.lock();
        if lists.closed {
            drop(lists);
            return Err(PushError::Closed(item));
        }
        if let Some(receiver) = lists.receivers.take() {
            drop(lists);
            receiver.give(item);
            return Ok(());
        }
        let Ok(deadline) = timeout.deadline() else {
            drop(lists);
            return Err(PushError::Full(item));
        };
        let me = Waiter::new(Some(item));
        let word = self.wait(lists, &me, deadline, false);
        // SAFETY: the waiter is in no list, and a thread that took it out has stored its word (M2).
        unsafe { me.sent(word) }
    }

    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        let mut limit = Limit::new(timeout);
        loop {
            let mut lists = self.lists.lock();
            if let Some(item) = lists.returned.pop_front() {
                return Ok(item);
            }
            let me;
            let word = match lists.senders.take() {
                Some(Taken::Waiter(sender)) => {
                    drop(lists);
                    // SAFETY: it was taken out of its list just now.
                    return match unsafe { sender.exchange(None) } {
                        Some(item) => Ok(item),
                        None => unreachable!("M2: a sender waits with its item"),
                    };
                }
                Some(Taken::Select(sender)) => {
                    me = Waiter::new(None);
                    // The waiter must not go while it is claimed (M1).
                    let guard = AbortOnUnwind::new(LEFT_BY_A_PANIC);
                    let claim = lists.claim(Taken::Waiter(Listed::new(&me)));
                    drop(lists);
                    sender.hand(Stash::new(claim)).go();
                    // The select sends or leaves (M4).
                    let word = me.wait(None);
                    guard.disarm();
                    word
                }
                None => {
                    if lists.closed {
                        return Err(PopError::Closed);
                    }
                    let deadline = limit.deadline().map_err(|()| PopError::Empty)?;
                    me = Waiter::new(None);
                    self.wait(lists, &me, deadline, true)
                }
            };
            // SAFETY: as in `send`.
            if let Some(result) = unsafe { me.received(word) } {
                return result;
            }
        }
    }

    /// Waits in a list. When this returns, no other thread uses the waiter: its word was stored, or
    /// (`WAITING`) it has removed itself.
    fn wait(
        &self,
        mut lists: MutexGuard<'_, Lists<T>>,
        me: &Waiter<T>,
        deadline: Option<Deadline>,
        receive: bool,
    ) -> u32 {
        // The waiter must not go while it is in the list (M1).
        let guard = AbortOnUnwind::new(LEFT_BY_A_PANIC);
        let observers = lists.sides(receive).0.list(Party::Waiter(Listed::new(me)));
        drop(lists);
        observers.into_iter().for_each(Wakeup::go);
        let mut word = me.wait(deadline);
        if word == WAITING {
            let removed = self.lists.lock().sides(receive).0.remove(me);
            if !removed {
                // Taken out at the last moment: its word is stored within a few instructions, or
                // when a select sends or leaves (M4).
                word = me.wait(None);
            }
        }
        guard.disarm();
        word
    }

    /// Takes a waiter out of its list, or its claim back. Returns `false` if another thread has
    /// taken it out.
    fn remove(&self, me: &Waiter<T>, receive: bool) -> bool {
        let mut lists = self.lists.lock();
        lists.sides(receive).0.remove(me) || lists.unclaim(|_, taken| taken.is_waiter(me)).is_some()
    }

    /// Closes the channel: no waiter is matched any more, and all waiters are woken.
    pub(super) fn close(&self) {
        let mut lists = self.lists.lock();
        lists.closed = true;
        let mut waiters = Vec::new();
        let mut wakeups = Vec::new();
        let Lists { senders, receivers, .. } = &mut *lists;
        for side in [senders, receivers] {
            for party in side.parties.drain(..) {
                match party {
                    Party::Waiter(waiter) => waiters.push(waiter),
                    // SAFETY: the ticket was in this list, whose lock is held.
                    Party::Select(ticket) => wakeups.extend(unsafe { ticket.choose() }),
                }
            }
            // SAFETY: the ticket was in this list, whose lock is held.
            wakeups
                .extend(side.observers.drain(..).filter_map(|ticket| unsafe { ticket.choose() }));
        }
        // Their selects get their items back.
        let claimed = mem::take(&mut lists.claimed);
        drop(lists);
        for waiter in waiters {
            // SAFETY: it was taken out of its list under the lock.
            unsafe { waiter.report(CLOSED) };
        }
        claimed.into_iter().for_each(|(_, receiver)| receiver.leave(CLOSED));
        wakeups.into_iter().for_each(Wakeup::go);
    }
}

impl<T> Zero<T> {
    pub(super) fn is_closed(&self) -> bool {
        self.lists.lock().closed
    }
}

/// The wait of a task in a list. Pinned, used by shared reference only (other threads have its
/// address), and left with [`Zero::leave`].
pub(super) struct TaskWaiter<T> {
    waiter: Waiter<T>,
    listed: Cell<bool>,
}

impl<T> TaskWaiter<T> {
    pub(super) fn new(item: Option<T>) -> Self {
        Self { waiter: Waiter::new(item), listed: Cell::new(false) }
    }

    /// Takes the item back that a sender has not sent.
    ///
    /// # Safety
    ///
    /// The waiter is in no list: it was left (M2).
    pub(super) unsafe fn take_back(&self) -> Option<T> {
        // SAFETY: the caller promises it (`# Safety`).
        unsafe { self.waiter.replace(None) }
    }

    /// The word to wait on, and its value while there is a reason to wait.
    pub(super) fn word(&self) -> (&AtomicU32, u32) {
        (&self.waiter.word, WAITING)
    }
}

/// The operations of a task. The waiter stays in place while it is listed (M1), for it is pinned.
impl<T> Zero<T> {
    /// Sends the item of the waiter, or lists it. `None`: it waits.
    pub(super) fn poll_send(&self, me: &TaskWaiter<T>) -> Option<Result<(), PushError<T>>> {
        if !me.listed.get() {
            // SAFETY: the waiter is in no list.
            let Some(item) = (unsafe { me.waiter.reset(None) }) else {
                unreachable!("M2: a sender that is in no list has its item")
            };
            match self.send(item, Timeout::None) {
                Err(PushError::Full(item)) => {
                    // SAFETY: the waiter is in no list.
                    let _ = unsafe { me.waiter.reset(Some(item)) };
                }
                done => return Some(done),
            }
            let mut lists = self.lists.lock();
            if lists.closed || lists.receivers.has_partner(None) {
                // It came in the meantime.
                drop(lists);
                return self.poll_send(me);
            }
            let observers = lists.senders.list(Party::Waiter(Listed::new(&me.waiter)));
            me.listed.set(true);
            drop(lists);
            observers.into_iter().for_each(Wakeup::go);
        }
        // Acquire: pairs with the Release in `report`.
        let word = me.waiter.word.load(Ordering::Acquire);
        if word == WAITING {
            return None;
        }
        me.listed.set(false);
        // SAFETY: a thread took the waiter out and has stored its word (M2).
        Some(unsafe { me.waiter.sent(word) })
    }

    /// Receives an item, or lists the waiter. `None`: it waits.
    pub(super) fn poll_recv(&self, me: &TaskWaiter<T>) -> Option<Result<T, PopError>> {
        loop {
            if !me.listed.get() {
                // SAFETY: the waiter is in no list.
                let _ = unsafe { me.waiter.reset(None) };
                let mut lists = self.lists.lock();
                if let Some(item) = lists.returned.pop_front() {
                    return Some(Ok(item));
                }
                match lists.senders.take() {
                    Some(Taken::Waiter(sender)) => {
                        drop(lists);
                        // SAFETY: it was taken out of its list just now.
                        let item = unsafe { sender.exchange(None) };
                        debug_assert!(item.is_some(), "M2: a sender waits with its item");
                        return item.map(Ok);
                    }
                    Some(Taken::Select(sender)) => {
                        // The task does not wait here: the select stores the word (M4).
                        let claim = lists.claim(Taken::Waiter(Listed::new(&me.waiter)));
                        me.listed.set(true);
                        drop(lists);
                        sender.hand(Stash::new(claim)).go();
                    }
                    None if lists.closed => return Some(Err(PopError::Closed)),
                    None => {
                        let observers =
                            lists.receivers.list(Party::Waiter(Listed::new(&me.waiter)));
                        me.listed.set(true);
                        drop(lists);
                        observers.into_iter().for_each(Wakeup::go);
                    }
                }
            }
            // Acquire: pairs with the Release in `report`.
            let word = me.waiter.word.load(Ordering::Acquire);
            if word == WAITING {
                return None;
            }
            me.listed.set(false);
            // SAFETY: a thread took the waiter out and has stored its word (M2).
            if let Some(result) = unsafe { me.waiter.received(word) } {
                return Some(result);
            }
        }
    }

    /// Ends the wait of a task that is dropped. An item that it was given goes to the next
    /// receiver.
    pub(super) fn leave(&self, me: &TaskWaiter<T>, receive: bool) {
        if !me.listed.get() {
            return;
        }
        me.listed.set(false);
        if self.remove(&me.waiter, receive) {
            return;
        }
        // Taken out at the last moment: its word is stored within a few instructions.
        me.waiter.wait(None);
        if !receive {
            return;
        }
        // SAFETY: a thread took the waiter out and has stored its word (M2).
        let Some(item) = (unsafe { me.waiter.replace(None) }) else { return };
        Self::pass_on(self.lists.lock(), item);
    }

    /// Gives an item to the next receiver, or keeps it for one.
    fn pass_on(mut lists: MutexGuard<'_, Lists<T>>, item: T) {
        match lists.receivers.take() {
            Some(receiver) => {
                drop(lists);
                receiver.give(item);
            }
            None => {
                lists.returned.push_back(item);
                // As if a sender had been listed.
                let senders = &mut lists.senders;
                senders.listed += 1;
                let observers = senders.wake_observers();
                drop(lists);
                observers.into_iter().for_each(Wakeup::go);
            }
        }
    }

    /// Takes out the items that wait in the channel, because their receivers have gone.
    pub(super) fn returned(&self) -> VecDeque<T> {
        mem::take(&mut self.lists.lock().returned)
    }
}

/// The operations of a select.
impl<T> Zero<T> {
    /// Takes a partner for a send whose item comes later.
    pub(super) fn start_send(&self) -> Option<Token> {
        let mut lists = self.lists.lock();
        if lists.closed {
            return Some(Token::Closed);
        }
        let receiver = lists.receivers.take()?;
        Some(Token::Partner(lists.claim(receiver)))
    }

    /// Hands the item to the receiver that was claimed, or to the next one, or (`None`) leaves.
    ///
    /// # Errors
    ///
    /// The item, if the channel was closed before a receiver got it.
    pub(super) fn finish_send(&self, claim: u64, item: Option<T>) -> Result<(), Option<T>> {
        let mut lists = self.lists.lock();
        let closed = lists.closed;
        match (lists.unclaim(|number, _| number == claim), item) {
            (Some(receiver), item) => {
                drop(lists);
                match item {
                    Some(item) => receiver.give(item),
                    None => receiver.leave(LEFT),
                }
            }
            (None, Some(item)) if closed => return Err(Some(item)),
            // The receiver, a task, was dropped.
            (None, Some(item)) => Self::pass_on(lists, item),
            (None, None) => {}
        }
        Ok(())
    }

    /// Begins a send with the stash that a receiver handed to the select.
    ///
    /// # Safety
    ///
    /// The stash was handed to a sending case of this channel.
    pub(super) unsafe fn accept_send(&self, stash: Stash) -> Token {
        // SAFETY: `recv` and `poll_recv` hand this over: the number of a claim.
        Token::Partner(unsafe { stash.into_inner::<u64>() })
    }

    /// Lists a select. Returns `false` if there is a partner, or the channel is closed.
    pub(super) fn watch(
        &self,
        receive: bool,
        selector: &Selector,
        case: u32,
        observe: bool,
    ) -> bool {
        let mut lists = self.lists.lock();
        let closed = lists.closed;
        if closed || lists.has_partner(receive, Some(selector)) {
            return false;
        }
        let (own, partners) = lists.sides(receive);
        let ticket = Ticket::new(selector, case);
        let wakeups = if observe {
            partners.observers.push(ticket);
            Vec::new()
        } else {
            own.list(Party::Select(ticket))
        };
        drop(lists);
        wakeups.into_iter().for_each(Wakeup::go);
        true
    }

    pub(super) fn unwatch(&self, receive: bool, selector: &Selector) {
        let mut lists = self.lists.lock();
        let (own, partners) = lists.sides(receive);
        own.unwatch(selector);
        partners.unwatch(selector);
    }

    /// Returns whether a partner waits, or the channel is closed.
    pub(super) fn is_ready(&self, receive: bool) -> bool {
        let lists = self.lists.lock();
        lists.closed || lists.has_partner(receive, None)
    }

    /// Returns a number that changes when a partner is listed, and with the close.
    pub(super) fn version(&self, receive: bool) -> u64 {
        let mut lists = self.lists.lock();
        lists.sides(receive).1.listed << 1 | u64::from(lists.closed)
    }
}
