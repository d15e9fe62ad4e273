//! Signals to every thread of a server and of its clients change nothing.

use std::thread;

use sync_ipc::Process;
use sync_ipc::manager::{List, Manager, ManagerClient, Queue};

use super::signal::{during, handle};
use super::support::square;

fn use_from_threads(manager: &Manager) {
    let (list, lock): (List<u64>, _) = (manager.list().unwrap(), manager.lock().unwrap());
    let queue: Queue<u64> = manager.queue(Some(1)).unwrap();
    let (barrier, event) = (manager.barrier(2).unwrap(), manager.event().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..100 {
                queue.put(&n).unwrap();
                let guard = lock.lock().unwrap();
                list.push(&n).unwrap();
                drop(guard);
            }
            event.set().unwrap();
            barrier.wait().unwrap();
        });
        for n in 0..100 {
            assert_eq!(queue.get().unwrap(), n);
            let guard = lock.lock().unwrap();
            list.push(&n).unwrap();
            drop(guard);
        }
        event.wait().unwrap();
        barrier.wait().unwrap();
    });
    assert_eq!(list.to_vec().unwrap().iter().sum::<u64>(), 100 * 99);
    let bytes = manager.list().unwrap();
    let long = vec![7_u8; 1 << 20];
    bytes.push(&long).unwrap();
    assert_eq!(bytes.to_vec().unwrap(), [long]);
}

fn everything_interrupted() {
    handle();
    let at_path = Manager::builder().initializer(handle, ()).start().unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    let over_tcp = Manager::builder().tcp(local).initializer(handle, ()).start().unwrap();
    let own = std::process::id();
    let pids = || vec![own, at_path.process().pid(), over_tcp.process().pid()];
    during(pids, || {
        for manager in [&at_path, &over_tcp] {
            use_from_threads(manager);
            for _ in 0..20 {
                let (address, key) = (manager.address().clone(), manager.key().clone());
                ManagerClient::connect(address, key).unwrap().ping().unwrap();
            }
        }
        let pool = at_path.pool(1).unwrap();
        assert_eq!(pool.apply(square, &12).unwrap(), 144);
        drop(pool);
        Manager::start().unwrap().shutdown().unwrap();
    });
    for manager in [at_path, over_tcp] {
        let process = manager.process().clone();
        manager.shutdown().unwrap();
        assert_eq!(process.exitcode(), Some(0), "in good order");
    }
}

sync_ipc::entry!(handle, everything_interrupted);

#[test]
fn signals_to_all_threads_of_a_server_and_its_clients_change_nothing() {
    Process::spawn(everything_interrupted, ()).unwrap().result().unwrap();
}
