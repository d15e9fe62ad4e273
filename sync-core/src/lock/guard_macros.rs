//! Macros that write the guards of the locks that have several modes. There is one macro for each
//! way to hold a lock (borrowed, over a part, in an [`Arc`](std::sync::Arc)), and
//! `reentrant_mutex.rs` and `rwlock.rs` use them.
//!
//! Invariants, cited by the SAFETY comments in the macros:
//!
//! 1. A guard exists only while its lock is held on its behalf, in the guard's mode: `new` is
//!    unsafe and requires it, `drop` ends it, and a function that releases the lock in between
//!    holds the guard mutably borrowed until it has the lock again.
//! 2. A mapped guard's pointer came from a reference that the guard that was mapped would have
//!    given out; it points into the data of the lock, which outlives the guard; nothing releases
//!    the lock under a mapped guard.
//!
//! A guard with `mut` is the only access to the data while it lives; a guard without `mut` shares
//! the data with other such guards.

use core::marker::PhantomData;

/// A marker that is not `Send`: a lock is released by the thread that took it.
pub(crate) type NotSend = PhantomData<*const ()>;

/// Implements `Debug` and `Display` of a guard, which show the data.
macro_rules! show_the_data {
    ([T $(, $R:ident: $Bound:path)?] $Guard:ty) => {
        impl<T: ?Sized + fmt::Debug $(, $R: $Bound)?> fmt::Debug for $Guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display $(, $R: $Bound)?> fmt::Display for $Guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

/// `map`, `try_map` and `try_map_or_err` of a guard: they make a guard over a part of `$what`, and
/// `$raw` is the raw lock of the guard `$this`.
macro_rules! map_methods {
    (
        $(#[$attr:meta])* $what:literal, $this:ident => $raw:expr,
        $Mapped:ident<$a:lifetime $(, $R:ident)?> $(, $mut:tt)?
    ) => {
        #[doc = concat!("Makes a guard over a part of ", $what, ".")]
        $(#[$attr])*
        #[inline]
        #[allow(unused_mut, reason = "only an exclusive guard lends its data mutably")]
        pub fn map<U: ?Sized>(
            mut $this: Self,
            part: impl FnOnce(&$($mut)? T) -> &$($mut)? U,
        ) -> $Mapped<$a, U $(, $R)?> {
            let data = NonNull::from(part(&$($mut)? *$this));
            let raw = $raw;
            mem::forget($this);
            $Mapped { raw, data, part: PhantomData, not_send: PhantomData }
        }

        #[doc = concat!("Makes a guard over a part of ", $what, ", if there is such a part.")]
        ///
        /// # Errors
        ///
        /// The guard itself, if `part` returned `None`.
        #[inline]
        #[allow(unused_mut, reason = "only an exclusive guard lends its data mutably")]
        pub fn try_map<U: ?Sized>(
            mut $this: Self,
            part: impl FnOnce(&$($mut)? T) -> Option<&$($mut)? U>,
        ) -> Result<$Mapped<$a, U $(, $R)?>, Self> {
            let Some(data) = part(&$($mut)? *$this).map(NonNull::from) else { return Err($this) };
            let raw = $raw;
            mem::forget($this);
            Ok($Mapped { raw, data, part: PhantomData, not_send: PhantomData })
        }

        #[doc = concat!(
            "Makes a guard over a part of ", $what, ", or returns the reason why there is none."
        )]
        ///
        /// # Errors
        ///
        /// The guard itself, with the error that `part` returned.
        #[inline]
        #[allow(unused_mut, reason = "only an exclusive guard lends its data mutably")]
        pub fn try_map_or_err<U: ?Sized, E>(
            mut $this: Self,
            part: impl FnOnce(&$($mut)? T) -> Result<&$($mut)? U, E>,
        ) -> Result<$Mapped<$a, U $(, $R)?>, (Self, E)> {
            let data = match part(&$($mut)? *$this).map(NonNull::from) {
                Ok(data) => data,
                Err(error) => return Err(($this, error)),
            };
            let raw = $raw;
            mem::forget($this);
            Ok($Mapped { raw, data, part: PhantomData, not_send: PhantomData })
        }
    };
}

/// A guard that borrows its lock, with `map` and `try_map` into a mapped guard.
///
/// `$release` is the method of the raw lock that ends this way of holding it.
macro_rules! borrowed_guard {
    (
        $(#[$attr:meta])* $Guard:ident of $Lock:ident, releases with $release:ident,
        maps to $Mapped:ident $(, $mut:tt)?
    ) => {
        $(#[$attr])*
        #[must_use = "the lock is released as soon as the guard is dropped"]
        pub struct $Guard<'a, T: ?Sized> {
            lock: &'a $Lock<T>,
            not_send: NotSend,
        }

        // SAFETY: a shared guard gives out `&T` and the lock. Another thread may then use the lock,
        // and may keep it where it is borrowed for long. Hence both bounds, which are those of the
        // lock.
        unsafe impl<T: ?Sized + Send + Sync> Sync for $Guard<'_, T> {}

        impl<'a, T: ?Sized> $Guard<'a, T> {
            /// # Safety
            ///
            /// The lock is held in this guard's mode, and no other guard represents this hold
            /// (invariant 1 of `guard_macros.rs`).
            #[inline]
            pub(crate) unsafe fn new(lock: &'a $Lock<T>) -> Self {
                Self { lock, not_send: PhantomData }
            }

            map_methods! {
                ///
                /// This and the other functions here are associated functions, so that they hide
                /// no method of the data.
                "the data", this => &this.lock.raw, $Mapped<'a> $(, $mut)?
            }
        }

        impl<T: ?Sized> Deref for $Guard<'_, T> {
            type Target = T;
            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: invariant 1 of `guard_macros.rs`.
                self.lock.data.with(|data| unsafe { &*data })
            }
        }

        $(
            impl<T: ?Sized> DerefMut for $Guard<'_, T> {
                #[inline]
                fn deref_mut(&mut self) -> &$mut T {
                    // SAFETY: invariant 1 of `guard_macros.rs`; this guard is exclusive.
                    self.lock.data.with_mut(|data| unsafe { &mut *data })
                }
            }
        )?

        impl<T: ?Sized> Drop for $Guard<'_, T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: invariant 1 of `guard_macros.rs`; this guard ends here.
                unsafe { self.lock.raw.$release() }
            }
        }

        show_the_data!([T] $Guard<'_, T>);
    };
}

/// A guard over a part of the data.
macro_rules! mapped_guard {
    ($(#[$attr:meta])* $Mapped:ident of $Raw:ident, releases with $release:ident $(, $mut:tt)?) => {
        $(#[$attr])*
        #[must_use = "the lock is released as soon as the guard is dropped"]
        pub struct $Mapped<'a, T: ?Sized> {
            raw: &'a $Raw,
            data: NonNull<T>,
            /// Gives the guard the variance of the reference that it replaces.
            part: PhantomData<&'a $($mut)? T>,
            not_send: NotSend,
        }

        // SAFETY: a shared guard gives out `&T` only, and not the lock.
        unsafe impl<T: ?Sized + Sync> Sync for $Mapped<'_, T> {}

        impl<'a, T: ?Sized> $Mapped<'a, T> {
            map_methods! { "the part", this => this.raw, $Mapped<'a> $(, $mut)? }
        }

        impl<T: ?Sized> Deref for $Mapped<'_, T> {
            type Target = T;
            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: invariants 1 and 2 of `guard_macros.rs`.
                unsafe { self.data.as_ref() }
            }
        }

        $(
            impl<T: ?Sized> DerefMut for $Mapped<'_, T> {
                #[inline]
                fn deref_mut(&mut self) -> &$mut T {
                    // SAFETY: invariants 1 and 2 of `guard_macros.rs`; this guard is exclusive.
                    unsafe { self.data.as_mut() }
                }
            }
        )?

        impl<T: ?Sized> Drop for $Mapped<'_, T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: invariant 1 of `guard_macros.rs`; this guard ends here.
                unsafe { self.raw.$release() }
            }
        }

        show_the_data!([T] $Mapped<'_, T>);
    };
}

/// A guard that keeps the [`Arc`](std::sync::Arc) of its lock alive and borrows nothing.
macro_rules! arc_guard {
    ($(#[$attr:meta])* $Guard:ident of $Lock:ident, releases with $release:ident $(, $mut:tt)?) => {
        $(#[$attr])*
        #[must_use = "the lock is released as soon as the guard is dropped"]
        pub struct $Guard<T: ?Sized> {
            lock: Arc<$Lock<T>>,
            not_send: NotSend,
        }

        // SAFETY: a shared guard gives out `&T` and `&Arc` only; the lock may then be sent and
        // shared, hence both bounds.
        unsafe impl<T: ?Sized + Send + Sync> Sync for $Guard<T> {}

        impl<T: ?Sized> $Guard<T> {
            /// # Safety
            ///
            /// The lock is held in this guard's mode, and no other guard represents this hold
            /// (invariant 1 of `guard_macros.rs`).
            #[inline]
            pub(crate) unsafe fn new(lock: Arc<$Lock<T>>) -> Self {
                Self { lock, not_send: PhantomData }
            }

            /// Returns the lock of this guard.
            #[inline]
            pub fn lock(this: &Self) -> &Arc<$Lock<T>> {
                &this.lock
            }
        }

        impl<T: ?Sized> Deref for $Guard<T> {
            type Target = T;
            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: invariant 1 of `guard_macros.rs`.
                self.lock.data.with(|data| unsafe { &*data })
            }
        }

        $(
            impl<T: ?Sized> DerefMut for $Guard<T> {
                #[inline]
                fn deref_mut(&mut self) -> &$mut T {
                    // SAFETY: invariant 1 of `guard_macros.rs`; this guard is exclusive.
                    self.lock.data.with_mut(|data| unsafe { &mut *data })
                }
            }
        )?

        impl<T: ?Sized> Drop for $Guard<T> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: invariant 1 of `guard_macros.rs`; this guard ends here.
                unsafe { self.lock.raw.$release() }
            }
        }

        show_the_data!([T] $Guard<T>);
    };
}
