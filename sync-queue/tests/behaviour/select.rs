//! `select!`, `select_biased!` and `Select`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::channel::{
    Receiver, RecvError, Select, SelectTimeoutError, SelectedOperation, SendError, Sender,
    TryReadyError, TryRecvError, TrySelectError, after, bounded, never, select, select_biased,
    tick, unbounded,
};

use crate::support::{A_MOMENT, Dropped, Drops, LONG};
use crate::watchdog::watch;

#[test]
fn a_select_runs_the_case_that_can_go_on() {
    let (sender, receiver) = bounded(1);
    let (_silence, silent) = bounded::<u8>(0);
    let sent = select! {
        send(sender, 7) -> sent => sent,
        recv(silent) -> _ => unreachable!(),
    };
    assert_eq!(sent, Ok(()));
    let got = select! {
        recv(silent) -> _ => unreachable!(),
        recv(receiver) -> item => item,
    };
    assert_eq!(got, Ok(7));
    drop(receiver);
    let refused = select! {
        send(sender, 8) -> sent => sent,
    };
    assert_eq!(refused, Err(SendError(8)));
    drop(sender);
}

#[test]
fn a_default_runs_when_no_case_can_go_on() {
    let (sender, receiver) = bounded::<u8>(0);
    for with_time in [false, true] {
        let ran = if with_time {
            select! {
                send(sender, 1) -> _ => false,
                recv(receiver) -> _ => false,
                default(Duration::from_millis(1)) => true,
            }
        } else {
            select! {
                send(sender, 1) -> _ => false,
                recv(receiver) -> _ => false,
                default => true,
            }
        };
        assert!(ran, "a select on both ends of a channel never meets itself");
    }
}

/// The item of a case that cannot go on.
fn not_evaluated() -> u32 {
    panic!("the item of a case that was not chosen is evaluated")
}

#[test]
fn an_item_is_evaluated_only_if_its_case_is_chosen() {
    let (sender, _receiver) = bounded(1);
    let (other, _others) = bounded(1);
    other.send(0).unwrap();
    select! {
        send(other, not_evaluated()) -> _ => unreachable!(),
        send(sender, 1) -> sent => sent.unwrap(),
    }
}

#[test]
fn a_select_of_many_cases_and_forms() {
    let (sender, receiver) = unbounded::<u32>();
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(bounded::<u32>(0));
    }
    // Bodies with control flow, without commas, and of the type `!`.
    let found = 'outer: loop {
        for turn in 0.. {
            select_biased! {
                recv(ends[0].1) -> _ => unreachable!(),
                recv(&ends[1].1) -> _ => { unreachable!() }
                send(ends[2].0, { not_evaluated() }) -> _ => panic!(),
                recv(receiver,) -> item => match item {
                    Ok(item) => break 'outer item,
                    Err(_) => continue,
                },
                default() => {
                    sender.send(turn).unwrap();
                    if turn > 5 {
                        break;
                    }
                }
            }
        }
    };
    assert_eq!(found, 0);
    macro_rules! many {
        ($($number:literal)*) => {
            select! {
                $(recv(ends[$number % 3].1) -> _ => unreachable!("{}", $number),)*
                send(sender, 1) -> sent => sent.unwrap(),
            }
        };
    }
    many!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30);
}

#[test]
fn a_biased_select_prefers_the_first_and_a_fair_one_starves_none() {
    let (first_sender, first) = unbounded();
    let (second_sender, second) = unbounded();
    let (full, _kept) = bounded::<()>(1);
    full.send(()).unwrap();
    let mut fair = [0; 3];
    let mut biased = [0; 2];
    for _ in 0..2_000 {
        first_sender.send(()).unwrap();
        second_sender.send(()).unwrap();
        select_biased! {
            recv(first) -> _ => biased[0] += 1,
            recv(second) -> _ => biased[1] += 1,
        }
        first_sender.send(()).unwrap();
        // Two cases that can go on, and one between them that cannot.
        select! {
            recv(first) -> _ => fair[0] += 1,
            send(full, ()) -> _ => fair[2] += 1,
            recv(second) -> _ => fair[1] += 1,
        }
    }
    assert_eq!(biased, [2_000, 0]);
    // Of 2,000 fair choices fewer than 600 fall on one of two cases once in 10^70 runs.
    assert!(fair[0] > 600 && fair[1] > 600 && fair[2] == 0, "{fair:?}");
}

#[test]
fn every_kind_of_event_wakes_a_select() {
    let _watchdog = watch();
    for capacity in [Some(0), Some(1), None] {
        let open = || capacity.map_or_else(unbounded::<u32>, bounded::<u32>);
        let (_silence, silent) = bounded::<u32>(1);
        // An item.
        let (sender, receiver) = open();
        thread::scope(|scope| {
            let selects = scope.spawn(|| {
                select! { recv(receiver) -> item => item, recv(silent) -> _ => unreachable!() }
            });
            thread::sleep(A_MOMENT);
            sender.send(1).unwrap();
            assert_eq!(selects.join().unwrap(), Ok(1));
        });
        // The last sender.
        thread::scope(|scope| {
            let selects = scope.spawn(|| {
                select! { recv(receiver) -> item => item, recv(silent) -> _ => unreachable!() }
            });
            thread::sleep(A_MOMENT);
            drop(sender);
            assert_eq!(selects.join().unwrap(), Err(RecvError));
        });
        // Room, then the last receiver.
        let Some(capacity) = capacity else { continue };
        let (sender, receiver) = bounded(capacity);
        (0..capacity).for_each(|_| sender.send(0).unwrap());
        thread::scope(|scope| {
            let selects = scope.spawn(|| {
                select! { send(sender, 5) -> sent => sent, recv(silent) -> _ => unreachable!() }
            });
            thread::sleep(A_MOMENT);
            receiver.recv().unwrap();
            assert_eq!(selects.join().unwrap(), Ok(()));
        });
        if capacity > 0 {
            assert_eq!(receiver.recv(), Ok(5));
            sender.send(0).unwrap();
        }
        let selects = thread::spawn(move || select! { send(sender, 6) -> sent => sent });
        thread::sleep(A_MOMENT);
        drop(receiver);
        assert_eq!(selects.join().unwrap(), Err(SendError(6)));
    }
}

#[test]
fn a_select_waits_for_clocks() {
    let _watchdog = watch();
    let begun = Instant::now();
    let limit = after(Duration::from_millis(5));
    select! {
        recv(limit) -> _ => {}
        recv(never::<u8>()) -> _ => unreachable!(),
    }
    assert!(begun.elapsed() >= Duration::from_millis(5));
    let ticks = tick(Duration::from_millis(1));
    for _ in 0..3 {
        select! {
            recv(ticks) -> time => assert!(time.unwrap() > begun),
            default(LONG) => unreachable!(),
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(8));
}

#[test]
fn the_dynamic_select_has_indices_that_stay() {
    let ends: Vec<(Sender<u32>, Receiver<u32>)> = (0..4).map(|_| bounded(1)).collect();
    let mut select = Select::new();
    for (_, receiver) in &ends {
        select.recv(receiver);
    }
    assert_eq!(select.try_select().map(|selected| selected.index()), Err(TrySelectError));
    assert_eq!(select.try_ready(), Err(TryReadyError));
    for (number, (sender, _)) in (0..).zip(&ends) {
        sender.send(number).unwrap();
    }
    select.remove(0);
    select.remove(2);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let ready = select.ready();
        assert!(ready == 1 || ready == 3);
        let selected = select.select_timeout(LONG).unwrap();
        let index = selected.index();
        assert_eq!(selected.recv(&ends[index].1), Ok(index as u32));
        seen.push(index);
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 3]);
    assert_eq!(
        select.select_timeout(Duration::from_millis(1)).map(|selected| selected.index()),
        Err(SelectTimeoutError)
    );
    assert!(select.ready_deadline(Instant::now()).is_err());
    let index = select.send(&ends[1].0);
    assert_eq!(index, 4, "the index of a removed case is not given again");
    select.select().send(&ends[1].0, 9).unwrap();
    assert_eq!(ends[1].1.recv(), Ok(9));
    assert!(catch_unwind(AssertUnwindSafe(|| select.remove(0))).is_err());
    let mut empty = select.recycle();
    assert!(catch_unwind(AssertUnwindSafe(|| empty.ready())).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(empty.select()))).is_err());
    let mut biased = Select::new_biased();
    biased.send(&ends[2].0);
    biased.recv(&ends[2].1);
    let selected = biased.select();
    assert_eq!(selected.index(), 1, "the place of the first case is taken");
    assert_eq!(selected.recv(&ends[2].1), Ok(2));
}

/// Chooses a send, and drops the choice.
pub(crate) fn leave(selected: SelectedOperation<'_>) {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(selected))).unwrap_err();
    let text = payload.downcast_ref::<&str>().unwrap();
    assert!(text.contains("dropped `SelectedOperation`"), "{text}");
}

#[test]
fn a_chosen_case_that_is_dropped_panics_and_the_channel_goes_on() {
    let _watchdog = watch();
    // A place before, between and behind items.
    let (sender, receiver) = bounded(3);
    let mut select = Select::new();
    select.send(&sender);
    leave(select.select());
    sender.send(1).unwrap();
    leave(select.select());
    sender.send(2).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    for round in 0..10 {
        leave(select.select());
        sender.send(round).unwrap();
        assert_eq!(receiver.recv(), Ok(round));
    }
    // The last receiver takes places along that were left.
    leave(select.select());
    drop(receiver);
    assert_eq!(sender.send(3), Err(SendError(3)));

    // A partner of a rendezvous goes on to the next sender.
    let (sender, receiver) = bounded(0);
    thread::scope(|scope| {
        let receives = scope.spawn(|| receiver.recv());
        let mut select = Select::new();
        select.send(&sender);
        leave(select.select());
        sender.send(4).unwrap();
        assert_eq!(receives.join().unwrap(), Ok(4));
    });
    // An item that was chosen is lost, and only that.
    let drops = Drops::default();
    let (sender, receiver) = unbounded();
    sender.send(drops.item()).unwrap();
    sender.send(drops.item()).unwrap();
    let mut select = Select::new();
    select.recv(&receiver);
    leave(select.select());
    drop(receiver);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_room_that_is_left_is_given_to_the_sender_that_waits_for_it() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(1);
    thread::scope(|scope| {
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        let sends = scope.spawn(|| sender.send(1));
        thread::sleep(A_MOMENT);
        leave(selected);
        sends.join().unwrap().unwrap();
    });
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_room_that_is_left_behind_an_item_is_room_again() {
    let (sender, receiver) = bounded(3);
    sender.send(0).unwrap();
    let mut select = Select::new();
    select.send(&sender);
    let (one, two) = (select.select(), select.clone().select());
    assert!(sender.is_full());
    leave(one);
    leave(two);
    assert_eq!((sender.len(), sender.is_full(), select.try_ready()), (1, false, Ok(0)));
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert!(sender.try_send(3).is_err() && select.try_ready().is_err());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_room_that_is_left_behind_an_item_is_given_to_the_sender_that_waits_for_it() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(2);
    sender.send(0).unwrap();
    thread::scope(|scope| {
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        let sends = scope.spawn(|| sender.send(1));
        thread::sleep(A_MOMENT);
        leave(selected);
        // No item has been taken.
        sends.join().unwrap().unwrap();
    });
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_room_that_is_left_between_items_wakes_a_sender_when_it_is_passed() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(3);
    sender.send(0).unwrap();
    thread::scope(|scope| {
        let mut select = Select::new();
        select.send(&sender);
        let selected = select.select();
        sender.send(1).unwrap();
        leave(selected);
        assert!(sender.try_send(2).is_err(), "it would come out before the item 1");
        let sends = [2, 3, 4].map(|item| {
            let sender = sender.clone();
            scope.spawn(move || sender.send(item).unwrap())
        });
        thread::sleep(A_MOMENT);
        // Two items, and three rooms.
        let got = [receiver.recv().unwrap(), receiver.recv().unwrap()];
        assert_eq!(got, [0, 1]);
        sends.into_iter().for_each(|sends| sends.join().unwrap());
    });
    let mut rest: Vec<_> = receiver.try_iter().collect();
    rest.sort_unstable();
    assert_eq!(rest, [2, 3, 4]);
}

#[test]
fn a_room_that_is_left_is_no_item() {
    let (sender, receiver) = bounded::<u8>(2);
    sender.send(0).unwrap();
    let mut select = Select::new();
    select.send(&sender);
    leave(select.select());
    assert_eq!(receiver.try_recv(), Ok(0));
    assert!(receiver.is_empty() && sender.capacity() == Some(2));
    let mut ready = Select::new();
    ready.recv(&receiver);
    assert_eq!(ready.try_ready(), Err(TryReadyError));
    assert!(ready.ready_timeout(Duration::from_millis(1)).is_err());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_panic_of_an_item_goes_on_and_so_does_the_channel() {
    let (sender, receiver) = bounded(1);
    let result = catch_unwind(AssertUnwindSafe(|| {
        select! {
            send(sender, { assert!(sender.is_empty(), "it has a place"); 1 }) -> sent => sent,
        }
    }));
    assert!(result.is_err());
    sender.try_send(2).unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_case_is_completed_with_its_own_end() {
    let (sender, receiver) = unbounded::<u8>();
    let (other, others) = unbounded::<u8>();
    sender.send(1).unwrap();
    other.send(2).unwrap();
    let mut select = Select::new();
    select.recv(&receiver);
    for wrong in 0..2 {
        let selected = select.select();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if wrong == 0 {
                // The panic of the assertion drops the operation, which must not panic twice.
                let _ = selected.recv(&others);
            } else {
                let _ = selected.send(&sender, 3);
            }
        }));
        assert!(result.is_err());
        sender.send(1).unwrap();
    }
    assert_eq!(others.try_recv(), Ok(2));
}

#[test]
fn items_of_every_size_pass_through_a_select() {
    #[repr(align(128))]
    #[derive(Debug, PartialEq)]
    struct Aligned([u8; 256]);
    let (sender, receiver) = bounded(1);
    select! { send(sender, Aligned([7; 256])) -> sent => sent.unwrap() }
    select! { recv(receiver) -> item => assert_eq!(item, Ok(Aligned([7; 256]))) }
    let (sender, receiver) = bounded(1);
    select! { send(sender, String::from("seven")) -> sent => sent.unwrap() }
    select! { recv(receiver) -> item => assert_eq!(item.as_deref(), Ok("seven")) }
    let (sender, receiver) = bounded(1);
    select! { send(sender, ()) -> sent => sent.unwrap() }
    select! { recv(receiver) -> item => assert_eq!(item, Ok(())) }
    // Through a meeting too.
    let (sender, receiver) = bounded(0);
    thread::scope(|scope| {
        scope.spawn(|| select! { send(sender, Aligned([8; 256])) -> sent => sent.unwrap() });
        select! { recv(receiver) -> item => assert_eq!(item, Ok(Aligned([8; 256]))) }
    });
}

/// flume's test of its `Selector`, case by case.
#[test]
fn a_select_does_what_a_selector_of_flume_does() {
    let _watchdog = watch();
    let ((first_sender, first), (second_sender, second)) = (bounded(1), unbounded());
    let both = [first_sender.clone(), second_sender];
    let threads = [0, 1].map(|n| {
        let sender = both[n].clone();
        thread::spawn(move || {
            thread::sleep(A_MOMENT);
            sender.send(n).unwrap();
        })
    });
    let one = select! {
        recv(first) -> item => item.unwrap(),
        recv(second) -> item => item.unwrap(),
    };
    let other = if one == 0 { second.recv() } else { first.recv() };
    assert_eq!(other, Ok(1 - one));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    first_sender.send(42).unwrap();
    let gets = thread::spawn(move || {
        thread::sleep(A_MOMENT);
        assert_eq!((first.recv(), first.recv()), (Ok(42), Ok(43)));
    });
    select! {
        send(first_sender, 43) -> sent => sent.unwrap(),
    }
    gets.join().unwrap();
    // A case whose other side is gone is possible, and returns the error.
    let gone = select! {
        send(first_sender, 44) -> sent => sent.unwrap_err().into_inner(),
    };
    assert_eq!(gone, 44);
}

#[test]
fn two_selects_on_both_ends_of_two_channels_pair_with_each_other() {
    let _watchdog = watch();
    let (one, two) = (bounded(0), bounded(0));
    for _ in 0..50 {
        let play = |mine: u8| {
            select! {
                send(one.0, mine) -> sent => { sent.unwrap(); None }
                recv(one.1) -> item => item.ok(),
                send(two.0, mine) -> sent => { sent.unwrap(); None }
                recv(two.1) -> item => item.ok(),
            }
        };
        let got = thread::scope(|scope| {
            let other = scope.spawn(|| play(1));
            [play(0), other.join().unwrap()]
        });
        assert!(got == [Some(1), None] || got == [None, Some(0)], "{got:?}");
    }
}

#[test]
fn a_select_in_a_drop_and_in_the_expression_of_an_item() {
    struct Selects<'a>(&'a Sender<u8>, &'a Receiver<u8>);
    impl Drop for Selects<'_> {
        fn drop(&mut self) {
            select! {
                send(self.0, 1) -> sent => sent.unwrap(),
                recv(self.1) -> item => assert!(item.is_ok()),
            }
        }
    }
    let (sender, receiver) = unbounded();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _selects = Selects(&sender, &receiver);
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_eq!(receiver.len(), 1);
    let (other, others) = bounded(1);
    select! {
        send(other, select! { recv(receiver) -> item => item }) -> sent => sent.unwrap(),
    }
    assert_eq!(others.try_recv(), Ok(Ok(1)));
}

#[test]
fn a_select_of_hundreds_of_cases() {
    let _watchdog = watch();
    const CASES: usize = 500;
    let channels: Vec<_> = (0..CASES).map(|n| bounded::<usize>(n % 3)).collect();
    thread::scope(|scope| {
        let gets = scope.spawn(|| {
            let mut select = Select::new();
            for (_, receiver) in &channels {
                select.recv(receiver);
            }
            let mut got: Vec<_> = (0..CASES)
                .map(|_| {
                    let selected = select.select();
                    let index = selected.index();
                    assert_eq!(selected.recv(&channels[index].1), Ok(index));
                    index
                })
                .collect();
            got.sort_unstable();
            assert!(got.into_iter().eq(0..CASES));
        });
        for (n, (sender, _)) in channels.iter().enumerate().rev() {
            sender.send(n).unwrap();
        }
        gets.join().unwrap();
    });
}

#[test]
fn a_channel_whose_end_goes_ends_a_select_that_waits() {
    let _watchdog = watch();
    for capacity in [Some(0), Some(1), None] {
        let open = || capacity.map_or_else(unbounded, bounded);
        let ((sender, receiver), (_kept, silent)) = (open(), open());
        thread::scope(|scope| {
            let selects = scope.spawn(|| {
                select! {
                    recv(receiver) -> item => item.is_err(),
                    recv(silent) -> _item => false,
                }
            });
            thread::sleep(A_MOMENT);
            let _item: Option<u8> = None;
            drop::<Sender<u8>>(sender);
            assert!(selects.join().unwrap());
        });
    }
    let ((sender, receiver), (full, _kept)) = (bounded(0), bounded(0));
    thread::scope(|scope| {
        let selects = scope.spawn(|| {
            select! {
                send(sender, 1) -> sent => sent.is_err(),
                send(full, 1) -> _sent => false,
            }
        });
        thread::sleep(A_MOMENT);
        drop(receiver);
        assert!(selects.join().unwrap());
    });
}

/// A chosen send that is forgotten keeps its place. When no thread can complete it any more, the
/// receivers and the drop of the channel go on without it.
#[test]
fn a_chosen_send_that_is_forgotten_holds_up_no_end_of_the_channel() {
    let _watchdog = watch();
    let choose = |sender: &Sender<Dropped>| {
        let mut select = Select::new();
        select.send(sender);
        std::mem::forget(select.select());
    };
    for capacity in 1..4 {
        // The last receiver goes first, or the last sender.
        for receiver_first in [true, false] {
            for before in 0..capacity {
                let drops = Drops::default();
                let (sender, receiver) = bounded(capacity);
                (0..before).for_each(|_| sender.send(drops.item()).unwrap());
                choose(&sender);
                (before + 1..capacity).for_each(|_| sender.send(drops.item()).unwrap());
                if receiver_first {
                    drop(receiver);
                    assert_eq!(drops.count(), capacity - 1);
                    assert!(sender.send(drops.item()).is_err());
                } else {
                    drop(sender);
                    assert_eq!(receiver.iter().count(), capacity - 1);
                    assert_eq!(receiver.len(), 0);
                    drop(receiver);
                }
            }
        }
    }
    let (sender, receiver) = unbounded();
    choose(&sender);
    drop((sender, receiver));
}

/// The expression of an item drops the channel's last receiver, which looks through the places of
/// the channel: one of them is that of the item itself.
#[test]
fn the_expression_of_an_item_drops_the_last_receiver() {
    let _watchdog = watch();
    for capacity in 1..3 {
        let (sender, receiver) = bounded(capacity);
        let mut receiver = Some(receiver);
        let sent = select! {
            send(sender, (drop(receiver.take()), 7).1) -> sent => sent,
        };
        assert_eq!(sent, Err(SendError(7)));
        assert!(receiver.is_none());
    }
    let (sender, receiver) = unbounded();
    let mut receiver = Some(receiver);
    let sent = select! {
        send(sender, (drop(receiver.take()), 7).1) -> sent => sent,
    };
    assert_eq!(sent, Err(SendError(7)));
    assert!(receiver.is_none());
}

/// While other receivers are there, the item of a chosen send is sent, whatever ends are dropped in
/// between.
#[test]
fn a_chosen_send_is_completed_after_other_ends_were_dropped() {
    let _watchdog = watch();
    let (sender, receiver) = bounded(1);
    let (other_sender, other_receiver) = (sender.clone(), receiver.clone());
    let mut select = Select::new();
    select.send(&sender);
    let selected = select.select();
    drop((other_sender, other_receiver));
    assert_eq!(selected.send(&sender, 7), Ok(()));
    assert_eq!(receiver.recv(), Ok(7));
    let selected = select.select();
    drop(receiver);
    assert_eq!(selected.send(&sender, 8), Err(SendError(8)));
    assert!(matches!(select.select().send(&sender, 9), Err(SendError(9))));
}
