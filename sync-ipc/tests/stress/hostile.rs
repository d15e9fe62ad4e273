//! A peer that writes whatever it likes, wherever it likes. It may starve us and spoil our data; it
//! may not make us panic, crash, or touch what is not ours. The victim runs in a process of its
//! own, so that a crash is seen as one.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::{pread, pwrite};
use sync_ipc::{
    Array, Barrier, BoundedSemaphore, ByteQueue, Condvar, Connection, Event, InPlaceQueue, Item,
    JoinableQueue, Mutex, Queue, Readiness, ReentrantMutex, RwLock, Segment, Semaphore,
    ShareableList, TrustedSegment,
};

use crate::processes::fork;
use crate::watchdog;
use crate::{Random, rounds};

const MUTATIONS: u64 = 120_000;

struct World {
    segment: Segment,
    mutex: Mutex<[u64; 3]>,
    reentrant: ReentrantMutex<u32>,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    event: Event,
    condvar: Condvar,
    barrier: Barrier,
    queue: Queue<[u8; 20]>,
    jobs: JoinableQueue<u64>,
    array: Array<u16>,
    list: ShareableList,
    rwlock: RwLock<[u64; 3]>,
    bytes: ByteQueue,
    in_place: InPlaceQueue<[u64; 3]>,
}

fn trusting(segment: &Segment) -> TrustedSegment {
    // SAFETY: this test breaks the promise on purpose, but only where no item is borrowed: its own
    // thread writes between the operations. What a peer may do to a borrowed item is outside of the
    // promise.
    unsafe { segment.clone().trusting_peers() }
}

fn world() -> World {
    let segment = Segment::anonymous(12_000).expect("a segment");
    World {
        mutex: Mutex::create(&segment, "mutex", [1; 3]).expect("room"),
        reentrant: ReentrantMutex::create(&segment, "reentrant", 1).expect("room"),
        semaphore: Semaphore::create(&segment, "semaphore", 2, 4).expect("room"),
        bounded: BoundedSemaphore::create(&segment, "bounded", 2).expect("room"),
        event: Event::create(&segment, "event").expect("room"),
        condvar: Condvar::with_waiters(&segment, "condvar", 4).expect("room"),
        barrier: Barrier::create(&segment, "barrier", 1).expect("room"),
        queue: Queue::create(&segment, "queue", 4).expect("room"),
        jobs: JoinableQueue::create(&segment, "jobs", 2).expect("room"),
        array: Array::create(&segment, "array", &[1, 2, 3]).expect("room"),
        list: ShareableList::create(&segment, "list", &[Item::Int(1), Item::Str("text".into())])
            .expect("room"),
        rwlock: RwLock::with_readers(&segment, "rwlock", 3, [1; 3]).expect("room"),
        bytes: ByteQueue::create(&segment, "bytes", 3, 40).expect("room"),
        in_place: InPlaceQueue::create(&trusting(&segment), "in place", 3).expect("room"),
        segment,
    }
}

/// Some bytes somewhere: mostly where our words are, often values that mean something.
fn scribble(segment: &Segment, random: &mut Random) {
    let size = rustix::fs::fstat(segment).expect("a file").st_size as usize;
    let objects = size - segment.size();
    let at = match random.below(8) {
        0 => random.below(64),
        1 => random.below(objects),
        2 => random.below(size),
        _ => objects + random.below(4096),
    };
    let value = match random.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.below(64),
        3 => random.next() & 0xc000_ffff_c000_ffff,
        _ => random.next(),
    };
    let len = 1 << random.below(4);
    let at = if random.below(4) > 0 { at & !(len - 1) } else { at }.min(size - len);
    pwrite(segment, &value.to_ne_bytes()[..len], at as u64).expect("a memfd can be written to");
}

/// Runs one operation, with any result. A lock whose scribbled word names this process as its owner
/// is waited for in vain: hence the short timeouts.
fn operate(world: &World, random: &mut Random, in_place: bool) -> Option<()> {
    let soon = Duration::from_micros(50);
    match random.below(30) {
        0 => drop(world.mutex.try_lock().map(|mut guard| guard.update(|value| value[0] ^= 1))),
        1 => drop(world.mutex.try_lock_for(soon).map(|guard| guard.get())),
        2 => drop(
            world
                .reentrant
                .try_lock()
                .map(|guard| guard.update(|value| *value = value.wrapping_add(1))),
        ),
        3 => drop(world.semaphore.try_acquire()),
        4 => drop(world.semaphore.try_acquire_for(soon)),
        5 => drop(world.semaphore.try_add_permits(1)),
        6 => drop(world.bounded.try_acquire().map(|permit| permit.forget())),
        7 => drop(world.bounded.release()),
        8 => {
            world.event.set();
            world.event.clear();
            let _ = world.event.wait_timeout(soon);
        }
        9 => {
            world.condvar.notify_all();
            if let Ok(guard) = world.mutex.try_lock() {
                // The lock may be scribbled over during the wait, but no thread scribbles then:
                // there is only this thread.
                drop(world.condvar.wait_for(guard, soon));
            }
        }
        10 => drop((world.barrier.wait_timeout(soon), world.barrier.waiting())),
        11 => drop(world.queue.try_put([7; 20])),
        12 => drop(
            world.queue.try_get().map(|item| item.iter().map(|byte| u32::from(*byte)).sum::<u32>()),
        ),
        13 => drop(world.queue.try_get_lease()),
        14 => drop((
            world.jobs.try_put(1),
            world.jobs.try_get().map(|task| task.done()),
            world.queue.len(),
        )),
        15 => drop((world.array.raw().to_vec(), world.array.raw().set(2, 9))),
        16 => drop((world.list.get(random.below(3)), world.list.set(0, &Item::Int(5)))),
        17 => drop(world.rwlock.try_read().map(|guard| guard.get())),
        18 => drop(world.rwlock.try_read_for(soon).map(|guard| guard.get())),
        19 => drop(world.rwlock.try_write().map(|mut guard| guard.set([2; 3]))),
        20 => drop(world.rwlock.try_write_for(soon).map(|mut guard| {
            guard.mark_consistent();
            guard.update(|value| value[1] ^= 1);
        })),
        21 => {
            let message = [7; 40];
            let _ = world.bytes.try_put(&message[..random.below(41)]);
        }
        22 => drop(world.bytes.try_get().map(|message| assert!(message.len() <= 40))),
        23 => {
            let mut message = Vec::new();
            if let Ok(got) = world.bytes.get_timeout(soon) {
                message = got;
            }
            let _ = (world.bytes.len(), world.bytes.put_timeout(&message, soon));
        }
        24 if in_place => drop(world.in_place.try_loan().map(|mut loan| {
            *loan = [random.next(); 3];
            loan.put()
        })),
        25 if in_place => drop(world.in_place.try_loan().map(|mut loan| loan[2] ^= 1)),
        26 if in_place => drop(world.in_place.try_get().map(|lease| {
            let sum = lease.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
            lease.ack();
            sum
        })),
        27 if in_place => drop(world.in_place.get_timeout(soon)),
        28 => {
            // One lock of the directory each: a scribbled one is waited for.
            let name = ["mutex", "bytes", "another"][random.below(3)];
            let _ = world.segment.remove(name);
            drop(ByteQueue::create(&world.segment, "another", 2, random.below(200)));
        }
        _ => {
            drop(ByteQueue::open(&world.segment, "bytes").map(|queue| queue.try_get()));
            drop(
                RwLock::<[u64; 3]>::open(&world.segment, "rwlock").map(|lock| format!("{lock:?}")),
            );
            drop(Mutex::<[u64; 3]>::open(&world.segment, "mutex"));
            drop(ShareableList::open(&world.segment, "list").map(|list| list.to_vec()));
            drop(Queue::<[u8; 20]>::open(&world.segment, "queue").map(|queue| queue.try_get()));
            drop(Mutex::create(&world.segment, "another", 5_u8));
            drop(Segment::from_fd(world.segment.try_clone_fd().ok()?));
            drop(format!(
                "{world:?}",
                world = (&world.mutex, &world.reentrant, &world.semaphore, &world.barrier)
            ));
        }
    }
    Some(())
}

#[test]
fn scribbling_over_the_segment() {
    let _watchdog = watchdog::watch();
    let mut random = Random::new("scribbling");
    let mutations = rounds(MUTATIONS);
    let mut child = fork(|| {
        let mut done = 0;
        while done < mutations {
            let world = world();
            for _ in 0..60 {
                for _ in 0..4 {
                    scribble(&world.segment, &mut random);
                    done += 1;
                }
                let _ = operate(&world, &mut random, true);
            }
        }
        0
    });
    assert_eq!(child.join(), 0, "a panic is 101, a crash is minus its signal");
    println!("scribbling: {mutations} mutations");
}

/// Each word of the segment at the ends of its numbers, where sums and differences overflow. A
/// random scribbler meets few of these.
#[test]
fn every_word_at_its_ends() {
    let _watchdog = watchdog::watch();
    let mut random = Random::new("ends");
    let mut child = fork(|| {
        let world = world();
        let size = rustix::fs::fstat(&world.segment).expect("a file").st_size as usize;
        let mut before = vec![0; size];
        assert_eq!(pread(&world.segment, &mut before, 0).expect("it can be read"), size);
        // Words that are used, and those near them, which are used next.
        let used = |at: usize| {
            let near = &before[at.saturating_sub(256)..(at + 256).min(size)];
            near.iter().any(|byte| *byte != 0)
        };
        for at in (0..size).step_by(8).filter(|at| used(*at)) {
            for word in [u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX as u64, u64::MAX >> 32] {
                pwrite(&world.segment, &word.to_ne_bytes(), at as u64).expect("it can be written");
                for _ in 0..3 {
                    let _ = operate(&world, &mut random, true);
                }
                drop(Event::create(&world.segment, "one more"));
                pwrite(&world.segment, &before, 0).expect("it can be written");
            }
        }
        0
    });
    assert_eq!(child.join(), 0, "a panic is 101, a crash is minus its signal");
}

#[test]
fn scribbling_at_the_same_time() {
    let _watchdog = watchdog::watch();
    let mut random = Random::new("scribbling at the same time");
    for _ in 0..10 {
        let world = world();
        let seed = random.next();
        let scribbler = fork(|| {
            let mut random = Random(seed | 1);
            loop {
                scribble(&world.segment, &mut random);
            }
        });
        let victim = fork(|| {
            let mut random = Random(seed ^ 0x5555 | 1);
            loop {
                // Not in place: the scribbler does not know when an item is borrowed.
                let _ = operate(&world, &mut random, false);
            }
        });
        std::thread::sleep(Duration::from_millis(150));
        drop(scribbler);
        // It may starve (its lock's word may say that it holds the lock itself), and is killed for
        // it; it may not have ended by itself.
        let mut victim = victim;
        victim.signal(libc::SIGKILL);
        assert_eq!(
            victim.join(),
            -libc::SIGKILL,
            "a panic is 101, a crash is minus another signal"
        );
    }
}

#[test]
fn nonsense_over_the_socket() {
    use std::io::Write;
    let _watchdog = watchdog::watch();
    let mut random = Random::new("nonsense");
    let mut child = fork(|| {
        for _ in 0..2000 {
            let (mut raw, theirs) = UnixStream::pair().expect("descriptors");
            let theirs = Connection::from_fd(theirs.into()).expect("a socket");
            let mut bytes = vec![0; random.below(200)];
            bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
            if random.below(2) == 0 && bytes.len() > 4 {
                bytes[..3].fill(0);
            }
            raw.write_all(&bytes).expect("sent");
            drop(raw);
            for _ in 0..4 {
                drop(theirs.recv::<Vec<String>>());
                drop(theirs.recv_fds());
                drop(theirs.recv_segment());
            }
        }
        0
    });
    assert_eq!(child.join(), 0);
}

/// A watcher of scribbled objects: it may report what is not there, or nothing; it ends when it is
/// dropped, and no thread panics.
#[test]
fn watching_what_is_scribbled_over() {
    let _watchdog = watchdog::watch();
    let mut random = Random::new("watching");
    let mut child = fork(|| {
        for _ in 0..8 {
            let world = world();
            let watched: Vec<Readiness> = [
                world.queue.readiness(),
                world.bytes.readiness(),
                world.event.readiness(),
                world.semaphore.readiness(),
            ]
            .into_iter()
            .map(|readiness| readiness.expect("descriptors and threads"))
            .collect();
            for _ in 0..2000 {
                scribble(&world.segment, &mut random);
                if random.below(20) == 0 {
                    let which = random.below(watched.len());
                    let soon = Some(Duration::from_micros(100));
                    let _ = sync_ipc::wait(&[watched[which].as_fd()], soon);
                    watched[which].rearm();
                }
            }
        }
        0
    });
    assert_eq!(child.join(), 0, "a panic is 101, a crash is minus its signal");
}
