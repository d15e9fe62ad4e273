//! Python: `Manager().dict()`, `BaseManager(address, authkey)`. A dictionary served by a manager
//! with a key: two processes of this program count words in it, and a client that knows address and
//! key, as a program on another machine would, reads it.

use sync_ipc::Process;
use sync_ipc::auth::Key;
use sync_ipc::manager::{Counter, Dict, Lock, Manager, ManagerClient, ManagerError};

fn count(words: Vec<String>, total: Counter<String>, first: Dict<String, u32>, lock: Lock) {
    let tally = || -> Result<(), ManagerError> {
        for word in words {
            total.add(&word, 1)?;
            let _guard = lock.lock()?;
            first.get_or_insert(&word, std::process::id())?;
        }
        Ok(())
    };
    tally().expect("the manager is there");
}
sync_ipc::entry!(count);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sync_ipc::init();
    let key = Key::new("a secret of both sides");
    let manager = Manager::builder().tcp("127.0.0.1:0".parse()?).authkey(key.clone()).start()?;
    let total = manager.named("total").counter::<String>()?;
    let (first, lock) = (manager.dict()?, manager.lock()?);

    let text = "the quick fox and the lazy dog and the cat";
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let (one, other) = words.split_at(5);
    let processes = [one, other].map(|words| {
        Process::spawn(count, (words.to_vec(), total.clone(), first.clone(), lock.clone()))
    });
    for process in processes {
        process?.result()?;
    }

    // Another program knows the address, the key, and the name of the counter.
    let client = ManagerClient::connect(manager.address().clone(), key)?;
    let theirs = client.named("total").counter::<String>()?;
    assert_eq!(theirs.most_common(2)?, [("the".to_owned(), 3), ("and".to_owned(), 2)]);
    assert_eq!(first.len()?, 7);
    println!("{:?}", theirs.items()?);

    // Another key does not get in.
    assert!(ManagerClient::connect(manager.address().clone(), Key::new("a guess")).is_err());
    manager.shutdown()?;
    assert!(theirs.total().is_err(), "an error, and not a hang");
    Ok(())
}
