//! A channel with room for none: a send returns when its item has been taken.
//!
//! Two lists under one lock: senders that wait with their item, receivers that wait with an empty
//! place. A thread takes the first waiter out of the other side's list, hands the item over, and
//! wakes it. Each waiter has a word of its own:
//!
//! | word | meaning |
//! |---|---|
//! | `WAITING` | in its list |
//! | `MET` | taken out of the list by the other side, the item handed over |
//! | `CLOSED` | taken out because the channel was closed |
//!
//! A waiter that gives up (its time is up) removes itself under the lock. If it is not in the list
//! any more, it was matched, and has succeeded: so a send never returns before its item was taken
//! (flume #140), and no item is lost to a waiter that gave up.
//!
//! # Invariants
//!
//! A waiter lives on the stack of the thread that waits: nothing is counted, and nothing is
//! allocated but for lists that grow longer than ever before.
//!
//! M1. A waiter stays in place while it is in a list, and after that until its word is no longer
//! `WAITING`. Its thread leaves only after it has removed the waiter, or after it has read another
//! word than `WAITING`.
//!
//! M2 (ownership of `item`). The waiting thread until it is enqueued; the partner from dequeue
//! until it stores `word`; the waiting thread again after that. A sender's item is there until the
//! partner takes it, a receiver's only after the partner has put it there.
//!
//! M3. After the word was stored, only its address is used: the waiter may be gone. A wake that
//! reaches another waiter at that address is a spurious wake.

use core::mem;
use core::ptr::NonNull;
use std::collections::VecDeque;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::{self, Deadline};
use sync_core::user_code::AbortOnUnwind;
use sync_core::{Mutex, MutexGuard};

use crate::buffer::{PopError, PushError};
use crate::wait::timeout::Timeout;

const WAITING: u32 = 0;
const MET: u32 = 1;
const CLOSED: u32 = 2;

struct Waiter<T> {
    word: AtomicU32,
    /// A sender's item, or what a receiver was given.
    item: UnsafeCell<Option<T>>,
}

impl<T> Waiter<T> {
    fn new(item: Option<T>) -> Self {
        Self { word: AtomicU32::new(WAITING), item: UnsafeCell::new(item) }
    }

    /// Sleeps until the word changes, and returns it; `WAITING` if the time is up.
    fn wait(&self, deadline: Option<Deadline>) -> u32 {
        let mut in_time = true;
        loop {
            // Acquire: pairs with the Release in `tell`.
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
}

/// A waiter that stands in a list.
struct Listed<T>(NonNull<Waiter<T>>);

// SAFETY: it hands an item from one thread to another (M2); the word is an atomic.
unsafe impl<T: Send> Send for Listed<T> {}

impl<T> Listed<T> {
    fn of(waiter: &Waiter<T>) -> Self {
        Self(NonNull::from(waiter))
    }

    /// Gives or takes the item, then reports to the waiter that it was matched.
    ///
    /// # Safety
    ///
    /// The caller took the waiter out of its list.
    unsafe fn meet(self, give: Option<T>) -> Option<T> {
        // SAFETY: the waiter was taken out, and its word is still `WAITING` (M1). So it is there,
        // and its item is the caller's (M2).
        let taken = unsafe { self.0.as_ref().replace(give) };
        // SAFETY: the caller promises it (`# Safety`).
        unsafe { self.tell(MET) };
        taken
    }

    /// Stores `what` in the waiter's word and wakes it. The waiter may be gone afterwards.
    ///
    /// # Safety
    ///
    /// The caller took the waiter out of its list.
    unsafe fn tell(self, what: u32) {
        // SAFETY: the waiter was taken out, and its word is still `WAITING` (M1).
        let word = unsafe { &raw const (*self.0.as_ptr()).word };
        // SAFETY: as for the address.
        // Release: pairs with the Acquire in `wait`: everything that this side did happens before.
        unsafe { (*word).store(what, Ordering::Release) };
        // Only the address (M3).
        futex::wake_one(word);
    }
}

struct Lists<T> {
    senders: VecDeque<Listed<T>>,
    receivers: VecDeque<Listed<T>>,
    closed: bool,
}

pub(super) struct Zero<T> {
    lists: Mutex<Lists<T>>,
}

impl<T> Zero<T> {
    pub(super) fn new() -> Self {
        Self {
            lists: Mutex::new(Lists {
                senders: VecDeque::new(),
                receivers: VecDeque::new(),
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
        if let Some(receiver) = lists.receivers.pop_front() {
            drop(lists);
            // SAFETY: it was taken out of its list just now.
            let nothing = unsafe { receiver.meet(Some(item)) };
            debug_assert!(nothing.is_none(), "M2: a receiver waits with an empty place");
            return Ok(());
        }
        let Ok(deadline) = timeout.deadline() else {
            drop(lists);
            return Err(PushError::Full(item));
        };
        let me = Waiter::new(Some(item));
        let told = self.wait(lists, &me, deadline, |lists| &mut lists.senders);
        // SAFETY: the waiter is in no list, and a thread that took it out has stored its word (M2).
        match (told, unsafe { me.replace(None) }) {
            (MET, None) => Ok(()),
            (WAITING, Some(item)) => Err(PushError::Full(item)),
            (CLOSED, Some(item)) => Err(PushError::Closed(item)),
            _ => unreachable!("M2: a sender's item is gone if the sender was met, and only then"),
        }
    }

    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        let mut lists = self.lists.lock();
        if let Some(sender) = lists.senders.pop_front() {
            drop(lists);
            // SAFETY: it was taken out of its list just now.
            return match unsafe { sender.meet(None) } {
                Some(item) => Ok(item),
                None => unreachable!("M2: a sender waits with its item"),
            };
        }
        if lists.closed {
            return Err(PopError::Closed);
        }
        let deadline = timeout.deadline().map_err(|()| PopError::Empty)?;
        let me = Waiter::new(None);
        let told = self.wait(lists, &me, deadline, |lists| &mut lists.receivers);
        // SAFETY: as in `send`.
        match (told, unsafe { me.replace(None) }) {
            (MET, Some(item)) => Ok(item),
            (WAITING, None) => Err(PopError::Empty),
            (CLOSED, None) => Err(PopError::Closed),
            _ => unreachable!("M2: a receiver has an item if it was met, and only then"),
        }
    }

    /// Waits in a list. When this returns, no other thread uses the waiter: its word was stored, or
    /// (`WAITING`) it has removed itself.
    fn wait(
        &self,
        mut lists: MutexGuard<'_, Lists<T>>,
        me: &Waiter<T>,
        deadline: Option<Deadline>,
        list: fn(&mut Lists<T>) -> &mut VecDeque<Listed<T>>,
    ) -> u32 {
        list(&mut lists).push_back(Listed::of(me));
        // The waiter must not go while it is in the list (M1).
        let guard = AbortOnUnwind::new("a wait in a channel without room was left by a panic");
        drop(lists);
        let mut told = me.wait(deadline);
        if told == WAITING {
            let mut lists = self.lists.lock();
            let list = list(&mut lists);
            match list.iter().position(|other| core::ptr::eq(other.0.as_ptr(), me)) {
                Some(at) => drop(list.remove(at)),
                None => {
                    drop(lists);
                    // Taken out at the last moment: its word is stored within a few instructions.
                    told = me.wait(None);
                }
            }
        }
        guard.disarm();
        told
    }

    /// Closes the channel: no waiter is matched any more, and all waiters are woken.
    pub(super) fn close(&self) {
        let mut lists = self.lists.lock();
        lists.closed = true;
        let (senders, receivers) = (mem::take(&mut lists.senders), mem::take(&mut lists.receivers));
        drop(lists);
        for waiter in senders.into_iter().chain(receivers) {
            // SAFETY: it was taken out of its list under the lock.
            unsafe { waiter.tell(CLOSED) };
        }
    }
}
