//! Workers that are killed at random moments, thousands of times.
//!
//! A second process kills them, by SIGKILL and as fast as they come: while they are started, while
//! they begin, between a task and its result, while they end, several at once, and while the pool
//! ends. The pool's process works with one pool after another meanwhile.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use sync_ipc::pool::MapHandle;
use sync_ipc::{JobError, Pool, Process, RawArray, RawValue, Segment};

use crate::audit::{
    Holdings, Random, adopt_orphans, children_of, holdings, setting, state_of, watched,
};
use crate::support::square;

/// The items of a map.
const ITEMS: u64 = 60;

/// The length of a long item: two of them go through no socket.
const LONG: usize = 5000;

/// The kills without any worker that has begun after which the killer waits for one. A pool is
/// broken if 256 workers in a row are killed before they begin.
const UNBEGUN: u64 = 64;

/// The objects that the pool's process, its workers and the killer share.
#[derive(Clone, Serialize, Deserialize)]
struct Shared {
    begun: RawValue<u64>,
    killed: RawValue<u64>,
    /// How often each item was run.
    runs: RawArray<u32>,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

fn begin(shared: Shared) {
    // SeqCst, as all accesses of these tests.
    shared.begun.as_atomic().fetch_add(1, Ordering::SeqCst);
    // An initializer runs once in a worker.
    let _ = SHARED.set(shared);
}

/// Counts its run. Returns the square as often as the item is there.
fn work(items: Vec<u64>) -> Vec<u64> {
    let runs = &SHARED.get().expect("the initializer has run").runs;
    let at = items[0] as usize;
    runs.set(at, runs.get(at).unwrap() + 1).unwrap();
    items.into_iter().map(square).collect()
}

/// Kills children of this process's parent, except this one, until `kills` have been killed.
fn kill_workers(shared: Shared, kills: u64, seed: u64) {
    let mut random = Random::new(seed);
    let parent = sync_ipc::parent_process().expect("a pool's process").pid();
    let (mut killed, mut begun, mut since) = (0, 0, 0);
    while killed < kills {
        let mut workers = children_of(parent);
        workers.retain(|pid| *pid != std::process::id());
        for _ in 0..=random.below(4) {
            if workers.is_empty() {
                break;
            }
            let victim = workers.swap_remove(random.below(workers.len() as u64) as usize);
            let Some(pid) = i32::try_from(victim).ok().and_then(Pid::from_raw) else { continue };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // Its number may be another process's by now, and it may be dead already.
            let is_worker = |(state, of): (char, u32)| of == parent && !matches!(state, 'Z' | 'X');
            if state_of(victim).is_some_and(is_worker)
                && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
            {
                killed += 1;
                since += 1;
            }
        }
        shared.killed.as_atomic().store(killed, Ordering::SeqCst);
        if random.below(2) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(3000)));
        }
        loop {
            let now = shared.begun.as_atomic().load(Ordering::SeqCst);
            if now != begun {
                (begun, since) = (now, 0);
            }
            if since < UNBEGUN {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// The outcomes of all items.
#[derive(Default, Debug, Serialize, Deserialize)]
struct Count {
    returned: u64,
    /// Their workers died.
    died: u64,
    /// The pool ended before.
    given_up: u64,
    pools: u64,
}

/// One pool after another, whose workers are killed meanwhile.
struct Storm {
    shared: Shared,
    progress: AtomicU64,
    /// For the watchdog.
    pool: Mutex<Option<Arc<Pool>>>,
    step: Mutex<&'static str>,
}

impl Storm {
    fn step(&self, step: &'static str) {
        *self.step.lock().unwrap() = step;
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    fn stand(&self) -> String {
        // The owner of either lock may be the thread that hangs.
        let (pool, step) = (self.pool.try_lock().ok(), self.step.try_lock().ok());
        let pool = pool.map(|pool| format!("{:#?}", *pool));
        let begun = self.shared.begun.as_atomic().load(Ordering::SeqCst);
        format!("{step:?}, {} killed, {begun} begun, {pool:?}", self.killed())
    }

    fn killed(&self) -> u64 {
        self.shared.killed.as_atomic().load(Ordering::SeqCst)
    }

    /// A map whose items have not run.
    fn map(&self, pool: &Pool, random: &mut Random) -> MapHandle<Vec<u64>> {
        for item in 0..ITEMS as usize {
            self.shared.runs.set(item, 0).unwrap();
        }
        self.step("submits");
        let chunk = 1 + random.below(4) as usize;
        // Long ones are in files that go round.
        let length = if random.below(8) == 0 { LONG } else { 1 };
        pool.map_async_chunked(work, (0..ITEMS).map(|item| vec![item; length]), chunk).unwrap()
    }

    /// Takes the outcomes of a map: one for each item, and none of another item.
    fn check(&self, handle: MapHandle<Vec<u64>>, retries: bool, count: &mut Count) {
        self.step("takes outcomes");
        let mut items = 0;
        for (item, outcome) in (0..).zip(handle.outcomes()) {
            self.progress.fetch_add(1, Ordering::Relaxed);
            items += 1;
            let runs = self.shared.runs.get(item as usize).unwrap();
            assert!(retries || runs <= 1, "item {item} was run {runs} times");
            match outcome {
                Ok(results) => {
                    assert!(matches!(results.len(), 1 | LONG), "{} results", results.len());
                    assert!(results.iter().all(|result| *result == square(item)));
                    assert!(runs >= 1, "item {item} was not run");
                    count.returned += 1;
                }
                Err(JobError::WorkerDied { exitcode: -9, .. }) if !retries => count.died += 1,
                Err(JobError::Terminated | JobError::Cancelled) => count.given_up += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(items, ITEMS, "no outcome is lost, and none is there twice");
    }

    /// A pool, until about a hundred of its workers have been killed.
    fn one_pool(&self, killer: &Process<()>, random: &mut Random, count: &mut Count) {
        self.step("builds");
        let retries = random.below(3) == 0;
        let builder = Pool::builder()
            .workers(2 + random.below(6) as usize)
            .retries(if retries { u32::MAX } else { 0 })
            .initializer(begin, self.shared.clone());
        let builder = match random.below(3) {
            0 => builder.max_tasks_per_child(NonZero::new(5).unwrap()),
            _ => builder,
        };
        let pool = Arc::new(builder.build().unwrap());
        *self.pool.lock().unwrap() = Some(Arc::clone(&pool));
        count.pools += 1;
        let first = self.killed();
        while self.killed() < first + 100 && killer.is_alive() {
            let handle = self.map(&pool, random);
            self.check(handle, retries, count);
            assert_eq!(pool.broken(), None);
        }
        // It ends with a map under way.
        let handle = self.map(&pool, random);
        match random.below(4) {
            0 => pool.close(),
            1 => pool.terminate(),
            2 => pool.shutdown(false, true),
            _ => {}
        }
        self.step("ends");
        drop(self.pool.lock().unwrap().take());
        drop(pool);
        self.check(handle, retries, count);
    }
}

/// In a process of its own, so that what it holds is its own.
fn storm(kills: u64, seed: u64) -> (Holdings, Holdings, Count) {
    adopt_orphans();
    let before = holdings();
    let mut count = Count::default();
    {
        let segment = Segment::anonymous(1 << 14).unwrap();
        let shared = Shared {
            begun: RawValue::create(&segment, "begun", 0).unwrap(),
            killed: RawValue::create(&segment, "killed", 0).unwrap(),
            runs: RawArray::zeroed(&segment, "runs", ITEMS as usize).unwrap(),
        };
        drop(segment);
        let storm = Storm {
            shared: shared.clone(),
            progress: AtomicU64::new(0),
            pool: Mutex::new(None),
            step: Mutex::new("starts"),
        };
        let mut random = Random::new(seed);
        watched(
            &storm.progress,
            || storm.stand(),
            || {
                let arguments = (shared, kills, random.below(u64::MAX));
                let killer = Process::builder(kill_workers).daemon(true).spawn(arguments).unwrap();
                while killer.is_alive() {
                    storm.one_pool(&killer, &mut random, &mut count);
                }
                assert_eq!(killer.join().unwrap(), 0);
                assert!(storm.killed() >= kills);
            },
        );
    }
    (before, holdings(), count)
}
sync_ipc::entry!(begin, work, kill_workers, storm);

/// `SYNC_IPC_KILLS` and `SYNC_IPC_SEED` set the number and the seed.
#[test]
fn thousands_of_workers_killed_at_random_lose_and_double_nothing_and_leave_nothing() {
    let (kills, seed) = (setting("SYNC_IPC_KILLS", 2000), setting("SYNC_IPC_SEED", 0x5eed));
    println!("seed {seed}, {kills} kills");
    let storm = Process::spawn(storm, (kills, seed)).unwrap();
    let (before, after, count) = storm.result().unwrap();
    println!("{count:?}");
    assert!(count.died > 0, "no worker was killed with a task");
    assert_eq!(before, after);
}
