//! Messages through shared memory and through sockets: ours, iceoryx2 (with the feature of that
//! name), ipc-channel, and a bare Unix socket.
//!
//! Both ends are threads of this process: what the peers do is the same as between processes, and
//! the clock is one.
//!
//! * `stream<size>`: one sends as fast as it can, one receives, and looks at every byte;
//! * `ping-pong`: a word there and a word back, each side asleep meanwhile; beside a bare shared
//!   futex;
//! * `ping-pong-spin`: the same, each side asking again and again (`try_recv`); beside two bare
//!   words in memory, which is the least that any busy-waiting queue can take.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use sync_core::primitive::futex::shared;
use sync_ipc::{InPlaceQueue, Queue, Segment};

use super::ipc_messages::{ask, capacity, fill, message, number, ops, place};
use crate::compare::shapes::expect;
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// All workloads of the queue between processes.
pub fn workloads() -> Vec<Workload> {
    fn stream<const N: usize>() -> Workload {
        let contestants = vec![
            our_stream::<N>(),
            our_stream_in_place::<N>(),
            ipc_channel_stream::<N>(),
            socket_stream::<N>(),
            #[cfg(feature = "heavy-peers")]
            super::ipc_iceoryx2::stream::<N>(),
        ];
        let round = std::time::Duration::from_millis(10);
        Workload::team("ipc_queue", format!("stream{N}"), 2, contestants)
            .paced_by_ops()
            .rounds_of(round)
            .with_rounds(15)
    }
    let round = std::time::Duration::from_millis(10);
    let ping_pong = Workload::team(
        "ipc_queue",
        "ping-pong",
        2,
        vec![our_ping_pong(), futex_ping_pong(), socket_ping_pong()],
    );
    let spinning = vec![
        our_spinning(),
        busy_wait(),
        #[cfg(feature = "heavy-peers")]
        super::ipc_iceoryx2::spinning(),
    ];
    let spinning = Workload::team("ipc_queue", "ping-pong-spin", 2, spinning);
    vec![
        stream::<8>(),
        stream::<64>(),
        stream::<4096>(),
        stream::<{ 1 << 20 }>(),
        ping_pong.paced_by_ops().rounds_of(round).with_rounds(15),
        spinning.paced_by_ops().rounds_of(round).with_rounds(15),
    ]
}

/// Sends `n` with one closure in this thread, and receives as many with the other in another; the
/// numbers must add up.
fn streamed(
    n: u64,
    mut send: impl FnMut(u64),
    mut recv: impl FnMut() -> u64 + Send,
) -> Result<Outcome, String> {
    let start = Instant::now();
    let sum = thread::scope(|scope| {
        let receiver = scope.spawn(move || (0..n).map(|_| recv()).fold(0, u64::wrapping_add));
        (0..n).for_each(&mut send);
        receiver.join().expect("no panic")
    });
    let elapsed = start.elapsed();
    expect(n.wrapping_mul(n.wrapping_sub(1)) / 2, sum)?;
    Ok(Outcome::timed(n, elapsed))
}

fn our_queue<const N: usize>(capacity: usize) -> Queue<[u8; N]> {
    let segment = Segment::anonymous(4096 + capacity * (N + 32)).expect("a segment");
    Queue::create(&segment, "queue", capacity).expect("room")
}

/// Written and read where the messages lie.
fn our_stream_in_place<const N: usize>() -> Contestant {
    Contestant::new("ours-in-place", || {
        let capacity = capacity(N);
        let segment = Segment::anonymous(4096 + capacity * (N + 32)).expect("a segment");
        // SAFETY: the other end is a thread of this process.
        let segment = unsafe { segment.trusting_peers() };
        let queue = InPlaceQueue::<[u8; N]>::create(&segment, "queue", capacity).expect("room");
        move |length: Length| {
            let recv = || {
                let message = queue.recv().expect("open");
                let number = number(&message[..]);
                message.ack();
                number
            };
            let send = |n| {
                let mut message = queue.loan().expect("open");
                fill(&mut message[..], n);
                message.send().expect("open");
            };
            streamed(ops(length)?, send, recv)
        }
    })
}

fn our_stream<const N: usize>() -> Contestant {
    Contestant::new(OURS, || {
        let queue = our_queue::<N>(capacity(N));
        let (mut received, mut sent) = (place::<N>(), place::<N>());
        move |length: Length| {
            let recv = || {
                queue.get_into(&mut received).expect("open");
                number(&received[..])
            };
            let send = |n| {
                fill(&mut sent[..], n);
                queue.put_ref(&sent).expect("open");
            };
            streamed(ops(length)?, send, recv)
        }
    })
}

fn ipc_channel_stream<const N: usize>() -> Contestant {
    Contestant::new("ipc-channel", || {
        let (sender, receiver) = ipc_channel::ipc::bytes_channel().expect("a channel");
        // Its receiver must not be shared, only lent for a round.
        let mut receiver = Some(receiver);
        let mut sent = place::<N>();
        move |length: Length| {
            let n = ops(length)?;
            let lent = receiver.take().ok_or("a round failed before")?;
            let back = std::sync::Mutex::new(None);
            let outcome = thread::scope(|scope| {
                let back = &back;
                let start = Instant::now();
                let all = scope.spawn(move || {
                    let sum = (0..n)
                        .map(|_| number(&lent.recv().expect("open")))
                        .fold(0, u64::wrapping_add);
                    *back.lock().expect("no panic") = Some(lent);
                    sum
                });
                for n in 0..n {
                    fill(&mut sent[..], n);
                    sender.send(&sent[..]).expect("open");
                }
                expect(n.wrapping_mul(n.wrapping_sub(1)) / 2, all.join().expect("no panic"))?;
                Ok(Outcome::timed(n, start.elapsed()))
            });
            receiver = back.into_inner().expect("no panic");
            outcome
        }
    })
}

fn socket_stream<const N: usize>() -> Contestant {
    Contestant::new("unix-socket", || {
        let (ours, theirs) = UnixStream::pair().expect("descriptors");
        let (mut received, mut sent) = (place::<N>(), place::<N>());
        move |length: Length| {
            let recv = || {
                (&theirs).read_exact(&mut received[..]).expect("open");
                number(&received[..])
            };
            let send = |n| {
                fill(&mut sent[..], n);
                (&ours).write_all(&sent[..]).expect("open");
            };
            streamed(ops(length)?, send, recv)
        }
    })
}

/// `n` times there and back; each side is two closures.
fn ping_ponged(
    n: u64,
    mut there: impl FnMut(u64) -> u64,
    mut back: impl FnMut() + Send,
) -> Result<Outcome, String> {
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || (0..n).for_each(|_| back()));
        for number in 0..n {
            expect(number, there(number))?;
        }
        Ok::<(), String>(())
    })?;
    Ok(Outcome::timed(n, start.elapsed()))
}

fn our_ping_pong() -> Contestant {
    Contestant::new(OURS, || {
        let (ping, pong) = (our_queue::<8>(1), our_queue::<8>(1));
        move |length: Length| {
            let there = |n| {
                ping.send(message(n)).expect("open");
                number(&pong.recv().expect("open"))
            };
            ping_ponged(ops(length)?, there, || {
                pong.send(ping.recv().expect("open")).expect("open")
            })
        }
    })
}

fn our_spinning() -> Contestant {
    Contestant::new(OURS, || {
        let (ping, pong) = (our_queue::<8>(1), our_queue::<8>(1));
        move |length: Length| {
            let there = |n| {
                ping.try_send(message(n)).expect("room");
                number(&ask(|| pong.try_recv().ok()))
            };
            ping_ponged(ops(length)?, there, || {
                pong.try_send(ask(|| ping.try_recv().ok())).expect("room")
            })
        }
    })
}

fn busy_wait() -> Contestant {
    Contestant::new("busy-wait", || {
        // A number that is one more than the last: Acquire and Release hand over whatever it stands
        // for.
        let [ping, pong] = [0; 2].map(|_| std::sync::atomic::AtomicU64::new(u64::MAX));
        move |length: Length| {
            ping.store(u64::MAX, Ordering::Relaxed);
            pong.store(u64::MAX, Ordering::Relaxed);
            let there = |n| {
                ping.store(n, Ordering::Release);
                ask(|| (pong.load(Ordering::Acquire) == n).then_some(n))
            };
            let mut next = 0;
            ping_ponged(ops(length)?, there, || {
                ask(|| (ping.load(Ordering::Acquire) == next).then_some(()));
                pong.store(next, Ordering::Release);
                next += 1;
            })
        }
    })
}

fn futex_ping_pong() -> Contestant {
    Contestant::new("bare-futex", || {
        // Even: ours to move; odd: theirs. Acquire and Release hand the turn, and with it whatever
        // it stands for, over.
        let turn = AtomicU32::new(0);
        let wait = |turn: &AtomicU32, parity: u32| {
            loop {
                let seen = turn.load(Ordering::Acquire);
                if seen % 2 == parity {
                    return;
                }
                shared::wait_maybe(turn, seen, None);
            }
        };
        let pass = |turn: &AtomicU32| {
            turn.fetch_add(1, Ordering::Release);
            shared::wake(turn, 1);
        };
        move |length: Length| {
            let there = |n| {
                pass(&turn);
                wait(&turn, 0);
                n
            };
            ping_ponged(ops(length)?, there, || {
                wait(&turn, 1);
                pass(&turn);
            })
        }
    })
}

fn socket_ping_pong() -> Contestant {
    Contestant::new("unix-socket", || {
        let (ours, theirs) = UnixStream::pair().expect("descriptors");
        move |length: Length| {
            let read = |mut from: &UnixStream| {
                let mut message = [0; 8];
                from.read_exact(&mut message).expect("open");
                message
            };
            let there = |n| {
                (&ours).write_all(&message::<8>(n)).expect("open");
                number(&read(&ours))
            };
            ping_ponged(ops(length)?, there, || (&theirs).write_all(&read(&theirs)).expect("open"))
        }
    })
}
