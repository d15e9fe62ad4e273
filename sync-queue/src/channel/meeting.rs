//! A channel with room for none: a send returns when its item has been taken.
//!
//! Two lists under one lock: senders who wait with their item, receivers who wait with an empty place. Whoever comes to the other side's
//! list takes the first one, hands the item over, and wakes it. Each who waits has a word of its own:
//!
//! | word | meaning |
//! |---|---|
//! | `WAITING` | in its list |
//! | `MET` | taken out of the list by the other side, the item handed over |
//! | `SHUT` | taken out because the channel was shut |
//!
//! Who gives up (time, nothing else) takes itself out under the lock; if it is not in the list any more it was met, and has succeeded: so a
//! send never returns before its item was taken (flume #140), and no item is lost to one who gave up.

use core::mem;
use std::collections::VecDeque;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::{self, Deadline};
use sync_core::primitive::sync::Arc;

use crate::store::{Nothing, Refused};
use crate::waiting::Patience;

const WAITING: u32 = 0;
const MET: u32 = 1;
const SHUT: u32 = 2;

struct Waiter<T> {
    word: AtomicU32,
    /// A sender's item, or what a receiver was given.
    item: Mutex<Option<T>>,
}

impl<T> Waiter<T> {
    fn new(item: Option<T>) -> Arc<Self> {
        Arc::new(Self { word: AtomicU32::new(WAITING), item: Mutex::new(item) })
    }

    /// Tells a waiter that is out of its list what became of it.
    fn tell(&self, what: u32) {
        // Release: pairs with the Acquire in `wait`: what the other side did happens before.
        self.word.store(what, Ordering::Release);
        futex::wake_one(&raw const self.word);
    }

    /// Sleeps until told something; `WAITING` if the time is up.
    fn wait(&self, deadline: Option<Deadline>) -> u32 {
        loop {
            // Acquire: pairs with the Release in `tell`.
            let word = self.word.load(Ordering::Acquire);
            if word != WAITING || !futex::wait_maybe(&self.word, WAITING, deadline) {
                return self.word.load(Ordering::Acquire);
            }
        }
    }
}

struct Lists<T> {
    senders: VecDeque<Arc<Waiter<T>>>,
    receivers: VecDeque<Arc<Waiter<T>>>,
    shut: bool,
}

pub(super) struct Meeting<T> {
    lists: Mutex<Lists<T>>,
}

/// Takes `waiter` out of a list. `false`: it is not there.
fn remove<T>(list: &mut VecDeque<Arc<Waiter<T>>>, waiter: &Arc<Waiter<T>>) -> bool {
    list.iter().position(|other| Arc::ptr_eq(other, waiter)).map(|at| list.remove(at)).is_some()
}

impl<T> Meeting<T> {
    pub(super) fn new() -> Self {
        Self { lists: Mutex::new(Lists { senders: VecDeque::new(), receivers: VecDeque::new(), shut: false }) }
    }

    pub(super) fn send(&self, item: T, patience: Patience) -> Result<(), Refused<T>> {
        let mut lists = self.lists.lock();
        if lists.shut {
            drop(lists);
            return Err(Refused::Shut(item));
        }
        if let Some(receiver) = lists.receivers.pop_front() {
            drop(lists);
            *receiver.item.lock() = Some(item);
            receiver.tell(MET);
            return Ok(());
        }
        let Ok(deadline) = patience.deadline() else {
            drop(lists);
            return Err(Refused::Full(item));
        };
        let me = Waiter::new(Some(item));
        lists.senders.push_back(Arc::clone(&me));
        drop(lists);
        let mut told = me.wait(deadline);
        if told == WAITING {
            if remove(&mut self.lists.lock().senders, &me) {
                return Self::give_back(&me, Refused::Full);
            }
            // Met, or shut, at the last moment: to be told any moment.
            told = me.wait(None);
        }
        if told == MET { Ok(()) } else { Self::give_back(&me, Refused::Shut) }
    }

    fn give_back(me: &Waiter<T>, why: fn(T) -> Refused<T>) -> Result<(), Refused<T>> {
        // Taken out of the list unmet, so the item is still there.
        me.item.lock().take().map_or(Ok(()), |item| Err(why(item)))
    }

    pub(super) fn recv(&self, patience: Patience) -> Result<T, Nothing> {
        let mut lists = self.lists.lock();
        if let Some(sender) = lists.senders.pop_front() {
            drop(lists);
            let item = sender.item.lock().take();
            sender.tell(MET);
            return item.ok_or(Nothing::Empty);
        }
        if lists.shut {
            return Err(Nothing::Shut);
        }
        let deadline = patience.deadline().map_err(|()| Nothing::Empty)?;
        let me = Waiter::new(None);
        lists.receivers.push_back(Arc::clone(&me));
        drop(lists);
        let mut told = me.wait(deadline);
        if told == WAITING {
            if remove(&mut self.lists.lock().receivers, &me) {
                return Err(Nothing::Empty);
            }
            // As in `send`.
            told = me.wait(None);
        }
        if told == SHUT {
            return Err(Nothing::Shut);
        }
        me.item.lock().take().ok_or(Nothing::Empty)
    }

    /// Nobody meets any more; those who wait are told.
    pub(super) fn shut(&self) {
        let mut lists = self.lists.lock();
        lists.shut = true;
        let (senders, receivers) = (mem::take(&mut lists.senders), mem::take(&mut lists.receivers));
        drop(lists);
        for waiter in senders.into_iter().chain(receivers) {
            waiter.tell(SHUT);
        }
    }
}
