//! The life of a manager: start, end, restart, limits.

use std::path::Path;
use std::time::{Duration, Instant};

use sync_ipc::auth::{AuthError, Key};
use sync_ipc::manager::{Address, Dict, Manager, ManagerClient, ManagerError, Refusal};
use sync_ipc::{Process, current_process};

use super::support::{is_gone, refused, until};

fn socket_of(manager: &Manager) -> std::path::PathBuf {
    match manager.address() {
        Address::Path(path) => path.clone(),
        other => panic!("no path: {other}"),
    }
}

#[test]
fn proxies_are_errors_after_the_end() {
    let manager = Manager::start().unwrap();
    let dict: Dict<u8, u8> = manager.dict().unwrap();
    let path = socket_of(&manager);
    let process = manager.process().clone();
    assert!(path.exists());
    manager.shutdown().unwrap();
    assert_eq!(process.exitcode(), Some(0), "it ends in good order");
    assert!(is_gone(&dict.get(&1).unwrap_err()));
    assert!(is_gone(&dict.get(&1).unwrap_err()));
    assert!(!path.exists());
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn a_manager_is_started_again_at_once_at_the_same_address() {
    let folder = std::env::temp_dir().join(format!("restart-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let key = Key::random().unwrap();
    let path = folder.join("manager");
    let mut port = "127.0.0.1:0".parse().unwrap();
    for round in 0..5 {
        let at_path = Manager::builder().path(&path).authkey(key.clone()).start().unwrap();
        let over_tcp = Manager::builder().tcp(port).authkey(key.clone()).start().unwrap();
        if let Address::Tcp(address) = over_tcp.address() {
            port = *address;
        }
        for manager in [&at_path, &over_tcp] {
            let list = manager.named("list").list::<u32>().unwrap();
            assert!(list.is_empty().unwrap(), "a new server has no old objects");
            list.push(&round).unwrap();
        }
        if round % 2 == 0 {
            // Killed: it leaves its socket, which the next one replaces.
            at_path.process().kill().unwrap();
            at_path.process().join().unwrap();
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn name_and_fail(fail: bool) {
    assert!(!fail, "no luck");
    // The server is the process that this runs in.
    assert_eq!(current_process().name(), "Shelf");
}
fn not_registered(_: bool) {}
sync_ipc::entry!(name_and_fail);

#[test]
fn an_initializer_runs_before_the_server_serves() {
    let builder = || Manager::builder().name("Shelf");
    let manager = builder().initializer(name_and_fail, false).start().unwrap();
    manager.ping().unwrap();
    assert_eq!(manager.process().name(), "Shelf");
    let refusal = refused(builder().initializer(name_and_fail, true).start());
    assert!(matches!(refusal, Refusal::Panicked(_)));
    let failed = builder().initializer(not_registered, true).start();
    assert!(matches!(failed, Err(ManagerError::BadValue(_))));
}

#[test]
fn another_key_is_refused() {
    let manager = Manager::start().unwrap();
    for key in [Key::new(""), Key::new("guess"), Key::random().unwrap()] {
        let refused = ManagerClient::connect(manager.address().clone(), key);
        assert!(matches!(refused, Err(ManagerError::Auth(AuthError::WrongKey))), "{refused:?}");
    }
    ManagerClient::connect(manager.address().clone(), manager.key().clone()).unwrap();
    // The empty key is a key.
    let manager = Manager::builder().authkey(Key::new("")).start().unwrap();
    ManagerClient::connect(manager.address().clone(), Key::new("")).unwrap();
    // A key is serialised nowhere but among the arguments of a process.
    assert!(serde_json::to_string(manager.key()).is_err());
}

fn own_key() -> Key {
    current_process().authkey().unwrap()
}

fn own_key_is_inherited(key: Key) -> bool {
    current_process().set_authkey(key.clone());
    Process::spawn(own_key, ()).unwrap().result().unwrap() == key
}

fn own_key_opens(address: Address, depth: u32) -> bool {
    let client = ManagerClient::connect(address.clone(), own_key());
    if !client.is_ok_and(|client| client.ping().is_ok()) {
        return false;
    }
    let below = || Process::spawn(own_key_opens, (address, depth - 1)).unwrap().result().unwrap();
    depth == 0 || below()
}
sync_ipc::entry!(own_key, own_key_is_inherited, own_key_opens);

/// The key of a manager is that of its process unless another is set; children and
/// their children inherit it.
#[test]
fn children_inherit_the_key_of_their_process_and_with_it_reach_a_manager() {
    let manager = Manager::start().unwrap();
    assert_eq!(*manager.key(), own_key());
    let another = Process::spawn(own_key_is_inherited, Key::new("set by the child"));
    assert!(another.unwrap().result().unwrap());
    let opens = |manager: &Manager| {
        let arguments = (manager.address().clone(), 1);
        Process::spawn(own_key_opens, arguments).unwrap().result().unwrap()
    };
    assert!(opens(&manager));
    let other = Manager::builder().authkey(Key::new("another")).start().unwrap();
    assert!(!opens(&other));
}

#[test]
fn a_server_ignores_interrupts_and_ends_by_sigterm_in_good_order() {
    let manager = Manager::start().unwrap();
    manager.process().signal(libc::SIGINT).unwrap();
    manager.ping().unwrap();
    let path = socket_of(&manager);
    manager.process().terminate().unwrap();
    assert_eq!(manager.process().join().unwrap(), 0);
    assert!(is_gone(&manager.ping().unwrap_err()));
    drop(manager);
    assert!(!path.exists());
    // A server that is stopped is killed.
    let manager = Manager::start().unwrap();
    let process = manager.process().clone();
    process.signal(libc::SIGSTOP).unwrap();
    manager.shutdown().unwrap();
    assert_eq!(process.exitcode(), Some(-libc::SIGKILL));
}

fn start_and_report(report: sync_ipc::Connection) {
    let manager = Manager::start().unwrap();
    let path = socket_of(&manager);
    report.send(&(manager.process().pid(), path)).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}
sync_ipc::entry!(start_and_report);

#[test]
fn a_server_ends_with_the_process_that_started_it() {
    let (ours, theirs) = sync_ipc::pipe().unwrap();
    let parent = Process::builder(start_and_report).daemon(true).spawn(theirs).unwrap();
    let (pid, path): (u32, std::path::PathBuf) = ours.recv().unwrap();
    parent.kill().unwrap();
    parent.join().unwrap();
    let process = format!("/proc/{pid}/exe");
    until("the server ends", || std::fs::read_link(&process).is_err());
    assert!(!path.parent().is_some_and(Path::exists), "the server has removed the folder");
}

#[test]
fn the_next_manager_removes_the_folder_of_a_server_that_was_killed_with_its_parent() {
    let (ours, theirs) = sync_ipc::pipe().unwrap();
    let parent = Process::builder(start_and_report).daemon(true).spawn(theirs).unwrap();
    let (pid, path): (u32, std::path::PathBuf) = ours.recv().unwrap();
    // SAFETY: a signal to the server, whose parent lives and has not reaped it.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
    parent.kill().unwrap();
    parent.join().unwrap();
    // A process that a signal was sent to lives on for a moment, and longer on a busy machine.
    until("the server is dead", || std::os::unix::net::UnixStream::connect(&path).is_err());
    assert!(path.parent().is_some_and(Path::exists));
    let _next = Manager::start().unwrap();
    assert!(!path.parent().is_some_and(Path::exists));
}

/// Prepares a folder as of another manager whose server is stopped, and whose row of clients that
/// are not yet accepted is full.
fn beside_a_full_server() {
    let folder = std::env::temp_dir().join(format!("full-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    // SAFETY: no other thread of this process reads the environment.
    unsafe { std::env::set_var("TMPDIR", &folder) };
    let other = folder.join("sync-ipc-manager-0123456789abcdef");
    std::fs::create_dir(&other).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(other.join("socket")).unwrap();
    // SAFETY: a call for the listener's own descriptor. Room for one client.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let _client = std::os::unix::net::UnixStream::connect(other.join("socket")).unwrap();
    let manager = Manager::start().unwrap();
    manager.ping().unwrap();
    assert!(other.exists(), "it is another manager's");
    drop(manager);
    std::fs::remove_dir_all(&folder).unwrap();
}
sync_ipc::entry!(beside_a_full_server);

#[test]
fn a_manager_starts_beside_one_that_accepts_no_client() {
    let process = Process::builder(beside_a_full_server).daemon(true).spawn(()).unwrap();
    let ended = process.result_timeout(Duration::from_secs(60));
    ended.expect("it waits for the other manager").unwrap();
}

#[test]
fn limits_are_errors() {
    let manager = Manager::builder()
        .limits(|limits| {
            limits.objects = 4;
            limits.stored_bytes = 100_000;
            limits.message = 200_000;
            limits.connections = 2;
        })
        .start()
        .unwrap();
    let list = manager.list::<Vec<u8>>().unwrap();
    list.push(&vec![0; 60_000]).unwrap();
    assert_eq!(
        refused(list.push(&vec![0; 60_000])),
        Refusal::Limit("bytes of stored values".into())
    );
    assert_eq!(list.len().unwrap(), 1);
    list.clear().unwrap();
    assert_eq!(manager.stats().unwrap().bytes, 0, "cleared values are not counted");
    list.push(&vec![0; 60_000]).unwrap();
    let others: Vec<_> = (0..3).map(|_| manager.event().unwrap()).collect();
    assert_eq!(refused(manager.event()), Refusal::Limit("objects".into()));
    drop(others);
    until("released objects make room", || manager.event().is_ok());
    let other = ManagerClient::connect(manager.address().clone(), manager.key().clone()).unwrap();
    let third = ManagerClient::connect(manager.address().clone(), manager.key().clone());
    assert_eq!(refused(third), Refusal::Limit("connections".into()));
    drop(other);
    // A message that is too long ends the connection, and nothing else.
    assert!(list.push(&vec![0; 300_000]).is_err());
    manager.ping().unwrap();
}

#[test]
fn idle_handshakes_are_limited_in_number_and_time() {
    let manager = Manager::builder()
        .limits(|limits| {
            limits.handshakes = 3;
            limits.handshake = Duration::from_millis(300);
        })
        .start()
        .unwrap();
    let path = socket_of(&manager);
    let idle: Vec<_> =
        (0..20).map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap()).collect();
    let started = Instant::now();
    // Those in the handshake are disconnected when their time is up, the others at once.
    for mut stream in idle {
        use std::io::Read;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        assert!(all.len() <= 256);
    }
    assert!(started.elapsed() < Duration::from_secs(30));
    let client = || ManagerClient::connect(manager.address().clone(), manager.key().clone());
    until("clients are served again", || client().is_ok());
}

#[test]
fn a_forked_child_gets_an_error_and_leaves_the_parent_alone() {
    let manager = Manager::start().unwrap();
    let lock = manager.lock().unwrap();
    let guard = lock.lock().unwrap();
    // SAFETY: the child calls this crate and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let forked = matches!(lock.is_locked(), Err(ManagerError::Forked));
        drop(guard);
        drop(lock);
        drop(manager);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(if forked { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
    assert!(lock.is_locked().unwrap(), "the parent still has it");
    drop(guard);
    assert!(!lock.is_locked().unwrap());
}

#[test]
fn no_descriptor_and_no_process_is_left() {
    let run = || {
        let manager = Manager::start().unwrap();
        let dict = manager.dict::<u8, u8>().unwrap();
        dict.insert(&1, &1).unwrap();
        drop(dict);
        let pid = manager.process().pid();
        drop(manager);
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "no zombie");
    };
    // Other tests of this program run at the same time: in a process of its own.
    let count = |()| std::fs::read_dir("/proc/self/fd").unwrap().count();
    // SAFETY: the child calls this crate and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        run();
        let before = count(());
        for _ in 0..5 {
            run();
        }
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(count(()) != before)) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
}
