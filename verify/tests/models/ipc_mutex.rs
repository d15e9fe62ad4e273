//! The lock between processes: exclusion, no lost wake, and takeover from an owner that vanishes
//! anywhere.

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_ipc::raw::Platform;
use sync_ipc::raw::mutex::{self, INCONSISTENT, Locked, Refused, WAITERS};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step, soon};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    word: AtomicU32,
    data: Tracked,
    /// The same number, written later: a participant that vanishes in between leaves it behind.
    copy: Tracked,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { word: AtomicU32::new(0), data: Tracked::new(0), copy: Tracked::new(0) })
}

/// Locks, counts, repairs if need be, unlocks.
fn counts(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| {
        let locked = mutex::lock(&shared.word, me, None).expect("recoverable");
        if locked == Locked::Clean {
            assert_eq!(shared.data.get(), shared.copy.get(), "half written, and it was not said");
        }
        let next = shared.data.get() + 1;
        shared.data.set(next);
        me.at(&shared.word);
        shared.copy.set(next);
        if locked == Locked::OwnerDied {
            mutex::mark_consistent(&shared.word, me);
        }
        mutex::unlock(&shared.word, me);
    }
}

model! {
    /// Two count: no race, no lost count, no lost wake (the sleeps are unbounded here).
    fn two_lock(order) {
        let (world, it) = (World::new(false), shared());
        order.run([1, 2].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!(it.data.get(), 2);
        assert_eq!(mutex::owner(&it.word), 0);
    }
}

model! {
    /// Three: a wake has to be passed on.
    fn three_lock(order) small {
        let (world, it) = (World::new(false), shared());
        order.run([1, 2, 3].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!(it.data.get(), 3);
    }
}

model! {
    /// An owner that gives a broken lock up wakes all waiters, and all are refused.
    fn giving_up_refuses_all_threads(order) small {
        let (world, it) = (World::new(false), shared());
        let waits = |it: &Arc<Shared>| {
            let it = it.clone();
            move |me: &Participant| {
                assert_eq!(mutex::lock(&it.word, me, None), Err(Refused::NotRecoverable))
            }
        };
        let holder = Participant::new(&world, 3);
        mutex::lock(&it.word, &holder, None).expect("free");
        let gives_up = {
            let it = it.clone();
            move |me: &Participant| mutex::give_up(&it.word, me)
        };
        order.run([
            Participant::new(&world, 1).body(waits(&it)),
            Participant::new(&world, 2).body(waits(&it)),
            holder.body(gives_up),
        ]);
    }
}

model! {
    /// A flag that was set in a free word for no reason takes nothing away: a try that finds
    /// it sees what the last owner wrote.
    fn a_flag_in_a_free_word(order) small {
        let (world, it) = (World::new(false), shared());
        let tries = { let it = it.clone(); move |me: &Participant| {
            it.word.fetch_or(WAITERS, Ordering::Relaxed);
            if mutex::try_lock(&it.word, me).is_ok() {
                let next = it.data.get() + 1;
                it.data.set(next);
                it.copy.set(next);
                mutex::unlock(&it.word, me);
            }
        } };
        order.run([
            Participant::new(&world, 1).body(counts(&it)),
            Participant::new(&world, 2).body(tries),
        ]);
        assert!((1..=2).contains(&it.data.get()));
    }
}

/// One vanishes anywhere in lock and unlock; the other gets the lock, clean or as the dead one's
/// heir; at the end it can be had.
#[test]
fn the_owner_vanishes() {
    at_every_step("the_owner_vanishes", 11, |order, step| {
        let (world, it) = (World::new(true), shared());
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(counts(&it)),
            Participant::new(&world, 2).body(counts(&it)),
        ]);
        let last = Participant::new(&world, 3);
        let locked = mutex::try_lock(&it.word, &last).expect("free, or a dead one's");
        assert!((1..=2).contains(&it.data.get()), "{locked:?}");
    });
}

/// The owner is dead; its heir vanishes too, anywhere.
#[test]
fn the_heir_vanishes() {
    at_every_step("the_heir_vanishes", 11, |order, step| {
        let (world, it) = (World::new(true), shared());
        Participant::new(&world, 1).vanishes_after(1).body(counts(&it))();
        order.run([
            Participant::new(&world, 2).vanishes_after(step).body(counts(&it)),
            Participant::new(&world, 3).body(counts(&it)),
        ]);
        // Never not recoverable, and no living participant holds it.
        assert!(matches!(mutex::owner(&it.word), 0 | 2));
    });
}

/// The same under the checker's own deaths: after any write, which is a step of its own between the
/// two of a wake.
#[test]
fn an_owner_may_vanish_after_any_write() {
    at_any_write("ipc_mutex", |order| {
        let (world, it) = (World::new(true), shared());
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(counts(&it)),
            [Participant::new(&world, 2).body(counts(&it))],
        );
        let last = Participant::new(&world, 3);
        let locked = mutex::try_lock(&it.word, &last).expect("free, or a dead one's");
        assert!((1..=2).contains(&it.data.get()), "{locked:?}");
    });
}

/// The owner is dead, and two wait: both get the lock, one after the other, the first told of the
/// death; a mark that is missing is told to the second.
#[test]
fn two_heirs() {
    for marks in [true, false] {
        at_any_write(&format!("ipc_mutex, two heirs, marks: {marks}"), move |order| {
            let (world, it) = (World::new(true), shared());
            Participant::new(&world, 1).vanishes_after(1).body(counts(&it))();
            let told = Arc::new(std::sync::Mutex::new(Vec::new()));
            let inherits = || {
                let (it, told) = (it.clone(), told.clone());
                move |me: &Participant| {
                    let locked = mutex::lock(&it.word, me, None);
                    told.lock().unwrap().push(locked);
                    if locked == Ok(Locked::OwnerDied) {
                        assert_ne!(
                            it.word.load(Ordering::Relaxed) & INCONSISTENT,
                            0,
                            "said in the word too, for whoever looks there"
                        );
                    }
                    match locked {
                        Ok(Locked::OwnerDied) if marks => {
                            mutex::mark_consistent(&it.word, me);
                            assert_eq!(
                                it.word.load(Ordering::Relaxed) & INCONSISTENT,
                                0,
                                "said in the word too"
                            );
                        }
                        Ok(Locked::OwnerDied) => return mutex::give_up(&it.word, me),
                        Ok(Locked::Clean) => {}
                        Err(_) => return,
                    }
                    mutex::unlock(&it.word, me);
                }
            };
            order.run([
                Participant::new(&world, 2).body(inherits()),
                Participant::new(&world, 3).body(inherits()),
            ]);
            let second = if marks { Ok(Locked::Clean) } else { Err(Refused::NotRecoverable) };
            assert_eq!(*told.lock().unwrap(), [Ok(Locked::OwnerDied), second]);
        });
    }
}

/// The heir of a dead owner dies before it marked anything: the next one is told as well.
#[test]
fn an_heir_that_did_not_mark_it() {
    at_any_write("ipc_mutex, heirs of heirs", |order| {
        let (world, it) = (World::new(true), shared());
        Participant::new(&world, 1).vanishes_after(1).body(counts(&it))();
        let takes = {
            let it = it.clone();
            move |me: &Participant| {
                assert_eq!(mutex::try_lock(&it.word, me), Ok(Locked::OwnerDied));
                me.at(&it.word);
            }
        };
        order.run([Participant::new(&world, 2).vanishes_after(2).body(takes)]);
        let last = Participant::new(&world, 3);
        assert_eq!(mutex::lock(&it.word, &last, None), Ok(Locked::OwnerDied));
        mutex::mark_consistent(&it.word, &last);
        mutex::unlock(&it.word, &last);
        assert_eq!(mutex::lock(&it.word, &last, None), Ok(Locked::Clean));
    });
}

/// The owner is dead, and one who waits is never told when its bound ends: the heir's unlock wakes
/// it.
#[test]
fn a_successor_wakes_the_waiters_of_the_dead() {
    at_any_write("ipc_mutex, a patient one", |order| {
        let (world, it) = (World::new(true), shared());
        Participant::new(&world, 1).vanishes_after(1).body(counts(&it))();
        // Asleep on the dead owner's word since long ago, it has set the flag there.
        it.word.fetch_or(WAITERS, Ordering::Relaxed);
        order.run([
            Participant::new(&world, 2).body(counts(&it)),
            Participant::new(&world, 3).patient().body(counts(&it)),
        ]);
        assert_eq!(mutex::owner(&it.word), 0);
    });
}

model! {
    /// One runs out of time at any moment, next to one that waits: the wake that came to it is
    /// passed on.
    fn one_runs_out_of_time(order) small {
        let (world, it) = (World::new(false), shared());
        let holder = Participant::new(&world, 3);
        mutex::lock(&it.word, &holder, None).expect("free");
        let hurries = { let it = it.clone(); move |me: &Participant| {
            if mutex::lock(&it.word, me, soon()).is_ok() {
                mutex::unlock(&it.word, me);
            }
        } };
        let lets_go = { let it = it.clone(); move |me: &Participant| mutex::unlock(&it.word, me) };
        order.run([
            Participant::new(&world, 1).body(hurries),
            Participant::new(&world, 2).body(counts(&it)),
            holder.body(lets_go),
        ]);
        assert_eq!(it.data.get(), 1);
    }
}

/// The checker leaves out the wake of this lock: of a participant's wakes it knows the callers.
#[cfg(sync_verify)]
#[test]
fn the_wake_is_changed_by_itself() {
    let places = crate::support::wakes_left_out(|| {
        let (world, it) = (World::new(false), shared());
        let count = [1, 2].map(|who| Participant::new(&world, who).body(counts(&it)));
        crate::support::Order::Forward.run(count);
    });
    let is_here = |place: &String| place.starts_with("sync-ipc/src/raw/mutex.rs:");
    assert!(places.iter().any(is_here), "{places:?}");
}
