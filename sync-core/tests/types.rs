//! Send, Sync, UnwindSafe and RefUnwindSafe of every public type, next to those of `std` and
//! `parking_lot`: a table that is printed, and compared with the expected table.
// The features put more into the locks, and the models other atomics.
#![cfg(not(any(loom, sync_verify)))]

use std::any::type_name;
use std::cell::Cell;
use std::fmt::Write;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::Arc;

#[path = "support/public_items.rs"]
mod public_items;

/// A type that a peer does not have.
struct Absent;

/// Data that is `Send` and `Sync`.
struct Both;
/// Data that is `Send` only.
struct SendOnly(PhantomData<Cell<u32>>);
/// Data that is `Sync` only, as a guard of `std` is.
struct SyncOnly(PhantomData<std::sync::MutexGuard<'static, u32>>);
/// Data that is neither.
struct Neither(PhantomData<Rc<u32>>);
/// Data that is not `UnwindSafe`.
struct Broken(PhantomData<&'static mut u32>);

trait Not {
    const IS: bool = false;
}

impl<T: ?Sized> Not for T {}

/// Whether a type has a trait: the inherent constant is found before the one of the trait `Not`.
macro_rules! asks {
    ($($Has:ident: $Trait:path),*) => {$(
        struct $Has<T: ?Sized>(PhantomData<T>);
        impl<T: ?Sized + $Trait> $Has<T> {
            const IS: bool = true;
        }
    )*};
}

asks!(IsSend: Send, IsSync: Sync, IsUnwindSafe: UnwindSafe, IsRefUnwindSafe: RefUnwindSafe);

/// `S` for Send, `Y` for Sync, `U` for UnwindSafe, `R` for RefUnwindSafe, or a dot; nothing for
/// what is absent.
macro_rules! flags {
    ($T:ty) => {{
        let mut flags = String::new();
        if type_name::<$T>() != type_name::<Absent>() {
            flags.push(if <IsSend<$T>>::IS { 'S' } else { '.' });
            flags.push(if <IsSync<$T>>::IS { 'Y' } else { '.' });
            flags.push(if <IsUnwindSafe<$T>>::IS { 'U' } else { '.' });
            flags.push(if <IsRefUnwindSafe<$T>>::IS { 'R' } else { '.' });
        }
        flags
    }};
}

struct Row {
    name: &'static str,
    data: &'static str,
    ours: String,
    std: String,
    parking_lot: String,
}

macro_rules! table {
    ($($name:literal <$D:ident>: $ours:ty, $std:ty, $parking_lot:ty;)*) => {{
        let mut rows = Vec::new();
        $(table!(
            @ rows, $name, $D, [Both, SendOnly, SyncOnly, Neither, Broken],
            $ours, $std, $parking_lot
        );)*
        rows
    }};
    (
        @ $rows:ident, $name:literal, $D:ident, [$($Data:ident),*],
        $ours:ty, $std:ty, $parking_lot:ty
    ) => {
        table!(@@ $rows, $name, $D, Both, $ours, $std, $parking_lot);
        table!(@@ $rows, $name, $D, SendOnly, $ours, $std, $parking_lot);
        table!(@@ $rows, $name, $D, SyncOnly, $ours, $std, $parking_lot);
        table!(@@ $rows, $name, $D, Neither, $ours, $std, $parking_lot);
        table!(@@ $rows, $name, $D, Broken, $ours, $std, $parking_lot);
    };
    (@@ $rows:ident, $name:literal, $D:ident, $Data:ident, $ours:ty, $std:ty, $parking_lot:ty) => {{
        type $D = $Data;
        let _ = PhantomData::<$D>;
        $rows.push(Row {
            name: $name,
            data: stringify!($Data),
            ours: flags!($ours),
            std: flags!($std),
            parking_lot: flags!($parking_lot),
        });
    }};
}

fn rows() -> Vec<Row> {
    use sync_core as ours;
    table! {
        "Mutex" <D>: ours::Mutex<D>, std::sync::Mutex<D>, parking_lot::Mutex<D>;
        "MutexGuard" <D>: ours::MutexGuard<'static, D>, std::sync::MutexGuard<'static, D>,
            parking_lot::MutexGuard<'static, D>;
        "MappedMutexGuard" <D>: ours::MappedMutexGuard<'static, D>, Absent,
            parking_lot::MappedMutexGuard<'static, D>;
        "ArcMutexGuard" <D>: ours::ArcMutexGuard<D>, Absent, Absent;
        "RawMutex" <D>: ours::RawMutex, Absent, parking_lot::RawMutex;
        "FairMutex" <D>: ours::FairMutex<D>, Absent, parking_lot::FairMutex<D>;
        "FairMutexGuard" <D>: ours::FairMutexGuard<'static, D>, Absent,
            parking_lot::FairMutexGuard<'static, D>;
        "ArcFairMutexGuard" <D>: ours::ArcFairMutexGuard<D>, Absent, Absent;
        "RawFairMutex" <D>: ours::RawFairMutex, Absent, parking_lot::RawFairMutex;
        "ReentrantMutex" <D>: ours::ReentrantMutex<D>, Absent, parking_lot::ReentrantMutex<D>;
        "ReentrantMutexGuard" <D>: ours::ReentrantMutexGuard<'static, D>, Absent,
            parking_lot::ReentrantMutexGuard<'static, D>;
        "MappedReentrantMutexGuard" <D>: ours::MappedReentrantMutexGuard<'static, D>, Absent,
            parking_lot::MappedReentrantMutexGuard<'static, D>;
        "ArcReentrantMutexGuard" <D>: ours::ArcReentrantMutexGuard<D>, Absent, Absent;
        "RawReentrantMutex" <D>: ours::RawReentrantMutex, Absent, Absent;
        "RwLock" <D>: ours::RwLock<D>, std::sync::RwLock<D>, parking_lot::RwLock<D>;
        "RwLockReadGuard" <D>: ours::RwLockReadGuard<'static, D>,
            std::sync::RwLockReadGuard<'static, D>, parking_lot::RwLockReadGuard<'static, D>;
        "RwLockWriteGuard" <D>: ours::RwLockWriteGuard<'static, D>,
            std::sync::RwLockWriteGuard<'static, D>, parking_lot::RwLockWriteGuard<'static, D>;
        "RwLockUpgradableReadGuard" <D>: ours::RwLockUpgradableReadGuard<'static, D>, Absent,
            parking_lot::RwLockUpgradableReadGuard<'static, D>;
        "MappedRwLockReadGuard" <D>: ours::MappedRwLockReadGuard<'static, D>, Absent,
            parking_lot::MappedRwLockReadGuard<'static, D>;
        "MappedRwLockWriteGuard" <D>: ours::MappedRwLockWriteGuard<'static, D>, Absent,
            parking_lot::MappedRwLockWriteGuard<'static, D>;
        "MappedRwLockUpgradableReadGuard" <D>: ours::MappedRwLockUpgradableReadGuard<'static, D>,
            Absent, Absent;
        "ArcRwLockReadGuard" <D>: ours::ArcRwLockReadGuard<D>, Absent, Absent;
        "ArcRwLockWriteGuard" <D>: ours::ArcRwLockWriteGuard<D>, Absent, Absent;
        "ArcRwLockUpgradableReadGuard" <D>: ours::ArcRwLockUpgradableReadGuard<D>, Absent, Absent;
        "RawRwLock" <D>: ours::RawRwLock, Absent, parking_lot::RawRwLock;
        "Condvar" <D>: ours::Condvar, std::sync::Condvar, parking_lot::Condvar;
        "WaitTimeoutResult" <D>: ours::WaitTimeoutResult, std::sync::WaitTimeoutResult,
            parking_lot::WaitTimeoutResult;
        "Once" <D>: ours::Once, std::sync::Once, parking_lot::Once;
        "OnceState" <D>: ours::OnceState, std::sync::OnceState, Absent;
        "OnceStatus" <D>: ours::OnceStatus, Absent, parking_lot::OnceState;
        "OnceLock" <D>: ours::OnceLock<D>, std::sync::OnceLock<D>, Absent;
        "LazyLock" <D>: ours::LazyLock<D>, std::sync::LazyLock<D>, Absent;
        "Semaphore" <D>: ours::Semaphore, Absent, Absent;
        "BoundedSemaphore" <D>: ours::BoundedSemaphore, Absent, Absent;
        "RawSemaphore" <D>: ours::RawSemaphore, Absent, Absent;
        "Permit" <D>: ours::Permit<'static>, Absent, Absent;
        "ArcPermit" <D>: ours::ArcPermit, Absent, Absent;
        "Event" <D>: ours::Event, Absent, Absent;
        "AutoResetEvent" <D>: ours::AutoResetEvent, Absent, Absent;
        "Barrier" <D>: ours::Barrier, std::sync::Barrier, Absent;
        "Barrier with an action" <D>: ours::Barrier<Action<D>>, Absent, Absent;
        "BarrierWaitResult" <D>: ours::BarrierWaitResult, std::sync::BarrierWaitResult, Absent;
        "Latch" <D>: ours::Latch, Absent, Absent;
        "WaitGroup" <D>: ours::WaitGroup, Absent, Absent;
        "Parker" <D>: ours::Parker, Absent, Absent;
        "Unparker" <D>: ours::Unparker, Absent, Absent;
        "thread::Thread" <D>: ours::thread::Thread, std::thread::Thread, Absent;
        "thread::JoinHandle" <D>: ours::thread::JoinHandle<D>, std::thread::JoinHandle<D>, Absent;
        "thread::Builder" <D>: ours::thread::Builder, std::thread::Builder, Absent;
        "thread::Group" <D>: ours::thread::Group, Absent, Absent;
        "thread::GroupHandle" <D>: ours::thread::GroupHandle, Absent, Absent;
        "MutexTaskGuard" <D>: ours::MutexTaskGuard<'static, D>, Absent, Absent;
        "FairMutexTaskGuard" <D>: ours::FairMutexTaskGuard<'static, D>, Absent, Absent;
        "RwLockReadTaskGuard" <D>: ours::RwLockReadTaskGuard<'static, D>, Absent, Absent;
        "RwLockWriteTaskGuard" <D>: ours::RwLockWriteTaskGuard<'static, D>, Absent, Absent;
        "RwLockUpgradableReadTaskGuard" <D>: ours::RwLockUpgradableReadTaskGuard<'static, D>,
            Absent, Absent;
        "TaskGuard over an Arc" <D>: ours::TaskGuard<Arc<ours::RwLock<D>>, ours::Exclusive>, Absent,
            Absent;
        "executor::ExecutorError" <D>: ours::executor::ExecutorError<D, D>, Absent, Absent;
    }
}

/// The types that hold no data of the user's.
fn plain_rows() -> Vec<Row> {
    use sync_core as ours;
    macro_rules! plain {
        ($($name:literal: $ours:ty, $std:ty;)*) => {
            vec![$(Row {
                name: $name,
                data: "",
                ours: flags!($ours),
                std: flags!($std),
                parking_lot: String::new(),
            }),*]
        };
    }
    plain! {
        "thread::SpawnError": ours::thread::SpawnError, std::io::Error;
        "thread::JoinError": ours::thread::JoinError, Absent;
        "thread::ShutDown": ours::thread::ShutDown, Absent;
        "thread::Scope":
            ours::thread::Scope<'static, 'static>, std::thread::Scope<'static, 'static>;
        "thread::PanicReport": ours::thread::PanicReport<'static>, Absent;
        "CancelToken": ours::CancelToken, Absent;
        "CancelOnDrop": ours::CancelOnDrop, Absent;
        "Cancelled": ours::Cancelled, Absent;
        "RateLimiter": ours::RateLimiter, Absent;
        "BoundedPermit": ours::BoundedPermit<'static>, Absent;
        "Closed": ours::Closed, Absent;
        "TryAcquireError": ours::TryAcquireError, Absent;
        "TooManyPermits": ours::TooManyPermits, Absent;
        "OverRelease": ours::OverRelease, Absent;
        "NotLocked": ours::NotLocked, Absent;
        "NotOwner": ours::NotOwner, Absent;
        "BrokenBarrier": ours::BrokenBarrier, Absent;
        "NoAction": ours::NoAction, Absent;
        "Timed": ours::Barrier<ours::Timed<ours::NoAction>>, Absent;
        "Exclusive": ours::Exclusive, Absent;
        "Shared": ours::Shared, Absent;
        "Upgradable": ours::Upgradable, Absent;
        "LockKind": ours::LockKind, Absent;
        "executor::Until": ours::executor::Until, Absent;
    }
}

/// An action of a barrier that owns a `D`.
struct Action<D>(PhantomData<D>);

/// The rows where our type differs from a peer's: the type, the data, the peer, and why.
const DIFFERENCES: [(&str, &str, &str, &str); 7] = [
    (
        "MutexGuard",
        "SyncOnly",
        "std",
        "`MutexGuard::mutex` gives out the lock; std's gives it to none",
    ),
    ("RwLockReadGuard", "SyncOnly", "std", "`RwLockReadGuard::rwlock` gives out the lock"),
    ("RwLockWriteGuard", "SyncOnly", "std", "`RwLockWriteGuard::rwlock` gives out the lock"),
    (
        "RwLockReadGuard",
        "SendOnly",
        "std",
        "std's points to the data, ours to the lock, which is RefUnwindSafe",
    ),
    ("thread::JoinHandle", "SendOnly", "std", "several joiners see the result"),
    ("thread::JoinHandle", "SyncOnly", "std", "a result that is not Send is in no thread"),
    ("thread::JoinHandle", "Neither", "std", "a result that is not Send is in no thread"),
];

#[test]
fn every_public_type_has_the_traits_of_its_peers() {
    let mut table = String::new();
    let mut wrong = String::new();
    for Row { name, data, ours, std, parking_lot } in rows().into_iter().chain(plain_rows()) {
        let _ = writeln!(table, "{name:34}{data:10}{ours:6}{std:6}{parking_lot}");
        let known = |peer| DIFFERENCES.iter().any(|&(n, d, p, _)| (n, d, p) == (name, data, peer));
        if !std.is_empty() && ours != std && !known("std") {
            let _ = writeln!(wrong, "{name} of {data}: {ours}, std {std}");
        }
        // `parking_lot` has no implementations about unwinding.
        if !parking_lot.is_empty() && ours[..2] != parking_lot[..2] && !known("parking_lot") {
            let _ = writeln!(wrong, "{name} of {data}: {ours}, parking_lot {parking_lot}");
        }
    }
    let shall = include_str!("types.txt");
    println!("{:34}{:10}{:6}{:6}parking_lot", "type", "data", "ours", "std");
    println!("{table}");
    assert_eq!(wrong, "", "differences that are not known");
    for (line, is) in shall.lines().zip(table.lines()) {
        assert_eq!(line.trim_end(), is.trim_end(), "the table is in types.txt");
    }
    assert_eq!(shall.lines().count(), table.lines().count(), "the table is in types.txt");
}

/// Traits, and the generic type and the aliases whose instances are in the table.
const NO_ROWS: [&str; 12] = [
    "Action",
    "AnyAction",
    "PermitSource",
    "RawLock",
    "TaskLock",
    "WaitGuard",
    "executor::Executor",
    "executor::Handle",
    "PermitGuard",
    "TaskGuard",
    "executor::MapError",
    // Only with the feature `lock_api`.
    "ThreadId",
];

#[test]
fn every_public_type_is_in_the_table() {
    let sources = [
        ("", include_str!("../src/lib.rs")),
        ("executor", include_str!("../src/executor.rs")),
        ("task", include_str!("../src/task/mod.rs")),
        ("thread", include_str!("../src/thread/mod.rs")),
    ];
    let rows: Vec<_> = rows().into_iter().chain(plain_rows()).map(|row| row.name).collect();
    public_items::assert_complete(&sources, &rows, &NO_ROWS);
}

/// Covariance: a guard that reads is as good as one of data that lives shorter, as a reference is.
/// The guards that give out their lock cannot be ([`sync_core::RwLockReadGuard::rwlock`]): with it,
/// what lives shorter could be written into it. A mapped guard gives out no lock.
#[test]
fn a_mapped_guard_that_reads_is_covariant() {
    use sync_core::{MappedReentrantMutexGuard, MappedRwLockReadGuard, RwLock, RwLockReadGuard};

    fn shorter<'short, 'lock>(
        guard: MappedRwLockReadGuard<'lock, &'static str>,
    ) -> MappedRwLockReadGuard<'lock, &'short str> {
        guard
    }
    fn reentrant<'short, 'lock>(
        guard: MappedReentrantMutexGuard<'lock, &'static str>,
    ) -> MappedReentrantMutexGuard<'lock, &'short str> {
        guard
    }
    let lock = RwLock::new("text");
    assert_eq!(*shorter(RwLockReadGuard::map(lock.read(), |text| text)), "text");
    let nested = sync_core::ReentrantMutex::new("text");
    let part = sync_core::ReentrantMutexGuard::map(nested.lock(), |text| text);
    assert_eq!(*reentrant(part), "text");
}
