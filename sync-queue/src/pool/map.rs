//! The results of a map, in the order of the items.

use core::fmt;
use core::iter::FusedIterator;
use std::collections::VecDeque;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled, Mutex};

use crate::pool::ThreadPool;
use crate::pool::error::{JobError, SubmitError};
use crate::pool::handle::{JobHandle, Until, wait_for_enough};
use crate::pool::worker::How;

/// The results of a [`ThreadPool::map`](crate::ThreadPool::map), in the order of the items.
///
/// A job that fails does not end the iterator: the results behind it follow. An iterator that is
/// dropped after its beginning and before its end cancels the jobs that no thread has begun.
#[derive(Debug)]
#[must_use = "the results are in it"]
pub struct Map<R> {
    pub(super) handles: std::vec::IntoIter<JobHandle<R>>,
    pub(super) deadline: Option<Instant>,
    pub(super) begun: bool,
}

impl<R> Map<R> {
    /// The next result, waiting until the token is cancelled at most. `Ok(None)`: there is no more.
    /// Like a wait with a limit of time it runs no job.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the job was not done. The iterator goes on.
    pub fn next_or_cancelled(
        &mut self,
        token: &CancelToken,
    ) -> Result<Option<Result<R, JobError>>, Cancelled> {
        self.begun = true;
        let Some(next) = self.handles.as_slice().first() else { return Ok(None) };
        token.block_on(wait_for_enough(core::slice::from_ref(next), Until::All))?;
        Ok(self.next())
    }
}

impl<R> Iterator for Map<R> {
    type Item = Result<R, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.begun = true;
        let handle = self.handles.next()?;
        let Some(deadline) = self.deadline else {
            // A running job may wait for one behind it: a worker runs those before it sleeps.
            handle.help();
            let behind = self.handles.as_slice().iter();
            behind.take_while(|_| handle.is_running()).for_each(JobHandle::help);
            return Some(handle.result());
        };
        Some(handle.result_deadline(deadline).unwrap_or_else(|handle| {
            handle.cancel();
            Err(JobError::TimedOut)
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.handles.size_hint()
    }
}

impl<R> ExactSizeIterator for Map<R> {}

impl<R> FusedIterator for Map<R> {}

impl<R> Drop for Map<R> {
    fn drop(&mut self) {
        if self.begun {
            for handle in self.handles.by_ref() {
                handle.cancel();
            }
        }
    }
}

/// The results of a [`ThreadPool::map_ahead`](crate::ThreadPool::map_ahead), in the order of the
/// items.
///
/// An iterator that is dropped cancels the jobs that no thread has begun.
#[must_use = "no job is submitted before the first result is asked for"]
pub struct MapAhead<'pool, I, F, R> {
    pub(super) pool: &'pool ThreadPool,
    /// `None` once it has ended, or the pool took no more jobs.
    pub(super) items: Option<I>,
    pub(super) f: std::sync::Arc<F>,
    pub(super) ahead: usize,
    pub(super) handles: VecDeque<JobHandle<R>>,
    /// Why an item was not submitted: the last result.
    pub(super) refused: Option<SubmitError<()>>,
    /// The next job, with its item: a token ended the wait for its place. In a mutex, which is
    /// never locked, because a closure is not `Sync`.
    pub(super) held: Mutex<Option<Box<dyn FnOnce() -> R + Send>>>,
}

impl<I, F, R> MapAhead<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    /// Submits until enough jobs are ahead, or the token is cancelled.
    fn submit(&mut self, token: Option<&CancelToken>) -> Result<(), Cancelled> {
        while self.handles.len() < self.ahead {
            if let Some(job) = self.held.get_mut().take() {
                self.submit_one(job, token, |job| job)?;
                continue;
            }
            let Some(items) = &mut self.items else { return Ok(()) };
            let Some(item) = items.next() else {
                self.items = None;
                return Ok(());
            };
            let f = std::sync::Arc::clone(&self.f);
            self.submit_one(move || f(item), token, |job| Box::new(job))?;
        }
        Ok(())
    }

    /// Submits one job, or holds it, if the token is cancelled while there is no place.
    fn submit_one<J: FnOnce() -> R + Send + 'static>(
        &mut self,
        job: J,
        token: Option<&CancelToken>,
        hold: impl FnOnce(J) -> Box<dyn FnOnce() -> R + Send>,
    ) -> Result<(), Cancelled> {
        match self.pool.inner.submit_until(job, How::PLAIN, token) {
            Ok(job) => self.handles.push_back(JobHandle::new(job)),
            Err(SubmitError::Full(job)) => {
                *self.held.get_mut() = Some(hold(job));
                return Err(Cancelled);
            }
            Err(why) => {
                self.items = None;
                self.refused = Some(why.without_job());
            }
        }
        Ok(())
    }

    /// The next result, waiting for it, and for a place in a limited backlog, until the token is
    /// cancelled at most. `Ok(None)`: there is no more. Like a wait with a limit of time it runs no
    /// job.
    ///
    /// ```
    /// use sync_core::{CancelToken, Cancelled, Event};
    /// use sync_queue::ThreadPool;
    /// use std::sync::Arc;
    ///
    /// let (pool, stop, go) = (ThreadPool::new(1), CancelToken::new(), Arc::new(Event::new()));
    /// let goes = Arc::clone(&go);
    /// let mut doubles = pool.map_ahead(1.., move |n| (goes.wait(), 2 * n).1, 2);
    /// stop.cancel();
    /// assert_eq!(doubles.next_or_cancelled(&stop).unwrap_err(), Cancelled);
    /// go.set();
    /// assert_eq!(doubles.next().unwrap().unwrap(), 2, "no item is lost");
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while there was no result. The iterator goes on; no
    /// item is lost.
    pub fn next_or_cancelled(
        &mut self,
        token: &CancelToken,
    ) -> Result<Option<Result<R, JobError>>, Cancelled> {
        let submitted = self.submit(Some(token));
        let Some(next) = self.handles.front() else {
            submitted?;
            return Ok(self.refused.take().map(|why| Err(JobError::Refused(why))));
        };
        token.block_on(wait_for_enough(core::slice::from_ref(next), Until::All))?;
        Ok(self.handles.pop_front().map(JobHandle::result))
    }
}

impl<I, F, R> Iterator for MapAhead<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    type Item = Result<R, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Without a token it is not cancelled.
        let _ = self.submit(None);
        match self.handles.pop_front() {
            Some(handle) => {
                // As in `Map::next`: a running job may wait for one behind it.
                handle.help();
                let behind = self.handles.iter();
                behind.take_while(|_| handle.is_running()).for_each(JobHandle::help);
                Some(handle.result())
            }
            None => self.refused.take().map(|why| Err(JobError::Refused(why))),
        }
    }
}

impl<I, F, R> FusedIterator for MapAhead<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
}

impl<I, F, R> Drop for MapAhead<'_, I, F, R> {
    fn drop(&mut self) {
        for handle in self.handles.drain(..) {
            handle.cancel();
        }
    }
}

impl<I, F, R> fmt::Debug for MapAhead<'_, I, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapAhead")
            .field("ahead", &self.ahead)
            .field("submitted", &self.handles.len())
            .finish_non_exhaustive()
    }
}
