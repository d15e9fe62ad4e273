// Every public item of loom 0.7.2, as `lm`. Compiled once with loom and once with this crate;
// `main.rs` walks loom's sources and finds what is missing here.

macro_rules! has {
    ($t:ty: $($trait:path),*) => {{
        $({
            fn implements<T: $trait + ?Sized>() {}
            implements::<$t>();
        })*
    }};
}

macro_rules! integers {
    ($($name:ident, $t:ty;)*) => {$({
        use lm::sync::atomic::$name;
        has!($name: Debug, Default, From<$t>, Send, Sync);
        let _: fn($t) -> $name = $name::new;
        let _: fn(&$name, Ordering) -> $t = $name::load;
        let _: fn(&$name, $t, Ordering) = $name::store;
        let _: unsafe fn(&$name) -> $t = $name::unsync_load;
        let _: fn($name) -> $t = $name::into_inner;
        let _ = |a: &mut $name| $name::with_mut(a, |v: &mut $t| *v);
        let _: [fn(&$name, $t, Ordering) -> $t; 9] = [
            $name::swap, $name::fetch_add, $name::fetch_sub, $name::fetch_and, $name::fetch_nand,
            $name::fetch_or, $name::fetch_xor, $name::fetch_max, $name::fetch_min,
        ];
        let _: fn(&$name, $t, $t, Ordering) -> $t = $name::compare_and_swap;
        let _: [fn(&$name, $t, $t, Ordering, Ordering) -> Result<$t, $t>; 2] =
            [$name::compare_exchange, $name::compare_exchange_weak];
        let _ = |a: &$name| $name::fetch_update(a, Relaxed, Relaxed, |v: $t| Some(v));
    })*};
}

pub(crate) fn uses() {
    integers! {
        AtomicU8, u8; AtomicU16, u16; AtomicU32, u32; AtomicU64, u64; AtomicUsize, usize;
        AtomicI8, i8; AtomicI16, i16; AtomicI32, i32; AtomicI64, i64; AtomicIsize, isize;
    }
    booleans_and_pointers();
    cells();
    locks();
    references();
    threads();
    models();
}

fn booleans_and_pointers() {
    use lm::sync::atomic::{AtomicBool, AtomicPtr, fence, spin_loop_hint};
    has!(AtomicBool: Debug, Default, From<bool>, Send, Sync);
    let _: fn(bool) -> AtomicBool = AtomicBool::new;
    let _: unsafe fn(&AtomicBool) -> bool = AtomicBool::unsync_load;
    let _: fn(AtomicBool) -> bool = AtomicBool::into_inner;
    let _: fn(&AtomicBool, Ordering) -> bool = AtomicBool::load;
    let _: fn(&AtomicBool, bool, Ordering) = AtomicBool::store;
    let _: [fn(&AtomicBool, bool, Ordering) -> bool; 5] = [
        AtomicBool::swap,
        AtomicBool::fetch_and,
        AtomicBool::fetch_nand,
        AtomicBool::fetch_or,
        AtomicBool::fetch_xor,
    ];
    let _: fn(&AtomicBool, bool, bool, Ordering) -> bool = AtomicBool::compare_and_swap;
    let _: [fn(&AtomicBool, bool, bool, Ordering, Ordering) -> Result<bool, bool>; 2] =
        [AtomicBool::compare_exchange, AtomicBool::compare_exchange_weak];
    let _ = |a: &AtomicBool| AtomicBool::fetch_update(a, Relaxed, Relaxed, Some);

    type P = *mut u32;
    has!(AtomicPtr<u32>: Debug, Default, From<P>, Send, Sync);
    let _: fn(P) -> AtomicPtr<u32> = AtomicPtr::new;
    let _: unsafe fn(&AtomicPtr<u32>) -> P = AtomicPtr::unsync_load;
    let _ = |a: &mut AtomicPtr<u32>| AtomicPtr::with_mut(a, |p: &mut P| *p);
    let _: fn(AtomicPtr<u32>) -> P = AtomicPtr::into_inner;
    let _: fn(&AtomicPtr<u32>, Ordering) -> P = AtomicPtr::load;
    let _: fn(&AtomicPtr<u32>, P, Ordering) = AtomicPtr::store;
    let _: fn(&AtomicPtr<u32>, P, Ordering) -> P = AtomicPtr::swap;
    let _: fn(&AtomicPtr<u32>, P, P, Ordering) -> P = AtomicPtr::compare_and_swap;
    let _: [fn(&AtomicPtr<u32>, P, P, Ordering, Ordering) -> Result<P, P>; 2] =
        [AtomicPtr::compare_exchange, AtomicPtr::compare_exchange_weak];
    let _ = |a: &AtomicPtr<u32>| AtomicPtr::fetch_update(a, Relaxed, Relaxed, |p: P| Some(p));
    let _: fn(Ordering) = fence;
    let _: lm::sync::atomic::Ordering = Ordering::AcqRel;
    let _: [fn(); 2] = [spin_loop_hint, lm::hint::spin_loop];
    let _ = || -> u32 {
        // SAFETY: the closure is never called.
        unsafe { lm::hint::unreachable_unchecked() }
    };
}

fn cells() {
    use lm::cell::{Cell, ConstPtr, MutPtr, UnsafeCell};
    has!(Cell<u32>: Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, From<u32>, Send);
    let _: fn(u32) -> Cell<u32> = Cell::new;
    let _: fn(&Cell<u32>, u32) = Cell::set;
    let _: fn(&Cell<u32>, &Cell<u32>) = Cell::swap;
    let _: fn(&Cell<u32>, u32) -> u32 = Cell::replace;
    let _: [fn(&Cell<u32>) -> u32; 2] = [Cell::get, Cell::take];
    let _: fn(Cell<u32>) -> u32 = Cell::into_inner;

    has!(UnsafeCell<str>: Debug);
    has!(UnsafeCell<u32>: Default, From<u32>, Send);
    let _: fn(u32) -> UnsafeCell<u32> = UnsafeCell::new;
    let _: fn(UnsafeCell<u32>) -> u32 = UnsafeCell::into_inner;
    let _ = |c: &UnsafeCell<u32>| UnsafeCell::with(c, |p: *const u32| p);
    let _ = |c: &UnsafeCell<u32>| UnsafeCell::with_mut(c, |p: *mut u32| p);
    let _: fn(&UnsafeCell<u32>) -> ConstPtr<u32> = UnsafeCell::get;
    let _: fn(&UnsafeCell<u32>) -> MutPtr<u32> = UnsafeCell::get_mut;
    has!(ConstPtr<u32>: Debug);
    has!(MutPtr<u32>: Debug);
    // SAFETY: the closure is never called.
    let _ = |p: &ConstPtr<u32>| unsafe { *ConstPtr::deref(p) };
    let _ = |p: &ConstPtr<u32>| ConstPtr::with(p, |p: *const u32| p);
    // SAFETY: the closure is never called.
    let _ = |p: &MutPtr<u32>| unsafe { *MutPtr::deref(p) = 1 };
    let _ = |p: &MutPtr<u32>| MutPtr::with(p, |p: *mut u32| p);
}

fn locks() {
    use lm::sync::mpsc::{Receiver, Sender, channel};
    use lm::sync::{
        Barrier, Condvar, LockResult, Mutex, MutexGuard, Notify, RwLock, RwLockReadGuard,
        RwLockWriteGuard, TryLockResult, WaitTimeoutResult,
    };
    use std::time::Duration;
    has!(Mutex<str>: Debug, Send, Sync);
    has!(Mutex<u32>: Default, From<u32>, Send, Sync, UnwindSafe);
    let _: fn(u32) -> Mutex<u32> = Mutex::new;
    let _: fn(Mutex<u32>) -> LockResult<u32> = Mutex::into_inner;
    let _: fn(&Mutex<u32>) -> LockResult<MutexGuard<'_, u32>> = Mutex::lock;
    let _: fn(&Mutex<u32>) -> TryLockResult<MutexGuard<'_, u32>> = Mutex::try_lock;
    let _: fn(&mut Mutex<u32>) -> LockResult<&mut u32> = Mutex::get_mut;
    has!(MutexGuard<'static, u32>: Debug, Deref<Target = u32>, DerefMut, Sync);

    has!(RwLock<u32>: Debug, Default, From<u32>, Send, Sync);
    let _: fn(u32) -> RwLock<u32> = RwLock::new;
    let _: fn(&RwLock<u32>) -> LockResult<RwLockReadGuard<'_, u32>> = RwLock::read;
    let _: fn(&RwLock<u32>) -> TryLockResult<RwLockReadGuard<'_, u32>> = RwLock::try_read;
    let _: fn(&RwLock<u32>) -> LockResult<RwLockWriteGuard<'_, u32>> = RwLock::write;
    let _: fn(&RwLock<u32>) -> TryLockResult<RwLockWriteGuard<'_, u32>> = RwLock::try_write;
    let _: fn(&mut RwLock<u32>) -> LockResult<&mut u32> = RwLock::get_mut;
    let _: fn(RwLock<u32>) -> LockResult<u32> = RwLock::into_inner;
    has!(RwLockReadGuard<'static, u32>: Debug, Deref<Target = u32>, Sync);
    has!(RwLockWriteGuard<'static, u32>: Debug, Deref<Target = u32>, DerefMut, Sync);

    has!(Condvar: Debug, Default, Send, Sync);
    let _: fn() -> Condvar = Condvar::new;
    let _ = |c: &Condvar, g: MutexGuard<'static, u32>| drop(Condvar::wait(c, g));
    let _ = |c: &Condvar, g: MutexGuard<'static, u32>| {
        let wait: LockResult<(_, WaitTimeoutResult)> =
            Condvar::wait_timeout(c, g, Duration::ZERO);
        drop(wait);
    };
    let _: [fn(&Condvar); 2] = [Condvar::notify_one, Condvar::notify_all];
    has!(WaitTimeoutResult: Debug);
    let _: fn(&WaitTimeoutResult) -> bool = WaitTimeoutResult::timed_out;

    has!(Notify: Debug, Default, Send, Sync);
    let _: fn() -> Notify = Notify::new;
    let _: [fn(&Notify); 2] = [Notify::notify, Notify::wait];

    has!(Barrier: Debug);
    let _: fn(usize) -> Barrier = Barrier::new;
    let _ = |b: &Barrier| Barrier::wait(b).is_leader();

    let _: fn() -> (Sender<u32>, Receiver<u32>) = channel;
    has!(Sender<u32>: Debug, Clone, Send);
    has!(Receiver<u32>: Debug, Send);
    let _: fn(&Sender<u32>, u32) -> Result<(), std::sync::mpsc::SendError<u32>> = Sender::send;
    let _: fn(&Receiver<u32>) -> Result<u32, std::sync::mpsc::RecvError> = Receiver::recv;
    let _: fn(&Receiver<u32>, Duration) -> Result<u32, std::sync::mpsc::RecvTimeoutError> =
        Receiver::recv_timeout;
    let _: fn(&Receiver<u32>) -> Result<u32, std::sync::mpsc::TryRecvError> = Receiver::try_recv;
}

fn references() {
    use lm::sync::Arc;
    has!(Arc<u32>: Debug, Default, From<u32>, Clone, AsRef<u32>, Borrow<u32>, Send, Sync);
    has!(Arc<dyn Send>: Deref<Target = dyn Send>, Clone);
    let _: fn(u32) -> Arc<u32> = Arc::new;
    let _: fn(u32) -> std::pin::Pin<Arc<u32>> = Arc::pin;
    let _: fn(Arc<u32>) -> Result<u32, Arc<u32>> = Arc::try_unwrap;
    let _: fn(std::sync::Arc<dyn Send>) -> Arc<dyn Send> = Arc::from_std;
    let _: fn(&Arc<u32>) -> usize = Arc::strong_count;
    let _: [unsafe fn(*const u32); 2] = [Arc::increment_strong_count, Arc::decrement_strong_count];
    let _: fn(&mut Arc<u32>) -> Option<&mut u32> = Arc::get_mut;
    let _: fn(&Arc<u32>, &Arc<u32>) -> bool = Arc::ptr_eq;
    let _: fn(Arc<u32>) -> *const u32 = Arc::into_raw;
    let _: fn(&Arc<u32>) -> *const u32 = Arc::as_ptr;
    let _: unsafe fn(*const u32) -> Arc<u32> = Arc::from_raw;
}

fn threads() {
    use lm::thread::{AccessError, Builder, JoinHandle, LocalKey, Thread, ThreadId};
    let _: fn() = lm::thread::yield_now;
    let _: fn() -> bool = lm::thread::panicking;
    let _: fn() = lm::lazy_static::yield_now;
    let _: fn() -> bool = lm::lazy_static::panicking;
    let _: fn() -> Thread = lm::thread::current;
    let _: fn() = lm::thread::park;
    let _: fn(fn() -> u32) -> JoinHandle<u32> = lm::thread::spawn;
    has!(JoinHandle<u32>: Debug, Send, Sync);
    let _: fn(JoinHandle<u32>) -> std::thread::Result<u32> = JoinHandle::join;
    let _: fn(&JoinHandle<u32>) -> &Thread = JoinHandle::thread;
    has!(Thread: Clone, Debug, Send, Sync);
    let _: fn(&Thread) -> ThreadId = Thread::id;
    let _: fn(&Thread) -> Option<&str> = Thread::name;
    let _: fn(&Thread) = Thread::unpark;
    has!(ThreadId: Clone, Copy, Eq, Hash, PartialEq, Debug, Send, Sync);
    has!(Builder: Debug);
    let _: fn() -> Builder = Builder::new;
    let _: fn(Builder, String) -> Builder = Builder::name;
    let _: fn(Builder, usize) -> Builder = Builder::stack_size;
    let _: fn(Builder, fn() -> u32) -> std::io::Result<JoinHandle<u32>> = Builder::spawn;
    has!(LocalKey<u32>: Debug);
    let _ = |k: &'static LocalKey<u32>| LocalKey::with(k, |v: &u32| *v);
    let _ = |k: &'static LocalKey<u32>| -> Result<u32, AccessError> {
        LocalKey::try_with(k, |v: &u32| *v)
    };
    lm::thread_local! {
        static ONE: u32 = 1;
        pub(crate) static TWO: Option<u8> = None
    }
    let _: (&LocalKey<u32>, &LocalKey<Option<u8>>) = (&ONE, &TWO);
    let _: fn(lm::lazy_static::AccessError) -> AccessError = |e| e;
    lm::lazy_static! {
        static ref LAZY: u32 = 1;
        pub(crate) static ref SHARED: u32 = 2;
    }
    let _: fn() -> (u32, u32) = || (*LAZY, *SHARED);
    use lm::lazy_static::Lazy;
    has!(Lazy<u32>: Debug);
    let _: fn(&'static Lazy<u32>) -> &'static u32 = Lazy::get;
}

fn models() {
    use lm::alloc::{Layout, Track};
    use lm::future::AtomicWaker;
    use lm::model::Builder;
    use std::task::Waker;
    let _: usize = lm::MAX_THREADS;
    let _: [fn(); 3] = [lm::explore, lm::stop_exploring, lm::skip_branch];
    let _: [fn(fn()); 2] = [lm::model, lm::model::model];
    has!(Builder: Debug, Default);
    let _: fn() -> Builder = Builder::new;
    let _: for<'a> fn(&'a mut Builder, &str) -> &'a mut Builder = Builder::checkpoint_file;
    let _: fn(&Builder, fn()) = Builder::check;
    let _ = |b: &mut Builder| {
        b.max_threads = 3;
        b.max_branches = 3;
        b.max_permutations = Some(3);
        b.max_duration = Some(std::time::Duration::ZERO);
        b.preemption_bound = Some(3);
        b.checkpoint_file = Some(std::path::PathBuf::new());
        b.checkpoint_interval = 3;
        b.expect_explicit_explore = false;
        b.location = true;
        b.log = true;
    };
    let _: [unsafe fn(Layout) -> *mut u8; 2] = [lm::alloc::alloc, lm::alloc::alloc_zeroed];
    let _: unsafe fn(*mut u8, Layout) = lm::alloc::dealloc;
    has!(Track<u32>: Debug);
    let _: fn(u32) -> Track<u32> = Track::new;
    let _: fn(&Track<u32>) -> &u32 = Track::get_ref;
    let _: fn(&mut Track<u32>) -> &mut u32 = Track::get_mut;
    let _: fn(Track<u32>) -> u32 = Track::into_inner;
    has!(AtomicWaker: Debug, Default, Send, Sync);
    let _: fn() -> AtomicWaker = AtomicWaker::new;
    let _: fn(&AtomicWaker, Waker) = AtomicWaker::register;
    let _: fn(&AtomicWaker, &Waker) = AtomicWaker::register_by_ref;
    let _: fn(&AtomicWaker) = AtomicWaker::wake;
    let _: fn(&AtomicWaker) -> Option<Waker> = AtomicWaker::take_waker;
    let _: fn(std::future::Ready<u32>) -> u32 = lm::future::block_on;
}
