//! Threads that take the lock in every mode, upgrade, downgrade and time out; two copies of a count
//! that must always agree.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};

use crate::watchdog::{note, watch};

#[test]
fn every_mode_sees_both_copies_agree() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 10_000;
    let _watch = watch();
    let (data, written) = (RwLock::new((0_u64, 0_u64)), AtomicU64::new(0));
    let bump = |pair: &mut (u64, u64)| {
        pair.0 += 1;
        pair.1 += 1;
        written.fetch_add(1, Ordering::Relaxed);
    };
    let check = |pair: &(u64, u64)| assert_eq!(pair.0, pair.1);
    thread::scope(|scope| {
        for me in 0..THREADS {
            let data = &data;
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    let soon = Duration::from_micros(turn % 40);
                    match (turn * 7 + me) % 12 {
                        0 => bump(&mut data.write()),
                        1 => {
                            if let Some(mut pair) = data.try_write_for(soon) {
                                bump(&mut pair);
                            }
                        }
                        2 => {
                            let mut pair =
                                RwLockUpgradableReadGuard::upgrade(data.upgradable_read());
                            bump(&mut pair);
                            check(&RwLockWriteGuard::downgrade(pair));
                        }
                        3 => match RwLockUpgradableReadGuard::try_upgrade_for(
                            data.upgradable_read(),
                            soon,
                        ) {
                            Ok(mut pair) => bump(&mut pair),
                            Err(pair) => check(&RwLockUpgradableReadGuard::downgrade(pair)),
                        },
                        4 => {
                            let mut pair = data.write();
                            bump(&mut pair);
                            let pair = RwLockWriteGuard::downgrade_to_upgradable(pair);
                            check(&pair);
                        }
                        5 => drop(data.try_read_for(soon).map(|pair| check(&pair))),
                        6 => drop(data.try_upgradable_read_for(soon).map(|pair| check(&pair))),
                        _ => check(&data.read()),
                    }
                }
            });
        }
    });
    assert_eq!(data.into_inner().0, written.into_inner());
}

/// Readers that overlap forever, and a writer that must still get in; then the other way round.
#[test]
fn neither_side_starves() {
    let _watch = watch();
    for hogs_write in [false, true] {
        let (lock, done) = (RwLock::new(()), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let work = || (0..200).for_each(|_| std::hint::spin_loop());
                    while !done.load(Ordering::Relaxed) {
                        if hogs_write {
                            let _guard = lock.write();
                            work();
                        } else {
                            let _guard = lock.read();
                            work();
                        }
                    }
                });
            }
            for entry in 0..100 {
                note(format!("hogs write: {hogs_write}, entry {entry}"));
                if hogs_write {
                    drop(lock.read());
                } else {
                    drop(lock.write());
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
