//! `channel::Select`: one wait for the first of several channels. The items are watched, as in
//! `channel`.

use std::time::Duration;

use sync_queue::channel::{self, Select, Sender};

use crate::support::{Body, Tracked, body};

const SOON: Duration = Duration::from_millis(1);

/// Sends one item, and goes.
fn sends(sender: Sender<Tracked>, value: u32) -> Body {
    body(move || {
        let item = Tracked::new(0);
        item.set(value);
        sender.send(item).unwrap();
    })
}

model! {
    /// Each of two channels gets an item: a select over both is woken for each.
    fn woken_by_either(order) tight {
        let (to_first, first) = channel::bounded::<Tracked>(1);
        let (to_second, second) = channel::bounded::<Tracked>(1);
        // The channels stay connected.
        let others = (to_first.clone(), to_second.clone());
        let selects = body(move || {
            let mut sum = 0;
            for _ in 0..2 {
                let mut select = Select::new_biased();
                select.recv(&first);
                select.recv(&second);
                let chosen = select.select();
                let item = match chosen.index() {
                    0 => chosen.recv(&first),
                    _ => chosen.recv(&second),
                };
                sum += item.unwrap().get();
            }
            assert_eq!(sum, 3);
            drop(others);
        });
        order.run([sends(to_first, 1), sends(to_second, 2), selects]);
    }
}

model! {
    /// A select that runs out of time leaves the item, and the wake for it, to the next receive.
    fn a_select_that_gives_up_leaves_the_item(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let other = sender.clone();
        let selects = body(move || {
            let mut select = Select::new_biased();
            select.recv(&receiver);
            let item = match select.select_timeout(SOON) {
                Ok(chosen) => chosen.recv(&receiver),
                Err(_) => receiver.recv(),
            };
            assert_eq!(item.unwrap().get(), 1);
            drop(other);
        });
        order.run([sends(sender, 1), selects]);
    }
}

model! {
    /// An item that a select has found is there, since no other thread receives.
    fn what_is_ready_is_received(order) small {
        let (sender, receiver) = channel::bounded::<Tracked>(1);
        let other = sender.clone();
        let waits = body(move || {
            let mut select = Select::new_biased();
            select.recv(&receiver);
            let item = match select.ready_timeout(SOON) {
                Ok(index) => {
                    assert_eq!(index, 0);
                    receiver.try_recv().expect("it was ready")
                }
                Err(_) => receiver.recv().unwrap(),
            };
            assert_eq!(item.get(), 1);
            drop(other);
        });
        order.run([sends(sender, 1), waits]);
    }
}
