//! Readers and writers: exclusion, hand-over of data, phases, and no waiter is
//! forgotten.

use std::time::Duration;

use sync_core::{Condvar, Event, RawRwLock, RwLock};

use crate::support::{Arc, Body, Tracked, all_asleep, with};

const SOON: Duration = Duration::from_millis(1);

/// A lock and plain data under it that the checker watches.
struct Guarded {
    lock: RawRwLock,
    data: Tracked,
}

fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RawRwLock::new(), data: Tracked::new(0) })
}

fn writes(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.write();
        it.data.set(it.data.get() + 1);
        it.lock.unlock_write().unwrap();
    })
}

fn writes_in_time(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        if it.lock.try_write_for(SOON) {
            it.data.set(it.data.get() + 1);
            it.lock.unlock_write().unwrap();
        }
    })
}

fn reads(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.read();
        it.data.get();
        it.lock.unlock_read().unwrap();
    })
}

/// Takes the lock for reading and keeps it.
fn stays(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| it.lock.read())
}

/// Gives back what the model took for reading before its threads began.
fn leaves(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.data.get();
        it.lock.unlock_read().unwrap();
    })
}

/// The same for writing.
fn releases(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.data.set(it.data.get() + 1);
        it.lock.unlock_write().unwrap();
    })
}

/// Writes what it has read first, without another in between.
fn upgrades(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.upgradable_read();
        let seen = it.data.get();
        it.lock.upgrade().unwrap();
        assert_eq!(it.data.get(), seen);
        it.data.set(seen + 1);
        it.lock.unlock_write().unwrap();
    })
}

/// Writes, and stays as a reader.
fn downgrades(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.write();
        it.data.set(it.data.get() + 1);
        it.lock.downgrade().unwrap();
    })
}

/// Does not get the lock for writing, because another thread reads throughout.
fn gives_up(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| assert!(!it.lock.try_write_for(SOON)))
}

/// Gets the lock as the upgradable reader, but not for writing, because another thread reads
/// throughout; and keeps it.
fn gives_the_upgrade_up(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.upgradable_read();
        assert_eq!(it.lock.try_upgrade_for(SOON), Ok(false));
    })
}

/// Uses the right to upgrade that the model took before its threads began, if no other thread has
/// used it.
fn uses(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        if it.lock.upgrade().is_ok() {
            it.data.set(it.data.get() + 1);
            it.lock.unlock_write().unwrap();
        }
    })
}

/// The same, for a while.
fn uses_in_time(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        if it.lock.try_upgrade_for(SOON) == Ok(true) {
            it.data.set(it.data.get() + 1);
            it.lock.unlock_write().unwrap();
        }
    })
}

/// The lock is free at the end, works in every mode, and carries nothing over.
fn free_at_the_end(shared: &Arc<Guarded>) -> u32 {
    assert!(!shared.lock.is_locked());
    assert!(shared.lock.try_read());
    shared.lock.unlock_read().unwrap();
    assert!(shared.lock.try_write());
    shared.data.get()
}

model! {
    /// parking_lot #344: a writer's data reaches the reader, and the reader is done before the next
    /// writer begins.
    fn a_writer_and_a_reader(order) {
        let shared = guarded();
        order.run([writes(&shared), reads(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// Two writers.
    fn two_writers(order) {
        let shared = guarded();
        order.run([writes(&shared), writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// A writer between two readers: it waits for both, or they for it.
    fn two_readers_and_a_writer(order) small whole {
        let shared = guarded();
        order.run([reads(&shared), writes(&shared), reads(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// Two writers and a reader: a release with both sides waiting forgets neither (litebox #809:
    /// nothing may hang on how many a wake woke).
    fn two_writers_and_a_reader(order) small {
        let shared = guarded();
        order.run([writes(&shared), reads(&shared), writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// folly b927c055: three writes of three threads, and a state that comes round to an old value
    /// while writers fall asleep.
    fn a_queue_of_writers(order) small {
        let shared = guarded();
        shared.lock.write();
        order.run([writes(&shared), writes(&shared), releases(&shared)]);
        assert_eq!(free_at_the_end(&shared), 3);
    }
}

model! {
    /// parking_lot #465: a reader leaves while a timed writer gives up, at whatever moment. Nothing
    /// of the writer stays behind.
    fn a_timed_writer_beside_a_reader(order) {
        let shared = guarded();
        shared.lock.read();
        order.run([leaves(&shared), writes_in_time(&shared)]);
        free_at_the_end(&shared);
    }
}

model! {
    /// A writer gives up while the lock is held for reading throughout: the reader that stood back
    /// behind it gets in, for the one that holds the lock may be waiting for just that.
    fn a_writer_that_gives_up_lets_readers_in(order) {
        let shared = guarded();
        shared.lock.read();
        order.run([gives_up(&shared), reads(&shared)]);
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 0);
    }
}

model! {
    /// LLVM libc #201937 for writers: one holds, one waits with a timeout, one waits. The last must
    /// get in.
    fn a_timed_writer_passes_the_wake_on(order) small {
        let shared = guarded();
        shared.lock.write();
        order.run([releases(&shared), writes_in_time(&shared), writes(&shared)]);
        assert!(free_at_the_end(&shared) >= 2);
    }
}

model! {
    /// The last reader calls a writer whose time is up: the reader that waits behind it is not
    /// forgotten.
    fn a_timed_writer_before_a_reader(order) small {
        let shared = guarded();
        shared.lock.read();
        order.run([leaves(&shared), writes_in_time(&shared), reads(&shared)]);
        free_at_the_end(&shared);
    }
}

model! {
    /// Windows SRWLOCK, rust #121949: a writer releases, and the two readers that waited are in at
    /// the same time. Neither leaves: if one is let in only after the other, this never ends.
    fn readers_meet_after_a_writer(order) small {
        let shared = guarded();
        shared.lock.write();
        order.run([stays(&shared), stays(&shared), releases(&shared)]);
        shared.lock.unlock_read().unwrap();
        shared.lock.unlock_read().unwrap();
        free_at_the_end(&shared);
    }
}

model! {
    /// A writer that had waited downgrades and stays: no writer's bit that is left over keeps the
    /// reader out.
    fn a_reader_meets_a_downgraded_writer(order) {
        let shared = guarded();
        shared.lock.write();
        let releases_and_reads = with(&shared, |it| {
            it.lock.unlock_write().unwrap();
            it.lock.read();
            it.data.get();
            it.lock.unlock_read().unwrap();
        });
        order.run([downgrades(&shared), releases_and_reads]);
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// The upgradable reader becomes the writer after the reader has left, and no thread wrote in
    /// between.
    fn upgrade_beside_a_reader(order) {
        let shared = guarded();
        order.run([upgrades(&shared), reads(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// Two who want to upgrade, one after the other: neither waits for the other while it keeps it
    /// out.
    fn two_upgrades(order) {
        let shared = guarded();
        order.run([upgrades(&shared), upgrades(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// An upgrade and a writer: the data that the upgradable reader saw is still there when it
    /// writes.
    fn upgrade_against_a_writer(order) {
        let shared = guarded();
        let upgrades = with(&shared, |it| {
            it.lock.upgradable_read();
            let seen = it.data.get();
            it.lock.upgrade().unwrap();
            assert_eq!(it.data.get(), seen);
            it.data.set(seen + 1);
            it.lock.downgrade_to_upgradable().unwrap();
            it.lock.downgrade_upgradable().unwrap();
            it.data.get();
            it.lock.unlock_read().unwrap();
        });
        order.run([upgrades, writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// An upgrade gives up while a reader holds on: the reader that it kept out gets in.
    fn an_upgrade_that_gives_up_lets_readers_in(order) {
        let shared = guarded();
        shared.lock.read();
        order.run([gives_the_upgrade_up(&shared), reads(&shared)]);
        shared.lock.unlock_upgradable().unwrap();
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 0);
    }
}

model! {
    /// A wait with a writer's guard and a change by another writer.
    fn a_condvar_with_a_writer(order) {
        let shared = Arc::new((RwLock::new(0), Condvar::new()));
        let waits = with(&shared, |it| {
            let mut guard = it.0.write();
            it.1.wait_while(&mut guard, |value| *value == 0);
        });
        let sets = with(&shared, |it| {
            *it.0.write() = 1;
            it.1.notify_one();
        });
        order.run([waits, sets]);
        assert_eq!(*shared.0.read(), 1);
    }
}

model! {
    /// A wait with a reader's guard: the writer gets in meanwhile, and the change is not missed.
    fn a_condvar_with_a_reader(order) {
        let shared = Arc::new((RwLock::new(0), Condvar::new()));
        let waits = with(&shared, |it| {
            let mut guard = it.0.read();
            while *guard == 0 {
                it.1.wait(&mut guard);
            }
        });
        let sets = with(&shared, |it| {
            *it.0.write() = 1;
            it.1.notify_one();
        });
        order.run([waits, sets]);
    }
}

model! {
    /// The last owner frees it: what a release touches after its last atomic, the checker would
    /// report.
    fn the_last_owner_frees_it(order) {
        let shared = guarded();
        let (one, two) = (reads(&shared), writes(&shared));
        drop(shared);
        order.run([one, two]);
    }
}

model! {
    /// The upgradable reader only reads, and is done before the next writer begins.
    fn an_upgradable_reader_and_a_writer(order) {
        let shared = guarded();
        let reads = with(&shared, |it| {
            it.lock.upgradable_read();
            it.data.get();
            it.lock.unlock_upgradable().unwrap();
        });
        order.run([reads, writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// A downgrade hands what the writer wrote to the readers that it lets in.
    fn a_downgrade_brings_the_news(order) {
        let shared = guarded();
        order.run([downgrades(&shared), reads(&shared)]);
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// A writer gives up next to two that do not, while a reader holds the lock: the bit that it
    /// takes along was theirs as well.
    fn a_writer_that_gives_up_beside_writers(order) tight {
        let shared = guarded();
        shared.lock.read();
        order.run([writes_in_time(&shared), writes(&shared), leaves(&shared), writes(&shared)]);
        assert!(free_at_the_end(&shared) >= 2);
    }
}

model! {
    /// A writer gives up while a reader holds on: both readers that stood back behind it get in, at
    /// the same time.
    fn a_writer_that_gives_up_lets_all_readers_in(order) small whole {
        let shared = guarded();
        shared.lock.read();
        order.run([gives_up(&shared), stays(&shared), stays(&shared)]);
        for _ in 0..3 {
            shared.lock.unlock_read().unwrap();
        }
        free_at_the_end(&shared);
    }
}

model! {
    /// The same for an upgrade that gives up.
    fn an_upgrade_that_gives_up_lets_all_readers_in(order) small whole {
        let shared = guarded();
        shared.lock.read();
        order.run([gives_the_upgrade_up(&shared), stays(&shared), stays(&shared)]);
        for _ in 0..3 {
            shared.lock.unlock_read().unwrap();
        }
        shared.lock.unlock_upgradable().unwrap();
        free_at_the_end(&shared);
    }
}

model! {
    /// folly b927c055 in full: four writers at once.
    fn four_writers(order) tight {
        let shared = guarded();
        order.run([writes(&shared), writes(&shared), writes(&shared), writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 4);
    }
}

model! {
    /// A writer gives up next to one that does not, while a reader holds the lock: the bit that it
    /// takes along was the other's as well.
    fn a_writer_that_gives_up_beside_another(order) small {
        let shared = guarded();
        shared.lock.read();
        order.run([writes_in_time(&shared), writes(&shared), leaves(&shared)]);
        assert!(free_at_the_end(&shared) >= 1);
    }
}

model! {
    /// A reader that a writer kept out enters next to the reader that this writer becomes, although
    /// the next writer waits already: the writers would wait for the holder, the holder for the
    /// reader, and the reader for the writers.
    fn a_reader_goes_before_the_next_writer(order) small {
        let shared = Arc::new((RawRwLock::new(), Event::new()));
        shared.0.write();
        let reads = with(&shared, |it| {
            it.0.read();
            it.1.set();
            it.0.unlock_read().unwrap();
        });
        let writes = with(&shared, |it| {
            it.0.write();
            it.0.unlock_write().unwrap();
        });
        let holds = with(&shared, |it| {
            // Otherwise the reader may come too late to have been kept out, and then it does stand
            // back.
            let both_wait = all_asleep();
            it.0.downgrade().unwrap();
            if both_wait {
                it.1.wait();
            }
            it.0.unlock_read().unwrap();
        });
        order.run([reads, writes, holds]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// The upgradable reader's right is given back while another thread waits to use it: that one
    /// is told, and a newcomer that was kept out gets in.
    fn an_upgrade_is_called_off(order) small {
        let shared = guarded();
        shared.lock.upgradable_read();
        shared.lock.read();
        let upgrades = with(&shared, |it| assert!(it.lock.upgrade().is_err()));
        let gives_back = with(&shared, |it| it.lock.unlock_upgradable().unwrap());
        order.run([upgrades, gives_back, reads(&shared)]);
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 0);
    }
}

model! {
    /// The same by a downgrade to an ordinary reader.
    fn an_upgrade_is_called_off_by_a_downgrade(order) small {
        let shared = guarded();
        shared.lock.upgradable_read();
        shared.lock.read();
        let upgrades = with(&shared, |it| assert!(it.lock.upgrade().is_err()));
        let gives_back = with(&shared, |it| it.lock.downgrade_upgradable().unwrap());
        order.run([upgrades, gives_back, reads(&shared)]);
        shared.lock.unlock_read().unwrap();
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 0);
    }
}

model! {
    /// Two threads wait to use one right, which is given back by a downgrade: both are told.
    fn two_upgrades_are_called_off_by_a_downgrade(order) small whole {
        let shared = guarded();
        shared.lock.upgradable_read();
        shared.lock.read();
        let upgrades = || with(&shared, |it| assert!(it.lock.upgrade().is_err()));
        let gives_back = with(&shared, |it| it.lock.downgrade_upgradable().unwrap());
        order.run([upgrades(), upgrades(), gives_back]);
        shared.lock.unlock_read().unwrap();
        shared.lock.unlock_read().unwrap();
        assert_eq!(free_at_the_end(&shared), 0);
    }
}

model! {
    /// Two threads wait to use one right, and one of them gives up: the other's wait goes on.
    fn one_of_two_gives_the_upgrade_up(order) small whole {
        let shared = guarded();
        shared.lock.upgradable_read();
        shared.lock.read();
        order.run([uses_in_time(&shared), uses(&shared), leaves(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// The same with a third: the one that gets the lock does not forget the other.
    fn one_of_three_gives_the_upgrade_up(order) tight {
        let shared = guarded();
        shared.lock.upgradable_read();
        shared.lock.read();
        order.run([uses_in_time(&shared), uses(&shared), uses(&shared), leaves(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// A writer becomes a reader, and both readers that it kept out get in next to it and each
    /// other.
    fn readers_meet_after_a_downgrade(order) small whole {
        let shared = guarded();
        shared.lock.write();
        let downgrades = with(&shared, |it| it.lock.downgrade().unwrap());
        order.run([stays(&shared), stays(&shared), downgrades]);
        for _ in 0..3 {
            shared.lock.unlock_read().unwrap();
        }
        free_at_the_end(&shared);
    }
}

/// Reads within a read, which the model took before its threads began.
fn reads_again(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.read_recursive();
        it.data.get();
        it.lock.unlock_read().unwrap();
        it.lock.unlock_read().unwrap();
    })
}

model! {
    /// A reader reads again while a writer comes: it never waits for the writer that waits for it.
    fn a_reader_reads_again_beside_a_writer(order) {
        let shared = guarded();
        shared.lock.read();
        order.run([reads_again(&shared), writes(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// A reader reads again while another thread upgrades: neither waits for the other forever, and
    /// the upgrade comes after both reads.
    fn a_reader_reads_again_beside_an_upgrade(order) {
        let shared = guarded();
        shared.lock.read();
        order.run([reads_again(&shared), upgrades(&shared)]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// A recursive reader that holds nothing, a writer that gives up, and an upgrade whose time is
    /// up.
    fn a_recursive_reader_beside_an_upgrade_in_time(order) {
        let shared = guarded();
        shared.lock.upgradable_read();
        let reads = with(&shared, |it| {
            it.lock.read_recursive();
            it.data.get();
            it.lock.unlock_read().unwrap();
        });
        let upgrades = with(&shared, |it| {
            if it.lock.try_upgrade_for(SOON) == Ok(true) {
                it.data.set(it.data.get() + 1);
                it.lock.unlock_write().unwrap();
            } else {
                it.lock.unlock_upgradable().unwrap();
            }
        });
        order.run([reads, upgrades]);
        assert!(free_at_the_end(&shared) <= 1);
    }
}

model! {
    /// A fair release beside a writer and a reader, of which the writer may give up: no thread is
    /// left asleep, and a stale reservation keeps no thread out for good.
    fn a_fair_release_beside_waiters(order) {
        let shared = guarded();
        shared.lock.write();
        let releases = with(&shared, |it| {
            it.data.set(it.data.get() + 1);
            it.lock.unlock_write_fair().unwrap();
        });
        order.run([releases, writes_in_time(&shared), reads(&shared)]);
        assert!((1..=2).contains(&free_at_the_end(&shared)));
    }
}

model! {
    /// A pause of a reader, and one of a writer, beside a writer.
    fn a_reader_and_a_writer_bump(order) {
        let shared = guarded();
        let reads = with(&shared, |it| {
            it.lock.read();
            it.data.get();
            it.lock.bump_read().unwrap();
            it.data.get();
            it.lock.unlock_read_fair().unwrap();
        });
        let bumps = with(&shared, |it| {
            it.lock.write();
            it.data.set(it.data.get() + 1);
            it.lock.bump_write().unwrap();
            it.data.set(it.data.get() + 1);
            it.lock.unlock_write_fair().unwrap();
        });
        order.run([reads, bumps]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}
