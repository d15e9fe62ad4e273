//! iceoryx2 as a peer of the queue between processes: publish and subscribe, with a subscriber that
//! asks again and again, as its users' do.
//!
//! A port belongs to the thread that made it. So the other side's ports live in a thread of their
//! own, which gets a message for every round.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use iceoryx2::port::{publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;

use super::ipc_messages::{ask, capacity, number, ops};
use crate::compare::shapes::expect;
use crate::compare::subject::{Contestant, Length, Outcome};

type Sends<const N: usize> = Publisher<ipc::Service, [u8; N], ()>;
type Receives<const N: usize> = Subscriber<ipc::Service, [u8; N], ()>;

/// A service name that is used once.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    set_log_level(LogLevel::Error);
    format!("sync-benches/{}/{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Opens the service, or makes it: nothing that was sent is ever dropped or overtaken.
macro_rules! service {
    ($node:ident, $name:expr, $size:expr, $capacity:expr) => {
        $node
            .service_builder(&$name.try_into().expect("a name"))
            .publish_subscribe::<[u8; $size]>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size($capacity)
            .open_or_create()
            .expect("a service")
    };
}

fn publisher<const N: usize>(name: &str, capacity: usize) -> Sends<N> {
    let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
    let service = service!(node, name, N, capacity);
    let builder = service
        .publisher_builder()
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    builder.create().expect("a publisher")
}

fn subscriber<const N: usize>(name: &str, capacity: usize) -> Receives<N> {
    let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
    service!(node, name, N, capacity).subscriber_builder().create().expect("a subscriber")
}

/// Writes where the message lies, as a user of large messages does: `write_payload` would move it
/// there from the stack.
fn send<const N: usize>(to: &Sends<N>, item: u64) {
    let mut sample = to.loan_uninit().expect("memory");
    let words = sample.payload_mut().as_mut_ptr().cast::<[u8; 8]>();
    for at in 0..N / 8 {
        // SAFETY: the payload has N bytes, which are this sample's alone.
        unsafe { words.add(at).write(item.to_ne_bytes()) };
    }
    // SAFETY: all bytes were written; N is a multiple of 8.
    unsafe { sample.assume_init() }.send().expect("delivered");
}

fn recv<const N: usize>(from: &Receives<N>) -> u64 {
    ask(|| from.receive().expect("connected").map(|sample| number(&sample[..])))
}

/// A thread with ports of its own, which does `n` operations whenever it is told to, and answers
/// with a number.
struct Helper {
    rounds: Option<mpsc::Sender<u64>>,
    answers: mpsc::Receiver<u64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Helper {
    fn new<P: 'static>(
        ports: impl FnOnce() -> P + Send + 'static,
        round: impl Fn(&P, u64) -> u64 + Send + 'static,
    ) -> Self {
        let (rounds, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let thread = thread::spawn(move || {
            let ports = ports();
            // The ports are there.
            let _ = answer.send(0);
            for n in asked {
                let _ = answer.send(round(&ports, n));
            }
        });
        answers.recv().expect("no panic");
        Self { rounds: Some(rounds), answers, thread: Some(thread) }
    }

    fn begin(&self, n: u64) {
        self.rounds.as_ref().expect("until the end").send(n).expect("no panic");
    }

    fn end(&self) -> u64 {
        self.answers.recv().expect("no panic")
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.rounds = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One sends as fast as it can, one receives.
pub(super) fn stream<const N: usize>() -> Contestant {
    Contestant::new("iceoryx2", || {
        let name = unique();
        let sends = publisher::<N>(&name, capacity(N));
        let helper = Helper::new(
            move || subscriber::<N>(&name, capacity(N)),
            |receives, n| (0..n).map(|_| recv(receives)).fold(0, u64::wrapping_add),
        );
        move |length: Length| {
            let n = ops(length)?;
            let start = Instant::now();
            helper.begin(n);
            (0..n).for_each(|item| send(&sends, item));
            expect(n.wrapping_mul(n.wrapping_sub(1)) / 2, helper.end())?;
            Ok(Outcome::timed(n, start.elapsed()))
        }
    })
}

/// A number there and back, each side asking again and again.
pub(super) fn spinning() -> Contestant {
    Contestant::new("iceoryx2", || {
        let (ping, pong) = (unique(), unique());
        let (sends, receives) = (publisher::<8>(&ping, 1), subscriber::<8>(&pong, 1));
        let helper = Helper::new(
            move || (subscriber::<8>(&ping, 1), publisher::<8>(&pong, 1)),
            |(receives, sends), n| (0..n).map(|_| send(sends, recv(receives))).count() as u64,
        );
        move |length: Length| {
            let n = ops(length)?;
            let start = Instant::now();
            helper.begin(n);
            for item in 0..n {
                send(&sends, item);
                expect(item, recv(&receives))?;
            }
            expect(n, helper.end())?;
            Ok(Outcome::timed(n, start.elapsed()))
        }
    })
}
