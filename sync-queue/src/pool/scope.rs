//! Jobs that borrow from the stack of the thread that submits them.

use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use std::panic::resume_unwind;
use std::sync::Arc;

use sync_core::primitive::sync::Arc as ModelledArc;
use sync_core::user_code::{self, AbortOnUnwind, Payload};
use sync_core::{CancelToken, Mutex};

use crate::pool::error::SubmitError;
use crate::pool::handle::JobHandle;
use crate::pool::worker::{How, Inner};
use crate::queue::fifo::Queue;
use crate::queue::simple::SimpleQueue;

/// Submits jobs that may borrow what lives longer than the scope. From
/// [`ThreadPool::scope`](crate::ThreadPool::scope).
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    pool: &'env Arc<Inner>,
    /// A task for every job that exists.
    jobs: ModelledArc<Queue<()>>,
    handles: ModelledArc<SimpleQueue<JobHandle<()>>>,
    panicked: ModelledArc<Mutex<Option<Payload>>>,
    /// Invariant, as in `std::thread::scope`: neither lifetime may be stretched or shrunk.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// As for the pool.
impl UnwindSafe for Scope<'_, '_> {}
impl RefUnwindSafe for Scope<'_, '_> {}

/// Counts a job of a scope until this is dropped.
struct Counted(ModelledArc<Queue<()>>);

impl Drop for Counted {
    fn drop(&mut self) {
        // As many as were put.
        let _ = self.0.task_done();
    }
}

/// In this order: the closure, and with it all that is borrowed, is gone before the job stops
/// counting.
struct Scoped<F> {
    job: F,
    counted: Counted,
}

/// Calls `f` with a scope over the pool, and waits for all jobs submitted to it before returning.
pub(super) fn scope<'env, R>(
    pool: &'env Arc<Inner>,
    f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
) -> R {
    let scope = Scope {
        pool,
        jobs: ModelledArc::new(Queue::unbounded()),
        handles: ModelledArc::new(SimpleQueue::new()),
        panicked: ModelledArc::new(Mutex::new(None)),
        scope: PhantomData,
        env: PhantomData,
    };
    let parts = (
        ModelledArc::clone(&scope.jobs),
        ModelledArc::clone(&scope.handles),
        ModelledArc::clone(&scope.panicked),
    );
    let result = user_code::run(|| f(&scope));
    // The borrows of the jobs end with the caller's frame: this function is not left before the
    // jobs are gone, however it is left.
    let guard = AbortOnUnwind::new("ThreadPool::scope could not wait for its jobs");
    let mut begun = Vec::new();
    while pool.process.is_current() {
        if let Some(handle) = scope.handles.try_get() {
            // A worker runs itself what no thread has begun, before it sleeps: a running job may
            // wait for a pending one.
            handle.help();
            begun.push(handle);
        } else if let Some(handle) = begun.pop() {
            // A job of a scope has no result, and its panic was caught inside. It may have
            // submitted others.
            user_code::dispose(handle.result());
        } else {
            break;
        }
    }
    if !pool.process.is_current() {
        // `f`, or a job that was run here, has forked, and this is the child. The jobs run in the
        // parent, on the parent's copy of what they borrow. The parts of the scope may be in the
        // middle of a change there, so this process does not touch them, not even to drop them.
        guard.disarm();
        core::mem::forget((parts, begun));
        return result.unwrap_or_else(|payload| resume_unwind(payload));
    }
    // The closures of the jobs are gone after this, however the jobs ended.
    scope.jobs.join();
    guard.disarm();
    let panicked = scope.panicked.lock().take();
    match (result, panicked) {
        (Ok(result), None) => result,
        (Ok(result), Some(payload)) => {
            user_code::dispose(result);
            resume_unwind(payload)
        }
        (Err(payload), None) => resume_unwind(payload),
        (Err(payload), Some(second)) => {
            user_code::dispose_payload(second);
            resume_unwind(payload)
        }
    }
}

/// Keeps the first payload and disposes of the others, not under the lock.
fn keep_first(place: &Mutex<Option<Payload>>, payload: Payload) {
    let mut place = place.lock();
    if place.is_none() {
        *place = Some(payload);
        return;
    }
    drop(place);
    user_code::dispose_payload(payload);
}

impl<'scope> Scope<'scope, '_> {
    /// Submits a job that is done when the scope ends.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] if the pool takes no more jobs; the closure has been dropped.
    pub fn submit<F>(&'scope self, job: F) -> Result<(), SubmitError<()>>
    where
        F: FnOnce() + Send + 'scope,
    {
        self.submit_until(job, None)
    }

    /// As [`submit`](Self::submit), waiting for a place in a limited backlog until the token is
    /// cancelled at most.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); [`SubmitError::Full`] if the token was cancelled while there
    /// was no place.
    pub fn submit_or_cancelled<F>(
        &'scope self,
        job: F,
        token: &CancelToken,
    ) -> Result<(), SubmitError<()>>
    where
        F: FnOnce() + Send + 'scope,
    {
        self.submit_until(job, Some(token))
    }

    fn submit_until<F>(
        &'scope self,
        job: F,
        token: Option<&CancelToken>,
    ) -> Result<(), SubmitError<()>>
    where
        F: FnOnce() + Send + 'scope,
    {
        if !self.pool.process.is_current() {
            user_code::dispose(job);
            return Err(SubmitError::Forked(()));
        }
        // Unbounded and never shut down.
        let _ = self.jobs.put(());
        let scoped = Scoped { job, counted: Counted(ModelledArc::clone(&self.jobs)) };
        let panicked = ModelledArc::clone(&self.panicked);
        let job: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let Scoped { job, counted } = scoped;
            if let Err(payload) = user_code::run(job) {
                keep_first(&panicked, payload);
            }
            drop(counted);
        });
        // SAFETY: what is borrowed for 'scope is used by the closure until it is dropped, run or
        // not, and `scope` does not return, by panic or otherwise, before `Counted`, which is
        // dropped after the closure's own, reports that it is (`join`).
        let job = unsafe {
            core::mem::transmute::<
                Box<dyn FnOnce() + Send + 'scope>,
                Box<dyn FnOnce() + Send + 'static>,
            >(job)
        };
        match self.pool.submit_until(job, How::PLAIN, token) {
            Ok(job) => {
                self.handles.put(JobHandle::new(job));
                Ok(())
            }
            Err(why) => Err(why.without_job()),
        }
    }
}
