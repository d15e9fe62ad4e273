//! A channel with room for none: a send returns when its item has been taken.
//!
//! Two lists under one lock: senders who wait with their item, receivers who wait with an empty
//! place. Whoever comes to the other side's list takes the first one, hands the item over, and
//! wakes it. Each who waits has a word of its own:
//!
//! | word | meaning |
//! |---|---|
//! | `WAITING` | in its list |
//! | `MET` | taken out of the list by the other side, the item handed over |
//! | `CLOSED` | taken out because the channel was shut |
//!
//! Who gives up (time, nothing else) takes itself out under the lock; if it is not in the list any
//! more it was met, and has succeeded: so a send never returns before its item was taken
//! (flume #140), and no item is lost to one who gave up.
//!
//! # Invariants
//!
//! A waiter lives on the stack of the thread that waits: nothing to be counted, and no allocation
//! but for lists that grow longer than ever before.
//!
//! M1. It stays there while it is in a list, and after that until its word is not `WAITING` any
//! more: its thread leaves only by taking it out itself or by being told. M2. Its item is its
//! thread's before it is put into the list; from when another took it out to when that one tells,
//! the other's; then its thread's again. M3. After the word was stored only its address is used:
//! the waiter may be gone. A wake that finds another one there is a spurious one.

use core::mem;
use core::ptr::NonNull;
use std::collections::VecDeque;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::{self, Deadline};

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

    /// Sleeps until told something; `WAITING` if the time is up.
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
        // SAFETY: as the caller says.
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

    /// For who took it out of its list: gives or takes the item, then tells it that it was met.
    fn meet(self, give: Option<T>) -> Option<T> {
        // SAFETY: it was taken out and not told (M1), so it is there, and its item is the caller's
        // (M2).
        let taken = unsafe { self.0.as_ref().replace(give) };
        self.tell(MET);
        taken
    }

    /// For who took it out of its list: tells it what became of it. It may be gone afterwards.
    fn tell(self, what: u32) {
        // SAFETY: it was taken out and not told (M1).
        let word = unsafe { &raw const (*self.0.as_ptr()).word };
        // SAFETY: as above.
        // Release: pairs with the Acquire in `wait`: what the other side did happens before.
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
            receiver.meet(Some(item));
            return Ok(());
        }
        let Ok(deadline) = timeout.deadline() else {
            drop(lists);
            return Err(PushError::Full(item));
        };
        let me = Waiter::new(Some(item));
        lists.senders.push_back(Listed::of(&me));
        drop(lists);
        let told = self.wait(&me, deadline, |lists| &mut lists.senders);
        // SAFETY: it is in no list, and if another took it out that one has told it (M2).
        match (told, unsafe { me.replace(None) }) {
            (WAITING, Some(item)) => Err(PushError::Full(item)),
            (CLOSED, Some(item)) => Err(PushError::Closed(item)),
            _ => Ok(()),
        }
    }

    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        let mut lists = self.lists.lock();
        if let Some(sender) = lists.senders.pop_front() {
            drop(lists);
            return sender.meet(None).ok_or(PopError::Empty);
        }
        if lists.closed {
            return Err(PopError::Closed);
        }
        let deadline = timeout.deadline().map_err(|()| PopError::Empty)?;
        let me = Waiter::new(None);
        lists.receivers.push_back(Listed::of(&me));
        drop(lists);
        let told = self.wait(&me, deadline, |lists| &mut lists.receivers);
        // SAFETY: as in `send`.
        unsafe { me.replace(None) }.ok_or(if told == CLOSED {
            PopError::Closed
        } else {
            PopError::Empty
        })
    }

    /// Waits in a list. When this returns, nobody else knows of the waiter: it was told, or
    /// (`WAITING`) has taken itself out.
    fn wait(
        &self,
        me: &Waiter<T>,
        deadline: Option<Deadline>,
        list: fn(&mut Lists<T>) -> &mut VecDeque<Listed<T>>,
    ) -> u32 {
        let told = me.wait(deadline);
        if told != WAITING {
            return told;
        }
        let mut lists = self.lists.lock();
        let list = list(&mut lists);
        match list.iter().position(|other| core::ptr::eq(other.0.as_ptr(), me)) {
            Some(at) => {
                list.remove(at);
                WAITING
            }
            None => {
                drop(lists);
                // Met, or shut, at the last moment: to be told any moment.
                me.wait(None)
            }
        }
    }

    /// Nobody meets any more; those who wait are told.
    pub(super) fn close(&self) {
        let mut lists = self.lists.lock();
        lists.closed = true;
        let (senders, receivers) = (mem::take(&mut lists.senders), mem::take(&mut lists.receivers));
        drop(lists);
        for waiter in senders.into_iter().chain(receivers) {
            waiter.tell(CLOSED);
        }
    }
}
