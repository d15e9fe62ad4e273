//! Servers that start at one path: at the same time, stopped and killed at each system call.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

use sync_ipc::auth::Key;
use sync_ipc::manager::{Address, Manager, ManagerClient, ManagerError, Server};
use sync_ipc::{Event, Segment};

use crate::processes::{Stepped, until};

/// A folder, a path in it, and a key. The folder must be empty in the end.
struct World {
    folder: PathBuf,
    path: PathBuf,
    key: Key,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self { path: folder.join("manager"), folder, key: Key::random().unwrap() }
    }

    fn start(&self) -> Result<Server, ManagerError> {
        Manager::builder().path(&self.path).authkey(self.key.clone()).server()
    }

    /// Puts a socket there whose server is dead. Another test may be starting a process: its child
    /// has a copy of the descriptor until it executes.
    fn leave_a_dead_socket(&self) {
        drop(UnixListener::bind(&self.path).unwrap());
        until("the socket refuses", || UnixStream::connect(&self.path).is_err());
    }

    /// Asserts that clients reach this server, and stops it.
    fn serves(&self, server: Server) {
        let handle = server.handle();
        let runs = std::thread::spawn(move || server.run());
        let address = Address::Path(self.path.clone());
        ManagerClient::connect(address, self.key.clone()).unwrap().ping().unwrap();
        handle.stop();
        runs.join().unwrap().unwrap();
        assert!(!self.path.exists(), "a server removes its socket");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir(&self.folder);
        if !std::thread::panicking() {
            removed.expect("the folder is empty");
        }
    }
}

#[track_caller]
fn assert_in_use(error: &ManagerError, path: &Path) {
    match error {
        ManagerError::Io(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn of_servers_that_start_at_one_path_at_the_same_time_one_starts() {
    const STARTERS: usize = 4;
    let world = World::new("starts");
    for round in 0..100 {
        if round % 4 != 0 {
            world.leave_a_dead_socket();
        }
        let together = Barrier::new(STARTERS);
        let started: Vec<_> = std::thread::scope(|scope| {
            let starter = || {
                together.wait();
                world.start()
            };
            let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(starter)).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        let (one, others): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
        assert_eq!(one.len(), 1, "round {round}");
        others.into_iter().for_each(|other| assert_in_use(&other.unwrap_err(), &world.path));
        one.into_iter().for_each(|one| world.serves(one.unwrap()));
    }
}

#[test]
fn a_server_killed_at_any_system_call_of_its_start_is_replaced() {
    for dead_socket in [false, true] {
        let mut stops = 0;
        let mut is_there = true;
        while is_there {
            let world = World::new("killed-starts");
            if dead_socket {
                world.leave_a_dead_socket();
            }
            let mut child = Stepped::new(|| (), |()| core::mem::forget(world.start()));
            is_there = (0..stops).all(|_| child.syscall());
            child.child.kill();
            world.serves(world.start().unwrap());
            stops += 1;
        }
        assert!(stops > 10, "only {stops} entries and returns");
    }
}

#[test]
fn a_server_that_starts_while_another_one_stands_at_any_system_call_of_its_start() {
    for dead_socket in [false, true] {
        let (mut stops, mut is_there) = (0, true);
        let mut won = [0, 0];
        while is_there {
            let world = World::new("stopped-starts");
            if dead_socket {
                world.leave_a_dead_socket();
            }
            let segment = Segment::anonymous(4096).unwrap();
            let theirs = Event::create(&segment, "started").unwrap();
            let act = |_: &()| {
                if let Ok(server) = world.start() {
                    theirs.set();
                    core::mem::forget(server);
                }
            };
            let mut child = Stepped::new(|| (), act);
            is_there = (0..stops).all(|_| child.syscall());
            let ours = std::thread::scope(|scope| {
                let (tell, told) = std::sync::mpsc::channel();
                let world = &world;
                scope.spawn(move || tell.send(world.start()).unwrap());
                // It starts, or waits for the child.
                let early = told.recv_timeout(Duration::from_millis(10));
                while child.syscall() {}
                early.unwrap_or_else(|_| told.recv().unwrap())
            });
            assert_ne!(ours.is_ok(), theirs.is_set(), "one of them, after {stops} stops");
            match ours {
                Ok(server) => {
                    child.child.kill();
                    world.serves(server);
                    won[0] += 1;
                }
                Err(error) => {
                    assert_in_use(&error, &world.path);
                    child.child.kill();
                    world.serves(world.start().unwrap());
                    won[1] += 1;
                }
            }
            stops += 1;
        }
        assert!(won[0] > 3 && won[1] > 3, "both orders: {won:?}");
    }
}
