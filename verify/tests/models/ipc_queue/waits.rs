//! Threads that watch the queue, and threads that wait for its end.

use super::*;

model! {
    /// One watches for an item and leaves it, another receives it, and both sleep without bounds: a
    /// wake that the watcher gets goes on to the receiver.
    fn a_watcher_leaves_the_item_to_a_receiver(order) small whole {
        let (world, it) = (World::new(false), Shared::new(1));
        let gone = Arc::new(AtomicU32::new(0));
        let watches = { let (it, gone) = (it.clone(), gone.clone()); move |me: &Participant| {
            let (waiters, mut announced) = (&it.event_counts[0], None);
            while let Err(value) = event_count::watch(waiters, me, &mut announced, false, |_| {
                // Once the item is taken, there is nothing to see for the watcher.
                let gone = gone.load(Ordering::Acquire) == 1;
                (gone || it.channel().is_ready(me, false, false)).then_some(())
            }) {
                me.sleep(waiters, value, LAST_BOUND, None);
            }
        } };
        let receives = { let (it, gone) = (it.clone(), gone.clone()); move |me: &Participant| {
            let claim = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                it.channel().start_recv(me, false, false).ok()
            });
            let claim = claim.expect("there is one");
            it.received.lock().unwrap().push(it.items[claim.slot].get());
            // For the watcher, which may sleep.
            gone.swap(1, Ordering::Release);
            event_count::pass_on(&it.event_counts[0], me);
        } };
        let sends = { let it = it.clone(); move |me: &Participant| {
            it.send(me, 7).expect("room");
            event_count::notify(&it.event_counts[0], me, 1);
        } };
        order.run([
            Participant::new(&world, 1).body(watches),
            Participant::new(&world, 2).body(receives),
            Participant::new(&world, 3).body(sends),
        ]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
    }
}

model! {
    /// A watcher sleeps once and ends, with or without the wake: the receiver, which sleeps without
    /// bounds, gets it.
    fn a_watcher_that_ends_passes_its_wake_on(order) small whole {
        let (world, it) = (World::new(false), Shared::new(1));
        let watches = { let it = it.clone(); move |me: &Participant| {
            let (waiters, mut announced) = (&it.event_counts[0], None);
            let is_ready = |_| it.channel().is_ready(me, false, false).then_some(());
            if let Err(value) = event_count::watch(waiters, me, &mut announced, false, is_ready) {
                me.sleep(waiters, value, LAST_BOUND, Deadline::after(LAST_BOUND));
                event_count::unwatch(waiters, me, &mut announced);
            }
        } };
        let receives = { let it = it.clone(); move |me: &Participant| {
            let claim = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                it.channel().start_recv(me, false, false).ok()
            });
            it.received.lock().unwrap().push(it.items[claim.expect("there is one").slot].get());
        } };
        let sends = { let it = it.clone(); move |me: &Participant| {
            it.send(me, 7).expect("room");
            event_count::notify(&it.event_counts[0], me, 1);
        } };
        order.run([
            Participant::new(&world, 1).body(watches),
            Participant::new(&world, 2).body(receives),
            Participant::new(&world, 3).body(sends),
        ]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
    }
}

model! {
    /// A receiver of a closed queue is told so only when no send can succeed any more.
    fn closed_is_final(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        let told = Arc::new(AtomicU32::new(0));
        let sends = { let it = it.clone(); move |me: &Participant| {
            if let Ok(claim) = it.channel().start_send(me) {
                it.ring().commit(me, claim).expect("honest");
                it.sent.lock().unwrap().push(1);
            }
        } };
        let closes = { let it = it.clone(); move |me: &Participant| it.channel().close(me) };
        let receives = { let (it, told) = (it.clone(), told.clone()); move |me: &Participant| {
            match it.channel().start_recv(me, false, false) {
                Ok(_) => it.received.lock().unwrap().push(1),
                Err(RingError::Closed) => told.store(1, Ordering::Relaxed),
                Err(RingError::Empty) => {}
                Err(other) => panic!("{other:?}"),
            }
        } };
        order.run([
            Participant::new(&world, 1).body(sends),
            Participant::new(&world, 2).body(closes),
            Participant::new(&world, 3).body(receives),
        ]);
        if told.load(Ordering::Relaxed) == 1 {
            assert_eq!(*it.sent.lock().unwrap(), *it.received.lock().unwrap(), "an item came \
                after the end");
        }
    }
}

model! {
    /// A receiver of a closed queue is not told so while an item on lease may come back, and is
    /// woken when it does not.
    fn closed_waits_for_leases(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let holder = Participant::new(&world, 1);
        it.send(&holder, 7).expect("room");
        let lease = it.ring().take(&holder).expect("an item");
        it.channel().close(&holder);
        let done = Arc::new(AtomicU32::new(0));
        let ends = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            done.store(1, Ordering::Relaxed);
            assert!(it.ring().acknowledge(me, lease));
            me.fence_after_change();
            it.channel().notify_closed(me);
        } };
        let receives = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            let told = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                match it.channel().start_recv(me, false, false) {
                    Err(RingError::Empty) => None,
                    other => Some(other),
                }
            });
            assert_eq!(told, Some(Err(RingError::Closed)));
            assert_eq!(done.load(Ordering::Relaxed), 1, "not before the lease ended");
        } };
        order.run([holder.body(ends), Participant::new(&world, 2).body(receives)]);
    }
}

/// A sender vanishes anywhere while the queue is closed: what it sent is received, and then the
/// queue is over.
#[test]
fn a_sender_of_a_closing_queue_vanishes() {
    at_any_write("ipc_queue, closing", |order| {
        let (world, it) = (World::new(true), Shared::new(1));
        let sends = {
            let it = it.clone();
            move |me: &Participant| {
                if let Ok(claim) = it.channel().start_send(me) {
                    it.ring().commit(me, claim).expect("honest");
                }
            }
        };
        let closes = {
            let it = it.clone();
            move |me: &Participant| it.channel().close(me)
        };
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(sends),
            [Participant::new(&world, 2).body(closes)],
        );
        let last = Participant::new(&world, 3);
        if let Ok(claim) = it.channel().start_recv(&last, true, false) {
            assert!(it.ring().acknowledge(&last, claim));
        }
        assert_eq!(it.channel().start_recv(&last, true, false), Err(RingError::Closed));
    });
}
