//! A program on a runtime of tokio, whose locks are those of `shims/parking_lot`: tasks on several
//! threads that send, sleep, lock, block, and wait for each other. `shims/suites.sh` runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

const TASKS: u64 = 64;

async fn talk() {
    let (sender, mut receiver) = mpsc::channel(4);
    let (sum, places) = (Arc::new(Mutex::new(0)), Arc::new(Semaphore::new(3)));
    for n in 0..TASKS {
        let (sender, sum, places) = (sender.clone(), sum.clone(), places.clone());
        tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            sleep(Duration::from_micros(n)).await;
            *sum.lock().await += n;
            sender.send(tokio::task::spawn_blocking(move || n * 2).await.unwrap()).await.unwrap();
        });
    }
    drop(sender);
    let mut twice = 0;
    while let Some(n) = receiver.recv().await {
        twice += n;
    }
    assert_eq!((twice, *sum.lock().await), (TASKS * (TASKS - 1), TASKS * (TASKS - 1) / 2));

    let (says, mut hears) = broadcast::channel(8);
    let (shows, mut sees) = watch::channel(0);
    let (answers, asks) = oneshot::channel();
    let bell = Arc::new(Notify::new());
    let rings = bell.clone();
    let task = tokio::spawn(async move {
        sees.changed().await.unwrap();
        assert_eq!(*sees.borrow(), 1);
        assert_eq!(hears.recv().await, Ok(2));
        bell.notified().await;
        answers.send(3).unwrap();
    });
    says.send(2).unwrap();
    shows.send(1).unwrap();
    rings.notify_one();
    assert_eq!(asks.await, Ok(3));
    task.await.unwrap();
    assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
}

fn main() {
    for threads in [1, 4] {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_time().build();
        let runtime = runtime.unwrap();
        for _ in 0..50 {
            runtime.block_on(talk());
        }
    }
    Builder::new_current_thread().enable_time().build().unwrap().block_on(talk());
    println!("{TASKS} tasks, 101 times: all is there");
}
