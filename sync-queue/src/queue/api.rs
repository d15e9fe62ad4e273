//! The methods that `Queue`, `LifoQueue` and `PriorityQueue` share, written once.

/// Implements a queue's methods over its `shared` field. `$bound` is the trait bound of its items;
/// `$evicts` is a sentence about the item that makes room for a `force_put`.
macro_rules! queue_methods {
    ($Queue:ident $(: $bound:path)?, $evicts:literal, $memory:literal) => {
        impl<T $(: $bound)?> $Queue<T> {
            /// A queue with room for `capacity` items.
            ///
            /// # Panics
            ///
            /// If `capacity` is 0. Where 0 is to mean "unbounded", as in Python, use
            /// [`with_maxsize`](Self::with_maxsize).
            #[doc = $memory]
            #[must_use]
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                assert!(
                    capacity > 0,
                    "a bounded queue needs room for at least one item; unbounded() has no limit"
                );
                Self { shared: Blocking::new(Self::buffer(Some(capacity))) }
            }

            /// A queue without a limit.
            #[must_use]
            pub fn unbounded() -> Self {
                Self { shared: Blocking::new(Self::buffer(None)) }
            }

            /// A queue with room for `maxsize` items, or without a limit if that is 0, as Python
            /// counts.
            ///
            /// # Panics
            ///
            /// As [`bounded`](Self::bounded), except that 0 is no error.
            #[must_use]
            #[track_caller]
            #[doc(alias = "maxsize")]
            pub fn with_maxsize(maxsize: usize) -> Self {
                if maxsize == 0 { Self::unbounded() } else { Self::bounded(maxsize) }
            }

            /// Puts an item, waiting for room as long as it takes.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] with the item if the queue has been shut down, even if room came at the
            /// same moment.
            ///
            /// # Memory ordering
            ///
            /// Everything before a put happens before the end of the get that returns its item.
            #[inline]
            #[doc(alias = "send")]
            pub fn put(&self, item: T) -> Result<(), ShutDown<T>> {
                match self.shared.put(item, || Timeout::Forever) {
                    Ok(()) => Ok(()),
                    Err(PushError::Closed(item) | PushError::Full(item)) => Err(ShutDown(item)),
                }
            }

            /// Puts an item if there is room. Never sleeps.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the item.
            ///
            /// ```
            #[doc = concat!("use sync_queue::{PutError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// queue.try_put("first").unwrap();
            /// assert_eq!(queue.try_put("second"), Err(PutError::Full("second")));
            /// queue.shutdown();
            /// assert_eq!(queue.try_put("third"), Err(PutError::ShutDown("third")));
            /// ```
            #[inline]
            #[doc(alias = "put_nowait")]
            #[doc(alias = "try_send")]
            pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
                self.shared.try_put(item).map_err(PutError::from)
            }

            /// Puts an item, waiting for room at most `timeout`. If there is room it is put,
            /// however short the timeout.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the item.
            #[inline]
            #[doc(alias = "send_timeout")]
            pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
                self.shared.put(item, || Timeout::For(timeout)).map_err(PutError::from)
            }

            /// Puts an item, waiting for room until `deadline`. If there is room it is put, even if
            /// the deadline has passed.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the item.
            #[inline]
            #[doc(alias = "send_deadline")]
            pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), PutError<T>> {
                self.shared.put(item, || Timeout::Until(deadline)).map_err(PutError::from)
            }

            /// As [`put`](Self::put), as a task: waits for room without a thread.
            ///
            /// Cancel-safe: the item of a put that is dropped before it is done is dropped with it,
            /// and is not in the queue; its place in the line, and a wake that it had consumed, go
            /// to the next one. Threads and tasks wait in one line.
            ///
            /// # Errors
            ///
            /// As [`put`](Self::put).
            #[doc(alias = "send_async")]
            pub async fn put_async(&self, item: T) -> Result<(), ShutDown<T>> {
                let done = match self.shared.try_put(item) {
                    Err(PushError::Full(item)) => self.shared.waiting_to_put(item).await,
                    done => done,
                };
                done.map_err(|(PushError::Closed(item) | PushError::Full(item))| ShutDown(item))
            }

            /// As [`put`](Self::put), until the token is cancelled at most.
            ///
            /// ```
            #[doc = concat!("use sync_queue::{PutCancelError, ", stringify!($Queue), "};")]
            /// use sync_core::CancelToken;
            ///
            /// let stop = CancelToken::new();
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// stop.cancel();
            /// assert_eq!(queue.put_or_cancelled(1, &stop), Ok(()));
            /// assert_eq!(queue.put_or_cancelled(2, &stop), Err(PutCancelError::Cancelled(2)));
            /// ```
            ///
            /// # Errors
            ///
            /// [`PutCancelError`] with the item.
            pub fn put_or_cancelled(
                &self,
                item: T,
                token: &CancelToken,
            ) -> Result<(), PutCancelError<T>> {
                self.shared.put_or_cancelled(item, token).map_err(PutCancelError::from)
            }

            /// As [`put_many`](Self::put_many), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`PutCancelError`] with the items that were not put; the first ones were.
            pub fn put_many_or_cancelled(
                &self,
                items: Vec<T>,
                token: &CancelToken,
            ) -> Result<(), PutCancelError<Vec<T>>> {
                let mut items = items.into_iter();
                match self.shared.put_many_or_cancelled(&mut items, token) {
                    Ok(()) => Ok(()),
                    Err(PushError::Full(())) => Err(PutCancelError::Cancelled(items.collect())),
                    Err(PushError::Closed(())) => Err(PutCancelError::ShutDown(items.collect())),
                }
            }

            /// Puts all of `items`, waiting for room as often as need be. Cheaper than one by one:
            /// a run of items is one step.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] with the items that were not put; the first ones were.
            pub fn put_many(&self, items: Vec<T>) -> Result<(), ShutDown<Vec<T>>> {
                let mut items = items.into_iter();
                match self.shared.put_many(&mut items, Timeout::Forever) {
                    Ok(()) => Ok(()),
                    Err(_) => Err(ShutDown(items.collect())),
                }
            }

            /// Puts as many of `items` as there is room for. Never sleeps.
            ///
            /// # Errors
            ///
            /// [`PutError`] with the items that were not put; the first ones were.
            pub fn try_put_many(&self, items: Vec<T>) -> Result<(), PutError<Vec<T>>> {
                let mut items = items.into_iter();
                match self.shared.put_many(&mut items, Timeout::None) {
                    Ok(()) => Ok(()),
                    Err(PushError::Full(())) => Err(PutError::Full(items.collect())),
                    Err(PushError::Closed(())) => Err(PutError::ShutDown(items.collect())),
                }
            }

            /// Gets the next item, waiting for one as long as it takes.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] if the queue has been shut down and nothing is left inside.
            #[inline]
            #[doc(alias = "recv")]
            pub fn get(&self) -> Result<T, ShutDown> {
                self.shared.get(|| Timeout::Forever).map_err(|_| ShutDown(()))
            }

            /// Gets the next item if there is one. Never sleeps.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            #[inline]
            #[doc(alias = "get_nowait")]
            #[doc(alias = "try_recv")]
            pub fn try_get(&self) -> Result<T, GetError> {
                self.shared.try_get().map_err(GetError::from)
            }

            /// Gets the next item, waiting for one at most `timeout`. If there is one it is
            /// returned, however short the timeout.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            #[inline]
            #[doc(alias = "recv_timeout")]
            pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
                self.shared.get(|| Timeout::For(timeout)).map_err(GetError::from)
            }

            /// Gets the next item, waiting for one until `deadline`. If there is one it is
            /// returned, even if the deadline has passed.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            #[inline]
            #[doc(alias = "recv_deadline")]
            pub fn get_deadline(&self, deadline: Instant) -> Result<T, GetError> {
                self.shared.get(|| Timeout::Until(deadline)).map_err(GetError::from)
            }

            /// As [`get`](Self::get), as a task: waits for an item without a thread.
            ///
            /// Cancel-safe: a get that is dropped before it is done has taken no item, and a wake
            /// that it had consumed goes to the next one.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            ///
            /// ```
            #[doc = concat!("use sync_queue::", stringify!($Queue), ";")]
            /// use sync_core::task::block_on;
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// std::thread::scope(|scope| {
            ///     scope.spawn(|| block_on(async {
            ///         for n in 1..=3 {
            ///             queue.put_async(n).await.unwrap();
            ///         }
            ///     }));
            ///     assert_eq!(block_on(queue.get_async()), Ok(1));
            ///     assert_eq!(queue.get(), Ok(2)); // threads and tasks share a queue
            ///     assert_eq!(block_on(queue.get_async()), Ok(3));
            /// });
            /// ```
            #[doc(alias = "recv_async")]
            pub async fn get_async(&self) -> Result<T, ShutDown> {
                let done = match self.shared.try_get() {
                    Err($crate::buffer::PopError::Empty) => self.shared.waiting_to_get().await,
                    done => done,
                };
                done.map_err(|_| ShutDown(()))
            }

            /// As [`get`](Self::get), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`GetCancelError`].
            pub fn get_or_cancelled(&self, token: &CancelToken) -> Result<T, GetCancelError> {
                self.shared.get_or_cancelled(token).map_err(GetCancelError::from)
            }

            /// As [`get_many`](Self::get_many), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`GetCancelError`].
            pub fn get_many_or_cancelled(
                &self,
                out: &mut Vec<T>,
                max: usize,
                token: &CancelToken,
            ) -> Result<usize, GetCancelError> {
                self.shared.get_many_or_cancelled(out, max, token).map_err(GetCancelError::from)
            }

            /// Waits for an item, then appends it and any that come with it to `out`, at most
            /// `max`. Returns the number of items. Returns at once if `max` is 0.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] if the queue has been shut down and nothing is left inside.
            pub fn get_many(&self, out: &mut Vec<T>, max: usize) -> Result<usize, ShutDown> {
                self.shared.get_many(out, max, Timeout::Forever).map_err(|_| ShutDown(()))
            }

            /// Appends at most `max` items to `out`, if there are any, and returns their number.
            /// Never sleeps.
            ///
            /// # Errors
            ///
            /// [`GetError`].
            pub fn try_get_many(&self, out: &mut Vec<T>, max: usize) -> Result<usize, GetError> {
                self.shared.get_many(out, max, Timeout::None).map_err(GetError::from)
            }

            /// Puts an item without waiting: where there is no room, another is taken out for it,
            /// and returned.
            ///
            #[doc = $evicts]
            ///
            /// The item returned needs no [`task_done`](Self::task_done).
            ///
            /// # Errors
            ///
            /// [`ShutDown`] with the item.
            ///
            /// ```
            #[doc = concat!("use sync_queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// assert_eq!(queue.force_put(1), Ok(None));
            /// assert!(queue.force_put(2).unwrap().is_some());
            /// assert_eq!(queue.len(), 1);
            /// ```
            pub fn force_put(&self, item: T) -> Result<Option<T>, ShutDown<T>> {
                self.shared.force_put(item).map_err(|Closed(item)| ShutDown(item))
            }

            /// Takes out what is inside, and goes on. Each item still counts as unfinished.
            ///
            /// Not one step: an item that is put meanwhile may be taken out too.
            #[must_use = "the items are not in the queue any more"]
            pub fn drain(&self) -> Vec<T> {
                let mut items = Vec::new();
                let mut left = self.len();
                while left > 0 {
                    if items.is_empty() {
                        match self.try_get_many(&mut items, left) {
                            Ok(count) => left -= count,
                            Err(_) => break,
                        }
                        continue;
                    }
                    // A panic of `Ord` must not take along what is out already: it ends the batch.
                    match user_code::run(|| self.try_get_many(&mut items, left)) {
                        Ok(Ok(count)) => left -= count,
                        Ok(Err(_)) => break,
                        Err(payload) => {
                            user_code::dispose_payload(payload);
                            break;
                        }
                    }
                }
                items
            }

            /// Returns the number of items inside at the moment.
            #[must_use]
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.shared.buffer.len()
            }

            /// Returns whether the queue is empty at the moment.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns whether there is no room at the moment. Always `false` without a limit.
            #[must_use]
            #[doc(alias = "full")]
            pub fn is_full(&self) -> bool {
                self.capacity().is_some_and(|capacity| self.len() >= capacity)
            }

            /// Returns the number of items that there is room for in all; `None`: no limit.
            #[must_use]
            #[doc(alias = "maxsize")]
            pub fn capacity(&self) -> Option<usize> {
                self.shared.buffer.capacity()
            }

            /// The items, waiting for each, until the queue has been shut down and nothing is left.
            pub fn iter(&self) -> Iter<'_, Self> {
                Iter { queue: self }
            }

            /// The items, until there is none.
            pub fn try_iter(&self) -> TryIter<'_, Self> {
                TryIter { queue: self }
            }

            /// Gets the next item wrapped in a guard that calls [`task_done`](Self::task_done) when
            /// it is dropped, panic or not.
            ///
            /// # Errors
            ///
            /// As [`get`](Self::get).
            pub fn get_task(&self) -> Result<TaskGuard<'_, T>, ShutDown> {
                self.get().map(|item| TaskGuard::new(item, self))
            }

            /// As [`get_task`](Self::get_task), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`GetCancelError`].
            pub fn get_task_or_cancelled(
                &self,
                token: &CancelToken,
            ) -> Result<TaskGuard<'_, T>, GetCancelError> {
                self.get_or_cancelled(token).map(|item| TaskGuard::new(item, self))
            }

            /// Counts one item as dealt with. Any thread may call it, also a thread that got no
            /// item: it counts against puts.
            ///
            /// # Errors
            ///
            /// [`TooManyDone`] if that would make more tasks done than were put. Nothing is counted
            /// then.
            #[inline]
            pub fn task_done(&self) -> Result<(), TooManyDone> {
                self.shared.task_done()
            }

            /// Returns the number of items that were put and not called done yet.
            #[must_use]
            #[doc(alias = "unfinished_tasks")]
            pub fn unfinished(&self) -> u64 {
                self.shared.unfinished()
            }

            /// Waits until every item that was put has been called done. Shutting down does not end
            /// the wait by itself.
            ///
            /// # Memory ordering
            ///
            /// Everything before each `task_done` happens before the end of the join that it ends.
            pub fn join(&self) {
                self.shared.join(Timeout::Forever);
            }

            /// As [`join`](Self::join), as a task. Cancel-safe: a join that is dropped has no
            /// effect.
            ///
            /// ```
            #[doc = concat!("use sync_queue::", stringify!($Queue), ";")]
            /// use sync_core::task::block_on;
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::unbounded();")]
            /// queue.put(1).unwrap();
            /// std::thread::scope(|scope| {
            ///     scope.spawn(|| drop(queue.get_task()));
            ///     block_on(queue.join_async());
            /// });
            /// ```
            pub async fn join_async(&self) {
                self.shared.join_async().await;
            }

            /// As [`join`](Self::join), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`Cancelled`] if the token was cancelled while something was unfinished.
            pub fn join_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
                token.block_on(self.join_async())
            }

            /// As [`join`](Self::join), at most for `timeout`. `false`: something is still
            /// unfinished.
            #[must_use]
            pub fn join_timeout(&self, timeout: Duration) -> bool {
                self.shared.join(Timeout::For(timeout))
            }

            /// As [`join`](Self::join), until `deadline`. `false`: something is still unfinished.
            #[must_use]
            pub fn join_deadline(&self, deadline: Instant) -> bool {
                self.shared.join(Timeout::Until(deadline))
            }

            /// Shuts the queue down: no put succeeds from now on, and waiting puts fail. Items
            /// inside can still be got.
            ///
            /// One step, in one order with all puts. There is no way back; a second call changes
            /// nothing.
            #[doc(alias = "close")]
            pub fn shutdown(&self) {
                self.shared.shut_down();
            }

            /// Shuts the queue down and returns the items inside: no put and no get succeeds from
            /// now on.
            ///
            /// Each item returned counts as done; [`join`](Self::join) still waits for items that
            /// are being dealt with. Two steps: first no put succeeds any more, as after
            /// [`shutdown`](Self::shutdown), then no get. A second call returns nothing.
            #[doc(alias = "immediate")]
            pub fn shutdown_now(&self) -> Vec<T> {
                self.shared.shut_down_now()
            }

            /// Returns whether the queue has been shut down.
            #[must_use]
            #[doc(alias = "is_closed")]
            pub fn is_shutdown(&self) -> bool {
                self.shared.buffer.is_closed()
            }
        }

        impl<T $(: $bound)?> Default for $Queue<T> {
            /// Without a limit.
            fn default() -> Self {
                Self::unbounded()
            }
        }

        impl<T $(: $bound)?> Done for $Queue<T> {
            fn one_done(&self) -> Result<(), TooManyDone> {
                self.task_done()
            }
        }

        impl<T $(: $bound)?> FromIterator<T> for $Queue<T> {
            /// Without a limit.
            fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
                let queue = Self::unbounded();
                for item in items {
                    if queue.put(item).is_err() {
                        unreachable!("no other thread knows the queue, so it was not shut down");
                    }
                }
                queue
            }
        }

        impl<T $(: $bound)?> fmt::Debug for $Queue<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Queue))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("unfinished", &self.unfinished())
                    .field("shutdown", &self.is_shutdown())
                    .finish_non_exhaustive()
            }
        }

        impl<T $(: $bound)?> Iterator for Iter<'_, $Queue<T>> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.queue.get().ok()
            }
        }

        impl<T $(: $bound)?> Iterator for TryIter<'_, $Queue<T>> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.queue.try_get().ok()
            }
        }

        impl<T $(: $bound)?> FusedIterator for Iter<'_, $Queue<T>> {}

        // A panic leaves an item moved out or not. The queue itself is as it was before or after a
        // whole step.
        impl<T> UnwindSafe for $Queue<T> {}
        impl<T> RefUnwindSafe for $Queue<T> {}

        impl<'a, T $(: $bound)?> IntoIterator for &'a $Queue<T> {
            type Item = T;
            type IntoIter = Iter<'a, $Queue<T>>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}
