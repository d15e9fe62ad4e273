//! The calls of a pool that a token can end: those that wait for a place in a limited backlog.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::task::block_on;
use sync_core::{CancelToken, Mutex};

use crate::pool::ThreadPool;
use crate::pool::error::SubmitError;
use crate::pool::handle::JobHandle;
use crate::pool::job::LeftBehind;
use crate::pool::map::Map;
use crate::pool::worker::How;

/// Polls `future`. If a poll has forked and is pending, the job ends here in the child: the rest of
/// the future is the parent's, and no thread of the child would wake it.
async fn in_this_process<F: Future>(future: F) -> F::Output {
    let process = ProcessMark::current();
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending() && !process.is_current() {
            // There is no result to return. The caller of the job catches it; no hook reports it.
            resume_unwind(Box::new(LeftBehind));
        }
        polled
    })
    .await
}

impl ThreadPool {
    /// As [`submit`](Self::submit), waiting for a place in the backlog until the token is cancelled
    /// at most. The token does not end the job.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure: [`SubmitError::Full`] if the token was cancelled while
    /// there was no place.
    pub fn submit_or_cancelled<F, R>(
        &self,
        job: F,
        token: &CancelToken,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner.submit_until(job, How::PLAIN, Some(token)).map(JobHandle::new)
    }

    /// As [`submit_with_priority`](Self::submit_with_priority), with the token of
    /// [`submit_or_cancelled`](Self::submit_or_cancelled).
    ///
    /// # Errors
    ///
    /// As [`submit_or_cancelled`](Self::submit_or_cancelled).
    ///
    /// # Panics
    ///
    /// As [`submit_with_priority`](Self::submit_with_priority).
    #[track_caller]
    pub fn submit_with_priority_or_cancelled<F, R>(
        &self,
        priority: i32,
        job: F,
        token: &CancelToken,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.check_priority(priority);
        let how = How { priority, ..How::PLAIN };
        self.inner.submit_until(job, how, Some(token)).map(JobHandle::new)
    }

    /// As [`submit_within`](Self::submit_within), with the token of
    /// [`submit_or_cancelled`](Self::submit_or_cancelled).
    ///
    /// # Errors
    ///
    /// As [`submit_or_cancelled`](Self::submit_or_cancelled).
    pub fn submit_within_or_cancelled<F, R>(
        &self,
        limit: Duration,
        job: F,
        token: &CancelToken,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        // A limit beyond the end of the clock is none.
        let how = How { lapses: Instant::now().checked_add(limit), ..How::PLAIN };
        self.inner.submit_until(job, how, Some(token)).map(JobHandle::new)
    }

    /// As [`execute`](Self::execute), with the token of
    /// [`submit_or_cancelled`](Self::submit_or_cancelled).
    ///
    /// # Errors
    ///
    /// As [`submit_or_cancelled`](Self::submit_or_cancelled).
    pub fn execute_or_cancelled<F>(&self, job: F, token: &CancelToken) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.inner.execute(job, Some(token))
    }

    /// As [`spawn_future`](Self::spawn_future), with the token of
    /// [`submit_or_cancelled`](Self::submit_or_cancelled). The token does not end the future.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the future: [`SubmitError::Full`] if the token was cancelled while
    /// there was no place.
    pub fn spawn_future_or_cancelled<F>(
        &self,
        future: F,
        token: &CancelToken,
    ) -> Result<JobHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.submit_future(future, Some(token))
    }

    /// As [`map`](Self::map), with the token of [`submit_or_cancelled`](Self::submit_or_cancelled).
    /// [`Map::next_or_cancelled`] waits for a result.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); [`SubmitError::Full`] if the token was cancelled while there was no
    /// place.
    pub fn map_or_cancelled<I, F, R>(
        &self,
        items: I,
        f: F,
        token: &CancelToken,
    ) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.map_before(items, f, None, Some(token))
    }

    pub(super) fn submit_future<F>(
        &self,
        future: F,
        token: Option<&CancelToken>,
    ) -> Result<JobHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // The closure would hide the future in an error: it is refused before it is wrapped, or
        // taken out of its slot again.
        let slot = Arc::new(Mutex::new(Some(future)));
        let inside = Arc::clone(&slot);
        let job = move || {
            let future = inside.lock().take();
            match future {
                Some(future) => block_on(in_this_process(future)),
                None => unreachable!("a job that was accepted has its future"),
            }
        };
        self.inner.submit_until(job, How::PLAIN, token).map(JobHandle::new).map_err(|why| {
            why.map(|job| {
                drop(job);
                let future = slot.lock().take();
                match future {
                    Some(future) => future,
                    None => unreachable!("a job that was refused has not run"),
                }
            })
        })
    }

    pub(super) fn map_before<I, F, R>(
        &self,
        items: I,
        f: F,
        deadline: Option<Instant>,
        token: Option<&CancelToken>,
    ) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let f = Arc::new(f);
        let mut handles = Vec::new();
        for item in items {
            let f = Arc::clone(&f);
            match self.inner.submit_until(move || f(item), How::PLAIN, token) {
                Ok(job) => handles.push(JobHandle::new(job)),
                Err(why) => {
                    drop(Map { handles: handles.into_iter(), deadline, begun: true });
                    return Err(why.without_job());
                }
            }
        }
        Ok(Map { handles: handles.into_iter(), deadline, begun: false })
    }
}
