//! `channel`: counted ends over the queue, and the meeting of sender and receiver that room for
//! none is. The items are watched: an item read before it was handed over, or after it was given
//! back, is a race.

use std::time::Duration;

use sync_queue::channel::{
    self, Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError,
};

use crate::support::{Arc, Body, Tracked, body};

const SOON: Duration = Duration::from_millis(1);

fn item(value: u32) -> Tracked {
    let item = Tracked::new(0);
    item.set(value);
    item
}

/// An item that counts its drops. The count is not watched.
struct Counted(std::sync::Arc<std::sync::atomic::AtomicU32>);

impl Counted {
    fn new(drops: &std::sync::Arc<std::sync::atomic::AtomicU32>) -> Self {
        Self(drops.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Sends all, then goes.
fn sends(sender: Sender<Tracked>, values: &'static [u32]) -> Body {
    body(move || {
        for &value in values {
            sender.send(item(value)).unwrap();
        }
    })
}

/// Receives until the senders have gone, and checks the sum.
fn receives_all(receiver: Receiver<Tracked>, sum: u32) -> Body {
    body(move || assert_eq!(receiver.iter().map(|item| item.get()).sum::<u32>(), sum))
}

model! {
    /// crossfire #70, flume #120: the receiver finds nothing, then the sender sends and goes, then
    /// the receiver finds it gone. The item is not lost, and the receiver does not sleep on.
    fn last_sender_goes(order) small {
        let (sender, receiver) = channel::bounded(1);
        order.run([sends(sender, &[1]), receives_all(receiver, 1)]);
    }
}

model! {
    /// Two senders go at once: one of them is the last.
    fn two_senders_go(order) tight {
        let (sender, receiver) = channel::unbounded();
        let other = sender.clone();
        order.run([sends(sender, &[1]), sends(other, &[2]), receives_all(receiver, 3)]);
    }
}

model! {
    /// The last receiver goes while a sender waits for room: the item comes back.
    fn last_receiver_goes(order) small whole {
        let (sender, receiver) = channel::bounded(1);
        sender.send(item(1)).unwrap();
        let sends = body(move || {
            let back = sender.send(item(2)).expect_err("there is no room, and no thread makes any");
            assert_eq!(back.0.get(), 2);
        });
        order.run([sends, body(move || drop(receiver))]);
    }
}

model! {
    /// std #39364, #94518: a receive with a timeout expires at the moment at which the sender is
    /// cloned and the clone sends.
    fn timeout_against_clone_and_send(order) small {
        let (sender, receiver) = channel::unbounded();
        let sends = body(move || {
            let other = sender.clone();
            drop(sender);
            other.send(item(1)).unwrap();
        });
        let receives = body(move || {
            let got = match receiver.recv_timeout(SOON) {
                Ok(item) => item,
                Err(why) => {
                    assert_eq!(why, RecvTimeoutError::Timeout);
                    receiver.recv().unwrap()
                }
            };
            assert_eq!(got.get(), 1);
            assert!(receiver.recv().is_err());
        });
        order.run([sends, receives]);
    }
}

model! {
    /// crossbeam #1084, then #1187 (RUSTSEC-2025-0024): both sides go while a send is about to link
    /// a block. Every item is dropped once.
    fn dropped_by_the_last(order) tight {
        let drops = std::sync::Arc::default();
        let (sender, receiver) = channel::unbounded();
        assert!(sender.send(Counted::new(&drops)).is_ok());
        let other = sender.clone();
        let sends = |sender: Sender<Counted>| {
            let item = Counted::new(&drops);
            body(move || drop(sender.send(item)))
        };
        order.run([sends(sender), sends(other), body(move || drop(receiver))]);
        assert_eq!(drops.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}

model! {
    /// flume #140: with room for none, a send returns after the receiver has come for the item:
    /// what that did before is seen.
    fn a_send_returns_after_receipt(order) small {
        let (sender, receiver) = channel::bounded(0);
        let came = Arc::new(Tracked::new(0));
        let seen = came.clone();
        let sends = body(move || {
            sender.send(item(1)).unwrap();
            assert_eq!(seen.get(), 7);
        });
        let receives = body(move || {
            came.set(7);
            assert_eq!(receiver.recv().unwrap().get(), 1);
        });
        order.run([sends, receives]);
    }
}

model! {
    /// kanal #14, #15, #19: time runs out on either side of a meeting. Both say that they met, or
    /// neither; the item is where they say.
    fn meeting_in_time(order) small {
        let (sender, receiver) = channel::bounded(0);
        let outcome =
            std::sync::Arc::new([(); 2].map(|()| std::sync::atomic::AtomicBool::new(false)));
        let (sent, received) = (outcome.clone(), outcome.clone());
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        let sends = body(move || match sender.send_timeout(item(1), SOON) {
            Ok(()) => sent[0].store(true, relaxed),
            Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => {
                assert_eq!(back.get(), 1)
            }
        });
        let receives = body(move || {
            if let Ok(item) = receiver.recv_timeout(SOON) {
                assert_eq!(item.get(), 1);
                received[1].store(true, relaxed);
            }
        });
        order.run([sends, receives]);
        assert_eq!(outcome[0].load(relaxed), outcome[1].load(relaxed));
    }
}

model! {
    /// Two send, one receives twice: each meeting is with one.
    fn two_meetings(order) tight {
        let (sender, receiver) = channel::bounded(0);
        let other = sender.clone();
        order.run([sends(sender, &[1]), sends(other, &[2]), receives_all(receiver, 3)]);
    }
}

model! {
    /// A try meets only who waits.
    fn tries_to_meet(order) small {
        let (sender, receiver) = channel::bounded(0);
        let sends = body(move || match sender.try_send(item(1)) {
            Ok(()) => {}
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                assert_eq!(back.get(), 1)
            }
        });
        let receives = body(move || match receiver.recv() {
            Ok(item) => assert_eq!(item.get(), 1),
            Err(_) => assert_eq!(
                receiver.try_recv().map(|item| item.get()),
                Err(TryRecvError::Disconnected)
            ),
        });
        order.run([sends, receives]);
    }
}

model! {
    /// kanal #35: a single item, and an end that goes at the same time. It is received, or it comes
    /// back; it is dropped once.
    fn meeting_against_a_drop(order) small {
        let drops = std::sync::Arc::default();
        let (sender, receiver) = channel::bounded(0);
        let item = Counted::new(&drops);
        let sends = body(move || drop(sender.send(item)));
        let receives = body(move || drop(receiver.recv_timeout(SOON)));
        order.run([sends, receives]);
        assert_eq!(drops.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}

model! {
    /// The sender goes without a word, at the moment at which a receiver comes to meet it.
    fn no_thread_comes(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(0);
        order.run([body(move || drop(sender)), body(move || assert!(receiver.recv().is_err()))]);
    }
}

model! {
    /// A receiver that learns that all senders have gone sees what each of them did before.
    fn what_the_senders_did_is_seen(order) small {
        let (sender, receiver) = channel::unbounded::<u32>();
        let data = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let (goes, seen) = (goes(sender.clone(), &data, 0), data.clone());
        let other = self::goes(sender, &data, 1);
        let learns = body(move || {
            if receiver.try_recv() == Err(TryRecvError::Disconnected) {
                assert_eq!((seen[0].get(), seen[1].get()), (7, 7));
            }
        });
        order.run([goes, other, learns]);
    }
}

model! {
    /// The same of the receivers.
    fn what_the_receivers_did_is_seen(order) small whole {
        let (sender, receiver) = channel::unbounded::<u32>();
        let data = Arc::new([Tracked::new(0), Tracked::new(0)]);
        let (goes, seen) = (goes(receiver.clone(), &data, 0), data.clone());
        let other = self::goes(receiver, &data, 1);
        let learns = body(move || {
            if sender.try_send(1).is_err() {
                assert_eq!((seen[0].get(), seen[1].get()), (7, 7));
            }
        });
        order.run([goes, other, learns]);
    }
}

/// Does something, then lets its end go.
fn goes<E: 'static>(end: E, data: &Arc<[Tracked; 2]>, mine: usize) -> Body {
    let data = data.clone();
    body(move || {
        data[mine].set(7);
        drop(end);
    })
}
