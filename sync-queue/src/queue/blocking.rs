//! What all queues have in common, written once: blocking, shutting down, counting tasks, over any
//! [`Store`].

use crate::buffer::{Nothing, Refused, Store};
use crate::queue::error::TooManyDone;
use crate::queue::task_counter::Tasks;
use crate::wait::event_count::{ALL, WaitSet};
use crate::wait::timeout::Patience;

#[derive(Debug)]
pub(crate) struct Shared<S> {
    pub(crate) store: S,
    getters: WaitSet,
    putters: WaitSet,
    tasks: Tasks,
}

impl<S> Shared<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, getters: WaitSet::new(), putters: WaitSet::new(), tasks: Tasks::new() }
    }

    fn wake_getters<T>(&self, count: usize)
    where
        S: Store<T>,
    {
        self.getters.wake(count, || self.store.unmark_getters());
    }

    fn wake_putters<T>(&self, count: usize)
    where
        S: Store<T>,
    {
        self.putters.wake(count, || self.store.unmark_putters());
    }

    #[inline]
    pub(crate) fn try_put<T>(&self, item: T) -> Result<(), Refused<T>>
    where
        S: Store<T>,
    {
        let marked = self.store.push(item)?;
        if marked {
            self.wake_getters(1);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn try_get<T>(&self) -> Result<T, Nothing>
    where
        S: Store<T>,
    {
        let (item, marked) = self.store.pop()?;
        if marked {
            self.wake_putters(1);
        }
        Ok(item)
    }

    #[inline]
    pub(crate) fn put<T>(&self, item: T, patience: Patience) -> Result<(), Refused<T>>
    where
        S: Store<T>,
    {
        match self.try_put(item) {
            Err(Refused::Full(item)) => self.wait_to_put(item, patience),
            done => done,
        }
    }

    #[inline]
    pub(crate) fn get<T>(&self, patience: Patience) -> Result<T, Nothing>
    where
        S: Store<T>,
    {
        match self.try_get() {
            Err(Nothing::Empty) => self.wait_to_get(patience),
            done => done,
        }
    }

    #[cold]
    fn wait_to_put<T>(&self, item: T, patience: Patience) -> Result<(), Refused<T>>
    where
        S: Store<T>,
    {
        let mut held = Some(item);
        let attempt = || match self.try_put(held.take()?) {
            Err(Refused::Full(item)) => {
                held = Some(item);
                None
            }
            done => Some(done),
        };
        match self.putters.until(patience, || self.store.mark_putter(), attempt) {
            Some(done) => done,
            None => held.map_or(Ok(()), |item| Err(Refused::Full(item))),
        }
    }

    #[cold]
    fn wait_to_get<T>(&self, patience: Patience) -> Result<T, Nothing>
    where
        S: Store<T>,
    {
        let attempt = || match self.try_get() {
            Err(Nothing::Empty) => None,
            done => Some(done),
        };
        self.getters
            .until(patience, || self.store.mark_getter(), attempt)
            .unwrap_or(Err(Nothing::Empty))
    }

    /// Puts all of `items`, some at a time, waiting for room as long as `patience` lasts; what is
    /// not put stays in `items`.
    pub(crate) fn put_many<T>(
        &self,
        items: &mut std::vec::IntoIter<T>,
        patience: Patience,
    ) -> Result<(), Nothing>
    where
        S: Store<T>,
    {
        // `Some`: over, one way or the other. `None`: full.
        let mut attempt = || {
            while items.len() > 0 {
                match self.store.push_many(items) {
                    Ok((0, _)) => return None,
                    Ok((_, false)) => {}
                    Ok((count, true)) => self.wake_getters(count),
                    Err(why) => return Some(Err(why)),
                }
            }
            Some(Ok(()))
        };
        attempt()
            .or_else(|| self.putters.until(patience, || self.store.mark_putter(), attempt))
            // Not `Empty` but its opposite: the queue stayed full.
            .unwrap_or(Err(Nothing::Empty))
    }

    /// Gets at least one item and at most `max`.
    pub(crate) fn get_many<T>(
        &self,
        out: &mut Vec<T>,
        max: usize,
        patience: Patience,
    ) -> Result<usize, Nothing>
    where
        S: Store<T>,
    {
        if max == 0 {
            return Ok(0);
        }
        let mut attempt = || match self.store.pop_many(out, max) {
            Ok((count, marked)) => {
                if marked {
                    self.wake_putters(count);
                }
                Some(Ok(count))
            }
            Err(Nothing::Empty) => None,
            Err(Nothing::Shut) => Some(Err(Nothing::Shut)),
        };
        attempt()
            .or_else(|| self.getters.until(patience, || self.store.mark_getter(), attempt))
            .unwrap_or(Err(Nothing::Empty))
    }

    pub(crate) fn force_put<T>(&self, item: T) -> Result<Option<T>, T>
    where
        S: Store<T>,
    {
        let (evicted, marked) = self.store.force_push(item)?;
        if marked {
            self.wake_getters(1);
        }
        if evicted.is_some() {
            self.tasks.count(1, || self.store.pushed());
        }
        Ok(evicted)
    }

    pub(crate) fn shut_down<T>(&self)
    where
        S: Store<T>,
    {
        self.store.shut();
        self.wake_getters(ALL);
        self.wake_putters(ALL);
    }

    pub(crate) fn shut_down_now<T>(&self) -> Vec<T>
    where
        S: Store<T>,
    {
        self.store.shut_and_drain(|taken| {
            self.wake_getters(ALL);
            self.wake_putters(ALL);
            self.tasks.count(taken as u64, || self.store.pushed());
        })
    }

    #[inline]
    pub(crate) fn task_done<T>(&self) -> Result<(), TooManyDone>
    where
        S: Store<T>,
    {
        self.tasks.done(|| self.store.pushed())
    }

    pub(crate) fn unfinished<T>(&self) -> u64
    where
        S: Store<T>,
    {
        self.tasks.unfinished(|| self.store.pushed())
    }

    pub(crate) fn join<T>(&self, patience: Patience) -> bool
    where
        S: Store<T>,
    {
        self.tasks.join(patience, || self.store.pushed())
    }
}
