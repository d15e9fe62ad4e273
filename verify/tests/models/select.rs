//! `select!` and `Select`: one wait for the first of several channels.

use std::time::Duration;

use sync_queue::channel::{self, Receiver, Select, Sender, select};

use crate::support::{Body, Tracked, body};

const SOON: Duration = Duration::from_millis(1);

fn item(value: u32) -> Tracked {
    let item = Tracked::new(0);
    item.set(value);
    item
}

fn sends(sender: Sender<Tracked>, value: u32) -> Body {
    body(move || sender.send(item(value)).unwrap())
}

/// Receives from either until both have been received from, by selects that wait.
fn receives_both(first: Receiver<Tracked>, second: Receiver<Tracked>, sum: u32) -> Body {
    body(move || {
        let mut got = 0;
        for _ in 0..2 {
            got += select! {
                recv(first) -> item => item.unwrap().get(),
                recv(second) -> item => item.unwrap().get(),
            };
        }
        assert_eq!(got, sum);
    })
}

model! {
    /// A select sleeps on two queues. The item comes to one of them: no wake-up is lost.
    fn a_select_against_a_send(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let selects = body(move || select! {
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            recv(receiver) -> item => assert_eq!(item.unwrap().get(), 1),
        });
        order.run([selects, sends(sender, 1)]);
        drop(silence);
    }
}

model! {
    /// Items come to both queues at once. Each wakes the select, or is found by it.
    fn two_sends_to_one_select(order) tight whole {
        let (one, first) = channel::unbounded::<Tracked>();
        let (two, second) = channel::unbounded::<Tracked>();
        // A channel whose last sender has gone is ready for good.
        let senders = (one.clone(), two.clone());
        order.run([receives_both(first, second, 3), sends(one, 1), sends(two, 2)]);
        drop(senders);
    }
}

model! {
    /// A select may be chosen by either queue, and a receiver sleeps on the second. One item comes
    /// to each: the receiver gets the second, also if it came while the select was on its way out.
    fn an_event_wakes_one_that_still_waits(order) tight {
        let (one, first) = channel::unbounded::<Tracked>();
        let (two, second) = channel::unbounded::<Tracked>();
        let receiver = second.clone();
        let back = two.clone();
        let selects = body(move || select! {
            recv(first) -> item => assert_eq!(item.unwrap().get(), 1),
            recv(second) -> item => back.send(item.unwrap()).unwrap(),
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 2));
        let sends = body(move || {
            one.send(item(1)).unwrap();
            two.send(item(2)).unwrap();
        });
        order.run([selects, receives, sends]);
    }
}

model! {
    /// A select that waits to send learns of room.
    fn a_select_waits_for_room(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        sender.send(item(1)).unwrap();
        let (silence, never) = channel::bounded::<Tracked>(1);
        let selects = body(move || select! {
            send(sender, item(2)) -> sent => sent.unwrap(),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        let receives = body(move || {
            assert_eq!(receiver.recv().unwrap().get(), 1);
            assert_eq!(receiver.recv().unwrap().get(), 2);
        });
        order.run([selects, receives]);
        drop(silence);
    }
}

model! {
    /// The last sender goes: the select wakes up.
    fn a_select_against_the_last_sender(order) small whole {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let (silence, never) = channel::bounded::<Tracked>(0);
        let selects = body(move || select! {
            recv(receiver) -> item => assert!(item.is_err()),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        order.run([selects, body(move || drop(sender))]);
        drop(silence);
    }
}

model! {
    /// The last receiver goes while a select waits to send, with and without room.
    fn a_select_against_the_last_receiver(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        sender.send(item(1)).unwrap();
        let (zero, zeros) = channel::bounded::<Tracked>(0);
        let selects = body(move || select! {
            send(sender, item(2)) -> sent => assert_eq!(sent.unwrap_err().0.get(), 2),
            send(zero, item(3)) -> _ => unreachable!("its receiver neither receives nor goes"),
        });
        order.run([selects, body(move || drop(receiver))]);
        drop(zeros);
    }
}

model! {
    /// The time of a select runs out while an item comes. It is received, or it is still there.
    fn a_timeout_against_a_send(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let left = receiver.clone();
        let got = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let says = got.clone();
        let selects = body(move || select! {
            recv(receiver) -> item => {
                assert_eq!(item.unwrap().get(), 1);
                says.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            default(SOON) => {}
        });
        order.run([selects, sends(sender, 1)]);
        let received = got.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(left.try_recv().is_ok(), !received);
        drop(silence);
    }
}

model! {
    /// A select that leaves because its time is up takes no wake-up along: another receiver of the
    /// same queue gets the item.
    fn a_timeout_takes_no_event_along(order) tight {
        let (sender, receiver) = channel::unbounded::<Tracked>();
        let (silence, never) = channel::bounded::<Tracked>(1);
        let (selecting, backlog) = (receiver.clone(), sender.clone());
        let selects = body(move || select! {
            recv(selecting) -> item => backlog.send(item.unwrap()).unwrap(),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            default(SOON) => drop(backlog),
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([selects, receives, sends(sender, 1)]);
        drop(silence);
    }
}

model! {
    /// With room for none: a sender meets a select.
    fn a_sender_meets_a_select(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (silence, never) = channel::bounded::<Tracked>(0);
        let selects = body(move || select! {
            recv(receiver) -> item => assert_eq!(item.unwrap().get(), 1),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        order.run([selects, sends(sender, 1)]);
        drop(silence);
    }
}

model! {
    /// With room for none: a receiver meets a select that sends, and waits for the item.
    fn a_receiver_meets_a_select(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (silence, never) = channel::bounded::<Tracked>(0);
        let selects = body(move || select! {
            send(sender, item(1)) -> sent => sent.unwrap(),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([selects, receives]);
        drop(silence);
    }
}

model! {
    /// Two selects that can only meet each other.
    fn two_selects_meet(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let silent = never.clone();
        let selects = body(move || select! {
            send(sender, item(1)) -> sent => sent.unwrap(),
            recv(silent) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        let receives = body(move || select! {
            recv(receiver) -> item => assert_eq!(item.unwrap().get(), 1),
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
        });
        order.run([selects, receives]);
        drop(silence);
    }
}

model! {
    /// Two selects on both ends of one channel: one sends and the other receives. Neither meets
    /// itself, and they do not both send.
    fn both_ends_of_one_channel(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let selects = |value| {
            let (sender, receiver, count) = (sender.clone(), receiver.clone(), count.clone());
            body(move || {
                select! {
                    send(sender, item(value)) -> sent => sent.unwrap(),
                    recv(receiver) -> item => {
                        assert_eq!(item.unwrap().get(), 3 - value);
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            })
        };
        order.run([selects(1), selects(2)]);
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
        drop((sender, receiver));
    }
}

model! {
    /// The time of either side runs out while two selects meet: both say that they met, or neither.
    fn two_selects_meet_in_time(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        let met = std::sync::Arc::new([(); 2].map(|()| std::sync::atomic::AtomicBool::new(false)));
        let (sent, received) = (met.clone(), met.clone());
        let selects = body(move || select! {
            send(sender, item(1)) -> result => {
                sent[0].store(result.is_ok(), relaxed);
            }
            default(SOON) => {}
        });
        let receives = body(move || select! {
            recv(receiver) -> item => {
                if let Ok(item) = item {
                    assert_eq!(item.get(), 1);
                    received[1].store(true, relaxed);
                }
            }
            default(SOON) => {}
        });
        order.run([selects, receives]);
        assert_eq!(met[0].load(relaxed), met[1].load(relaxed));
    }
}

model! {
    /// Never "none" while an item is there: an item goes into the first queue before the item of
    /// the second is taken.
    fn none_is_true_of_one_moment(order) small {
        let (one, first) = channel::unbounded::<u32>();
        let (two, second) = channel::unbounded::<u32>();
        two.send(2).unwrap();
        let other = second.clone();
        // No end goes before both threads have finished.
        let kept = (one.clone(), first.clone(), two.clone());
        let moves = body(move || {
            one.send(1).unwrap();
            // Fails if the select has the item.
            let _ = other.try_recv();
            drop(two);
        });
        let selects = body(move || {
            select! {
                recv(first) -> item => assert_eq!(item, Ok(1)),
                recv(second) -> item => assert_eq!(item, Ok(2)),
                default => panic!("at each moment there was an item"),
            }
        });
        order.run([moves, selects]);
        drop(kept);
    }
}

/// Begins a send, if that is possible in time. The item is the body's to send, or not.
fn begins(sender: &Sender<Tracked>, then: impl FnOnce(channel::SelectedOperation<'_>)) -> bool {
    let mut select = Select::new();
    select.send(sender);
    let begun = select.select_timeout(SOON);
    begun.map(then).is_ok()
}

model! {
    /// A receiver waits, asleep, for a send that was begun, while another item comes behind it. It
    /// gets both, in the order of the choice. A receive that does not wait finds nothing meanwhile.
    fn a_receiver_sleeps_on_a_begun_send(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(2);
        let tries = receiver.clone();
        let selects = body(move || {
            let begun = begins(&sender, |selected| {
                sender.send(item(2)).unwrap();
                assert!(tries.try_recv().is_err() && tries.recv_timeout(SOON).is_err());
                selected.send(&sender, item(1)).unwrap();
            });
            assert!(begun);
        });
        let receives = body(move || {
            assert_eq!(receiver.recv().unwrap().get(), 1);
            assert_eq!(receiver.recv().unwrap().get(), 2);
        });
        order.run([selects, receives]);
    }
}

model! {
    /// Two receivers sleep on a send that was begun. The item that came behind it is not lost when
    /// the send is left.
    fn a_begun_send_that_is_left_wakes_the_receivers(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(2);
        let other = receiver.clone();
        let selects = body(move || {
            let begun = begins(&sender, |selected| {
                sender.send(item(1)).unwrap();
                leave(selected);
            });
            assert!(begun);
            sender.send(item(1)).unwrap();
        });
        let receives = |receiver: Receiver<Tracked>| {
            body(move || assert_eq!(receiver.recv().unwrap().get(), 1))
        };
        order.run([selects, receives(receiver), receives(other)]);
    }
}

model! {
    /// A select that receives, of two queues, sleeps on a send that was begun in one of them.
    fn a_select_sleeps_on_a_begun_send(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let (silence, never) = channel::bounded::<Tracked>(1);
        let selects = body(move || {
            assert!(begins(&sender, |selected| selected.send(&sender, item(1)).unwrap()));
        });
        let receives = body(move || select! {
            recv(never) -> _ => unreachable!("its sender neither sends nor goes"),
            recv(receiver) -> item => assert_eq!(item.unwrap().get(), 1),
        });
        order.run([selects, receives]);
        drop(silence);
    }
}

model! {
    /// With room for none: the channel is closed while a select has chosen a receiver. The receiver
    /// has the item, or the select has it back.
    fn a_close_against_a_begun_send(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let (closes, left) = (sender.clone(), receiver.clone());
        let got = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let (sent, received) = (got.clone(), got.clone());
        let selects = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            if select.select().send(&sender, item(1)).is_ok() {
                sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        let receives = body(move || {
            if receiver.recv().is_ok() {
                received.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        order.run([selects, receives, body(move || closes.close())]);
        assert_eq!(got.load(std::sync::atomic::Ordering::Relaxed), 0);
        assert!(left.try_recv().is_err());
    }
}

/// Leaves a chosen case without completing it. The panic that this is stays here.
fn leave(selected: channel::SelectedOperation<'_>) {
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(selected)));
    assert!(left.is_err());
}

model! {
    /// A select that was chosen to send leaves: its partner goes on, and meets the next sender.
    fn a_select_leaves_its_partner(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        let other = sender.clone();
        let leaves = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            if let Ok(selected) = select.select_timeout(SOON) {
                leave(selected);
            }
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([leaves, receives, sends(other, 1)]);
    }
}

model! {
    /// A select that reserved a place in a queue leaves it: the receiver goes on to the next item.
    fn a_select_leaves_its_place(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let other = sender.clone();
        let leaves = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            if let Ok(selected) = select.select_timeout(SOON) {
                leave(selected);
            }
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([leaves, receives, sends(other, 1)]);
    }
}

/// Chooses to send if there is room, and leaves.
fn leaves_a_place(sender: Sender<Tracked>) -> Body {
    body(move || {
        let mut select = Select::new();
        select.send(&sender);
        if let Ok(selected) = select.try_select() {
            leave(selected);
        }
    })
}

model! {
    /// The place that a select leaves is behind an item that is never taken. A sender that waits
    /// gets it.
    fn a_select_leaves_its_place_behind_an_item(order) small whole {
        let (sender, receiver) = channel::bounded::<Tracked>(2);
        sender.send(item(1)).unwrap();
        let other = sender.clone();
        order.run([leaves_a_place(sender), sends(other, 2)]);
        let got = [receiver.try_recv().unwrap().get(), receiver.try_recv().unwrap().get()];
        assert!(got == [1, 2] && receiver.try_recv().is_err());
    }
}

model! {
    /// A sender takes the place that a select leaves, or a receiver skips it: not both.
    fn a_place_that_is_left_is_skipped_or_taken(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let other = sender.clone();
        let sends = body(move || {
            if let Err(refused) = other.try_send(item(1)) {
                assert!(refused.is_full());
                other.send(refused.into_inner()).unwrap();
            }
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([leaves_a_place(sender), sends, receives]);
    }
}

model! {
    /// The last receiver goes while a chosen send is completed: its item is dropped with the
    /// channel, or comes back.
    fn a_chosen_send_against_the_last_receiver(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let sends = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            if let Err(refused) = select.select().send(&sender, item(1)) {
                assert_eq!(refused.0.get(), 1);
            }
        });
        order.run([sends, body(move || drop(receiver))]);
    }
}

model! {
    /// The same, while another sender finds the place void, or the channel closed.
    fn a_place_that_the_last_receiver_voids_is_taken_by_one(order) tight {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let other = sender.clone();
        let selects = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            if let Ok(selected) = select.try_select() {
                drop(selected.send(&sender, item(1)));
            }
        });
        let sends = body(move || drop(other.try_send(item(2))));
        order.run([selects, sends, body(move || drop(receiver))]);
    }
}

model! {
    /// A chosen send is forgotten. The receiver gets what is behind it when the senders are gone.
    fn a_forgotten_place_is_skipped_when_the_senders_are_gone(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(2);
        let forgets = body(move || {
            let mut select = Select::new();
            select.send(&sender);
            std::mem::forget(select.select());
            sender.send(item(1)).unwrap();
        });
        let receives = body(move || {
            assert_eq!(receiver.recv().unwrap().get(), 1);
            assert!(receiver.recv().is_err());
        });
        order.run([forgets, receives]);
    }
}

model! {
    /// `ready` uses no event up: the receiver that sleeps on the same queue gets the item.
    fn ready_takes_no_event_along(order) tight {
        let (sender, receiver) = channel::unbounded::<Tracked>();
        let (silence, never) = channel::bounded::<Tracked>(1);
        let observed = receiver.clone();
        let observes = body(move || {
            let mut select = Select::new();
            select.recv(&never);
            select.recv(&observed);
            let _ = select.ready_timeout(SOON);
        });
        let receives = body(move || assert_eq!(receiver.recv().unwrap().get(), 1));
        order.run([observes, receives, sends(sender, 1)]);
        drop(silence);
    }
}
