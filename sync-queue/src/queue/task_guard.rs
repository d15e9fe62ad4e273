//! An item that calls itself done.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

use crate::queue::task_counter::Done;

/// An item of a queue that counts as unfinished until this guard is dropped, panic or not. From
/// `get_task`.
///
/// The item is dropped first, then the task is done: a thread that joins the queue
/// finds the item dropped.
#[must_use = "the task is done as soon as this is dropped"]
pub struct TaskGuard<'a, T> {
    item: ManuallyDrop<T>,
    queue: &'a dyn Done,
}

// SAFETY: the item is owned, and every queue behind `Done` is Sync if its items are Send.
unsafe impl<T: Send> Send for TaskGuard<'_, T> {}
// SAFETY: a shared guard gives out only `&T`, and every queue behind `Done` is Sync if its items
// are Send.
unsafe impl<T: Send + Sync> Sync for TaskGuard<'_, T> {}

impl<'a, T> TaskGuard<'a, T> {
    pub(crate) fn new(item: T, queue: &'a dyn Done) -> Self {
        Self { item: ManuallyDrop::new(item), queue }
    }

    /// Says that the task is done, and keeps the item.
    pub fn done(guard: Self) -> T {
        let mut guard = ManuallyDrop::new(guard);
        // SAFETY: the guard is not used again, nor dropped.
        let item = unsafe { ManuallyDrop::take(&mut guard.item) };
        drop(Finish(guard.queue));
        item
    }
}

/// Calls a task done when it is dropped.
struct Finish<'a>(&'a dyn Done);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        // It fails only if other threads called more tasks done than they had. No error can be
        // returned here.
        let _ = self.0.one_done();
    }
}

impl<T> Drop for TaskGuard<'_, T> {
    fn drop(&mut self) {
        let _finish = Finish(self.queue);
        // SAFETY: dropped here only, and not used again.
        unsafe { ManuallyDrop::drop(&mut self.item) };
    }
}

impl<T> Deref for TaskGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for TaskGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for TaskGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskGuard").field(&*self.item).finish()
    }
}
