//! Jobs as the backlog and the workers have them: the right to run or to end a job, once.

use core::any::Any;
use std::sync::Arc;

use sync_core::Semaphore;
use sync_core::fork::ProcessMark;
use sync_core::primitive::cell::UnsafeCell;
use sync_core::user_code;

/// A place in a limited backlog, given back when this is dropped.
pub(super) struct BacklogPlace(pub(super) Arc<Semaphore>);

impl Drop for BacklogPlace {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Called by a worker when it has no user code of the job left to run.
pub(super) type CountFree<'a> = Option<&'a dyn Fn()>;

/// A job, as the workers see it. P4 and P5 are invariants of `job.rs`.
///
/// # Safety
///
/// `run`, or `settle` and then `clean_up`, may be called, once, by the owner of the job's
/// [`Queued`].
pub(super) trait Run: Send + Sync {
    /// Runs the job unless that was done, the job was cancelled or has lapsed, and calls `free`
    /// (P4).
    ///
    /// # Safety
    ///
    /// See the trait.
    unsafe fn run(&self, free: CountFree<'_>);

    /// Ends the job in `phase` if it is pending, and reports to the threads that wait for it that
    /// it will not come back. Runs no user code. Returns the state that was left, if it was left
    /// here.
    ///
    /// # Safety
    ///
    /// See the trait.
    unsafe fn settle(&self, phase: u32) -> Option<u32>;

    /// Calls the callbacks and drops the closure of a job that was ended by `settle`. `was`: what
    /// `settle` returned.
    ///
    /// # Safety
    ///
    /// See the trait.
    unsafe fn clean_up(&self, was: u32, phase: u32);

    /// The closure of a job that was not accepted. Only a job without a handle has it here.
    fn closure(&mut self) -> Option<Box<dyn Any>>;
}

/// A job in the backlog. There is one `Queued` for each job: it is the right, and the duty, to end
/// it.
pub(super) struct Queued {
    pub(super) job: Arc<dyn Run>,
}

/// A job that was taken out of the backlog to be given up.
struct Settled {
    job: Arc<dyn Run>,
    /// The state that was left, if it was left by the owner of this.
    was: Option<u32>,
}

/// Gives up jobs that are not begun: each ends in `phase`, `NOTIFIED` or `BROKEN`. All are settled
/// before user code of any of them runs (P5). `process`: that of the pool. In the child of a fork
/// that the user code made, the jobs that are left stay as they are.
pub(super) fn give_up_all(jobs: Vec<Queued>, phase: u32, process: ProcessMark) {
    let settled: Vec<_> = jobs
        .into_iter()
        .map(|Queued { job }| {
            // SAFETY: this is the job's only `Queued`, and it is used up.
            let was = unsafe { job.settle(phase) };
            Settled { job, was }
        })
        .collect();
    let mut settled = settled.into_iter();
    while let Some(Settled { job, was }) = settled.next() {
        if let Some(was) = was {
            // SAFETY: the one call after `settle` by the owner of the `Queued`.
            unsafe { job.clean_up(was, phase) };
        }
        if !process.is_current() {
            core::mem::forget(settled);
            return;
        }
    }
}

impl Queued {
    pub(super) fn run(self, free: CountFree<'_>) {
        // SAFETY: this is the job's only `Queued`, and it is used up.
        unsafe { self.job.run(free) }
    }

    /// A job without a handle: nothing but the closure.
    pub(super) fn detached<F: FnOnce() + Send + 'static>(
        job: F,
        place: Option<BacklogPlace>,
    ) -> Self {
        Self { job: Arc::new(Detached(UnsafeCell::new(Some((job, place))))) }
    }

    /// The closure of a job without a handle that was not accepted.
    pub(super) fn into_closure<F: 'static>(mut self) -> F {
        let closure = Arc::get_mut(&mut self.job)
            .and_then(|job| job.closure())
            .and_then(|closure| closure.downcast().ok());
        match closure {
            Some(closure) => *closure,
            None => unreachable!("a job without a handle has one owner, which holds its closure"),
        }
    }
}

/// A job without a handle: no thread waits for it, so there is nothing but the closure. The owner
/// of its [`Queued`] has it alone.
struct Detached<F>(UnsafeCell<Option<(F, Option<BacklogPlace>)>>);

// SAFETY: the closure is touched by one thread at a time: by the owner of the job's `Queued`, which
// the queue hands from one thread to another.
unsafe impl<F: Send> Send for Detached<F> {}
// SAFETY: only the owner of the job's `Queued` touches the closure.
unsafe impl<F: Send> Sync for Detached<F> {}

impl<F> Detached<F> {
    /// # Safety
    ///
    /// The caller owns the job's `Queued`.
    unsafe fn take(&self) -> Option<F> {
        // SAFETY: the caller promises it (`# Safety`).
        let (job, place) = self.0.with_mut(|job| unsafe { (*job).take() })?;
        drop(place);
        Some(job)
    }
}

impl<F: FnOnce() + Send + 'static> Run for Detached<F> {
    unsafe fn run(&self, free: CountFree<'_>) {
        // SAFETY: the caller promises it (`# Safety`).
        if let Some(job) = unsafe { self.take() } {
            // The panic hook reports a panic; no other thread waits for it.
            user_code::run_and_forget_panic(job);
        }
        if let Some(free) = free {
            free();
        }
    }

    unsafe fn settle(&self, _: u32) -> Option<u32> {
        Some(0)
    }

    unsafe fn clean_up(&self, _: u32, _: u32) {
        // SAFETY: the caller promises it (`# Safety`).
        user_code::dispose(unsafe { self.take() });
    }

    fn closure(&mut self) -> Option<Box<dyn Any>> {
        // SAFETY: `&mut`: no other thread has the job.
        unsafe { self.take() }.map(|job| Box::new(job) as Box<dyn Any>)
    }
}
