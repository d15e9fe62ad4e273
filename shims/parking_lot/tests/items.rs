//! Every item of `parking_lot` 0.12, and every method of its locks and guards, called once. The
//! file compiles with `parking_lot` itself, too (with its feature `arc_lock`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::lock_api::{GetThreadId as _, RawMutex as _, RawMutexFair as _, RawRwLock as _};
use parking_lot::{
    ArcMutexGuard, ArcReentrantMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard,
    ArcRwLockWriteGuard, Condvar, FairMutex, FairMutexGuard, MappedFairMutexGuard,
    MappedMutexGuard, MappedReentrantMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard,
    Mutex, MutexGuard, Once, OnceState, RawFairMutex, RawMutex, RawRwLock, RawThreadId,
    ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, WaitTimeoutResult, const_fair_mutex, const_mutex, const_reentrant_mutex,
    const_rwlock,
};

const SHORT: Duration = Duration::from_millis(1);

static COUNT: Mutex<u32> = const_mutex(0);

#[test]
fn locks_and_guards() {
    *COUNT.lock() += 1;
    let mut pair = MutexGuard::map(COUNT.lock(), |count| count);
    *pair += 1;
    let _: &MappedMutexGuard<'_, u32> = &pair;
    drop(pair);
    assert_eq!(COUNT.try_lock_for(Duration::from_millis(1)).as_deref(), Some(&2));
    let lock = Arc::new(Mutex::new(1));
    let guard: ArcMutexGuard<RawMutex, i32> = lock.lock_arc();
    assert!(lock.try_lock().is_none());
    drop(guard);
    let fair = FairMutex::new((1, 2));
    let part: MappedFairMutexGuard<'_, i32> = FairMutexGuard::map(fair.lock(), |pair| &mut pair.1);
    assert_eq!(*part, 2);
    let nested = ReentrantMutex::new(3);
    assert_eq!(*nested.lock() + *nested.lock(), 6);
}

#[test]
fn readers_and_writers() {
    let lock = Arc::new(RwLock::new(vec![1]));
    let mut guard = lock.upgradable_read();
    RwLockUpgradableReadGuard::with_upgraded(&mut guard, |data| data.push(2));
    drop(RwLockUpgradableReadGuard::downgrade(guard));
    let reader = lock.read_recursive();
    assert_eq!(*lock.read_recursive(), *reader);
    RwLockReadGuard::unlock_fair(reader);
    let mut writer = lock.write();
    RwLockWriteGuard::bump(&mut writer);
    drop(RwLockWriteGuard::downgrade(writer));
    let owned: ArcRwLockReadGuard<RawRwLock, Vec<i32>> = lock.read_arc();
    assert_eq!(owned.len(), 2);
}

#[test]
fn conditions_and_once() {
    let (lock, changed) = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *lock.lock() = true;
            changed.notify_one();
        });
        let mut done = lock.lock();
        changed.wait_while(&mut done, |done| !*done);
        let late = changed.wait_until(&mut done, Instant::now());
        assert!(late.timed_out() && changed.wait_for(&mut done, Duration::ZERO).timed_out());
    });
    assert!(!changed.notify_one() && changed.notify_all() == 0);
    let once = Once::new();
    assert_eq!(once.state(), OnceState::New);
    let panics = std::panic::catch_unwind(|| once.call_once(|| panic!("the first closure")));
    assert!(panics.is_err() && once.state().poisoned());
    once.call_once_force(|state| assert!(state.poisoned() && !state.done()));
    assert!(once.state().done());
    once.call_once(|| unreachable!("it has run"));
}

/// A mutex of either kind.
macro_rules! each_method_of_a_mutex {
    ($test:ident, $Mutex:ident, $Guard:ident, $Mapped:ident, $Raw:ident, $constant:ident) => {
        #[test]
        fn $test() {
            static ZERO: $Mutex<u32> = $constant(0);
            static NEW: $Mutex<u32> = $Mutex::new(0);
            assert_eq!((*ZERO.lock(), *NEW.lock()), (0, 0));
            let mut lock = $Mutex::from(1);
            assert_eq!((*lock.get_mut(), *$Mutex::<u32>::default().lock()), (1, 0));
            assert!(!lock.is_locked() && !format!("{lock:?}").is_empty());
            let mut guard: $Guard<'_, u32> = lock.lock();
            assert!(lock.try_lock().is_none() && lock.try_lock_for(SHORT).is_none());
            assert!(lock.try_lock_until(Instant::now()).is_none());
            assert!(std::ptr::eq($Guard::mutex(&guard), &raw const lock));
            assert!($Guard::unlocked(&mut guard, || lock.try_lock().is_some()));
            assert!($Guard::unlocked_fair(&mut guard, || lock.try_lock().is_some()));
            $Guard::bump(&mut guard);
            assert_eq!((format!("{guard:?}"), format!("{guard}")), ("1".into(), "1".into()));
            $Guard::unlock_fair(guard);
            let mapped: $Mapped<'_, u32> = $Guard::map(lock.lock(), |data| data);
            let mapped = $Mapped::map(mapped, |data| data);
            let refused = $Mapped::try_map(mapped, |_| None::<&mut u32>);
            let refused =
                $Mapped::try_map_or_err(refused.err().unwrap(), |_| Err::<&mut u32, _>(7));
            let (mapped, why) = refused.err().unwrap();
            assert_eq!((*mapped, why), (1, 7));
            $Mapped::unlock_fair(mapped);
            let refused = $Guard::try_map(lock.lock(), |_| None::<&mut u32>);
            let refused = $Guard::try_map_or_err(refused.err().unwrap(), |_| Err::<&mut u32, _>(7));
            drop(refused.map_err(|(guard, _)| guard));
            *$Guard::leak(lock.lock()) += 1;
            assert!(lock.is_locked());
            // SAFETY: the guard was leaked, and its reference is not used any more.
            unsafe { lock.force_unlock() };
            std::mem::forget(lock.lock());
            // SAFETY: the guard was forgotten.
            unsafe { lock.force_unlock_fair() };
            // SAFETY: the raw lock is locked here, so the guard is the only one.
            drop(unsafe {
                lock.raw().lock();
                lock.make_guard_unchecked()
            });
            // SAFETY: the raw lock is locked here, so the guard is the only one; the thread that
            // has it unlocks it.
            unsafe {
                assert!(lock.raw().try_lock());
                lock.raw().bump();
                lock.raw().unlock_fair();
            }
            assert!(!lock.data_ptr().is_null());
            assert_eq!(lock.into_inner(), 2);
            let raw = $Mutex::const_new($Raw::INIT, 1);
            assert_eq!(*raw.lock(), *$Mutex::from_raw($Raw::INIT, 1).lock());

            let lock = Arc::new(raw);
            let mut guard: ArcMutexGuard<$Raw, i32> = lock.lock_arc();
            assert!(lock.try_lock_arc().is_none() && lock.try_lock_arc_for(SHORT).is_none());
            assert!(lock.try_lock_arc_until(Instant::now()).is_none());
            assert!(Arc::ptr_eq(ArcMutexGuard::mutex(&guard), &lock));
            assert!(ArcMutexGuard::unlocked(&mut guard, || lock.try_lock().is_some()));
            assert!(ArcMutexGuard::unlocked_fair(&mut guard, || lock.try_lock().is_some()));
            ArcMutexGuard::bump(&mut guard);
            ArcMutexGuard::unlock_fair(guard);
            drop(ArcMutexGuard::into_arc(lock.lock_arc()));
            drop(ArcMutexGuard::into_arc_fair(lock.lock_arc()));
        }
    };
}

each_method_of_a_mutex!(
    each_method_of_mutex,
    Mutex,
    MutexGuard,
    MappedMutexGuard,
    RawMutex,
    const_mutex
);
each_method_of_a_mutex!(
    each_method_of_fair_mutex,
    FairMutex,
    FairMutexGuard,
    MappedFairMutexGuard,
    RawFairMutex,
    const_fair_mutex
);

#[test]
fn each_method_of_reentrant_mutex() {
    static ZERO: ReentrantMutex<u32> = const_reentrant_mutex(0);
    assert_eq!(*ZERO.lock(), 0);
    let mut lock = ReentrantMutex::from(1);
    assert_eq!((*lock.get_mut(), *ReentrantMutex::<u32>::default().lock()), (1, 0));
    assert!(!lock.is_locked() && !format!("{lock:?}").is_empty());
    let mut guard: ReentrantMutexGuard<'_, u32> = lock.lock();
    assert!(lock.is_owned_by_current_thread() && lock.try_lock().is_some());
    assert!(lock.try_lock_for(SHORT).is_some() && lock.try_lock_until(Instant::now()).is_some());
    assert!(std::ptr::eq(ReentrantMutexGuard::remutex(&guard), &raw const lock));
    ReentrantMutexGuard::unlocked(&mut guard, || assert!(!lock.is_locked()));
    ReentrantMutexGuard::unlocked_fair(&mut guard, || assert!(!lock.is_locked()));
    ReentrantMutexGuard::bump(&mut guard);
    ReentrantMutexGuard::unlock_fair(guard);
    let mapped: MappedReentrantMutexGuard<'_, u32> =
        ReentrantMutexGuard::map(lock.lock(), |data| data);
    let mapped = MappedReentrantMutexGuard::map(mapped, |data| data);
    let refused = MappedReentrantMutexGuard::try_map(mapped, |_| None::<&u32>);
    drop(refused.map(drop));
    let refused = ReentrantMutexGuard::try_map(lock.lock(), |_| None::<&u32>);
    drop(refused.map(drop));
    std::mem::forget(lock.lock());
    // SAFETY: the guard was forgotten.
    unsafe { lock.force_unlock() };
    std::mem::forget(lock.lock());
    // SAFETY: the guard was forgotten.
    unsafe { lock.force_unlock_fair() };
    std::mem::forget(lock.lock());
    // SAFETY: the guard was forgotten, and its hold is this one's.
    drop(unsafe { lock.make_guard_unchecked() });
    // SAFETY: of the raw lock nothing but its state is used.
    assert!(!unsafe { lock.raw().is_locked() } && !lock.data_ptr().is_null());
    assert_eq!(lock.into_inner(), 1);
    let lock = Arc::new(ReentrantMutex::const_new(RawMutex::INIT, RawThreadId::INIT, 1));
    let mut guard: ArcReentrantMutexGuard<RawMutex, RawThreadId, i32> = lock.lock_arc();
    assert!(lock.try_lock_arc().is_some() && lock.try_lock_arc_for(SHORT).is_some());
    assert!(lock.try_lock_arc_until(Instant::now()).is_some());
    ArcReentrantMutexGuard::unlocked(&mut guard, || assert!(!lock.is_locked()));
    ArcReentrantMutexGuard::bump(&mut guard);
    ArcReentrantMutexGuard::unlock_fair(guard);
    drop(ArcReentrantMutexGuard::into_arc(lock.lock_arc()));
    assert!(RawThreadId::INIT.nonzero_thread_id().get() > 0);
}

#[test]
fn each_method_of_rwlock() {
    static ZERO: RwLock<u32> = const_rwlock(0);
    assert_eq!(*ZERO.read(), 0);
    let mut lock = RwLock::from(1);
    assert_eq!((*lock.get_mut(), *RwLock::<u32>::default().read()), (1, 0));
    assert!(!lock.is_locked() && !format!("{lock:?}").is_empty());

    let mut reader: RwLockReadGuard<'_, u32> = lock.read();
    assert!(lock.is_locked() && !lock.is_locked_exclusive());
    assert!(lock.try_read().is_some() && lock.try_write().is_none());
    assert!(lock.try_read_for(SHORT).is_some() && lock.try_write_for(SHORT).is_none());
    assert!(lock.try_read_until(Instant::now()).is_some());
    assert!(lock.try_write_until(Instant::now()).is_none());
    drop(lock.read_recursive());
    assert!(lock.try_read_recursive().is_some() && lock.try_read_recursive_for(SHORT).is_some());
    assert!(lock.try_read_recursive_until(Instant::now()).is_some());
    assert!(std::ptr::eq(RwLockReadGuard::rwlock(&reader), &raw const lock));
    RwLockReadGuard::unlocked(&mut reader, || assert!(lock.try_write().is_some()));
    RwLockReadGuard::unlocked_fair(&mut reader, || assert!(lock.try_write().is_some()));
    RwLockReadGuard::bump(&mut reader);
    RwLockReadGuard::unlock_fair(reader);
    let mapped: MappedRwLockReadGuard<'_, u32> = RwLockReadGuard::map(lock.read(), |data| data);
    let mapped = MappedRwLockReadGuard::map(mapped, |data| data);
    MappedRwLockReadGuard::unlock_fair(mapped);
    drop(RwLockReadGuard::try_map(lock.read(), |_| None::<&u32>).map(drop));

    let mut writer: RwLockWriteGuard<'_, u32> = lock.write();
    assert!(lock.is_locked_exclusive());
    assert!(std::ptr::eq(RwLockWriteGuard::rwlock(&writer), &raw const lock));
    RwLockWriteGuard::unlocked(&mut writer, || assert!(lock.try_read().is_some()));
    RwLockWriteGuard::unlocked_fair(&mut writer, || assert!(lock.try_read().is_some()));
    RwLockWriteGuard::bump(&mut writer);
    let reader = RwLockWriteGuard::downgrade(writer);
    assert!(lock.try_read().is_some());
    drop(reader);
    drop(RwLockWriteGuard::downgrade_to_upgradable(lock.write()));
    RwLockWriteGuard::unlock_fair(lock.write());
    let mapped: MappedRwLockWriteGuard<'_, u32> = RwLockWriteGuard::map(lock.write(), |data| data);
    MappedRwLockWriteGuard::unlock_fair(MappedRwLockWriteGuard::map(mapped, |data| data));
    drop(RwLockWriteGuard::try_map(lock.write(), |_| None::<&mut u32>).map(drop));

    let mut middle: RwLockUpgradableReadGuard<'_, u32> = lock.upgradable_read();
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_upgradable_read_for(SHORT).is_none());
    assert!(lock.try_upgradable_read_until(Instant::now()).is_none());
    assert!(std::ptr::eq(RwLockUpgradableReadGuard::rwlock(&middle), &raw const lock));
    RwLockUpgradableReadGuard::unlocked(&mut middle, || assert!(lock.try_write().is_some()));
    RwLockUpgradableReadGuard::unlocked_fair(&mut middle, || assert!(lock.try_write().is_some()));
    RwLockUpgradableReadGuard::bump(&mut middle);
    middle.with_upgraded(|data| *data += 1);
    assert!(middle.try_with_upgraded(|data| *data += 1).is_some());
    assert!(middle.try_with_upgraded_for(SHORT, |data| *data += 1).is_some());
    assert!(middle.try_with_upgraded_until(Instant::now(), |data| *data += 1).is_some());
    let reads = lock.read();
    let middle = RwLockUpgradableReadGuard::try_upgrade(middle).err().unwrap();
    let middle = RwLockUpgradableReadGuard::try_upgrade_for(middle, SHORT).err().unwrap();
    let middle = RwLockUpgradableReadGuard::try_upgrade_until(middle, Instant::now());
    drop(reads);
    let writer = RwLockUpgradableReadGuard::upgrade(middle.err().unwrap());
    let middle = RwLockWriteGuard::downgrade_to_upgradable(writer);
    drop(RwLockUpgradableReadGuard::downgrade(middle));
    RwLockUpgradableReadGuard::unlock_fair(lock.upgradable_read());

    std::mem::forget((lock.read(), lock.read()));
    // SAFETY: both guards were forgotten.
    unsafe {
        lock.force_unlock_read();
        lock.force_unlock_read_fair();
    }
    std::mem::forget(lock.write());
    // SAFETY: the guard was forgotten.
    unsafe { lock.force_unlock_write() };
    std::mem::forget(lock.write());
    // SAFETY: the guard was forgotten.
    unsafe { lock.force_unlock_write_fair() };
    // SAFETY: the raw lock is locked here for the guards, in their modes.
    unsafe {
        lock.raw().lock_shared();
        drop(lock.make_read_guard_unchecked());
        lock.raw().lock_exclusive();
        drop(lock.make_write_guard_unchecked());
    }
    assert!(!lock.data_ptr().is_null());
    assert_eq!(lock.into_inner(), 5);
}

#[test]
fn each_method_of_the_guards_that_keep_a_rwlock() {
    let lock = Arc::new(RwLock::const_new(RawRwLock::INIT, 1));
    let mut reader: ArcRwLockReadGuard<RawRwLock, i32> = lock.read_arc();
    assert!(lock.try_read_arc().is_some() && lock.try_write_arc().is_none());
    assert!(lock.try_read_arc_for(SHORT).is_some() && lock.try_write_arc_for(SHORT).is_none());
    assert!(lock.try_read_arc_until(Instant::now()).is_some());
    assert!(lock.try_write_arc_until(Instant::now()).is_none());
    drop((lock.read_arc_recursive(), lock.try_read_recursive_arc()));
    assert!(lock.try_read_arc_recursive_for(SHORT).is_some());
    assert!(lock.try_read_arc_recursive_until(Instant::now()).is_some());
    ArcRwLockReadGuard::unlocked(&mut reader, || assert!(lock.try_write().is_some()));
    ArcRwLockReadGuard::bump(&mut reader);
    ArcRwLockReadGuard::unlock_fair(reader);
    let mut writer: ArcRwLockWriteGuard<RawRwLock, i32> = lock.write_arc();
    ArcRwLockWriteGuard::unlocked(&mut writer, || assert!(lock.try_write().is_some()));
    ArcRwLockWriteGuard::bump(&mut writer);
    drop(ArcRwLockWriteGuard::downgrade(writer));
    let mut middle: ArcRwLockUpgradableReadGuard<RawRwLock, i32> = lock.upgradable_read_arc();
    assert!(lock.try_upgradable_read_arc().is_none());
    assert!(lock.try_upgradable_read_arc_for(SHORT).is_none());
    assert!(lock.try_upgradable_read_arc_until(Instant::now()).is_none());
    middle.with_upgraded(|data| *data += 1);
    let writer = ArcRwLockUpgradableReadGuard::upgrade(middle);
    drop(ArcRwLockWriteGuard::downgrade_to_upgradable(writer));
    drop(ArcRwLockReadGuard::into_arc(lock.read_arc()));
    assert_eq!(*lock.read(), 2);
}

#[test]
fn each_wait_of_a_condvar() {
    static CHANGED: Condvar = Condvar::new();
    let lock = Mutex::new(0);
    let mut guard = lock.lock();
    let soon = || Instant::now() + SHORT;
    let late: [WaitTimeoutResult; 4] = [
        CHANGED.wait_for(&mut guard, SHORT),
        CHANGED.wait_until(&mut guard, soon()),
        CHANGED.wait_while_for(&mut guard, |n| *n == 0, SHORT),
        CHANGED.wait_while_until(&mut guard, |n| *n == 0, soon()),
    ];
    assert!(late.iter().all(|late| late.timed_out()));
    assert!(!CHANGED.wait_while_for(&mut guard, |n| *n == 1, Duration::MAX).timed_out());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *lock.lock() = 1;
            CHANGED.notify_all();
        });
        while *guard == 0 {
            CHANGED.wait(&mut guard);
        }
    });
    assert!(format!("{CHANGED:?}").contains("Condvar"));
}
