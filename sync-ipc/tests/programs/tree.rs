//! A program with children, that ends in several ways. For `tests/programs.rs`.

use std::io::Write;
use std::time::Duration;

use sync_ipc::Process;

fn say(line: &str) {
    // In one call: several processes write.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn slow() {
    std::thread::sleep(Duration::from_millis(100));
    say("slow child ends");
}

fn endless(name: String) {
    say(&format!("{name} {}", std::process::id()));
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Counts interrupts, and ends a while after the first.
fn count_interrupts(name: String) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: i32) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only touches an atomic.
    unsafe { libc::signal(libc::SIGINT, handler as *const () as usize) };
    say(&format!("{name} {}", std::process::id()));
    while COUNT.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    say(&format!("{name} was interrupted {} times", COUNT.load(Ordering::Relaxed)));
}

fn square(n: u64) -> u64 {
    n * n
}

sync_ipc::entry!(slow, endless, count_interrupts, square);

static POOL: std::sync::OnceLock<sync_ipc::Pool> = std::sync::OnceLock::new();

fn main() {
    sync_ipc::init();
    match std::env::args().nth(1).as_deref() {
        // A program that ends while its children run.
        Some("exit") => {
            drop(Process::spawn(slow, ()).expect("a child"));
            let daemon = Process::builder(endless).daemon(true).spawn("daemon".into());
            drop(daemon.expect("a child"));
            std::thread::sleep(Duration::from_millis(300));
            drop(Process::spawn(slow, ()).expect("a child"));
        }
        // A program that waits for an interrupt, and lets its children end first.
        Some("interrupt") => {
            let children: Vec<_> = ["a", "b"]
                .map(|name| Process::spawn(count_interrupts, name.into()).expect("a child"))
                .into();
            let sheltered = Process::builder(endless).ignore_interrupt(true).daemon(true);
            let sheltered = sheltered.spawn("sheltered".into()).expect("a child");
            count_interrupts("parent".into());
            for child in children {
                assert_eq!(child.join().expect("a child"), 0);
            }
            assert!(sheltered.is_alive());
            say("parent ends");
        }
        // A program that ends with a pool in a global, which is never dropped.
        Some("global") => {
            let pool = POOL.get_or_init(|| sync_ipc::Pool::new(2).expect("a pool"));
            assert_eq!(pool.apply(square, 3).expect("a result"), 9);
            for worker in pool.workers() {
                say(&format!("worker {}", worker.pid()));
            }
        }
        // A program with everything that an interrupt finds at work: it ends in order by it, or at
        // once.
        #[cfg(feature = "manager")]
        Some("everything") => everything(std::env::args().nth(2).as_deref() == Some("in order")),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "manager")]
fn everything(in_order: bool) {
    use sync_ipc::manager::{Address, Manager};
    use sync_ipc::{Event, Pool, Segment};

    let name = format!("interrupted-{}", std::process::id());
    let segment = Segment::create(&name, 4096).expect("a new name");
    let event = Event::create(&segment, "event").expect("room");
    let child = Process::spawn(wait_for, event.clone()).expect("a child");
    let pool = Pool::new(2).expect("a pool");
    let jobs = [(); 2].map(|()| pool.submit(wait_for, event.clone()).expect("a job"));
    let manager = Manager::start().expect("a manager");
    let held = manager.lock().expect("a lock");
    let guard = held.lock().expect("free");
    while !jobs.iter().all(|job| job.is_running()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    for pid in pool.workers().iter().map(|worker| worker.pid()) {
        say(&format!("pid {pid}"));
    }
    say(&format!("pid {}", child.pid()));
    say(&format!("pid {}", manager.process().pid()));
    if let Address::Path(path) = manager.address() {
        say(&format!("folder {}", path.parent().expect("a folder").display()));
    }
    say(&format!("name {name}"));
    if in_order {
        count_interrupts("parent".into());
        drop(guard);
        manager.shutdown().expect("it ends");
        pool.terminate();
        pool.join().expect("terminated");
        // The interrupt has ended the child.
        assert_eq!(child.join().expect("a child"), -libc::SIGINT);
        say("parent ends");
    } else {
        endless("parent".into());
    }
}

/// Takes longer than the test.
#[cfg(feature = "manager")]
fn wait_for(event: sync_ipc::Event) -> bool {
    event.wait_timeout(Duration::from_secs(600))
}
#[cfg(feature = "manager")]
sync_ipc::entry!(wait_for);
