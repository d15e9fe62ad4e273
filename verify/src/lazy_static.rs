//! Statics that are made again in every execution, by [`lazy_static!`](crate::lazy_static!).

use crate::engine::runtime::{self, provenance};
use crate::sync::Once;
use std::fmt;
use std::marker::PhantomData;

#[doc(no_inline)]
pub use crate::thread::{AccessError, panicking, yield_now};

/// The type of a static that [`lazy_static!`](crate::lazy_static!) makes.
#[doc(hidden)]
pub struct Lazy<T> {
    pub init: fn() -> T,
    pub _p: PhantomData<fn(T)>,
}

impl<T> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").finish_non_exhaustive()
    }
}

struct Slot<T> {
    once: Once,
    value: std::cell::UnsafeCell<Option<T>>,
}

impl<T: 'static> Lazy<T> {
    /// The value of this execution.
    #[track_caller]
    pub fn get(&'static self) -> &'static T {
        let key = std::ptr::from_ref(self).addr();
        let slot: *const Slot<T> = runtime::with(|rt| {
            if !rt.statics.iter().any(|s| s.0 == key) {
                let slot = Slot::<T> { once: Once::new(), value: std::cell::UnsafeCell::new(None) };
                // As if it were a static: it exists before any thread runs.
                rt.statics.push((key, provenance::before_everything(|| Box::new(slot))));
            }
            let slot = rt.statics.iter().find(|s| s.0 == key).expect("just made");
            let slot =
                slot.1.downcast_ref::<Slot<T>>().expect("the key is the address of one static");
            std::ptr::from_ref(slot)
        });
        // SAFETY: it lives in a box up to the end of the execution.
        let slot = unsafe { &*slot };
        slot.once.call_once(|| {
            let value = (self.init)();
            // SAFETY: no thread reads before the `Once` is done.
            unsafe { *slot.value.get() = Some(value) };
        });
        // SAFETY: it was written before the `Once` was done, and is not written again.
        unsafe { (*slot.value.get()).as_ref() }.expect("the initialiser has run")
    }
}

/// Drops the statics of the execution: the main thread has ended.
pub(crate) fn end() {
    let statics = runtime::with(|rt| std::mem::take(&mut rt.statics));
    drop(statics);
}
