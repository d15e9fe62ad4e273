//! That no notification is lost and that a wait returns with the lock.

use std::time::Duration;

use sync_core::{Condvar, Mutex};

use crate::support::{Arc, Body, with};

/// A count under a lock, and a condition variable for it.
#[derive(Default)]
struct Stock {
    items: Mutex<u32>,
    changed: Condvar,
}

fn stock() -> Arc<Stock> {
    Arc::new(Stock { items: Mutex::new(0), changed: Condvar::new() })
}

fn takes(shared: &Arc<Stock>) -> Body {
    with(shared, |it| {
        let mut items = it.items.lock();
        it.changed.wait_while(&mut items, |items| *items == 0);
        *items -= 1;
    })
}

fn puts(shared: &Arc<Stock>) -> Body {
    with(shared, |it| {
        *it.items.lock() += 1;
        it.changed.notify_one();
    })
}

model! {
    /// A waiter and a notifier that notifies without the lock.
    fn notify_one_without_the_lock(order) {
        let shared = stock();
        order.run([takes(&shared), puts(&shared)]);
        assert_eq!(*shared.items.lock(), 0);
    }
}

model! {
    /// The same with the notification under the lock.
    fn notify_one_with_the_lock(order) {
        let shared = stock();
        let puts = with(&shared, |it| {
            let mut items = it.items.lock();
            *items += 1;
            it.changed.notify_one();
        });
        order.run([takes(&shared), puts]);
        assert_eq!(*shared.items.lock(), 0);
    }
}

model! {
    /// glibc 25847: two waiters, one of which may wait again, against two notifications. Each must
    /// reach a waiter that needs it.
    fn two_waiters_two_notifications(order) {
        let shared = stock();
        let puts_two = with(&shared, |it| for _ in 0..2 {
            *it.items.lock() += 1;
            it.changed.notify_one();
        });
        order.run([takes(&shared), takes(&shared), puts_two]);
        assert_eq!(*shared.items.lock(), 0);
    }
}

model! {
    /// One change, one broadcast: everybody goes on.
    fn notify_all_reaches_all(order) {
        let shared = stock();
        let sees = || with(&shared, |it| {
            let mut items = it.items.lock();
            it.changed.wait_while(&mut items, |items| *items == 0);
        });
        let opens = with(&shared, |it| {
            *it.items.lock() = 1;
            it.changed.notify_all();
        });
        order.run([sees(), sees(), opens]);
    }
}

model! {
    /// A waiter whose time may be up and one that has all the time, one item: if the first leaves
    /// without it, the second must get it.
    fn a_timeout_takes_no_notification_along(order) {
        let shared = stock();
        let in_time = with(&shared, |it| {
            let mut items = it.items.lock();
            let result = it.changed.wait_for(&mut items, Duration::from_millis(1));
            if result.timed_out() || *items == 0 {
                // It gave up, or others were first. What it must not do is to swallow the
                // notification of the other.
                return;
            }
            *items -= 1;
            drop(items);
            // It took the only item: put one for the other, which waits.
            *it.items.lock() += 1;
            it.changed.notify_one();
        });
        let puts = with(&shared, |it| {
            *it.items.lock() += 1;
            it.changed.notify_all();
        });
        order.run([in_time, takes(&shared), puts]);
        assert_eq!(*shared.items.lock(), 0);
    }
}

model! {
    /// A wait that times out has the lock again: what it does under the lock races with no thread.
    fn timeout_has_the_lock(order) {
        let shared = stock();
        let waits = || with(&shared, |it| {
            let mut items = it.items.lock();
            let _ = it.changed.wait_for(&mut items, Duration::from_millis(1));
            *items += 1;
        });
        order.run([waits(), waits()]);
        assert_eq!(*shared.items.lock(), 2);
    }
}

model! {
    /// Ping and pong over one condition variable: each waits for the other.
    fn ping_pong(order) {
        let shared = stock();
        let plays = |mine: u32| with(&shared, move |it| {
            let mut turn = it.items.lock();
            it.changed.wait_while(&mut turn, |turn| *turn % 2 != mine);
            *turn += 1;
            it.changed.notify_one();
        });
        order.run([plays(0), plays(1)]);
        assert_eq!(*shared.items.lock(), 2);
    }
}
