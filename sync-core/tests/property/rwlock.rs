//! A readers-writer lock against three numbers: the numbers of readers, upgradable readers and
//! writers.

use std::time::Duration;

use proptest::prelude::*;
use sync_core::{NotLocked, RawRwLock};

#[derive(Clone, Copy, Debug)]
enum Call {
    Read(bool),
    Upgradable(bool),
    Write(bool),
    UnlockRead,
    UnlockUpgradable,
    UnlockWrite,
    Upgrade(bool),
    Downgrade,
    DowngradeToUpgradable,
    DowngradeUpgradable,
}

/// The expected state of the lock.
#[derive(Clone, Copy, Debug, Default)]
struct Naive {
    readers: u32,
    upgradable: bool,
    writer: bool,
}

impl Naive {
    /// Does the step if `allowed`, and returns `allowed`.
    fn step(&mut self, allowed: bool, next: Naive) -> bool {
        if allowed {
            *self = next;
        }
        allowed
    }
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => any::<bool>().prop_map(Call::Read),
        2 => any::<bool>().prop_map(Call::Upgradable),
        2 => any::<bool>().prop_map(Call::Write),
        3 => Just(Call::UnlockRead),
        1 => Just(Call::UnlockUpgradable),
        1 => Just(Call::UnlockWrite),
        1 => any::<bool>().prop_map(Call::Upgrade),
        1 => Just(Call::Downgrade),
        1 => Just(Call::DowngradeToUpgradable),
        1 => Just(Call::DowngradeUpgradable),
    ]
}

const SOON: Duration = Duration::from_micros(1);

proptest! {
    #[test]
    fn rwlock_is_three_numbers(calls in prop::collection::vec(call(), 0..64)) {
        let lock = RawRwLock::new();
        let mut naive = Naive::default();
        for call in calls {
            let was = naive;
            let held = |yes: bool| if yes { Ok(()) } else { Err(NotLocked) };
            match call {
                Call::Read(timed) => {
                    let expected =
                        naive.step(!was.writer, Naive { readers: was.readers + 1, ..was });
                    prop_assert_eq!(
                        if timed { lock.try_read_for(SOON) } else { lock.try_read() },
                        expected
                    );
                }
                Call::Upgradable(timed) => {
                    let expected = naive
                        .step(!was.writer && !was.upgradable, Naive { upgradable: true, ..was });
                    prop_assert_eq!(
                        if timed {
                            lock.try_upgradable_read_for(SOON)
                        } else {
                            lock.try_upgradable_read()
                        },
                        expected
                    );
                }
                Call::Write(timed) => {
                    let free = !was.writer && !was.upgradable && was.readers == 0;
                    let expected = naive.step(free, Naive { writer: true, ..was });
                    prop_assert_eq!(
                        if timed { lock.try_write_for(SOON) } else { lock.try_write() },
                        expected
                    );
                }
                Call::UnlockRead => {
                    let expected = naive.step(
                        was.readers > 0,
                        Naive { readers: was.readers.saturating_sub(1), ..was },
                    );
                    prop_assert_eq!(lock.unlock_read(), held(expected));
                }
                Call::UnlockUpgradable => {
                    let expected = naive.step(was.upgradable, Naive { upgradable: false, ..was });
                    prop_assert_eq!(lock.unlock_upgradable(), held(expected));
                }
                Call::UnlockWrite => {
                    let expected = naive.step(was.writer, Naive { writer: false, ..was });
                    prop_assert_eq!(lock.unlock_write(), held(expected));
                }
                Call::Upgrade(timed) => {
                    let alone = naive.step(
                        was.upgradable && was.readers == 0,
                        Naive { writer: true, upgradable: false, ..was },
                    );
                    let expected = held(was.upgradable).map(|()| alone);
                    prop_assert_eq!(
                        if timed { lock.try_upgrade_for(SOON) } else { lock.try_upgrade() },
                        expected
                    );
                }
                Call::Downgrade => {
                    let expected =
                        naive.step(was.writer, Naive { writer: false, readers: 1, ..was });
                    prop_assert_eq!(lock.downgrade(), held(expected));
                }
                Call::DowngradeToUpgradable => {
                    let expected =
                        naive.step(was.writer, Naive { writer: false, upgradable: true, ..was });
                    prop_assert_eq!(lock.downgrade_to_upgradable(), held(expected));
                }
                Call::DowngradeUpgradable => {
                    let expected = naive.step(
                        was.upgradable,
                        Naive { upgradable: false, readers: was.readers + 1, ..was },
                    );
                    prop_assert_eq!(lock.downgrade_upgradable(), held(expected));
                }
            }
            prop_assert_eq!(
                lock.is_locked(),
                naive.writer || naive.upgradable || naive.readers > 0
            );
            prop_assert_eq!(lock.is_locked_exclusive(), naive.writer);
        }
    }
}
