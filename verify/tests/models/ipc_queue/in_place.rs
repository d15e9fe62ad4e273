//! The ring of messages of different lengths: a length and the bytes, which belong together. And
//! the ring of items in place: a loan is written, and a lease is read, while others send and
//! receive.

use super::*;

/// The places of two messages, each with its length.
struct Messages {
    ring: Arc<Shared>,
    lengths: [Tracked; 2],
}

impl Messages {
    fn new(slots: usize) -> Arc<Self> {
        let lengths = [Tracked::new(0), Tracked::new(0)];
        Arc::new(Self { ring: Shared::new(slots), lengths })
    }

    /// As `ByteQueue` does: the length, the bytes, the commit.
    fn send(&self, me: &Participant, message: u32) -> Result<(), RingError> {
        let claim = self.ring.ring().claim(me)?;
        self.lengths[claim.slot].set(message);
        me.at(&());
        self.ring.items[claim.slot].set(message);
        self.ring.ring().commit(me, claim)
    }

    /// As `ByteQueue` does: the length, the bytes, the acknowledgement.
    fn recv(&self, me: &Participant, look: bool) -> Result<u32, RingError> {
        let claim = self.ring.channel().start_recv(me, look, false)?;
        let len = self.lengths[claim.slot].get();
        me.at(&());
        let message = self.ring.items[claim.slot].get();
        assert_eq!(message, len, "the bytes of one message, the length of another");
        self.ring.ring().acknowledge(me, claim);
        Ok(message)
    }
}

model! {
    /// Two send messages of different lengths and one receives, twice.
    fn a_message_has_its_own_length(order) small whole {
        let (world, it) = (World::new(false), Messages::new(1));
        let sends = |message| { let it = it.clone(); move |me: &Participant| {
            let _ = it.send(me, message);
        } };
        let receives = { let it = it.clone(); move |me: &Participant| {
            let _ = it.recv(me, false);
            let _ = it.recv(me, false);
        } };
        order.run([
            Participant::new(&world, 1).body(sends(5)),
            Participant::new(&world, 2).body(sends(6)),
            Participant::new(&world, 3).body(receives),
        ]);
    }
}

/// A sender vanishes anywhere between claiming, the length, the bytes and the commit, next to a
/// sender and a receiver.
#[test]
fn a_sender_of_a_message_vanishes() {
    at_every_step("ipc_queue, message", 12, |order, step| {
        let (world, it) = (World::new(true), Messages::new(1));
        let dies = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.send(me, 5);
            }
        };
        let both = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.recv(me, false);
                let _ = it.send(me, 6);
            }
        };
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(dies),
            Participant::new(&world, 2).body(both),
        ]);
        let last = Participant::new(&world, 3);
        while it.recv(&last, true).is_ok() {}
        it.ring.still_works(&last);
    });
}

/// A receiver vanishes anywhere between taking, the length, the bytes and the acknowledgement:
/// the message is redelivered whole, or was acknowledged.
#[test]
fn a_receiver_of_a_message_vanishes() {
    at_every_step("ipc_queue, message received", 12, |order, step| {
        let (world, it) = (World::new(true), Messages::new(1));
        it.send(&Participant::new(&world, 3), 5).expect("room");
        let dies = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.recv(me, false);
            }
        };
        let sends = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.send(me, 6);
            }
        };
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(dies),
            Participant::new(&world, 2).body(sends),
        ]);
        let last = Participant::new(&world, 4);
        let mut got = Vec::new();
        while let Ok(message) = it.recv(&last, true) {
            got.push(message);
        }
        assert!(got.len() <= 1 && got.iter().all(|one| [5, 6].contains(one)), "{got:?}");
        it.ring.still_works(&last);
    });
}

model! {
    /// One writes in a loan, another reads in a lease, a third takes what room there is: no
    /// place is written while it is read, and none is two loans. (A `Tracked` reports accesses
    /// that race.)
    fn loans_and_leases_in_place_exclude_each_other(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        it.send(&Participant::new(&world, 4), 7).expect("room");
        let lends = |item| { let it = it.clone(); move |me: &Participant| {
            let Ok(claim) = it.ring().claim(me) else { return };
            it.items[claim.slot].set(item);
            assert_eq!(it.items[claim.slot].get(), item);
            it.items[claim.slot].set(item + 1);
            if item == 20 {
                // A loan that is dropped.
                assert!(it.ring().abandon(me, claim));
            } else {
                it.ring().commit(me, claim).expect("honest");
            }
        } };
        let leases = { let it = it.clone(); move |me: &Participant| {
            let Ok(claim) = it.ring().take(me) else { return };
            let item = it.items[claim.slot].get();
            assert!([7, 11].contains(&item), "{item}");
            assert_eq!(it.items[claim.slot].get(), item, "it changed while it was read");
            assert!(it.ring().acknowledge(me, claim));
        } };
        order.run([
            Participant::new(&world, 1).body(lends(10)),
            Participant::new(&world, 2).body(lends(20)),
            Participant::new(&world, 3).body(leases),
        ]);
    }
}

/// The holder of a loan vanishes anywhere while it writes in place: its place is given to
/// another loan only afterwards, and what it wrote is not received.
#[test]
fn the_holder_of_a_loan_vanishes() {
    at_every_step("ipc_queue, loan", 12, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        let dies = {
            let it = it.clone();
            move |me: &Participant| {
                let Ok(claim) = it.ring().claim(me) else { return };
                it.items[claim.slot].set(10);
                me.at(&());
                it.items[claim.slot].set(11);
                let _ = it.ring().commit(me, claim);
            }
        };
        let takes_over = {
            let it = it.clone();
            move |me: &Participant| {
                it.ring().sweep(me, Orphans::Redeliver, false).expect("attached");
                if let Ok(claim) = it.ring().claim(me) {
                    it.items[claim.slot].set(20);
                    it.ring().commit(me, claim).expect("honest");
                }
            }
        };
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(dies),
            Participant::new(&world, 2).body(takes_over),
        ]);
        let last = Participant::new(&world, 3);
        let got = it.drain(&last);
        assert!(got.len() <= 1 && got.iter().all(|item| [11, 20].contains(item)), "{got:?}");
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        it.still_works(&last);
    });
}

/// The holder of a lease in place vanishes while it reads, and its successor in the middle of
/// taking it over; the third reads the item, whole.
#[test]
fn two_holders_of_a_lease_vanish() {
    at_every_step("ipc_queue, lease in place", 12, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        let first = Participant::new(&world, 1);
        it.send(&first, 7).expect("room");
        it.ring().take(&first).expect("an item");
        first.vanishes_after(0).body(|me: &Participant| {
            let _ = me.at(&());
        })();
        let reads = |it: &Shared, me: &Participant| {
            let found = it.ring().sweep(me, Orphans::Redeliver, true).expect("attached");
            if let Some(claim) = found.taken {
                assert_eq!(it.items[claim.slot].get(), 7);
                me.at(&());
                assert_eq!(it.items[claim.slot].get(), 7);
                it.ring().give_back(me, claim);
            }
        };
        let bodies = [2, 3].map(|who| {
            let it = it.clone();
            let reader = Participant::new(&world, who);
            let reader = if who == 2 { reader.vanishes_after(step) } else { reader };
            reader.body(move |me: &Participant| reads(&it, me))
        });
        order.run(bodies);
        let last = Participant::new(&world, 4);
        assert_eq!(it.drain(&last), [7]);
        it.still_works(&last);
    });
}
