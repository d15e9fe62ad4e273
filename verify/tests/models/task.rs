//! Tasks as waiters of the futex: no wake is lost or swallowed, with a thread next to a task, with
//! a future that is dropped after any poll, and with a future that moves to another waker.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::task::{Waiter, model_with_tasks};
use sync_core::primitive::futex::{self, Channel, Deadline};
use sync_core::task::block_on;
use sync_core::{
    AutoResetEvent, Barrier, CancelToken, Condvar, Event, FairMutex, Latch, Mutex, OnceLock,
    Parker, RwLock, Semaphore, TaskGuard, WaitGroup,
};

use crate::support::{Arc, Body, Order, Tracked, body, with};

mod fair;
mod stop;

const TOKEN: u32 = 1;
const WAITERS: u32 = 2;

/// Tokens that waiters take, one each: the smallest algorithm with a wake of one, an announcement
/// and a duty to pass wakes on.
struct Tokens {
    word: AtomicU32,
    news: Tracked,
}

impl Tokens {
    fn new() -> Arc<Self> {
        model_with_tasks();
        Arc::new(Self { word: AtomicU32::new(0), news: Tracked::new(0) })
    }

    fn give(&self) {
        if self.word.swap(TOKEN, Ordering::Release) & WAITERS != 0 {
            futex::wake_one(&raw const self.word);
        }
    }

    /// Takes a token, or announces a waiter: then it returns `false`.
    fn attempt(&self, slept: bool) -> bool {
        let mut state = self.word.load(Ordering::Relaxed);
        loop {
            let next = match state & TOKEN != 0 {
                true if slept => WAITERS,
                true => state & !TOKEN,
                false => WAITERS,
            };
            if next == state {
                return false;
            }
            match self.word.compare_exchange(state, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return state & TOKEN != 0,
                Err(seen) => state = seen,
            }
        }
    }

    fn take(&self) {
        let mut slept = false;
        while !self.attempt(slept) {
            futex::wait(&self.word, WAITERS);
            slept = true;
        }
    }

    fn take_in_time(&self, deadline: Option<Deadline>) -> bool {
        let mut slept = false;
        while !self.attempt(slept) {
            if !futex::wait_maybe(&self.word, WAITERS, deadline) {
                return self.attempt(false);
            }
            slept = true;
        }
        true
    }

    fn poll_take(
        &self,
        waiter: Pin<&Waiter>,
        slept: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if waiter.poll(context.waker()).is_pending() {
            return Poll::Pending;
        }
        loop {
            if self.attempt(*slept) {
                return Poll::Ready(());
            }
            *slept = true;
            if waiter.start(&self.word, WAITERS, Channel::ALL, context.waker()) {
                return Poll::Pending;
            }
        }
    }

    async fn take_async(&self) {
        let waiter = pin!(Waiter::new());
        let waiter = waiter.as_ref();
        let mut slept = false;
        poll_fn(|context| self.poll_take(waiter, &mut slept, context)).await;
    }

    /// Polls a wait `polls` times, and drops it. Returns whether it took the token.
    fn take_and_give_up(&self, polls: usize) -> bool {
        let mut taking = pin!(self.take_async());
        let mut context = Context::from_waker(Waker::noop());
        (0..polls).any(|_| taking.as_mut().poll(&mut context).is_ready())
    }
}

fn task_takes(shared: &Arc<Tokens>) -> Body {
    with(shared, |it| block_on(it.take_async()))
}

fn thread_takes(shared: &Arc<Tokens>) -> Body {
    with(shared, |it| it.take())
}

fn gives(shared: &Arc<Tokens>) -> Body {
    with(shared, |it| it.give())
}

model! {
    /// One task and one wake: the task is woken, and sees what was written before the wake.
    fn a_task_is_woken(order) {
        let shared = Tokens::new();
        let takes = with(&shared, |it| {
            block_on(it.take_async());
            assert_eq!(it.news.get(), 1);
        });
        let gives = with(&shared, |it| {
            it.news.set(1);
            it.give();
        });
        order.run([takes, gives]);
    }
}

model! {
    /// A thread and a task wait; the one that takes the token gives the next one.
    fn a_thread_and_a_task_are_both_woken(order) small whole {
        let shared = Tokens::new();
        let takes_and_gives = with(&shared, |it| {
            it.take();
            it.give();
        });
        let task = with(&shared, |it| {
            block_on(it.take_async());
            it.give();
        });
        order.run([takes_and_gives, task, gives(&shared)]);
        assert_eq!(shared.word.load(Ordering::Relaxed) & TOKEN, TOKEN);
    }
}

model! {
    /// A thread falls asleep while the word changes, next to a task that waits already: the wake
    /// finds the thread's count, or the futex sees the changed word.
    fn a_thread_that_falls_asleep_beside_a_task(order) small {
        model_with_tasks();
        let word = Arc::new(AtomicU32::new(0));
        let task = pin!(Waiter::new());
        assert!(task.as_ref().start(&word, 0, Channel::ALL, Waker::noop()));
        let sleeps = with(&word, |word| {
            while word.load(Ordering::Relaxed) == 0 {
                futex::wait(&word, 0);
            }
        });
        let wakes = with(&word, |word| {
            word.store(1, Ordering::Relaxed);
            futex::wake_all(Arc::as_ptr(&word));
        });
        order.run([sleeps, wakes]);
        assert!(!task.is_waiting());
    }
}

model! {
    /// A task is dropped after its first poll, chosen or not. The thread gets the token, which is
    /// given back if the task took it.
    fn a_task_that_gives_up_leaves_the_wake_to_a_thread(order) small {
        let shared = Tokens::new();
        let gives_up = with(&shared, |it| {
            if it.take_and_give_up(1) {
                it.give();
            }
        });
        order.run([gives_up, thread_takes(&shared), gives(&shared)]);
    }
}

model! {
    /// The same with two polls, and a task that stays.
    fn a_task_that_gives_up_leaves_the_wake_to_a_task(order) small whole {
        let shared = Tokens::new();
        let gives_up = with(&shared, |it| {
            if it.take_and_give_up(2) {
                it.give();
            }
        });
        order.run([gives_up, task_takes(&shared), gives(&shared)]);
    }
}

model! {
    /// A thread whose time is up leaves the wake to a task.
    fn a_thread_that_gives_up_leaves_the_wake_to_a_task(order) small whole {
        let shared = Tokens::new();
        let gives_up = with(&shared, |it| {
            if it.take_in_time(Deadline::after(Duration::from_millis(1))) {
                it.give();
            }
        });
        order.run([gives_up, task_takes(&shared), gives(&shared)]);
    }
}

model! {
    /// A future is polled by one executor, and moves to a second one: the wake reaches the second
    /// one's waker, at whatever moment it comes.
    fn a_task_that_moves_to_another_waker(order) {
        let shared = Tokens::new();
        let moves = with(&shared, |it| {
            let mut taking = pin!(it.take_async());
            if taking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                block_on(taking);
            }
        });
        order.run([moves, gives(&shared)]);
    }
}

model! {
    /// One task waits for two words at once. It and a thread hand the token of the first word to
    /// each other; the waiter of the second word leaves without a trace.
    fn a_wait_for_two_words_passes_the_other_wake_on(order) small {
        let shared = Arc::new([Tokens::new(), Tokens::new()]);
        let both = with(&shared, |it| {
            let first = pin!(Waiter::new());
            let second = pin!(Waiter::new());
            let (mut slept, mut slept_too) = (false, false);
            let took = block_on(poll_fn(|context| {
                let (first, second) = (first.as_ref(), second.as_ref());
                if it[0].poll_take(first, &mut slept, context).is_ready() {
                    return Poll::Ready(0);
                }
                it[1].poll_take(second, &mut slept_too, context).map(|()| 1)
            }));
            it[took].give();
        });
        let waits = with(&shared, |it| {
            it[0].take();
            it[0].give();
        });
        let gives = with(&shared, |it| it[0].give());
        order.run([both, waits, gives]);
    }
}

/// Polls a future `polls` times, and drops it. Returns what it got.
fn poll_and_drop<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(got) => Some(got),
        Poll::Pending => None,
    })
}

model! {
    /// A mutex, taken by a thread, by a task, and by a task that gives up after any poll.
    fn a_mutex_of_threads_and_tasks(order) small {
        model_with_tasks();
        let shared = Arc::new((Mutex::new(()), Tracked::new(0)));
        let thread = with(&shared, |it| {
            let _held = it.0.lock();
            it.1.set(it.1.get() + 1);
        });
        let task = with(&shared, |it| block_on(async {
            let _held = it.0.lock_async().await;
            it.1.set(it.1.get() + 1);
        }));
        let gives_up = with(&shared, |it| {
            if let Some(_held) = poll_and_drop(it.0.lock_async(), 2) {
                it.1.set(it.1.get() + 1);
            }
        });
        order.run([thread, task, gives_up]);
        assert!(shared.1.get() >= 2 && !shared.0.is_locked());
    }
}

model! {
    /// A first come, first served lock: a task that leaves the queue while it is granted hands the
    /// lock on.
    fn a_fair_mutex_of_threads_and_tasks(order) small {
        model_with_tasks();
        let shared = Arc::new((FairMutex::new(()), Tracked::new(0)));
        let task = with(&shared, |it| block_on(async {
            let _held = it.0.lock_async().await;
            it.1.set(it.1.get() + 1);
        }));
        let gives_up = with(&shared, |it| {
            if let Some(_held) = poll_and_drop(it.0.lock_async(), 1) {
                it.1.set(it.1.get() + 1);
            }
        });
        order.run([task, gives_up]);
        assert!(shared.1.get() >= 1 && !shared.0.is_locked());
    }
}

model! {
    /// The same lock, of a thread and a task.
    fn a_fair_mutex_of_a_thread_and_a_task(order) small {
        model_with_tasks();
        let shared = Arc::new((FairMutex::new(()), Tracked::new(0)));
        let thread = with(&shared, |it| {
            let _held = it.0.lock();
            it.1.set(it.1.get() + 1);
        });
        let task = with(&shared, |it| block_on(async {
            let _held = it.0.lock_async().await;
            it.1.set(it.1.get() + 1);
        }));
        order.run([thread, task]);
        assert!(shared.1.get() == 2 && !shared.0.is_locked());
    }
}

model! {
    /// A waker is called when the future is gone and its thread polls another one: the late call is
    /// harmless, and the wake goes to the second future.
    fn a_waker_that_is_called_after_its_future_is_gone(order) {
        let shared = Tokens::new();
        let takes = with(&shared, |it| {
            let taken = block_on(async {
                let mut first = Box::pin(it.take_async());
                let taken = poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_ready()));
                taken.await
            });
            if !taken {
                block_on(it.take_async());
            }
        });
        order.run([takes, gives(&shared)]);
    }
}

/// Sets `news` and opens, while a task waits, and a task that gives up after a poll.
fn opens_for_tasks<T: 'static>(
    order: crate::support::Order,
    object: T,
    wait: for<'a> fn(&'a T) -> core::pin::Pin<Box<dyn Future<Output = ()> + 'a>>,
    open: fn(&T),
) {
    let shared = Arc::new((object, Tracked::new(0)));
    let waits = with(&shared, move |it| {
        block_on(wait(&it.0));
        assert_eq!(it.1.get(), 1);
    });
    let gives_up = with(&shared, move |it| {
        if poll_and_drop(wait(&it.0), 1).is_some() {
            assert_eq!(it.1.get(), 1);
        }
    });
    let opens = with(&shared, move |it| {
        it.1.set(1);
        open(&it.0);
    });
    order.run([waits, gives_up, opens]);
}

model! {
    /// A token of cancellation ends the wait of a task.
    fn a_cancellation_reaches_a_task(order) small {
        model_with_tasks();
        opens_for_tasks(order, CancelToken::new(), |it| Box::pin(it.wait_async()), |it| {
            it.cancel();
        });
    }
}

model! {
    /// A task waits for the value of a cell, which a thread makes.
    fn a_cell_that_a_thread_fills(order) small {
        model_with_tasks();
        let shared = Arc::new(OnceLock::new());
        let waits = with(&shared, |it| assert_eq!(block_on(it.wait_async()), &7));
        let makes = with(&shared, |it: Arc<OnceLock<u32>>| assert_eq!(it.get_or_init(|| 7), &7));
        order.run([waits, makes]);
    }
}

model! {
    /// A task parks twice, and its first park gives up; a thread gives two tokens. None is lost.
    fn a_task_parks(order) small {
        model_with_tasks();
        let mut parker = Parker::new();
        let unparker = parker.unparker().clone();
        let news = Arc::new(Tracked::new(0));
        let parks = with(&news, move |news| {
            if poll_and_drop(parker.park_async(), 1).is_none() {
                block_on(parker.park_async());
            }
            assert_eq!(news.get(), 1);
        });
        let unparks = with(&news, move |news| {
            news.set(1);
            unparker.unpark();
        });
        order.run([parks, unparks]);
    }
}

model! {
    /// A thread and a task meet at a barrier.
    fn a_thread_and_a_task_meet_at_a_barrier(order) small {
        model_with_tasks();
        let shared = Arc::new((Barrier::new(2), Tracked::new(0)));
        let thread = with(&shared, |it| {
            it.1.set(1);
            it.0.wait().unwrap();
        });
        let task = with(&shared, |it| {
            block_on(it.0.wait_async()).unwrap();
            assert_eq!(it.1.get(), 1);
        });
        order.run([thread, task]);
    }
}

model! {
    /// A request for two permits that gives up as the head of the line, and a request for one
    /// behind it: no permit is lost, and none lies idle.
    fn a_task_leaves_as_the_head_of_the_line(order) small {
        model_with_tasks();
        let shared = Arc::new(Semaphore::new(0));
        let gives_up = with(&shared, |it| drop(poll_and_drop(it.acquire_many_async(2), 2)));
        let task = with(&shared, |it| {
            block_on(async { it.acquire_async().await.unwrap().forget() });
        });
        let adds = with(&shared, |it| it.add_permits(1));
        order.run([gives_up, task, adds]);
        assert_eq!(shared.available_permits(), 0);
    }
}

model! {
    /// A reader that is a task behind a writer that is a task and gives up.
    fn a_reader_behind_a_writer_that_gives_up(order) small whole {
        model_with_tasks();
        let shared = Arc::new(RwLock::new(()));
        let holds = with(&shared, |it| drop(it.read()));
        let gives_up = with(&shared, |it| drop(poll_and_drop(it.write_async(), 2)));
        let reads = with(&shared, |it| block_on(async { drop(it.read_async().await) }));
        order.run([holds, gives_up, reads]);
        assert!(!shared.is_locked());
    }
}

model! {
    /// A task waits for a lock that a thread holds, in any mode, and then for a thread that reads.
    fn a_writer_that_is_a_task(order) small {
        model_with_tasks();
        let shared = Arc::new((RwLock::new(()), Tracked::new(0)));
        let holds = with(&shared, |it| {
            {
                let _held = it.0.write();
                it.1.set(it.1.get() + 1);
            }
            let _held = it.0.read();
            assert!(it.1.get() <= 2);
        });
        let writes = with(&shared, |it| block_on(async {
            let _held = it.0.write_async().await;
            it.1.set(it.1.get() + 1);
        }));
        order.run([holds, writes]);
        assert!(shared.1.get() == 2 && !shared.0.is_locked());
    }
}

model! {
    /// A thread notifies a task that has the lock, or waits.
    fn a_task_waits_for_a_notification(order) small whole {
        model_with_tasks();
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = with(&shared, |it| block_on(async {
            let mut done = it.0.lock_async().await;
            while !*done {
                done = it.1.wait_async(done).await;
            }
        }));
        let notifies = with(&shared, |it| {
            *it.0.lock() = true;
            it.1.notify_one();
        });
        order.run([waits, notifies]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// A notification reaches the task that stays, also if it was given to the task that gives up.
    fn a_notification_is_passed_on(order) small whole {
        model_with_tasks();
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let gives_up = with(&shared, |it| {
            let Some(mut count) = poll_and_drop(it.0.lock_async(), 1) else { return };
            if *count == 0 {
                if let Some(back) = poll_and_drop(it.1.wait_async(count), 2) {
                    count = back;
                    // It has the notification, and does not use it.
                    it.1.notify_one();
                    drop(count);
                }
            }
        });
        let stays = with(&shared, |it| block_on(async {
            let count = it.0.lock_async().await;
            drop(it.1.wait_while_async(count, |count| *count == 0).await);
        }));
        let notifies = with(&shared, |it| {
            *it.0.lock() = 1;
            it.1.notify_one();
        });
        order.run([gives_up, stays, notifies]);
    }
}

model! {
    /// A cell whose first maker is dropped: the next one makes the value.
    fn a_maker_that_gives_up(order) small {
        model_with_tasks();
        let shared = Arc::new(OnceLock::new());
        let gives_up = with(&shared, |it| {
            let never = || core::future::pending::<u32>();
            poll_and_drop(it.get_or_init_async(never), 1);
        });
        let makes = with(&shared, |it| {
            assert_eq!(block_on(it.get_or_init_async(|| async { 7 })), &7);
        });
        order.run([gives_up, makes]);
        assert_eq!(shared.get(), Some(&7));
    }
}

model! {
    /// A task that is dropped at a barrier is not counted: the two that stay pass.
    fn a_member_that_gives_up_at_a_barrier(order) small {
        model_with_tasks();
        let shared = Arc::new(Barrier::new(2));
        let gives_up = with(&shared, |it| { poll_and_drop(it.wait_async(), 1); });
        let stays = with(&shared, |it| {
            let _ = it.wait_timeout(Duration::from_millis(1));
        });
        order.run([gives_up, stays]);
        assert_eq!(shared.waiting(), 0);
    }
}

model! {
    /// A token ends the wait of a thread, at any moment, and the permit is not lost.
    fn a_token_ends_the_wait_of_a_thread(order) small {
        model_with_tasks();
        let shared = Arc::new((Semaphore::new(0), CancelToken::new()));
        let waits = with(&shared, |it| {
            if let Ok(permit) = it.0.acquire_or_cancelled(&it.1) {
                permit.unwrap().forget();
                it.0.add_permits(1);
            }
        });
        let cancels = with(&shared, |it| it.1.cancel());
        let adds = with(&shared, |it| it.0.add_permits(1));
        order.run([waits, cancels, adds]);
        assert_eq!(shared.0.available_permits(), 1);
    }
}

model! {
    /// A set reaches the task that stays, with what came before it, next to a task that gives up.
    fn an_event_releases_tasks(order) tight {
        model_with_tasks();
        let shared = Arc::new((Event::new(), Tracked::new(0)));
        let gives_up = with(&shared, |it| { poll_and_drop(it.0.wait_async(), 2); });
        let stays = with(&shared, |it| {
            block_on(it.0.wait_async());
            assert_eq!(it.1.get(), 1);
        });
        let sets = with(&shared, |it| {
            it.1.set(1);
            it.0.set();
        });
        order.run([gives_up, stays, sets]);
    }
}

model! {
    /// A set of an event that resets itself is not lost on a task that gives up.
    fn a_set_goes_to_the_task_that_stays(order) tight {
        model_with_tasks();
        let shared = Arc::new(AutoResetEvent::new());
        let gives_up = with(&shared, |it| if poll_and_drop(it.wait_async(), 2).is_some() {
            it.set();
        });
        let stays = with(&shared, |it| block_on(it.wait_async()));
        let sets = with(&shared, |it| it.set());
        order.run([gives_up, stays, sets]);
        assert!(!shared.is_set());
    }
}

model! {
    /// A latch opens for a task, and a group ends for one, with what came before.
    fn a_latch_and_a_group_release_tasks(order) whole {
        model_with_tasks();
        let (group, data) = (WaitGroup::new(), Arc::new((Latch::new(1), Tracked::new(0))));
        let member = group.clone();
        let waits = with(&data, move |it| {
            block_on(it.0.wait_async());
            block_on(group.wait_async());
            assert_eq!(it.1.get(), 2);
        });
        let counts = with(&data, move |it| {
            it.0.count_down(1);
            it.1.set(2);
            member.done();
        });
        order.run([waits, counts]);
    }
}

model! {
    /// A task turns its upgradable lock into the writer's beside a reader.
    fn an_upgrade_of_a_task_beside_a_reader(order) tight {
        model_with_tasks();
        let shared = Arc::new((RwLock::new(()), Tracked::new(0)));
        let upgrades = with(&shared, |it| block_on(async {
            let guard = it.0.upgradable_read_async().await;
            let _alone = TaskGuard::upgrade_async(guard).await;
            it.1.set(1);
        }));
        let reads = with(&shared, |it| {
            let _held = it.0.read();
            assert!(it.1.get() < 2);
        });
        order.run([upgrades, reads]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// An upgrade that is dropped lets the reader in that it kept out.
    fn an_upgrade_that_a_task_drops(order) tight {
        model_with_tasks();
        let shared = Arc::new(RwLock::new(()));
        let gives_up = with(&shared, |it| block_on(async {
            let guard = it.upgradable_read_async().await;
            drop(poll_and_drop(TaskGuard::upgrade_async(guard), 1));
        }));
        let reads = with(&shared, |it| {
            drop(it.read());
            drop(it.read());
        });
        order.run([gives_up, reads]);
        assert!(!shared.is_locked());
    }
}

model! {
    /// A token ends a wait at a condition variable: the waiter has the lock again.
    fn a_token_ends_a_wait_for_a_notification(order) tight {
        model_with_tasks();
        let shared = Arc::new((Mutex::new(false), Condvar::new(), CancelToken::new()));
        let waits = with(&shared, |it| {
            let mut done = it.0.lock();
            let ended = it.1.wait_while_or_cancelled(&mut done, |done| !*done, &it.2);
            assert!(*done || ended.is_err());
        });
        let notifies = with(&shared, |it| {
            *it.0.lock() = true;
            it.1.notify_one();
            it.2.cancel();
        });
        order.run([waits, notifies]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// A token ends the wait for a lock; the lock is not taken then, and no wake is taken along.
    fn a_token_ends_the_wait_for_a_lock(order) tight {
        model_with_tasks();
        let shared = Arc::new((Mutex::new(()), CancelToken::new(), Tracked::new(0)));
        let waits = with(&shared, |it| {
            if let Ok(_held) = it.0.lock_or_cancelled(&it.1) {
                it.2.set(it.2.get() + 1);
            }
        });
        let holds = with(&shared, |it| {
            let _held = it.0.lock();
            it.2.set(it.2.get() + 1);
            it.1.cancel();
        });
        order.run([waits, holds]);
        assert!(shared.2.get() >= 1 && !shared.0.is_locked());
    }
}

model! {
    /// A task joins a thread, and sees what the thread did.
    fn a_task_joins_a_thread(order) whole {
        model_with_tasks();
        let data = Arc::new(Tracked::new(0));
        let theirs = Arc::clone(&data);
        let handle = sync_core::thread::spawn(move || {
            theirs.set(1);
            7_u32
        }).unwrap();
        let joins = with(&(handle, data), |(handle, data)| {
            assert_eq!(block_on(handle.join_async()), Ok(&7));
            assert_eq!(data.get(), 1);
        });
        order.run([joins]);
    }
}

/// Polls a task once.
fn poll_once<T>(task: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    task.poll(&mut Context::from_waker(Waker::noop()))
}

model! {
    /// A task is chosen and not polled: the threads that sleep get the free lock all the same.
    fn threads_pass_a_chosen_task_that_is_not_polled(order) small {
        model_with_tasks();
        let lock = std::sync::Arc::new(Mutex::new(0));
        let guard = lock.lock_arc();
        let mut task = Box::pin(lock.lock_arc_async());
        assert!(poll_once(task.as_mut()).is_pending());
        let takes = || with(&lock, |lock| *lock.lock() += 1);
        order.run([takes(), takes(), body(move || drop(guard))]);
        assert!(poll_once(task.as_mut()).is_ready(), "the lock is free");
    }
}

/// A reader leaves, and its lock goes to a writer that is a task and is not polled. `threads` are
/// the others, beside the body of the reader that leaves: they get the free lock all the same.
fn passes_a_chosen_writer<const N: usize>(
    order: Order,
    threads: impl FnOnce(&std::sync::Arc<RwLock<i32>>, Body) -> [Body; N],
) {
    model_with_tasks();
    let lock = std::sync::Arc::new(RwLock::new(0));
    let guard = lock.read_arc();
    let mut task = Box::pin(lock.write_arc_async());
    assert!(poll_once(task.as_mut()).is_pending());
    order.run(threads(&lock, body(move || drop(guard))));
    assert!(poll_once(task.as_mut()).is_ready(), "the lock is free");
}

model! {
    /// The same with a writer that is a task, and a reader and a writer that are threads.
    fn readers_and_writers_pass_a_chosen_task_that_is_not_polled(order) tight {
        passes_a_chosen_writer(order, |lock, leaves| {
            let reads = with(lock, |lock| drop(lock.read()));
            let writes = with(lock, |lock| *lock.write() += 1);
            [reads, writes, leaves]
        });
    }
}

model! {
    /// No thread waits to write: a reader passes the writer that is a task.
    fn a_reader_passes_a_chosen_writer_that_is_not_polled(order) {
        passes_a_chosen_writer(order, |lock, leaves| {
            [with(lock, |lock| drop(lock.read())), leaves]
        });
    }
}
