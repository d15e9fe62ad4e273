//! Runs a future on the calling thread, which sleeps while the future has nothing to do.
//!
//! # Source
//!
//! The `block_on` of `pollster` and `futures-lite`: a [`Parker`] whose token is the wake. The
//! parker and its waker are kept by the thread, so that only the first call of a thread allocates.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;
use std::time::Instant;

use crate::primitive::MODELLED;
use crate::wait::parker::{Parker, Unparker};

/// A thread that sleeps until its waker is called: for a wait on several things at once.
///
/// A wake that comes before the sleep ends the sleep at once. A sleep may end without a wake.
#[derive(Debug)]
pub struct ThreadWaker {
    parker: Parker,
    waker: Waker,
}

struct Unparks(Unparker);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl ThreadWaker {
    fn new() -> Self {
        let parker = Parker::new();
        let waker = Waker::from(Arc::new(Unparks(parker.unparker().clone())));
        Self { parker, waker }
    }

    /// Returns the waker that ends [`park`](Self::park).
    #[inline]
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Sleeps until the waker is called.
    #[inline]
    pub fn park(&self) {
        self.parker.park();
    }

    /// Sleeps until the waker is called, or `deadline`. Returns `false` if the time was up.
    #[inline]
    pub fn park_deadline(&self, deadline: Instant) -> bool {
        self.parker.park_deadline(deadline)
    }

    /// Like [`park_deadline`](Self::park_deadline), with no deadline meaning forever.
    #[inline]
    pub fn park_maybe(&self, deadline: Option<Instant>) -> bool {
        match deadline {
            None => {
                self.park();
                true
            }
            Some(deadline) => self.park_deadline(deadline),
        }
    }
}

/// Runs `f` with the thread's own waker.
///
/// A call inside another call gets a second waker, and so does a call while the thread's other
/// thread-locals are being destroyed.
pub fn with_thread_waker<R>(f: impl FnOnce(&ThreadWaker) -> R) -> R {
    std::thread_local! {
        static KEPT: core::cell::Cell<Option<ThreadWaker>> = const { core::cell::Cell::new(None) };
    }
    if MODELLED {
        // A parker belongs to one execution of a model.
        return f(&ThreadWaker::new());
    }
    let kept = KEPT.try_with(core::cell::Cell::take).ok().flatten();
    let waker = kept.unwrap_or_else(ThreadWaker::new);
    let result = f(&waker);
    // A token that came late makes the next sleep end at once, which it may.
    let _ = KEPT.try_with(|kept| kept.set(Some(waker)));
    result
}

/// Runs a future to its end on the calling thread, which sleeps while the future waits.
///
/// It allocates nothing after the first call of a thread. It works with every future that needs no
/// runtime: those of this workspace, and channels and combinators of other crates. In a task of a
/// runtime it blocks the runtime's thread.
///
/// # Examples
///
/// ```
/// use sync_core::{Mutex, task::block_on};
///
/// let total = Mutex::new(1);
/// block_on(async {
///     *total.lock() += 1;
/// });
/// assert_eq!(total.into_inner(), 2);
/// ```
///
/// # Panics
///
/// If the future panics.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match run(future, None) {
        Some(output) => output,
        None => unreachable!("without a deadline there is no end but the future's"),
    }
}

/// Like [`block_on`], for at most `timeout`; then the future is dropped, and the result is `None`.
/// A timeout too long for the clock means forever.
///
/// ```
/// use core::{future::pending, time::Duration};
/// use sync_core::task::block_on_timeout;
///
/// assert_eq!(block_on_timeout(async { 1 }, Duration::ZERO), Some(1));
/// assert_eq!(block_on_timeout(pending::<()>(), Duration::from_millis(1)), None);
/// ```
pub fn block_on_timeout<F: Future>(future: F, timeout: Duration) -> Option<F::Output> {
    run(future, Instant::now().checked_add(timeout))
}

/// Like [`block_on_timeout`], until `deadline` at most. The future is polled at least once, also
/// with a deadline in the past.
pub fn block_on_deadline<F: Future>(future: F, deadline: Instant) -> Option<F::Output> {
    run(future, Some(deadline))
}

fn run<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    with_thread_waker(|thread| {
        let mut context = Context::from_waker(thread.waker());
        let mut in_time = true;
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            if !in_time {
                return None;
            }
            in_time = thread.park_maybe(deadline);
        }
    })
}
