//! A sender or a receiver vanishes between any two steps: no item that was sent is lost, none is
//! doubled but a leased one, and no slot is lost.

use super::*;

/// A sender vanishes anywhere, next to a living sender: what was sent is there, in order, and no
/// slot is lost.
#[test]
fn a_sender_vanishes() {
    at_every_step("a_sender_vanishes", 11, |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(sends(&it, 1)),
            Participant::new(&world, 2).body(sends(&it, 2)),
        ]);
        let last = Participant::new(&world, 3);
        // A sent item is not swept away, though its sender is dead.
        let waiting = it.ring().len(&last);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        let got = it.drain(&last);
        assert_eq!(got.len(), waiting, "{got:?}");
        assert!(
            got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2,
            "{got:?}"
        );
        for item in it.sent.lock().unwrap().iter() {
            assert!(got.contains(item), "{item} was sent, and is lost: {got:?}");
        }
        it.still_works(&last);
    });
}

/// A receiver vanishes anywhere, next to a living receiver: nothing is doubled, and nothing lost
/// but what the dead one may have acknowledged.
#[test]
fn a_receiver_vanishes() {
    at_every_step("a_receiver_vanishes", 9, |order, step| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(receives(&it)),
            Participant::new(&world, 2).body(receives(&it)),
        ]);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        let mut all = it.received.lock().unwrap().clone();
        let left = it.drain(&last);
        // `drain` logs what it receives in the ordinary way.
        all.extend(left.iter().copied());
        all.sort_unstable();
        all.dedup();
        assert!(all == [1, 2] || all.len() == 1, "{all:?}");
        it.still_works(&last);
    });
}

/// A sender and a receiver. The sender vanishes.
#[test]
fn a_sender_vanishes_beside_a_receiver() {
    at_every_step("a_sender_vanishes_beside_a_receiver", 11, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(sends(&it, 1)),
            Participant::new(&world, 2).body(receives(&it)),
        ]);
        let last = Participant::new(&world, 3);
        it.drain(&last);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        assert!(it.received.lock().unwrap().len() <= 1);
        if !it.sent.lock().unwrap().is_empty() {
            assert_eq!(*it.received.lock().unwrap(), [1]);
        }
        it.still_works(&last);
    });
}

/// Leased by one who may vanish after any write: the other has it, now or by the sweep, once; and
/// no slot is lost.
#[test]
fn a_leaser_may_vanish_after_any_write() {
    at_any_write("ipc_queue, lease", |order| {
        let (world, it) = (World::new(true), Shared::new(1));
        let last = Participant::new(&world, 3);
        it.send(&last, 7).expect("room");
        let leases = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.ring().take(me);
            }
        };
        let sweeps = {
            let it = it.clone();
            move |me: &Participant| {
                let found = it.ring().sweep(me, Orphans::Redeliver, true).expect("attached");
                if let Some(claim) = found.taken {
                    assert_eq!(it.items[claim.slot].get(), 7);
                    assert!(it.ring().give_back(me, claim), "ours until then");
                }
            }
        };
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(leases),
            [Participant::new(&world, 2).body(sweeps)],
        );
        // Either no receiver took it, or the leaser lives and holds it, or it is available.
        let items = it.drain(&last);
        assert!(items == [7] || (items.is_empty() && it.ring().in_use(&last) == 1), "{items:?}");
    });
}

/// A sender and a receiver who may vanish after any write.
#[test]
fn a_sender_or_a_receiver_may_vanish_after_any_write() {
    at_any_write("ipc_queue, sender", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(sends(&it, 1)),
            [Participant::new(&world, 2).body(sends(&it, 2))],
        );
        let last = Participant::new(&world, 3);
        let got = it.drain(&last);
        assert!(
            got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2,
            "{got:?}"
        );
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        it.still_works(&last);
    });
    at_any_write("ipc_queue, receiver", |order| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(receives(&it)),
            [Participant::new(&world, 2).body(receives(&it))],
        );
        let left = it.drain(&last);
        assert!(left.len() <= 2, "{left:?}");
        it.still_works(&last);
    });
}

/// The slot of a dead participant is freed by one, and used by another: nothing of it is written
/// any more. A sender that had begun, and a receiver.
#[test]
fn what_is_freed_is_used_by_another() {
    for steps in 0..9 {
        for receiver in [false, true] {
            at_any_write(
                &format!("ipc_queue, freed, receiver: {receiver}, after {steps}"),
                move |order| {
                    let (world, it) = (World::new(true), Shared::new(1));
                    let last = Participant::new(&world, 3);
                    if receiver {
                        it.send(&last, 7).expect("room");
                    }
                    let dies = {
                        let it = it.clone();
                        move |me: &Participant| {
                            if receiver {
                                let claim = it.ring().take(me).expect("no other thread does");
                                assert_eq!(it.items[claim.slot].get(), 7);
                                let _ = it.ring().take(me);
                            } else {
                                let Ok(claim) = it.ring().claim(me) else { return };
                                it.items[claim.slot].set(7);
                                let _ = it.ring().take(me);
                            }
                        }
                    };
                    let frees = {
                        let it = it.clone();
                        move |me: &Participant| {
                            it.ring().sweep(me, Orphans::Drop, false).expect("attached");
                        }
                    };
                    let uses = {
                        let it = it.clone();
                        move |me: &Participant| {
                            if let Ok(claim) = it.ring().claim(me) {
                                it.items[claim.slot].set(8);
                            }
                        }
                    };
                    order.run([
                        Participant::new(&world, 1).vanishes_after(steps).body(dies),
                        Participant::new(&world, 2).body(frees),
                        last.body(uses),
                    ]);
                },
            );
        }
    }
}

/// A receiver vanishes anywhere between taking an item and emptying its cell: when its slot is free
/// again, no cell refers to it.
#[test]
fn a_freed_slot_is_referred_to_by_no_cell() {
    at_any_write("ipc_queue, cell of a dead receiver", |order| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        let takes = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.ring().take(me);
            }
        };
        let sweeps = {
            let it = it.clone();
            move |me: &Participant| {
                it.ring().sweep(me, Orphans::Drop, false).expect("attached");
            }
        };
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(takes),
            [Participant::new(&world, 2).body(sweeps)],
        );
        it.ring().sweep(&last, Orphans::Drop, false).expect("attached");
        for cell in &it.cells {
            let cell = cell.load(Ordering::Relaxed);
            // Of two slots: one bit for the slot, and then the bit of a full cell.
            let full = cell & 2 != 0;
            let slot = it.slots[(cell & 1) as usize].load(Ordering::Relaxed);
            assert!(!full || (slot >> 30) & 3 != 0, "{cell:#x} refers to {slot:#x}");
        }
    });
}
