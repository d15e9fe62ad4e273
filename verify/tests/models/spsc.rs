//! `spsc`: a slot changes hands with everything written in it, in both directions. The ring with
//! room for one is the program in which loom overlooks a weakened store unless the spawn order is
//! right, which is why every model here runs in both.

use sync_queue::{Consumer, Producer, spsc};

use crate::support::{Arc, Body, Tracked, body};

fn item(value: u32) -> Tracked {
    let item = Tracked::new(0);
    item.set(value);
    item
}

fn puts(mut producer: Producer<Tracked>, values: &'static [u32]) -> Body {
    body(move || {
        for &value in values {
            if let Err(back) = producer.try_put(item(value)) {
                assert_eq!(back.get(), value);
            }
        }
    })
}

/// The items received are a prefix of the items put.
fn gets(mut consumer: Consumer<Tracked>, tries: usize) -> Body {
    body(move || {
        let mut last = 0;
        for _ in 0..tries {
            if let Some(item) = consumer.try_get() {
                assert!(item.get() > last);
                last = item.get();
            }
        }
    })
}

model! {
    /// Room for one: the second put uses the slot that the first get has emptied.
    fn room_for_one(order) {
        let (producer, consumer) = spsc(1);
        order.run([puts(producer, &[1, 2]), gets(consumer, 2)]);
    }
}

model! {
    /// Room for two, three puts.
    fn room_for_two(order) whole {
        let (producer, consumer) = spsc(2);
        order.run([puts(producer, &[1, 2, 3]), gets(consumer, 3)]);
    }
}

model! {
    /// After the producer is known to be gone, empty is final.
    fn abandoned_then_empty(order) {
        let (producer, mut consumer) = spsc::<Tracked>(1);
        let looks = body(move || {
            if consumer.is_abandoned() {
                assert_eq!(consumer.try_get().map(|item| item.get()), Some(1));
            }
        });
        order.run([puts(producer, &[1]), looks]);
    }
}

model! {
    /// Both sides go with an item inside: it is dropped once, and no slot is read that was never
    /// written.
    fn dropped_by_the_last(order) {
        let item = std::sync::Arc::new(());
        let (mut producer, mut consumer) = spsc(2);
        let [one, two] = [item.clone(), item.clone()];
        let puts = body(move || {
            producer.try_put(one).unwrap();
            producer.try_put(two).unwrap();
        });
        order.run([puts, body(move || drop(consumer.try_get()))]);
        assert_eq!(std::sync::Arc::strong_count(&item), 1);
    }
}

model! {
    /// The consumer's work before it went is seen by a producer that finds it gone.
    fn abandoned_by_the_consumer(order) {
        let (producer, consumer) = spsc::<Tracked>(1);
        let data = Arc::new(Tracked::new(0));
        let seen = data.clone();
        let looks = body(move || {
            if producer.is_abandoned() {
                assert_eq!(seen.get(), 7);
            }
        });
        let goes = body(move || {
            data.set(7);
            drop(consumer);
        });
        order.run([looks, goes]);
    }
}

model! {
    /// The same the other way round.
    fn abandoned_by_the_producer(order) {
        let (producer, consumer) = spsc::<Tracked>(1);
        let data = Arc::new(Tracked::new(0));
        let seen = data.clone();
        let looks = body(move || {
            if consumer.is_abandoned() {
                assert_eq!(seen.get(), 7);
            }
        });
        let goes = body(move || {
            data.set(7);
            drop(producer);
        });
        order.run([looks, goes]);
    }
}

model! {
    /// Chunks on both sides, with room for two: items come whole and in order, and a look at the
    /// next one is at an item that is there.
    fn chunks(order) whole {
        let (mut producer, mut consumer) = spsc(2);
        let puts = body(move || {
            let mut items = [1, 2, 3].into_iter().map(item);
            while producer.try_put_many(&mut items) > 1 {}
        });
        let gets = body(move || {
            let mut got = Vec::new();
            for _ in 0..2 {
                let next = consumer.peek().map(Tracked::get);
                let before = got.len();
                consumer.try_get_many(&mut got, 2);
                if let Some(next) = next {
                    assert_eq!(got[before].get(), next);
                }
            }
            assert!(got.iter().map(Tracked::get).eq(1..=got.len() as u32));
        });
        order.run([puts, gets]);
    }
}
