//! `Queue` among threads, in every way that it can be put to and got from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sync_queue::{GetError, PutError, Queue};

use crate::items;
use crate::watchdog::{note, watch};

#[derive(Clone, Copy, Debug)]
enum Way {
    Block,
    Poll,
    Timed,
    Many,
}

fn put_all(queue: &Queue<(usize, usize)>, producer: usize, items: usize, way: Way) {
    match way {
        Way::Many => {
            for from in (0..items).step_by(20) {
                queue
                    .put_many((from..items.min(from + 20)).map(|n| (producer, n)).collect())
                    .unwrap();
            }
        }
        _ => {
            for n in 0..items {
                let mut item = (producer, n);
                loop {
                    let answer = match way {
                        Way::Block | Way::Many => queue.put(item).map_err(PutError::from),
                        Way::Poll => queue.try_put(item),
                        Way::Timed => queue.put_timeout(item, Duration::from_micros(10)),
                    };
                    match answer {
                        Ok(()) => break,
                        Err(PutError::Full(back)) => {
                            item = back;
                            thread::yield_now();
                        }
                        Err(PutError::ShutDown(_)) => panic!("no thread shut the queue down"),
                    }
                }
            }
        }
    }
}

fn get_all(queue: &Queue<(usize, usize)>, way: Way) -> Vec<(usize, usize)> {
    let mut got = Vec::new();
    loop {
        let answer = match way {
            Way::Block => queue.get().map_err(GetError::from),
            Way::Poll => queue.try_get(),
            Way::Timed => queue.get_timeout(Duration::from_micros(10)),
            Way::Many => match queue.get_many(&mut got, 7) {
                Ok(_) => continue,
                Err(why) => Err(why.into()),
            },
        };
        match answer {
            Ok(item) => got.push(item),
            Err(GetError::Empty) => thread::yield_now(),
            Err(GetError::ShutDown) => return got,
        }
        if got.len() % 1000 == 0 {
            note(format!("{way:?} got {}", got.len()));
        }
    }
}

fn run(capacity: Option<usize>, producers: usize, consumers: usize, puts: Way, gets: Way) {
    let queue = capacity.map_or_else(Queue::unbounded, Queue::bounded);
    let each = items(capacity) / producers;
    let putting = AtomicUsize::new(producers);
    let got: Vec<Vec<_>> = thread::scope(|scope| {
        let getters: Vec<_> =
            (0..consumers).map(|_| scope.spawn(|| get_all(&queue, gets))).collect();
        for producer in 0..producers {
            let (queue, putting) = (&queue, &putting);
            scope.spawn(move || {
                put_all(queue, producer, each, puts);
                if putting.fetch_sub(1, Ordering::AcqRel) == 1 {
                    queue.shutdown();
                }
            });
        }
        getters.into_iter().map(|getter| getter.join().unwrap()).collect()
    });
    for one in &got {
        let mut last = vec![None; producers];
        for &(producer, n) in one {
            assert!(
                last[producer] < Some(n),
                "one consumer sees each producer's items in their order"
            );
            last[producer] = Some(n);
        }
    }
    let mut all = got.concat();
    all.sort_unstable();
    assert!(
        all.into_iter()
            .eq((0..producers).flat_map(|producer| (0..each).map(move |n| (producer, n))))
    );
    assert!(queue.is_empty());
}

#[test]
fn nothing_is_lost_or_doubled() {
    let _watchdog = watch();
    for capacity in [Some(1), Some(2), Some(5), Some(64), None] {
        for (producers, consumers) in [(1, 1), (1, 4), (4, 1), (4, 4)] {
            for way in [Way::Block, Way::Timed, Way::Many] {
                note(format!("{capacity:?} {producers}P{consumers}C {way:?}"));
                run(capacity, producers, consumers, way, way);
            }
        }
        note(format!("{capacity:?} mixed"));
        run(capacity, 4, 4, Way::Block, Way::Poll);
        run(capacity, 4, 4, Way::Poll, Way::Timed);
        run(capacity, 4, 4, Way::Timed, Way::Block);
    }
}

#[test]
fn fifty_producers_and_fifty_consumers() {
    let _watchdog = watch();
    for capacity in [Some(3), None] {
        for gets in [Way::Block, Way::Poll, Way::Timed] {
            run(capacity, 50, 50, Way::Block, gets);
        }
    }
}

#[test]
fn force_put_keeps_every_item_somewhere() {
    let _watchdog = watch();
    for capacity in [1, 2, 3, 7] {
        let queue = Queue::bounded(capacity);
        let all: Vec<Vec<usize>> = thread::scope(|scope| {
            let forcers: Vec<_> = (0..3)
                .map(|forcer| {
                    let queue = &queue;
                    scope.spawn(move || {
                        (0..3_000)
                            .filter_map(|n| queue.force_put(forcer * 3_000 + n).unwrap())
                            .collect()
                    })
                })
                .collect();
            let getter = scope.spawn(|| queue.iter().collect());
            let mut all: Vec<Vec<_>> =
                forcers.into_iter().map(|forcer| forcer.join().unwrap()).collect();
            queue.shutdown();
            all.push(getter.join().unwrap());
            all
        });
        let mut all = all.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..9_000));
        assert!(!queue.join_timeout(Duration::ZERO) || queue.unfinished() == 0);
    }
}

#[test]
fn tasks_and_joins() {
    let _watchdog = watch();
    let queue = Queue::bounded(4);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(task) = queue.get_task() {
                    // Relaxed: join orders it.
                    done.fetch_add(*task, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=2_000 {
            for _ in 0..3 {
                queue.put(1).unwrap();
            }
            queue.join();
            assert_eq!(done.load(Ordering::Relaxed), 3 * round);
        }
        queue.shutdown();
    });
}
