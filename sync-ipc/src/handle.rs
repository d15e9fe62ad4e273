//! `handle!` and `argument!`: the traits that the handles to objects in a segment share.
//! `exclusive_guard!`: the guard of a lock that one thread holds.

/// Makes a handle to an object in a segment a value that can be cloned, and that can be among the
/// arguments of a process: `$block` is its block, `$clone` a second handle to the same object.
macro_rules! handle {
    ([$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $clone:expr) => {
        handle!([$($parameter: $bound)?] $handle, |$this| $block, $clone, <$handle>::open);
    };
    (
        [$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $clone:expr,
        $open:expr
    ) => {
        impl<$($parameter)?> Clone for $handle
        where $($parameter: $bound)?
        {
            /// Another handle to the same object.
            fn clone(&self) -> Self {
                let $this = self;
                $clone
            }
        }

        argument!([$($parameter: $bound)?] $handle, |$this| $block, $open);
    };
}

/// Makes a handle to an object in a segment a value that can be among the arguments of a process:
/// `$block` is its block, `$open` opens the object in a segment by its name.
macro_rules! argument {
    ([$($parameter:ident: $bound:path)?] $handle:ty, |$this:ident| $block:expr, $open:expr) => {
        #[cfg(feature = "process")]
        impl<$($parameter)?> serde::Serialize for $handle
        where $($parameter: $bound)?
        {
            /// Only among the arguments or the result of a process.
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $this = self;
                $crate::process::handles::serialize_object($block, serializer)
            }
        }

        #[cfg(feature = "process")]
        impl<'de, $($parameter)?> serde::Deserialize<'de> for $handle
        where $($parameter: $bound)?
        {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (segment, name) = <($crate::Segment, String)>::deserialize(deserializer)?;
                let open: fn(&$crate::Segment, &str) -> $crate::Result<Self> = $open;
                open(&segment, &name).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Defines the guard of an exclusive lock around a value: a struct with the lock, the identity by
/// which it was acquired, and whether it came from a dead owner.
///
/// The lock type has `block()`, `value_at()`, `declare_consistent()`, and `let_go(LetGo)`.
macro_rules! exclusive_guard {
    ($(#[$about:meta])* $guard:ident of $lock:ident) => {
        $(#[$about])*
        #[must_use = "the lock is let go of at once if the guard is not kept"]
        #[derive(Debug)]
        pub struct $guard<'a, T: Plain> {
            lock: &'a $lock<T>,
            identity: u32,
            inconsistent: bool,
        }

        impl<T: Plain> $guard<'_, T> {
            /// The value.
            #[inline]
            #[must_use]
            pub fn get(&self) -> T {
                plain::load(self.lock.block(), self.lock.value_at())
            }

            /// Replaces the value. Does nothing in a forked child's copy of the guard.
            #[inline]
            pub fn set(&mut self, value: T) {
                if self.is_ours() {
                    plain::store(self.lock.block(), self.lock.value_at(), &value);
                }
            }

            /// Copies the value out, lets `change` change it, and copies it back in. If `change`
            /// panics, the value stays as it was.
            #[inline]
            pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
                let mut value = self.get();
                let result = change(&mut value);
                self.set(value);
                result
            }

            /// Whether the guard came from a dead owner, and
            /// [`mark_consistent`](Self::mark_consistent) has not been called yet.
            #[must_use]
            pub fn is_inconsistent(&self) -> bool {
                self.inconsistent
            }

            /// Declares the value consistent again after an owner died. A guard that is dropped
            /// without this call leaves a lock that refuses every process with
            /// [`LockError::NotRecoverable`](crate::LockError::NotRecoverable).
            pub fn mark_consistent(&mut self) {
                if self.inconsistent && self.is_ours() {
                    self.lock.declare_consistent();
                    self.inconsistent = false;
                }
            }

            /// Whether this process acquired it: a forked child's copy of the guard is not the
            /// child's.
            #[inline]
            fn is_ours(&self) -> bool {
                self.lock.block().is_us(self.identity)
            }
        }

        impl<T: Plain> Drop for $guard<'_, T> {
            #[inline]
            fn drop(&mut self) {
                if self.is_ours() {
                    if self.inconsistent {
                        Self::let_go_unrepaired(self.lock);
                    } else {
                        self.lock.let_go($crate::mutex::LetGo::Clean);
                    }
                }
            }
        }

        impl<T: Plain> $guard<'_, T> {
            // Never inline: with it the drop of a guard would be too long to be inlined. Without
            // the guard, which stays in registers so.
            #[cold]
            #[inline(never)]
            fn let_go_unrepaired(lock: &$lock<T>) {
                lock.let_go($crate::mutex::LetGo::Unrecoverable);
            }
        }

        $crate::error::boxed!($guard, Plain);

        impl<T: Plain> $crate::error::Unrepaired for $guard<'_, T> {
            fn abandon(self) {
                let this = core::mem::ManuallyDrop::new(self);
                if this.is_ours() {
                    this.lock.let_go(match this.inconsistent {
                        true => $crate::mutex::LetGo::AsAcquired,
                        false => $crate::mutex::LetGo::Clean,
                    });
                }
            }
        }
    };
}
