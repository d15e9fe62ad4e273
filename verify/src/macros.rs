//! `thread_local!` and `lazy_static!`.

/// Replaces `std::thread_local!`.
#[macro_export]
macro_rules! thread_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const { $init:expr }; $($rest:tt)*) => {
        $crate::__thread_local_inner!($(#[$attr])* $vis $name, $t, $init);
        $crate::thread_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const { $init:expr }) => {
        $crate::__thread_local_inner!($(#[$attr])* $vis $name, $t, $init);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::__thread_local_inner!($(#[$attr])* $vis $name, $t, $init);
        $crate::thread_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr) => {
        $crate::__thread_local_inner!($(#[$attr])* $vis $name, $t, $init);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __thread_local_inner {
    ($(#[$attr:meta])* $vis:vis $name:ident, $t:ty, $init:expr) => {
        $(#[$attr])* $vis static $name: $crate::thread::LocalKey<$t> = $crate::thread::LocalKey {
            init: (|| $init) as fn() -> $t,
            _p: ::std::marker::PhantomData,
        };
    };
}

/// Replaces the `lazy_static` crate's macro: the value is made again in every execution.
#[macro_export]
macro_rules! lazy_static {
    ($(#[$attr:meta])* static ref $name:ident : $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::__lazy_static_inner!($(#[$attr])* () $name, $t, $init);
        $crate::lazy_static!($($rest)*);
    };
    ($(#[$attr:meta])* pub static ref $name:ident : $t:ty = $init:expr; $($rest:tt)*) => {
        $crate::__lazy_static_inner!($(#[$attr])* (pub) $name, $t, $init);
        $crate::lazy_static!($($rest)*);
    };
    (
        $(#[$attr:meta])* pub ($($vis:tt)+) static ref $name:ident : $t:ty = $init:expr;
        $($rest:tt)*
    ) => {
        $crate::__lazy_static_inner!($(#[$attr])* (pub ($($vis)+)) $name, $t, $init);
        $crate::lazy_static!($($rest)*);
    };
    () => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __lazy_static_inner {
    ($(#[$attr:meta])* ($($vis:tt)*) $name:ident, $t:ty, $init:expr) => {
        #[allow(non_camel_case_types)]
        $(#[$attr])*
        $($vis)* struct $name {
            __private: (),
        }
        $($vis)* static $name: $name = $name { __private: () };
        impl ::core::ops::Deref for $name {
            type Target = $t;
            #[track_caller]
            fn deref(&self) -> &$t {
                fn __init() -> $t {
                    $init
                }
                static LAZY: $crate::lazy_static::Lazy<$t> = $crate::lazy_static::Lazy {
                    init: __init,
                    _p: ::core::marker::PhantomData,
                };
                let _ = self.__private;
                LAZY.get()
            }
        }
    };
}
