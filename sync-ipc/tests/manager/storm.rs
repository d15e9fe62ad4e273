//! Clients and servers that are killed at random moments under load.
//!
//! Each storm is in a process of its own, whose temporary folder is its own, so that what it leaves
//! behind can be counted.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sync_ipc::Process;
use sync_ipc::manager::{Lock, Manager, Queue, Semaphore, Value};

use crate::audit::{Holdings, Random, adopt_orphans, holdings, setting, watched};
use crate::support::{LIMIT, is_gone, until};

/// The most clients at a time.
const CLIENTS: usize = 6;

fn work_until_killed(
    (lock, semaphore): (Lock, Semaphore),
    (jobs, finished): (Queue<u64>, Queue<u64>),
    inside: Value<u8>,
) {
    loop {
        let guard = lock.lock().unwrap();
        // The value of an owner that was killed may be left.
        assert!(guard.owner_died() || inside.get().unwrap() == 0, "two hold the lock");
        inside.set(&1).unwrap();
        inside.set(&0).unwrap();
        let permit = semaphore.acquire().unwrap();
        drop((guard, permit));
        let lease = jobs.lease().unwrap();
        finished.put(lease.item()).unwrap();
        lease.acknowledge().unwrap();
    }
}

/// Kills `kills` clients of a server. Returns the items that came more than once.
fn kill_clients(kills: u64, seed: u64) -> (Holdings, Holdings, u64) {
    adopt_orphans();
    let before = holdings();
    let (progress, step) = (AtomicU64::new(0), Mutex::new("starts"));
    let stand =
        || format!("{:?}, {} steps", step.try_lock().ok(), progress.load(Ordering::Relaxed));
    let doubled = watched(&progress, stand, || {
        let at = |now| {
            *step.lock().unwrap() = now;
            progress.fetch_add(1, Ordering::Relaxed);
        };
        let mut random = Random::new(seed);
        let manager = Manager::start().unwrap();
        let (lock, semaphore) = (manager.lock().unwrap(), manager.semaphore(2).unwrap());
        let jobs = manager.queue::<u64>(Some(200)).unwrap();
        let finished = manager.queue::<u64>(None).unwrap();
        let inside = manager.value(&0_u8).unwrap();
        let arguments = ((lock.clone(), semaphore.clone()), (jobs.clone(), finished.clone()));
        let spawn = || {
            let (first, second) = arguments.clone();
            let client = Process::builder(work_until_killed).daemon(true);
            client.spawn((first, second, inside.clone())).unwrap()
        };
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| spawn()).collect();
        let (mut next, mut killed) = (0_u64, 0);
        let mut seen = HashMap::new();
        let take = |seen: &mut HashMap<u64, u64>| {
            while let Some(job) = finished.try_get().unwrap() {
                *seen.entry(job).or_default() += 1;
            }
        };
        while killed < kills {
            at("puts jobs");
            while next < killed * 3 && jobs.try_put(&next).unwrap() {
                next += 1;
            }
            // Several at once, and no time to come to rest.
            for _ in 0..=random.below(CLIENTS as u64) {
                let victim = clients.swap_remove(random.below(clients.len() as u64) as usize);
                assert_eq!(victim.exitcode(), None, "a client failed");
                victim.kill().unwrap();
                killed += 1;
            }
            if random.below(2) == 0 {
                thread::sleep(Duration::from_micros(random.below(4000)));
            }
            at("starts clients");
            while clients.len() < CLIENTS {
                clients.push(spawn());
            }
            take(&mut seen);
        }
        at("waits for the last jobs");
        assert!(jobs.join_timeout(LIMIT).unwrap(), "jobs are lost");
        take(&mut seen);
        assert!(seen.len() as u64 == next && next > 0, "{} of {next} jobs", seen.len());
        at("ends");
        for client in clients {
            client.kill().unwrap();
            client.join().unwrap();
        }
        // A job comes again only if its client died between the result and the acknowledgement.
        let doubled = seen.values().map(|times| times - 1).sum();
        assert!(doubled <= killed);
        until("all clients are gone", || manager.stats().unwrap().clients == 1);
        assert!(lock.try_lock_for(LIMIT).unwrap().is_some());
        assert_eq!(semaphore.available_permits().unwrap(), 2, "no permit is lost or doubled");
        assert_eq!(manager.stats().unwrap().objects, 5);
        doubled
    });
    (before, holdings(), doubled)
}

/// Kills `kills` servers under the calls of eight threads each.
fn kill_servers(kills: u64, seed: u64) -> (Holdings, Holdings) {
    adopt_orphans();
    let before = holdings();
    let (progress, step) = (AtomicU64::new(0), Mutex::new("starts"));
    let stand =
        || format!("{:?}, {} steps", step.try_lock().ok(), progress.load(Ordering::Relaxed));
    watched(&progress, stand, || {
        let at = |now| {
            *step.lock().unwrap() = now;
            progress.fetch_add(1, Ordering::Relaxed);
        };
        let mut random = Random::new(seed);
        for _ in 0..kills {
            at("starts a server");
            let manager = Manager::start().unwrap();
            let counter = manager.counter::<u8>().unwrap();
            let (lock, queue) = (manager.lock().unwrap(), manager.queue::<u8>(Some(2)).unwrap());
            at("kills it");
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| while counter.add(&0, 1).is_ok() {});
                    scope.spawn(|| while lock.lock().is_ok() {});
                    scope.spawn(|| while queue.put(&1).is_ok() {});
                    scope.spawn(|| while queue.get().is_ok() {});
                }
                thread::sleep(Duration::from_micros(random.below(4000)));
                manager.process().kill().unwrap();
            });
            match counter.get(&0) {
                Err(error) => assert!(is_gone(&error), "{error:?}"),
                Ok(count) => panic!("a dead server counts {count}"),
            }
        }
    });
    (before, holdings())
}
sync_ipc::entry!(work_until_killed, kill_clients, kill_servers);

/// A temporary folder, and that nothing is left in it.
fn in_own_folder<R>(name: &str, act: impl FnOnce(&std::path::Path) -> R) -> R {
    let folder = std::env::temp_dir().join(format!("sync-ipc-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let result = act(&folder);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
    assert!(left.len() <= 1, "only the last killed server may have left its folder: {left:?}");
    std::fs::remove_dir_all(&folder).unwrap();
    result
}

/// `SYNC_IPC_KILLS` and `SYNC_IPC_SEED` set the number and the seed.
#[test]
fn a_thousand_clients_killed_at_random_lose_nothing_and_leave_nothing() {
    let (kills, seed) = (setting("SYNC_IPC_KILLS", 1000), setting("SYNC_IPC_SEED", 0x5eed));
    println!("seed {seed}, {kills} kills");
    in_own_folder("clients", |folder| {
        let storm = Process::builder(kill_clients).env("TMPDIR", folder).spawn((kills, seed));
        let (before, after, doubled) = storm.unwrap().result().unwrap();
        println!("{doubled} jobs came again");
        assert_eq!(before, after);
    });
}

#[test]
fn servers_killed_at_random_under_load_hang_no_call_and_leave_nothing() {
    let (kills, seed) = (setting("SYNC_IPC_KILLS", 1600) / 8, setting("SYNC_IPC_SEED", 0x5eed));
    println!("seed {seed}, {kills} kills");
    in_own_folder("servers", |folder| {
        let storm = Process::builder(kill_servers).env("TMPDIR", folder).spawn((kills, seed));
        let (before, after) = storm.unwrap().result().unwrap();
        assert_eq!(before, after);
    });
}
