//! Managers over TCP, several clients, and clients that come back.

use std::thread;
#[cfg(feature = "tls")]
use std::time::Duration;

use sync_ipc::manager::{Dict, Manager, ManagerClient, Queue, Refusal};
use sync_ipc::{Process, auth::Key};

use super::support::{is_gone, refused, until};

fn answer(questions: Queue<u32>, answers: Queue<u32>) {
    while let Ok(question) = questions.get() {
        if question == 0 {
            return;
        }
        answers.put(&(question * 2)).unwrap();
    }
}
sync_ipc::entry!(answer);

#[test]
fn clients_over_tcp_share_a_queue() {
    let key = Key::random().unwrap();
    let builder = Manager::builder().tcp("127.0.0.1:0".parse().unwrap()).authkey(key.clone());
    let manager = builder.start().unwrap();
    let client = ManagerClient::connect(manager.address().clone(), key).unwrap();
    let questions = client.named("questions").queue::<u32>(None).unwrap();
    let answers = client.queue::<u32>(None).unwrap();
    let arguments = (questions.clone(), answers.clone());
    let process = Process::spawn(answer, arguments).unwrap();
    let same = manager.named("questions").queue::<u32>(None).unwrap();
    for n in [1, 2, 3, 0] {
        same.put(&n).unwrap();
    }
    process.result().unwrap();
    let all: Vec<_> = (0..3).map(|_| answers.get().unwrap()).collect();
    assert_eq!(all, [2, 4, 6]);
    until("the process is gone", || manager.stats().unwrap().clients == 2);
}

/// A manager, its proxies in another process, the deaths of its clients and its server: over TLS.
#[cfg(feature = "tls")]
#[test]
fn a_manager_speaks_tls() {
    use sync_ipc::auth::{AuthError, Identity, Trust};
    use sync_ipc::manager::ManagerError;

    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let identity = Identity::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem()).unwrap();
    let trust = Trust::from_pem(&made.cert.pem(), "127.0.0.1").unwrap();
    let builder = || Manager::builder().tcp("127.0.0.1:0".parse().unwrap());
    let manager = builder()
        .tls(identity.clone(), trust.clone())
        .limits(|limits| limits.handshake = Duration::from_secs(1))
        .start()
        .unwrap();
    let (address, key) = (manager.address().clone(), manager.key().clone());
    let client = ManagerClient::connect_tls(address.clone(), key.clone(), trust.clone()).unwrap();
    let questions = client.named("questions").queue::<u32>(None).unwrap();
    let answers = manager.queue::<u32>(None).unwrap();
    let process = Process::spawn(answer, (questions.clone(), answers.clone())).unwrap();
    for n in [1, 2, 3, 0] {
        questions.put(&n).unwrap();
    }
    process.result().unwrap();
    let all: Vec<_> = (0..3).map(|_| answers.get().unwrap()).collect();
    assert_eq!(all, [2, 4, 6]);
    let long = "long ".repeat(1 << 20);
    let value = manager.value(&long).unwrap();
    assert!(value.get().unwrap() == long);
    // A killed client's lock is released.
    let (lock, held) = (manager.lock().unwrap(), manager.event().unwrap());
    let process = Process::spawn(super::support::hold_lock, (lock.clone(), held.clone())).unwrap();
    held.wait().unwrap();
    process.kill().unwrap();
    assert!(lock.lock().unwrap().owner_died());

    let refused = ManagerClient::connect(address.clone(), key.clone());
    assert!(refused.is_err(), "without TLS");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = Trust::from_pem(&other.cert.pem(), "127.0.0.1").unwrap();
    let refused = ManagerClient::connect_tls(address.clone(), key, other.clone());
    assert!(matches!(refused, Err(ManagerError::Auth(AuthError::Tls(_)))), "{refused:?}");
    let refused = ManagerClient::connect_tls(address, Key::new("wrong"), trust.clone());
    assert!(matches!(refused, Err(ManagerError::Auth(AuthError::WrongKey))), "{refused:?}");
    // A manager that does not believe its own server does not start, and leaves no process.
    assert!(builder().tls(identity.clone(), other).name("Unbelieved").start().is_err());
    let left = sync_ipc::active_children();
    assert!(!left.iter().any(|child| child.name() == "Unbelieved"), "{left:?}");
    // A path speaks no TLS.
    assert!(Manager::builder().tls(identity, trust).start().is_err());

    manager.process().kill().unwrap();
    assert!(is_gone(&questions.put(&1).unwrap_err()));
}

#[test]
fn a_name_has_one_type() {
    let manager = Manager::start().unwrap();
    let list = manager.named("n").list::<u32>().unwrap();
    list.push(&1).unwrap();
    assert_eq!(refused(manager.named("n").list::<u64>()), Refusal::WrongType);
    assert_eq!(refused(manager.named("n").lock()), Refusal::WrongType);
    drop(list);
    assert_eq!(manager.named("n").list::<u32>().unwrap().len().unwrap(), 1, "the name keeps it");
    assert!(manager.remove("n").unwrap());
    assert!(!manager.remove("n").unwrap());
    assert!(manager.named("n").list::<u32>().unwrap().is_empty().unwrap());
}

#[test]
fn a_client_that_comes_back_finds_its_objects() {
    // A server in this process, whose connections the test can cut.
    let server = Manager::builder().server().unwrap();
    let (address, key, handle) = (server.address().clone(), server.key().clone(), server.handle());
    thread::scope(|scope| {
        let running = scope.spawn(|| server.run().unwrap());
        let client = ManagerClient::connect(address.clone(), key.clone()).unwrap();
        let dict: Dict<u8, u8> = client.named("kept").dict().unwrap();
        let lock = client.named("lock").lock().unwrap();
        dict.insert(&1, &1).unwrap();
        let guard = lock.lock().unwrap();
        cut_connections(&address);
        // The connection is found to be closed before anything is sent: no error.
        assert_eq!(dict.get(&1).unwrap(), Some(1));
        let other = ManagerClient::connect(address.clone(), key).unwrap();
        until("the lock of the old identity is free", || {
            other.named("lock").lock().unwrap().try_lock().unwrap().is_some_and(|g| g.owner_died())
        });
        // It has no effect any more.
        drop(guard);
        handle.stop();
        running.join().unwrap();
        assert!(is_gone(&dict.get(&1).unwrap_err()));
    });
}

/// Shuts all sockets of this process that are connected to the server.
fn cut_connections(address: &sync_ipc::manager::Address) {
    let sync_ipc::manager::Address::Path(path) = address else { panic!("no path") };
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let Ok(fd) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        // SAFETY: plain bytes.
        let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&name) as libc::socklen_t;
        // SAFETY: a place for a name, and its length.
        let got = unsafe { libc::getsockname(fd, (&raw mut name).cast(), &mut length) };
        if got != 0 || i32::from(name.sun_family) != libc::AF_UNIX {
            continue;
        }
        let bytes: Vec<u8> =
            name.sun_path.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
        // The accepted ends have the name of the listener, under which it was bound.
        let folder = path.parent().unwrap().to_string_lossy().into_owned();
        let mut listens: libc::c_int = 0;
        let mut size = size_of_val(&listens) as libc::socklen_t;
        // SAFETY: a place for a number.
        unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_ACCEPTCONN,
                (&raw mut listens).cast(),
                &mut size,
            )
        };
        if listens == 0 && String::from_utf8_lossy(&bytes).starts_with(&folder) {
            // SAFETY: a descriptor of this process, which stays open.
            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
        }
    }
}
