//! Workers that are killed, stopped and continued at random moments, and an audit of what they did.
//!
//! Every worker moves numbers from one queue to another by lease: receive, send, acknowledge. A
//! worker that is killed between the last two leaves its number in both: a lease promises delivery
//! at least once. Also, each worker keeps two numbers under a lock equal, and holds a permit while
//! it works.

use std::time::{Duration, Instant};

use sync_ipc::{LockError, Mutex, Queue, RecvError, Segment, Semaphore};

use crate::processes::{Child, FOR_EVER, fork};
use crate::watchdog;
use crate::{Random, rounds};

const NUMBERS: u64 = 100_000;
const WORKERS: usize = 4;

struct World {
    todo: Queue<u64>,
    done: Queue<u64>,
    pair: Mutex<[u64; 2]>,
    permits: Semaphore,
}

impl World {
    fn worker(&self) -> i32 {
        loop {
            let permit = self.permits.acquire().expect("attached");
            let lease = self.todo.get_lease().expect("open");
            self.done.put(*lease.item()).expect("open");
            lease.ack();
            let mut guard = match self.pair.lock() {
                Ok(guard) => guard,
                Err(LockError::OwnerDied(mut guard)) => {
                    let [first, second] = guard.get();
                    guard.set([first.max(second); 2]);
                    guard.mark_consistent();
                    guard
                }
                Err(other) => panic!("{other}"),
            };
            let [first, second] = guard.get();
            assert_eq!(first, second, "clean, and not whole");
            guard.set([first + 1, second]);
            guard.set([first + 1, second + 1]);
            drop((guard, permit));
        }
    }
}

#[test]
fn kill_stop_continue() {
    let _watchdog = watchdog::watch();
    let mut random = Random::new("soak");
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    let world = World {
        todo: Queue::create(&segment, "todo", 64).expect("room"),
        done: Queue::create(&segment, "done", 64).expect("room"),
        pair: Mutex::create(&segment, "pair", [0; 2]).expect("room"),
        permits: Semaphore::create(&segment, "permits", 3, 3).expect("room"),
    };
    let mut workers: Vec<Child> = (0..WORKERS).map(|_| fork(|| world.worker())).collect();
    let numbers = rounds(NUMBERS);
    let mut seen = vec![0_u32; numbers as usize];
    let (mut next, mut missing) = (0, numbers as usize);
    let (mut kills, mut stops) = (0, 0);
    let mut attack = Instant::now();
    // Whether a number came since the last attack. Where a process takes long to come to its work,
    // as on an emulated processor, it would else never do any; and what does not move although no
    // process is attacked hangs.
    let mut moved = true;
    let mut longest = Duration::ZERO;
    let mut heard = Instant::now();
    while missing > 0 {
        assert!(heard.elapsed() < FOR_EVER, "{missing} numbers missing, and nothing moves");
        while next < numbers && world.todo.try_put(next).is_ok() {
            next += 1;
        }
        match world.done.get_timeout(Duration::from_millis(1)) {
            Ok(number) => {
                longest = longest.max(heard.elapsed());
                heard = Instant::now();
                moved = true;
                let count = &mut seen[number as usize];
                missing -= usize::from(*count == 0);
                *count += 1;
            }
            Err(RecvError::TimedOut) => {}
            Err(other) => panic!("{other}"),
        }
        if attack.elapsed() > Duration::from_millis(1) {
            attack = Instant::now();
            let victim = random.below(WORKERS);
            match if core::mem::take(&mut moved) { random.below(3) } else { 2 } {
                0 => {
                    kills += 1;
                    workers[victim].kill();
                    workers[victim] = fork(|| world.worker());
                }
                1 => {
                    stops += 1;
                    workers[victim].signal(libc::SIGSTOP);
                }
                _ => workers.iter().for_each(|worker| worker.signal(libc::SIGCONT)),
            }
        }
    }
    drop(workers);
    let doubled: u32 = seen.iter().map(|count| count - 1).sum();
    println!(
        "soak: {numbers} numbers, {kills} kills, {stops} stops, {doubled} delivered again, \
         longest silence {longest:?}"
    );
    assert!(doubled <= kills, "more were delivered again than workers died");
    // Whatever the dead held comes back: permits, room, the lock.
    let permits =
        [(); 3].map(|()| world.permits.try_acquire_for(FOR_EVER).expect("no permit is lost"));
    assert!(world.permits.try_acquire().is_err(), "and none is doubled");
    drop(permits);
    while world.todo.get_timeout(Duration::from_millis(40)).is_ok() {}
    for queue in [&world.todo, &world.done] {
        while queue.try_get().is_ok() {}
        for number in 0..64 {
            queue.put_timeout(number, FOR_EVER).expect("no room is lost");
        }
        assert!(queue.try_put(64).is_err());
    }
    let [first, second] = world
        .pair
        .lock()
        .map_or_else(|error| error.into_guard().expect("recoverable").get(), |guard| guard.get());
    assert!(first == second || first == second + 1);
}
