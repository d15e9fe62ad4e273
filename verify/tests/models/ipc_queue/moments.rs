//! The state that the queue reports (empty, full, idle) was true at one moment.

use super::*;

model! {
    /// Work moves behind the walk over the slots: a worker puts its follow-up into the slot that
    /// was looked at, and then finishes the task in the slot that was not. There is no moment
    /// without unfinished work.
    fn idle_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        // Slot 0 is free, the tail is at it, and slot 1 has the task.
        it.recv(&last).expect("the first");
        let works = { let it = it.clone(); move |me: &Participant| {
            let task = it.ring().take(me).expect("no other thread does");
            it.send(me, 3).expect("room");
            assert!(it.ring().acknowledge(me, task));
        } };
        let joins = { let it = it.clone(); move |me: &Participant| {
            assert!(!it.ring().is_idle(me), "there is unfinished work");
        } };
        order.run([
            Participant::new(&world, 1).body(works),
            Participant::new(&world, 2).body(joins),
        ]);
    }
}

model! {
    /// Room moves behind the walk over the slots: the slot that was looked at is freed, and then
    /// the one that was not is claimed. There is no moment without room.
    fn full_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let [moves, sends] = [1, 2].map(|who| Participant::new(&world, who));
        it.send(&moves, 1).expect("room");
        it.send(&moves, 2).expect("room");
        let [leased, done] = [0, 1].map(|_| it.ring().take(&moves).expect("two items"));
        assert_eq!((leased.slot, done.slot), (0, 1));
        assert!(it.ring().acknowledge(&moves, done));
        let moves = moves.body({ let it = it.clone(); move |me: &Participant| {
            assert!(it.ring().acknowledge(me, leased));
            // The last step of a claim that looked at slot 0 before that.
            let free = it.slots[1].load(Ordering::Acquire);
            let claimed = free | 1 << 30 | u64::from(me.me());
            let _ =
                it.slots[1].compare_exchange(free, claimed, Ordering::AcqRel, Ordering::Relaxed);
        } });
        let sends = sends.body({ let it = it.clone(); move |me: &Participant| {
            it.ring().claim(me).expect("there is room");
        } });
        order.run([moves, sends]);
    }
}

model! {
    /// Two items were given back, and two receivers look: neither is told that there is none,
    /// though the first of them is still looking for more.
    fn what_was_given_back_is_seen_by_both(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        it.give_all_back(&last);
        let receives = [1, 2].map(|who| {
            let it = it.clone();
            Participant::new(&world, who).body(move |me: &Participant| {
                it.channel().start_recv(me, false, false).expect("one for each");
            })
        });
        order.run(receives);
    }
}

model! {
    /// An item goes round: given back while another receiver looks for one.
    fn empty_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        let claims = [0, 1].map(|_| it.ring().take(&last).expect("two items"));
        it.channel().give_back(&last, claims[0]);
        // Gives one back, and then takes the other one: there is one at every moment.
        let moves = { let it = it.clone(); last.body(move |me: &Participant| {
            it.channel().give_back(me, claims[1]);
            let _ = it.channel().start_recv(me, false, false);
        }) };
        let receives = { let it = it.clone(); move |me: &Participant| {
            it.channel().start_recv(me, false, false).expect("there is one");
        } };
        order.run([moves, Participant::new(&world, 2).body(receives)]);
    }
}

model! {
    /// One item goes round, another one comes and goes: there is one at every moment, now in the
    /// ring, now given back.
    fn empty_is_true_of_one_moment_while_items_move(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let moves = Participant::new(&world, 1);
        it.send(&moves, 1).expect("room");
        it.give_all_back(&moves);
        let moves = moves.body({ let it = it.clone(); move |me: &Participant| {
            it.send(me, 2).expect("room");
            if let Some(claim) = it.channel().sweep(me, true).expect("attached") {
                it.channel().give_back(me, claim);
                let _ = it.ring().take(me);
            }
        } });
        let receives = { let it = it.clone(); move |me: &Participant| {
            it.channel().start_recv(me, false, false).expect("there is one");
        } };
        order.run([moves, Participant::new(&world, 2).body(receives)]);
    }
}

model! {
    /// An item is given back, and a receiver that knows of it takes the only other one: a third
    /// one, which sees that the other is gone, finds the one that was given back.
    fn what_is_gone_brings_the_news_of_what_was_given_back(order) small {
        let (world, it, known) = (World::new(false), Shared::new(2), Arc::new(AtomicU32::new(0)));
        let gives = Participant::new(&world, 1);
        it.send(&gives, 1).expect("room");
        it.send(&gives, 2).expect("room");
        let claim = it.ring().take(&gives).expect("two items");
        let gives = gives.body({ let (it, known) = (it.clone(), known.clone()); move |me: &_| {
            it.channel().give_back(me, claim);
            known.store(1, Ordering::Release);
        } });
        let takes = { let it = it.clone(); move |me: &Participant| {
            if known.load(Ordering::Acquire) == 1 {
                let _ = it.ring().take(me);
            }
        } };
        let receives = { let it = it.clone(); move |me: &Participant| {
            it.channel().start_recv(me, false, false).expect("there is one");
        } };
        order.run([
            gives,
            Participant::new(&world, 2).body(takes),
            Participant::new(&world, 3).body(receives),
        ]);
    }
}
