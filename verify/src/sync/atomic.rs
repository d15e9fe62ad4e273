//! Replacements for `std::sync::atomic`.
//!
//! Unlike loom's, every type has a `const fn new`, may stand in a static (where it is a new object
//! in every execution), and implements all of RC11: sequentially consistent accesses are more than
//! acquire and release.

pub use std::sync::atomic::Ordering;

use crate::engine::memory_model::event::{Kind, Label, Rmw};
use crate::engine::runtime::{self, Object, Outcome, Tag};
use std::cell::UnsafeCell;
use std::panic::Location;

/// A type that fits in a location: at most 64 bits without an address's provenance to lose.
trait Word: Copy {
    const BITS: u8;
    const SIGNED: bool;
    fn to_word(self) -> u64;
    fn from_word(w: u64) -> Self;
}

macro_rules! word {
    ($($t:ty, $u:ty, $signed:expr;)*) => {$(
        impl Word for $t {
            const BITS: u8 = <$t>::BITS as u8;
            const SIGNED: bool = $signed;
            fn to_word(self) -> u64 {
                self as $u as u64
            }
            fn from_word(w: u64) -> Self {
                w as $t
            }
        }
    )*};
}

word! {
    u8, u8, false; u16, u16, false; u32, u32, false; u64, u64, false; usize, usize, false;
    i8, u8, true; i16, u16, true; i32, u32, true; i64, u64, true; isize, usize, true;
}

impl Word for bool {
    const BITS: u8 = 1;
    const SIGNED: bool = false;
    fn to_word(self) -> u64 {
        u64::from(self)
    }
    fn from_word(w: u64) -> Self {
        w & 1 == 1
    }
}

impl<T> Word for *mut T {
    const BITS: u8 = 64;
    const SIGNED: bool = false;
    fn to_word(self) -> u64 {
        self.expose_provenance() as u64
    }
    fn from_word(w: u64) -> Self {
        std::ptr::with_exposed_provenance_mut(w as usize)
    }
}

/// The ordering of a failed compare-exchange that `fetch_update` and the old API derive.
fn failure_ordering(ord: Ordering) -> Ordering {
    match ord {
        Ordering::AcqRel => Ordering::Acquire,
        Ordering::Release => Ordering::Relaxed,
        o => o,
    }
}

struct Cell<T> {
    tag: Tag,
    /// The value that the object has as long as no execution has touched it.
    init: UnsafeCell<T>,
}

// SAFETY: `init` is only written through `&mut self` or, outside of a model, under `OUTSIDE`.
unsafe impl<T> Sync for Cell<T> {}
// SAFETY: the value is a plain word, or a pointer that the user answers for, as in `std`.
unsafe impl<T> Send for Cell<T> {}

/// Serialises accesses made outside of a model.
static OUTSIDE: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl<T: Word> Cell<T> {
    const fn new(v: T) -> Self {
        Cell { tag: Tag::new(), init: UnsafeCell::new(v) }
    }

    fn initial(&self) -> u64 {
        // SAFETY: inside a model no thread writes `init` while it is shared.
        unsafe { *self.init.get() }.to_word()
    }

    #[inline]
    #[expect(clippy::too_many_arguments, reason = "what an atomic operation is made of")]
    fn perform(
        &self,
        kind: Kind,
        rmw: Rmw,
        ord: Ordering,
        fail: Ordering,
        a: u64,
        b: u64,
        site: &'static Location<'static>,
    ) -> Outcome {
        let label =
            Label { fail, bits: T::BITS, native: false, a, b, ..Label::new(kind, rmw, ord, site) };
        if runtime::current().is_none() {
            runtime::refuse_strangers(&self.tag, site);
            return self.outside(&label);
        }
        runtime::request_step(label, Some(Object::Tagged(&self.tag, self.initial())))
    }

    /// Outside of a model the object is an ordinary atomic.
    #[cold]
    fn outside(&self, label: &Label) -> Outcome {
        let _guard = OUTSIDE.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: under the lock.
        let place = unsafe { &mut *self.init.get() };
        let value = place.to_word();
        let new = match label.kind {
            Kind::Load => None,
            Kind::Store => Some(label.a),
            _ => crate::engine::memory_model::event::apply(label, value),
        };
        if let Some(new) = new {
            *place = T::from_word(new);
        }
        Outcome { value, wrote: new.is_some(), choice: 0, event: 0 }
    }

    #[track_caller]
    fn load(&self, ord: Ordering) -> T {
        assert!(
            !matches!(ord, Ordering::Release | Ordering::AcqRel),
            "there is no such thing as a release load"
        );
        T::from_word(self.perform(Kind::Load, Rmw::Swap, ord, ord, 0, 0, Location::caller()).value)
    }

    #[track_caller]
    fn store(&self, v: T, ord: Ordering) {
        assert!(
            !matches!(ord, Ordering::Acquire | Ordering::AcqRel),
            "there is no such thing as an acquire store"
        );
        self.perform(Kind::Store, Rmw::Swap, ord, ord, v.to_word(), 0, Location::caller());
    }

    #[track_caller]
    fn rmw(&self, rmw: Rmw, v: T, ord: Ordering) -> T {
        T::from_word(
            self.perform(Kind::Rmw, rmw, ord, ord, v.to_word(), 0, Location::caller()).value,
        )
    }

    #[track_caller]
    fn compare_exchange(
        &self,
        rmw: Rmw,
        old: T,
        new: T,
        ok: Ordering,
        fail: Ordering,
    ) -> Result<T, T> {
        assert!(
            !matches!(fail, Ordering::Release | Ordering::AcqRel),
            "there is no such thing as a release failure ordering"
        );
        let out = self.perform(
            Kind::Rmw,
            rmw,
            ok,
            fail,
            old.to_word(),
            new.to_word(),
            Location::caller(),
        );
        let value = T::from_word(out.value);
        if out.wrote { Ok(value) } else { Err(value) }
    }

    #[track_caller]
    fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        mut f: impl FnMut(T) -> Option<T>,
    ) -> Result<T, T> {
        let mut old = self.load(fetch);
        while let Some(new) = f(old) {
            match self.compare_exchange(Rmw::WeakCas, old, new, set, fetch) {
                Ok(v) => return Ok(v),
                Err(v) => old = v,
            }
        }
        Err(old)
    }

    /// Returns the value.
    ///
    /// # Safety
    ///
    /// The caller owns the object exclusively.
    #[track_caller]
    unsafe fn settle(&self) -> *mut T {
        if runtime::current().is_some() {
            // SAFETY: the caller has exclusive access.
            unsafe {
                *self.init.get() = T::from_word(runtime::exclusive(
                    &self.tag,
                    self.initial(),
                    false,
                    Location::caller(),
                ))
            };
        }
        self.init.get()
    }

    /// The value, read without being atomic.
    #[track_caller]
    fn unsynced(&self) -> T {
        if runtime::current().is_none() {
            return T::from_word(self.initial());
        }
        T::from_word(runtime::exclusive(&self.tag, self.initial(), true, Location::caller()))
    }

    #[track_caller]
    fn seen(&self) -> T {
        T::from_word(runtime::seen(&self.tag, self.initial()))
    }
}

macro_rules! common {
    ($name:ident, $t:ty $(, $g:ident)?) => {
        impl$(<$g>)? $name$(<$g>)? {
            /// A new atomic.
            pub const fn new(v: $t) -> Self {
                Self(Cell::new(v))
            }

            /// The value.
            #[track_caller]
            #[inline]
            pub fn load(&self, order: Ordering) -> $t {
                self.0.load(order)
            }

            /// Stores a value.
            #[track_caller]
            #[inline]
            pub fn store(&self, val: $t, order: Ordering) {
                self.0.store(val, order);
            }

            /// Stores a value and gives the one before it.
            #[track_caller]
            #[inline]
            pub fn swap(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Swap, val, order)
            }

            /// Stores `new` if the value is `current`. Gives the value before.
            #[track_caller]
            pub fn compare_and_swap(&self, current: $t, new: $t, order: Ordering) -> $t {
                match self.compare_exchange(current, new, order, failure_ordering(order)) {
                    Ok(v) | Err(v) => v,
                }
            }

            /// Stores `new` if the value is `current`. Gives the value before: `Ok` when it was.
            ///
            /// A failure may read any value that a load could, also a stale one.
            ///
            /// # Errors
            /// The value, when it was not `current`.
            #[track_caller]
            #[inline]
            pub fn compare_exchange(
                &self,
                current: $t,
                new: $t,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$t, $t> {
                self.0.compare_exchange(Rmw::Cas, current, new, success, failure)
            }

            /// As `compare_exchange`, and may fail although the value is `current` (as often in
            /// an execution as [`Builder::weak_failures`](crate::model::Builder) says).
            ///
            /// # Errors
            /// The value, when nothing was stored.
            #[track_caller]
            #[inline]
            pub fn compare_exchange_weak(
                &self,
                current: $t,
                new: $t,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$t, $t> {
                self.0.compare_exchange(Rmw::WeakCas, current, new, success, failure)
            }

            /// Changes the value by a function, tried again until no other thread came between.
            ///
            /// # Errors
            /// The value for which the function gave `None`.
            #[track_caller]
            pub fn fetch_update<F: FnMut($t) -> Option<$t>>(
                &self,
                set_order: Ordering,
                fetch_order: Ordering,
                f: F,
            ) -> Result<$t, $t> {
                self.0.fetch_update(set_order, fetch_order, f)
            }

            /// The value, without a step of the model.
            ///
            /// # Safety
            /// No other thread may change it at the same time.
            #[track_caller]
            pub unsafe fn unsync_load(&self) -> $t {
                self.0.unsynced()
            }

            /// A reference to the value.
            #[track_caller]
            pub fn get_mut(&mut self) -> &mut $t {
                // SAFETY: `&mut self`.
                unsafe { &mut *self.0.settle() }
            }

            /// Calls `f` with a reference to the value.
            #[track_caller]
            pub fn with_mut<R>(&mut self, f: impl FnOnce(&mut $t) -> R) -> R {
                f(self.get_mut())
            }

            /// The value.
            #[track_caller]
            pub fn into_inner(mut self) -> $t {
                *self.get_mut()
            }
        }

        impl$(<$g>)? std::fmt::Debug for $name$(<$g>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0.seen(), f)
            }
        }

        impl$(<$g>)? From<$t> for $name$(<$g>)? {
            fn from(v: $t) -> Self {
                Self::new(v)
            }
        }
    };
}

macro_rules! integer {
    ($($name:ident, $t:ty;)*) => {$(
        #[doc = concat!("Replaces `std::sync::atomic::", stringify!($name), "`.")]
        pub struct $name(Cell<$t>);

        common!($name, $t);

        impl Default for $name {
            fn default() -> Self {
                Self::new(0)
            }
        }

        impl $name {
            /// Adds, wrapping around, and gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_add(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Add, val, order)
            }

            /// Subtracts, wrapping around, and gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_sub(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Sub, val, order)
            }

            /// Bitwise and; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_and(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::And, val, order)
            }

            /// Bitwise nand; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_nand(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Nand, val, order)
            }

            /// Bitwise or; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_or(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Or, val, order)
            }

            /// Exclusive or; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_xor(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(Rmw::Xor, val, order)
            }

            /// Maximum; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_max(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(if <$t as Word>::SIGNED { Rmw::SignedMax } else { Rmw::Max }, val, order)
            }

            /// Minimum; gives the value before.
            #[track_caller]
            #[inline]
            pub fn fetch_min(&self, val: $t, order: Ordering) -> $t {
                self.0.rmw(if <$t as Word>::SIGNED { Rmw::SignedMin } else { Rmw::Min }, val, order)
            }
        }
    )*};
}

integer! {
    AtomicU8, u8; AtomicU16, u16; AtomicU32, u32; AtomicU64, u64; AtomicUsize, usize;
    AtomicI8, i8; AtomicI16, i16; AtomicI32, i32; AtomicI64, i64; AtomicIsize, isize;
}

/// Replaces `std::sync::atomic::AtomicBool`.
pub struct AtomicBool(Cell<bool>);

common!(AtomicBool, bool);

impl Default for AtomicBool {
    fn default() -> Self {
        Self::new(false)
    }
}

impl AtomicBool {
    /// Logical and; gives the value before.
    #[track_caller]
    pub fn fetch_and(&self, val: bool, order: Ordering) -> bool {
        self.0.rmw(Rmw::And, val, order)
    }

    /// Logical nand; gives the value before.
    #[track_caller]
    pub fn fetch_nand(&self, val: bool, order: Ordering) -> bool {
        self.0.rmw(Rmw::Nand, val, order)
    }

    /// Logical or; gives the value before.
    #[track_caller]
    pub fn fetch_or(&self, val: bool, order: Ordering) -> bool {
        self.0.rmw(Rmw::Or, val, order)
    }

    /// Exclusive or; gives the value before.
    #[track_caller]
    pub fn fetch_xor(&self, val: bool, order: Ordering) -> bool {
        self.0.rmw(Rmw::Xor, val, order)
    }

    /// Negates; gives the value before.
    #[track_caller]
    pub fn fetch_not(&self, order: Ordering) -> bool {
        self.0.rmw(Rmw::Xor, true, order)
    }
}

/// Replaces `std::sync::atomic::AtomicPtr`.
pub struct AtomicPtr<T>(Cell<*mut T>);

common!(AtomicPtr, *mut T, T);

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

/// A fence.
///
/// # Panics
/// When the ordering is `Relaxed`.
#[track_caller]
pub fn fence(order: Ordering) {
    assert!(order != Ordering::Relaxed, "there is no such thing as a relaxed fence");
    if runtime::current().is_none() {
        return;
    }
    let site = Location::caller();
    runtime::request_step(
        Label { native: false, ..Label::new(Kind::Fence, Rmw::Swap, order, site) },
        None,
    );
}

/// A fence for the compiler alone: orders nothing between threads, so it is no step of the model.
///
/// # Panics
/// When the ordering is `Relaxed`.
#[track_caller]
pub fn compiler_fence(order: Ordering) {
    assert!(order != Ordering::Relaxed, "there is no such thing as a relaxed compiler fence");
}

/// Says that this is a spin loop; see [`crate::hint::spin_loop`].
#[track_caller]
pub fn spin_loop_hint() {
    crate::hint::spin_loop();
}

impl AtomicU64 {
    /// The tie to the graph, for who looks at an execution from outside.
    pub(crate) fn tag(&self) -> &Tag {
        &self.0.tag
    }
}

impl AtomicU32 {
    /// An event on this word that is not one of its methods'.
    pub(crate) fn request(&self, label: Label) -> Outcome {
        runtime::request_step(
            Label { bits: 32, ..label },
            Some(Object::Tagged(&self.0.tag, self.0.initial())),
        )
    }
}
