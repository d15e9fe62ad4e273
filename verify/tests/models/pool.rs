//! `ThreadPool` and its handles: the result is handed over, cancelling and running exclude each
//! other, and no waiter is forgotten.

use std::time::Duration;

use sync_core::Latch;
use sync_queue::{
    JobError, JobHandle, JobStatus, SimpleQueue, SubmitError, ThreadPool, Until, wait,
};

use crate::support::{Arc, Order, Tracked, body, with};

model! {
    /// A scope waits for its job, which borrows, and what the job wrote is seen.
    fn a_scope_waits_for_its_job(_order) small whole {
        let data = Tracked::new(0);
        let pool = ThreadPool::new(1);
        pool.scope(|scope| scope.submit(|| data.set(7)).unwrap());
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A worker runs the job; its result and what it wrote are seen.
    fn result_is_handed_over(_order) small {
        let data = Arc::new(Tracked::new(0));
        let pool = ThreadPool::new(1);
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        handle.result().unwrap();
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// Cancelled or run, never both, never neither.
    fn cancel_against_run(_order) small {
        let data = Arc::new(Tracked::new(0));
        let pool = ThreadPool::new(1);
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        let cancelled = handle.cancel();
        match handle.result() {
            Ok(()) => assert!(!cancelled && data.get() == 7),
            Err(JobError::Cancelled) => assert!(cancelled && data.get() == 0),
            Err(other) => panic!("{other}"),
        }
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A wait that times out at the moment the job ends; then the handle is dropped, and another
    /// thread drops the result.
    fn timeout_against_the_end(_order) small {
        let pool = ThreadPool::new(1);
        let result = Arc::new(Tracked::new(0));
        let inside = result.clone();
        let handle = pool.submit(move || inside).unwrap();
        match handle.result_timeout(Duration::from_millis(1)) {
            Ok(same) => drop(same.unwrap()),
            Err(handle) => drop(handle),
        }
        pool.shutdown(true, false).unwrap();
        drop(pool);
        assert_eq!(Arc::strong_count(&result), 1);
    }
}

model! {
    /// Two threads submit at once: each job has a result, however many workers that starts.
    fn two_submit(order) tight {
        let pool = Arc::new(ThreadPool::new(2));
        let submits = |value: u32| with(&pool, move |pool| {
            let handle = pool.submit(move || value).unwrap();
            assert_eq!(handle.result().unwrap(), value);
        });
        order.run([submits(1), submits(2)]);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A shutdown in the middle of a submit: the job is refused with its closure, or it has a
    /// result. Nothing stays pending forever.
    fn shutdown_against_submit(order) tight {
        let pool = Arc::new(ThreadPool::new(1));
        let submits = with(&pool, |pool| match pool.submit(|| 7) {
            Ok(handle) => assert_eq!(handle.result().unwrap(), 7),
            Err(why) => {
                assert!(matches!(why, SubmitError::ShutDown(_)));
                assert_eq!(why.into_inner()(), 7);
            }
        });
        order.run([submits, with(&pool, |pool| pool.shutdown(false, false).unwrap())]);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A shutdown that cancels: the job runs or is cancelled, and its handle says which.
    fn cancelling_shutdown(order) tight {
        let pool = Arc::new(ThreadPool::new(1));
        let ran = Arc::new(Tracked::new(0));
        let inside = ran.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        let waits = body(move || match handle.result() {
            Ok(()) => assert_eq!(ran.get(), 7),
            Err(why) => {
                assert!(matches!(why, JobError::Cancelled));
                assert_eq!(ran.get(), 0);
            }
        });
        order.run([waits, with(&pool, |pool| pool.shutdown(true, true).unwrap())]);
    }
}

model! {
    /// A worker that waits for a job which no thread has begun runs it itself: one thread is
    /// enough.
    fn a_worker_helps(_order) small {
        let pool = Arc::new(ThreadPool::new(1));
        let same = pool.clone();
        let outer = pool.submit(move || same.submit(|| 7).unwrap().result().unwrap() + 1).unwrap();
        assert_eq!(outer.result().unwrap(), 8);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A callback is called once, by the thread that ends the job or by the thread that adds it.
    fn a_callback_is_called_once(_order) small {
        let pool = ThreadPool::new(1);
        let (data, called) = (Arc::new(Tracked::new(0)), Arc::new(Tracked::new(0)));
        let written = data.clone();
        let handle = pool.submit(move || written.set(7)).unwrap();
        let inside = called.clone();
        handle.on_done(move |status| {
            assert_eq!(status, JobStatus::Returned);
            assert_eq!(data.get(), 7, "what the job did is seen, whoever calls");
            inside.set(inside.get() + 1);
        });
        handle.result().unwrap();
        // The end of the worker: a callback may still run when the result is there.
        pool.shutdown(true, false).unwrap();
        assert_eq!(called.get(), 1);
    }
}

model! {
    /// Two threads wait for the end of the same job, as long as it takes, and see what it did.
    fn two_wait_for_one(order) tight {
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        let handle = Arc::new(pool.submit(move || inside.set(7)).unwrap());
        let waits = || {
            let data = data.clone();
            with(&handle, move |handle| {
                assert!(handle.wait_timeout(Duration::MAX));
                assert_eq!(data.get(), 7);
            })
        };
        order.run([waits(), waits()]);
        pool.shutdown(true, false).unwrap();
    }
}

/// One writes 7 and cancels a job, another does something with the handle and the data.
fn beside_one_that_cancels(
    order: Order,
    act: impl FnOnce(Arc<JobHandle<()>>, Arc<Tracked>) + 'static,
) {
    let pool = ThreadPool::new(1);
    let data = Arc::new(Tracked::new(0));
    let handle = Arc::new(pool.submit(|| ()).unwrap());
    let before = data.clone();
    let cancels = with(&handle, move |handle| {
        before.set(7);
        handle.cancel();
    });
    order.run([cancels, with(&handle, move |handle| act(handle, data))]);
    pool.shutdown(true, false).unwrap();
}

model! {
    /// A thread that finds a job cancelled sees what came before that.
    fn what_came_before_the_cancelling_is_seen(order) tight {
        beside_one_that_cancels(order, |handle, data| {
            if handle.is_cancelled() {
                assert_eq!(data.get(), 7);
            }
        });
    }
}

model! {
    /// The same of a callback that is added at that moment, whichever thread calls it.
    fn a_callback_sees_what_came_before_the_cancelling(order) tight {
        beside_one_that_cancels(order, |handle, data| {
            handle.on_done(move |status| {
                if status == JobStatus::Cancelled {
                    assert_eq!(data.get(), 7);
                }
            });
        });
    }
}

model! {
    /// Waiting for the first of two, one of which is cancelled.
    fn wait_for_the_first(_order) tight {
        let pool = ThreadPool::new(1);
        let handles = [1, 2].map(|value| pool.submit(move || value).unwrap());
        let cancelled = handles[1].cancel();
        let waited = wait(handles, Until::First, None);
        assert!(!waited.done.is_empty());
        for handle in waited.done {
            match handle.result() {
                Ok(value) => assert!(value == 1 || !cancelled),
                Err(why) => assert!(cancelled && matches!(why, JobError::Cancelled)),
            }
        }
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// Room for one job in the backlog: the second submit waits, and the worker makes room.
    fn a_full_backlog(_order) small {
        let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
        let handles = [1, 2, 3].map(|value| pool.submit(move || value).unwrap());
        assert_eq!(handles.map(|handle| handle.result().unwrap()), [1, 2, 3]);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// The initializer panics: the job that started the worker fails, it does not stay pending.
    fn a_broken_pool(_order) small {
        let pool = ThreadPool::builder()
            .max_workers(1)
            .initializer(|| panic!("not today"))
            .build()
            .unwrap();
        match pool.submit(|| ()) {
            Ok(handle) => assert!(matches!(handle.result(), Err(JobError::Broken))),
            Err(why) => assert!(matches!(why, SubmitError::Broken(_))),
        }
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A job without a handle against a shutdown that cancels: it runs, or it is dropped, or it
    /// comes back.
    fn no_handle(order) small {
        let pool = Arc::new(ThreadPool::new(1));
        let data = std::sync::Arc::new(());
        let inside = data.clone();
        let executes = with(&pool, move |pool| drop(pool.execute(move || drop(inside))));
        order.run([executes, with(&pool, |pool| pool.shutdown(false, true).unwrap())]);
        pool.shutdown(true, false).unwrap();
        assert_eq!(std::sync::Arc::strong_count(&data), 1);
    }
}

model! {
    /// Two threads submit a job each: two workers are allowed, so there are two, or one of two jobs
    /// that need each other would wait forever. The workers are held up in the initializer, which
    /// keeps the model small.
    fn two_submits_start_two_workers(order) tight whole {
        let gate = Arc::new(Latch::new(1));
        let waits = gate.clone();
        let builder = ThreadPool::builder().max_workers(2).initializer(move || waits.wait());
        let pool = Arc::new(builder.build().unwrap());
        let submits = || with(&pool, |pool| pool.execute(|| ()).unwrap());
        order.run([submits(), submits()]);
        let workers = pool.workers();
        pool.shutdown(false, true).unwrap();
        gate.count_down(1);
        pool.shutdown(true, false).unwrap();
        // Last: a pool that is dropped by a panic waits for its workers.
        assert_eq!(workers, 2, "one of the jobs has no worker");
    }
}

model! {
    /// Two threads submit a job each, and neither job ends before the other one has begun: two
    /// workers are allowed, so there are two.
    fn two_jobs_that_need_each_other(order) tight {
        let pool = Arc::new(ThreadPool::new(2));
        let both_have_begun = Arc::new(Latch::new(1));
        let submits = || {
            let both_have_begun = both_have_begun.clone();
            with(&pool, move |pool| pool.execute(move || both_have_begun.wait()).unwrap())
        };
        order.run([submits(), submits()]);
        let workers = pool.workers();
        both_have_begun.count_down(1);
        pool.shutdown(true, false).unwrap();
        assert_eq!(workers, 2, "one of the jobs has no worker");
    }
}

model! {
    /// A worker in a callback that waits for a job which is submitted later: the second worker that
    /// is allowed runs that job.
    fn a_callback_that_waits_for_a_later_job(_order) tight {
        let pool = ThreadPool::new(2);
        let signals = Arc::new([SimpleQueue::new(), SimpleQueue::new()]);
        let inside = signals.clone();
        let handle = pool.submit(move || inside[0].get()).unwrap();
        let inside = signals.clone();
        handle.on_done(move |_| inside[1].get());
        signals[0].put(());
        handle.result().unwrap();
        pool.execute(move || signals[1].put(())).unwrap();
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// The same callback, added at the moment in which the job ends: whichever thread calls it, the
    /// later job runs.
    fn a_callback_added_at_the_end_that_waits(order) tight {
        let pool = Arc::new(ThreadPool::new(2));
        let signal = Arc::new(SimpleQueue::new());
        let handle = pool.submit(|| ()).unwrap();
        let inside = signal.clone();
        let adds = body(move || handle.on_done(move |_| inside.get()));
        let submits = with(&pool, move |pool| pool.execute(move || signal.put(())).unwrap());
        order.run([adds, submits]);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// Two threads shut the pool down at once, and both wait: the job has run when either returns.
    fn both_shutdowns_wait(order) tight {
        let pool = Arc::new(ThreadPool::new(1));
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        pool.execute(move || inside.set(7)).unwrap();
        let seen = [(); 2].map(|()| Arc::new(Tracked::new(0)));
        let shuts = |n: usize| {
            let (data, seen) = (data.clone(), seen[n].clone());
            with(&pool, move |pool| {
                pool.shutdown(true, false).unwrap();
                seen.set(data.get());
            })
        };
        order.run([shuts(0), shuts(1)]);
        assert_eq!(seen.map(|seen| seen.get()), [7, 7]);
    }
}

model! {
    /// A shutdown that waits, at the moment of the first submits: what was accepted has run when
    /// the shutdown is back.
    fn shutdown_waits_for_the_first_jobs(order) tight {
        let pool = Arc::new(ThreadPool::new(1));
        let ran = [(); 2].map(|()| std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0)));
        let submits = |n: usize| {
            let ran = ran[n].clone();
            with(&pool, move |pool| {
                let inside = ran.clone();
                let runs = move || {
                    inside.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                };
                if pool.execute(runs).is_err() {
                    ran.fetch_add(8, std::sync::atomic::Ordering::Relaxed);
                }
            })
        };
        order.run([
            submits(0),
            submits(1),
            with(&pool, |pool| pool.shutdown(true, false).unwrap()),
        ]);
        for ran in ran {
            let ran = ran.load(std::sync::atomic::Ordering::Relaxed);
            assert!(ran == 1 || ran == 8, "accepted and not run, or run and refused: {ran}");
        }
    }
}

model! {
    /// A wait that gives up takes its listener back while the job ends.
    fn a_wait_that_gives_up_against_the_end(_order) tight {
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        let handle = pool.submit(move || inside.set(7)).unwrap();
        let waited = wait([handle], Until::All, Some(Duration::from_millis(1)));
        assert_eq!(waited.done.len() + waited.not_done.len(), 1);
        if !waited.done.is_empty() {
            assert_eq!(data.get(), 7);
        }
        for handle in waited.done.into_iter().chain(waited.not_done) {
            handle.result().unwrap();
        }
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A thread that joins the pool at the moment in which the job ends is woken, and sees what the
    /// job did.
    fn join_against_the_end_of_a_job(_order) tight {
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        pool.execute(move || inside.set(7)).unwrap();
        pool.join().unwrap();
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// The same after an earlier job: the worker may find its backlog empty, and report that, while
    /// the thread that joins announces itself.
    fn join_against_a_worker_between_two_jobs(_order) tight {
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        pool.execute(|| ()).unwrap();
        pool.execute(move || inside.set(7)).unwrap();
        pool.join().unwrap();
        assert_eq!(data.get(), 7);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// The same, with a time that may be up at that moment.
    fn join_out_of_time_against_the_end_of_a_job(_order) tight {
        let pool = ThreadPool::new(1);
        let data = Arc::new(Tracked::new(0));
        let inside = data.clone();
        pool.execute(move || inside.set(7)).unwrap();
        if pool.join_timeout(Duration::from_millis(1)).unwrap() {
            assert_eq!(data.get(), 7);
        }
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A thread that joins while another cancels all that is pending: the drained job counts.
    fn join_against_a_cancelling_shutdown(order) tight {
        let pool = Arc::new(ThreadPool::new(1));
        pool.execute(|| ()).unwrap();
        order.run([
            with(&pool, |pool| pool.join().unwrap()),
            with(&pool, |pool| pool.shutdown(false, true).unwrap()),
        ]);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// Two workers, one of which may retire because it is idle, while two jobs are submitted that
    /// need each other: two workers are there for them.
    fn an_idle_worker_retires_against_two_submits(_order) tight {
        let builder = ThreadPool::builder().max_workers(2).idle_timeout(Duration::from_millis(1));
        let pool = builder.build().unwrap();
        // Starts both workers, or one.
        pool.execute(|| ()).unwrap();
        let signal = Arc::new(Latch::new(1));
        let waits = signal.clone();
        pool.execute(move || waits.wait()).unwrap();
        pool.execute(move || signal.count_down(1)).unwrap();
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A pool that shrinks while a job is submitted: the job runs, and a worker is left.
    fn shrinking_against_a_submit(order) tight {
        let gate = Arc::new(Latch::new(1));
        let waits = gate.clone();
        let builder = ThreadPool::builder().max_workers(2).initializer(move || waits.wait());
        let pool = Arc::new(builder.build().unwrap());
        for _ in 0..2 {
            pool.execute(|| ()).unwrap();
        }
        gate.count_down(1);
        order.run([
            with(&pool, |pool| pool.resize(1)),
            with(&pool, |pool| assert_eq!(pool.submit(|| 7).unwrap().result().unwrap(), 7)),
        ]);
        assert!(pool.workers() >= 1);
        pool.shutdown(true, false).unwrap();
    }
}

model! {
    /// A job is cancelled while a thread waits for its place in the backlog.
    fn cancelling_frees_the_place_in_a_full_backlog(order) tight {
        let builder = ThreadPool::builder().max_workers(1).queue_limit(1);
        let pool = Arc::new(builder.build().unwrap());
        let gate = Arc::new(Latch::new(1));
        let waits = gate.clone();
        pool.execute(move || waits.wait()).unwrap();
        let second = pool.submit(|| ()).unwrap();
        order.run([
            body(move || {
                second.cancel();
            }),
            with(&pool, move |pool| {
                // The only worker is held up: the place comes from the job that is cancelled.
                pool.execute(|| ()).unwrap();
                gate.count_down(1);
            }),
        ]);
        pool.shutdown(true, false).unwrap();
    }
}
