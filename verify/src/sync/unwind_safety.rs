//! Unwind safety: the types that replace those of `std` are as safe to unwind
//! past, so that code with `catch_unwind` compiles with either.

use super::atomic::{
    AtomicBool, AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, AtomicU8,
    AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};
use super::mpsc::{Receiver, Sender, SyncSender};
use super::{Arc, Barrier, Condvar, LazyLock, Mutex, Notify, Once, OnceLock, RwLock, Weak};
use std::panic::{RefUnwindSafe, UnwindSafe};

macro_rules! safe {
    ($($t:ty)*) => {$(
        impl UnwindSafe for $t {}
        impl RefUnwindSafe for $t {}
    )*};
}

safe! {
    AtomicBool AtomicI8 AtomicI16 AtomicI32 AtomicI64 AtomicIsize
    AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicUsize
    Barrier Condvar Notify Once
}

impl<T> RefUnwindSafe for AtomicPtr<T> {}
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + ?Sized> RefUnwindSafe for Arc<T> {}
impl<T: RefUnwindSafe + ?Sized> UnwindSafe for Weak<T> {}
impl<T: RefUnwindSafe + ?Sized> RefUnwindSafe for Weak<T> {}
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for SyncSender<T> {}
impl<T> RefUnwindSafe for SyncSender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}
