//! The results of a map, in the order of the items.

use core::fmt;
use core::iter::FusedIterator;
use std::collections::VecDeque;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled};

use crate::pool::ThreadPool;
use crate::pool::error::{JobError, SubmitError};
use crate::pool::handle::{JobHandle, Until, wait_for_enough};

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
}

impl<I, F, R> MapAhead<'_, I, F, R>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    /// Submits until enough jobs are ahead.
    fn submit(&mut self) {
        while self.handles.len() < self.ahead {
            let Some(items) = &mut self.items else { return };
            let Some(item) = items.next() else {
                self.items = None;
                return;
            };
            let f = std::sync::Arc::clone(&self.f);
            match self.pool.submit(move || f(item)) {
                Ok(handle) => self.handles.push_back(handle),
                Err(why) => {
                    self.items = None;
                    self.refused = Some(why.without_job());
                    return;
                }
            }
        }
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
        self.submit();
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
