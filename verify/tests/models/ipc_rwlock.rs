//! The readers-writer lock between processes: exclusion, no lost wake, and recovery from a reader
//! or a writer that vanishes anywhere.

use std::sync::Arc;

use sync_core::primitive::atomic::AtomicU32;
use sync_ipc::raw::Platform;
use sync_ipc::raw::mutex::{self, Locked, Refused};
use sync_ipc::raw::rwlock::{Read, Words};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step, soon};
use crate::support::Tracked;

struct Shared {
    words: [AtomicU32; 4],
    cells: Vec<AtomicU32>,
    data: Tracked,
    /// The same number, written later: a writer that vanishes in between leaves it behind.
    copy: Tracked,
}

fn shared(cells: usize) -> Arc<Shared> {
    Arc::new(Shared {
        words: [0; 4].map(AtomicU32::new),
        cells: (0..cells).map(|_| AtomicU32::new(0)).collect(),
        data: Tracked::new(0),
        copy: Tracked::new(0),
    })
}

impl Shared {
    fn lock(&self) -> Words<'_> {
        let [writer, dirty, readers_event, writer_event] = &self.words;
        Words { writer, dirty, readers_event, writer_event, cells: &self.cells }
    }

    /// Counts under the lock for writing, and repairs what a dead writer left.
    fn count(&self, me: &Participant, locked: Locked) {
        if locked == Locked::Clean {
            assert_eq!(self.data.get(), self.copy.get(), "half written, and not reported");
        }
        let next = self.data.get() + 1;
        self.data.set(next);
        me.at(&self.words[0]);
        self.copy.set(next);
        if locked == Locked::OwnerDied {
            self.lock().mark_consistent(me);
        }
        self.lock().write_unlock(me);
    }
}

fn writes(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let it = shared.clone();
    move |me| {
        let locked = it.lock().write(me, None).expect("recoverable");
        it.count(me, locked);
    }
}

fn reads(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let it = shared.clone();
    move |me| match it.lock().read(me, None).expect("recoverable") {
        Read::Cell(cell) => {
            assert_eq!(it.data.get(), it.copy.get(), "read while it was written");
            it.lock().read_unlock(me, cell);
        }
        Read::OwnerDied => it.count(me, Locked::OwnerDied),
    }
}

/// The lock is free, and what it guards is whole or reported.
fn is_free(it: &Shared, last: &Participant) {
    let locked = it.lock().try_write(last).expect("free, or a dead one's");
    it.count(last, locked);
    let read = it.lock().try_read(last).expect("free");
    assert!(matches!(read, Read::Cell(_)), "{read:?}");
}

model! {
    /// One reads, one writes: never at the same time, and no wake is lost (the sleeps are
    /// unbounded here).
    fn a_reader_and_a_writer(order) small {
        let (world, it) = (World::new(false), shared(1));
        order.run([
            Participant::new(&world, 1).body(reads(&it)),
            Participant::new(&world, 2).body(writes(&it)),
        ]);
        assert_eq!(it.data.get(), 1);
        is_free(&it, &Participant::new(&world, 3));
    }
}

model! {
    /// Two read and one writes: both readers are woken.
    fn two_readers_and_a_writer(order) small whole {
        let (world, it) = (World::new(false), shared(2));
        order.run([
            Participant::new(&world, 1).body(reads(&it)),
            Participant::new(&world, 2).body(reads(&it)),
            Participant::new(&world, 3).body(writes(&it)),
        ]);
        assert_eq!(it.data.get(), 1);
    }
}

model! {
    /// Two read where there is one cell: the second is woken when the first leaves it.
    fn a_reader_waits_for_a_cell(order) small {
        let (world, it) = (World::new(false), shared(1));
        order.run([1, 2].map(|who| Participant::new(&world, who).body(reads(&it))));
        is_free(&it, &Participant::new(&world, 3));
    }
}

model! {
    /// A reader takes the only cell, sees a writer, and gives the cell back without having read. A
    /// second reader, which finds no cell meanwhile, is woken, though the writer has long woken the
    /// readers that waited for it (the sleeps are unbounded here).
    fn a_reader_that_gives_its_cell_back_wakes_another(order) small {
        let (world, it) = (World::new(false), shared(1));
        let tries = { let it = it.clone(); move |me: &Participant| {
            if let Ok(Read::Cell(cell)) = it.lock().try_read(me) {
                it.lock().read_unlock(me, cell);
            }
        } };
        order.run([
            Participant::new(&world, 1).body(tries),
            Participant::new(&world, 2).body(reads(&it)),
            Participant::new(&world, 3).body(writes(&it)),
        ]);
        assert_eq!(it.data.get(), 1);
        is_free(&it, &Participant::new(&world, 4));
    }
}

model! {
    /// A writer gives up at its deadline, while a reader holds the lock and another one waits
    /// behind the writer: the second reader is let in.
    fn a_writer_that_gives_up_lets_readers_in(order) small {
        let (world, it) = (World::new(false), shared(2));
        let holder = Participant::new(&world, 3);
        let Ok(Read::Cell(_)) = it.lock().read(&holder, None) else { panic!("free") };
        let gives_up = { let it = it.clone(); move |me: &Participant| {
            assert_eq!(it.lock().write(me, soon()), Err(Refused::TimedOut));
        } };
        order.run([
            Participant::new(&world, 1).body(gives_up),
            Participant::new(&world, 2).body(reads(&it)),
        ]);
        assert_eq!(mutex::owner(&it.words[0]), 0);
    }
}

/// A reader vanishes anywhere: the writer has the lock in the end, and is told of no death.
#[test]
fn a_reader_vanishes() {
    at_every_step("rwlock::a_reader_vanishes", 12, |order, step| {
        let (world, it) = (World::new(true), shared(1));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(reads(&it)),
            Participant::new(&world, 2).body(writes(&it)),
        ]);
        let last = Participant::new(&world, 3);
        assert_eq!(it.lock().try_write(&last), Ok(Locked::Clean), "a reader spoils nothing");
        it.count(&last, Locked::Clean);
        assert_eq!(it.data.get(), 2);
    });
}

/// A writer vanishes anywhere, next to a reader: the reader reads what is whole, or is told.
#[test]
fn a_writer_vanishes() {
    at_every_step("rwlock::a_writer_vanishes", 12, |order, step| {
        let (world, it) = (World::new(true), shared(1));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(writes(&it)),
            Participant::new(&world, 2).body(reads(&it)),
        ]);
        is_free(&it, &Participant::new(&world, 3));
    });
}

/// A writer is dead, half way through; its successor vanishes too, anywhere; the third is told.
#[test]
fn the_successor_of_a_writer_vanishes() {
    at_every_step("rwlock::the_successor_of_a_writer_vanishes", 12, |order, step| {
        let (world, it) = (World::new(true), shared(1));
        let dies = Participant::new(&world, 1);
        it.lock().write(&dies, None).expect("free");
        it.data.set(7);
        dies.vanishes_after(0).body(|me: &Participant| {
            let _ = me.at(&());
        })();
        order.run([
            Participant::new(&world, 2).vanishes_after(step).body(writes(&it)),
            Participant::new(&world, 3).body(reads(&it)),
        ]);
        is_free(&it, &Participant::new(&world, 4));
    });
}

/// A reader holds the lock and is dead, a writer vanishes while it waits for it: nothing is
/// spoiled, and a reader comes in.
#[test]
fn a_writer_that_waits_for_a_dead_reader_vanishes() {
    at_any_write("rwlock, waiting writer", |order| {
        let (world, it) = (World::new(true), shared(2));
        let dies = Participant::new(&world, 1);
        let Ok(Read::Cell(_)) = it.lock().read(&dies, None) else { panic!("free") };
        dies.vanishes_after(0).body(|me: &Participant| {
            let _ = me.at(&());
        })();
        let waits = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.lock().try_write(me).map(|_| it.lock().write_unlock(me));
            }
        };
        order.run_with_mortal(
            Participant::new(&world, 2).mortal(waits),
            [Participant::new(&world, 3).body(reads(&it))],
        );
        is_free(&it, &Participant::new(&world, 4));
    });
}

/// Two readers hold the lock and one of them vanishes anywhere, while a writer waits: the writer
/// waits for the living one alone, and excludes it.
// Not under loom: a sleeper looks again and again, more often than loom's limit of steps allows.
#[cfg(not(loom))]
#[test]
fn one_of_two_readers_vanishes() {
    at_any_write("rwlock, two readers", |order| {
        let (world, it) = (World::new(true), shared(2));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(reads(&it)),
            [
                Participant::new(&world, 2).body(reads(&it)),
                Participant::new(&world, 3).body(writes(&it)),
            ],
        );
        assert_eq!(it.data.get(), it.copy.get());
        is_free(&it, &Participant::new(&world, 4));
    });
}
