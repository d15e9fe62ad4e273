//! Every public operation on an object in shared memory has its tests: of a death in it, of a
//! second process that waits for its result, and of a second death.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Operations that run the same steps on shared memory, and the tests that kill in them.
struct Tested {
    /// `Type: operation operation ..`, separated by `;`. `drop` is what dropping the type does.
    operations: &'static str,
    /// A process is killed in the operation, at every instruction or around every effect.
    death: &'static str,
    /// A second process waits for the result.
    waiter: &'static str,
    /// The successor is killed too.
    successor: &'static str,
}

/// In the place of a test: why there is none. The test of this file knows these reasons only.
const NO_WAITER: &str = "no process waits for it";
const NO_TRACE: &str = "a death in it leaves nothing for a successor to deal with";

const TESTED: &[Tested] = &[
    Tested {
        operations: "Mutex: lock try_lock try_lock_for try_lock_until lock_timeout lock_deadline; \
                     Guard: set update drop",
        death: "mutex::lock_and_unlock_at_every_instruction \
                mutex::try_lock_at_every_instruction",
        waiter: "awaited::an_unlock_with_a_waiter",
        successor: "two_deaths::an_owner_and_the_one_that_recovers",
    },
    Tested {
        operations: "Guard: mark_consistent",
        death: "mutex::recovery_at_every_instruction",
        waiter: "awaited::an_unlock_with_a_waiter",
        successor: "two_deaths::an_owner_and_the_one_that_recovers",
    },
    Tested {
        // `Value` and `Array` are locked by a `ReentrantMutex`.
        operations: "ReentrantMutex: lock try_lock try_lock_for try_lock_until lock_timeout \
                     lock_deadline; ReentrantGuard: set update drop mark_consistent; \
                     Value: lock try_lock_for try_lock_until lock_timeout get set; \
                     Array: lock try_lock_for try_lock_until lock_timeout; \
                     ArrayGuard: set write mark_consistent",
        death: "awaited::an_unlock_of_a_reentrant_lock_with_a_waiter",
        waiter: "awaited::an_unlock_of_a_reentrant_lock_with_a_waiter",
        successor: "two_deaths::an_owner_of_a_reentrant_lock_and_the_one_that_recovers",
    },
    Tested {
        operations: "RwLock: read try_read try_read_for try_read_until read_timeout \
                     read_deadline; RwLockReadGuard: drop",
        death: "rwlock::a_reader_at_every_instruction",
        waiter: "awaited::a_read_unlock_with_a_waiting_writer",
        successor: "two_deaths::a_reader_and_the_writer_that_clears_it_away",
    },
    Tested {
        operations: "RwLock: write try_write try_write_for try_write_until write_timeout \
                     write_deadline; RwLockWriteGuard: set update drop mark_consistent",
        death: "rwlock::a_writer_at_every_instruction \
                rwlock::the_successor_of_a_writer_at_every_instruction",
        waiter: "awaited::a_write_unlock_with_a_waiting_reader",
        successor: "two_deaths::a_writer_and_the_reader_that_recovers",
    },
    Tested {
        operations: "Semaphore: acquire try_acquire try_acquire_for try_acquire_until \
                     acquire_timeout acquire_deadline; \
                     BoundedSemaphore: acquire try_acquire try_acquire_for try_acquire_until \
                     acquire_timeout acquire_deadline; Permit: drop",
        death: "semaphore::acquire_and_release_at_every_instruction",
        waiter: "awaited::a_permit_with_a_waiter",
        successor: "two_deaths::a_holder_and_the_one_that_reclaims_its_permit",
    },
    Tested {
        operations: "Permit: forget; BoundedSemaphore: release",
        death: "awaited::a_forgotten_permit_that_is_released_with_a_waiter",
        waiter: "awaited::a_forgotten_permit_that_is_released_with_a_waiter",
        successor: "two_deaths::one_that_forgets_a_permit_and_one_that_releases_it",
    },
    Tested {
        operations: "Semaphore: try_add_permits add_permits",
        death: "awaited::an_added_permit_with_a_waiter",
        waiter: "awaited::an_added_permit_with_a_waiter",
        successor: "two_deaths::two_that_add_permits",
    },
    Tested {
        operations: "Event: set clear",
        death: "event::set_and_clear_at_every_instruction",
        waiter: "awaited::a_set_with_a_waiter",
        successor: "two_deaths::a_setter_and_a_setter",
    },
    Tested {
        operations: "Event: wait wait_timeout wait_deadline",
        death: "event::wait_at_every_instruction",
        waiter: NO_WAITER,
        successor: "two_deaths::a_setter_and_a_setter",
    },
    Tested {
        operations: "Condvar: wait wait_for wait_timeout wait_until wait_deadline wait_while \
                     wait_while_for wait_timeout_while wait_while_until",
        death: "condvar::wait_at_every_instruction",
        waiter: "condvar::a_notification_outlives_a_waiter_that_waits_for_the_lock",
        successor: "two_deaths::a_waiter_and_a_notifier",
    },
    Tested {
        operations: "Condvar: notify_one notify_many notify notify_all",
        death: "condvar::notify_at_every_instruction",
        waiter: "condvar::notify_at_every_instruction",
        successor: "two_deaths::a_waiter_and_a_notifier",
    },
    Tested {
        operations: "Barrier: wait wait_with wait_timeout wait_deadline",
        death: "barrier::completing_at_every_instruction",
        waiter: "awaited::an_arrival_with_a_waiting_party",
        successor: "two_deaths::a_party_and_the_one_that_resets",
    },
    Tested {
        operations: "Barrier: abort",
        death: "awaited::an_abort_with_a_waiting_party",
        waiter: "awaited::an_abort_with_a_waiting_party",
        successor: "two_deaths::one_that_aborts_a_barrier_and_one_that_resets_it",
    },
    Tested {
        operations: "Barrier: reset",
        death: "awaited::a_reset_with_a_waiting_party",
        waiter: "awaited::a_reset_with_a_waiting_party",
        successor: "two_deaths::one_that_aborts_a_barrier_and_one_that_resets_it",
    },
    Tested {
        operations: "Queue: put put_timeout put_deadline try_put put_ref send send_timeout \
                     send_deadline try_send send_ref; \
                     JoinableQueue: put try_put put_timeout put_deadline; \
                     Sender: send try_send send_timeout send_deadline",
        death: "queue::put_at_every_instruction",
        waiter: "awaited::a_send_with_a_waiting_receiver",
        successor: "two_deaths::a_sender_and_the_receiver_that_sweeps",
    },
    Tested {
        operations: "Queue: get get_timeout get_deadline try_get get_into recv recv_timeout \
                     recv_deadline try_recv recv_into; \
                     Receiver: recv try_recv recv_timeout recv_deadline",
        death: "queue::get_at_every_instruction",
        waiter: "awaited::a_receive_with_a_waiting_sender",
        successor: "two_deaths::a_sender_and_the_receiver_that_sweeps",
    },
    Tested {
        operations: "Queue: get_lease get_lease_timeout get_lease_deadline try_get_lease \
                     recv_lease recv_lease_timeout try_recv_lease; \
                     Receiver: recv_lease recv_lease_timeout recv_lease_deadline; \
                     Lease: ack drop",
        death: "queue::lease_at_every_instruction queue::lease_and_ack_at_every_instruction \
                queue::giving_back_at_every_instruction",
        waiter: "awaited::a_dropped_lease_with_a_waiting_receiver \
                 awaited::a_last_lease_of_a_closed_queue_with_a_waiting_receiver",
        successor: "two_deaths::a_leaser_and_the_receiver_that_gets_its_item",
    },
    Tested {
        operations: "Queue: shutdown close; JoinableQueue: shutdown close; \
                     ByteQueue: shutdown close; Sender: close; Receiver: close",
        death: "awaited::a_close_with_a_waiting_receiver",
        waiter: "awaited::a_close_with_a_waiting_receiver",
        successor: "two_deaths::two_that_close",
    },
    Tested {
        // The kernel notices the end of a half, as it notices a death.
        operations: "Sender: open drop; Receiver: open drop",
        death: "awaited::the_end_of_the_last_sender_with_a_waiting_receiver \
                awaited::the_end_of_the_last_receiver_with_a_waiting_sender",
        waiter: "awaited::the_end_of_the_last_sender_with_a_waiting_receiver \
                 awaited::the_end_of_the_last_receiver_with_a_waiting_sender",
        successor: NO_TRACE,
    },
    Tested {
        operations: "JoinableQueue: get try_get get_timeout get_deadline join join_timeout \
                     join_deadline; Task: done",
        death: "awaited::a_last_acknowledgement_with_a_waiting_join",
        waiter: "awaited::a_last_acknowledgement_with_a_waiting_join",
        successor: "two_deaths::a_worker_and_the_worker_that_gets_its_task",
    },
    Tested {
        operations: "ByteQueue: put try_put put_timeout put_deadline send try_send send_timeout \
                     send_deadline",
        death: "in_place::a_sent_message_at_every_instruction",
        waiter: "awaited::a_message_with_a_waiting_receiver",
        successor: "two_deaths::a_sender_and_a_receiver_of_messages",
    },
    Tested {
        operations: "ByteQueue: get try_get get_timeout get_deadline get_into recv try_recv \
                     recv_timeout recv_deadline recv_into",
        death: "in_place::a_received_message_at_every_instruction",
        waiter: "awaited::a_received_message_with_a_waiting_sender",
        successor: "two_deaths::a_sender_and_a_receiver_of_messages",
    },
    Tested {
        operations: "InPlaceQueue: loan try_loan loan_timeout loan_deadline; Loan: put send drop",
        death: "in_place::a_loan_at_every_instruction \
                in_place::a_dropped_loan_at_every_instruction",
        waiter: "awaited::a_loan_that_is_sent_with_a_waiting_receiver \
                 awaited::a_loan_that_is_dropped_with_a_waiting_sender",
        successor: "two_deaths::two_holders_of_a_loan",
    },
    Tested {
        operations: "InPlaceQueue: get try_get get_timeout get_deadline recv try_recv \
                     recv_timeout recv_deadline; InPlaceLease: ack drop",
        death: "in_place::a_lease_in_place_at_every_instruction \
                in_place::a_lease_in_place_that_is_given_back_at_every_instruction",
        waiter: "awaited::an_item_in_place_with_a_waiting_sender \
                 awaited::a_dropped_lease_in_place_with_a_waiting_receiver",
        successor: "two_deaths::two_holders_of_a_lease_in_place",
    },
    Tested {
        operations: "Queue: get_async get_lease_async readiness; JoinableQueue: get_async \
                     readiness; Receiver: recv_async recv_lease_async readiness; \
                     ByteQueue: get_async recv_async readiness",
        // A thread of the process waits, and a process of two threads is killed at random moments.
        death: "readiness::a_killed_watcher_of_a_queue_takes_no_wake_along \
                readiness::a_killed_task_that_leases_items_takes_none_along",
        waiter: "readiness::a_killed_watcher_of_a_queue_takes_no_wake_along \
                 readiness::a_killed_task_that_leases_items_takes_none_along",
        successor: "readiness::a_killed_watcher_of_a_queue_takes_no_wake_along",
    },
    Tested {
        operations: "Semaphore: acquire_async readiness; BoundedSemaphore: acquire_async readiness",
        death: "readiness::a_killed_watcher_of_a_semaphore_takes_no_permit_along \
                readiness::a_killed_task_that_acquires_takes_no_permit_along",
        waiter: "readiness::a_killed_watcher_of_a_semaphore_takes_no_permit_along",
        successor: "readiness::a_killed_task_that_acquires_takes_no_permit_along",
    },
    Tested {
        operations: "Event: wait_async readiness; Readiness: rearm ready",
        death: "readiness::a_killed_watcher_of_an_event_leaves_its_waiters_alone \
                readiness::a_killed_task_that_waits_for_an_event_leaves_its_waiters_alone",
        waiter: "readiness::a_killed_watcher_of_an_event_leaves_its_waiters_alone",
        successor: "readiness::a_killed_watcher_of_an_event_leaves_its_waiters_alone",
    },
    Tested {
        // They place an object, all by the same function.
        operations: "Mutex: create open_or_create; ReentrantMutex: create; \
                     RwLock: create with_readers open_or_create; Semaphore: create; \
                     BoundedSemaphore: create; Event: create; Condvar: create with_waiters; \
                     Barrier: create; Value: create; RawValue: create; RawArray: zeroed create; \
                     Array: zeroed create; ShareableList: create; Queue: create with_options; \
                     JoinableQueue: create; ByteQueue: create; InPlaceQueue: create with_options",
        death: "segment::placing_an_object_at_every_instruction",
        waiter: "awaited::a_removal_with_a_waiting_creator",
        successor: "two_deaths::a_process_that_removes_and_one_that_creates",
    },
    Tested {
        operations: "Segment: remove; Array: remove",
        death: "segment::removing_an_object_at_every_instruction \
                segment::removing_an_array_at_every_effect",
        waiter: "awaited::a_removal_with_a_waiting_creator",
        successor: "two_deaths::a_process_that_removes_and_one_that_creates",
    },
    Tested {
        operations: "ShareableList: get set to_vec",
        death: "awaited::a_list_that_is_written_with_a_waiting_reader",
        waiter: "awaited::a_list_that_is_written_with_a_waiting_reader",
        successor: "two_deaths::two_writers_of_a_list",
    },
    Tested {
        // Their effects are the kernel's. A process that opens waits for no other one.
        operations: "Segment: create open_or_create; SharedMemory: create create_new",
        death: "segment::creating_a_named_segment_at_every_system_call",
        waiter: NO_WAITER,
        successor: "segment::creating_a_named_segment_at_every_system_call",
    },
    Tested {
        operations: "Segment: open; SharedMemory: open",
        death: "segment::opening_a_named_segment_at_every_system_call",
        waiter: NO_WAITER,
        successor: NO_TRACE,
    },
    Tested {
        operations: "Segment: unlink unlink_own; SharedMemory: unlink",
        death: "segment::removing_a_name_at_every_system_call",
        waiter: NO_WAITER,
        successor: NO_TRACE,
    },
    Tested {
        operations: "Segment: drop",
        death: "segment::dropping_a_named_segment_at_every_system_call",
        waiter: NO_WAITER,
        successor: NO_TRACE,
    },
    Tested {
        operations: "Segment: from_fd; SharedMemory: from_fd",
        death: "segment::joining_at_every_effect",
        waiter: NO_WAITER,
        successor: NO_TRACE,
    },
];

/// They change nothing that another process could see, or plain data that no lock guards.
const UNTESTED: &str = "\
    Mutex: open is_locked is_locked_by_us; Guard: get is_inconsistent; \
    ReentrantMutex: open is_locked is_locked_by_us; ReentrantGuard: get depth; \
    RwLock: open; RwLockReadGuard: get; RwLockWriteGuard: get is_inconsistent; \
    Semaphore: open available_permits; BoundedSemaphore: open available_permits; \
    Event: open is_set; Condvar: open; \
    Barrier: open parties is_broken waiting; BarrierWaitResult: is_leader index; \
    Value: open; RawValue: open get set as_atomic; \
    RawArray: open len get set read write to_vec; \
    Array: open raw; ArrayGuard: len get read to_vec; \
    ShareableList: open len; \
    SharedMemory: anonymous name size read to_vec write; \
    Queue: open is_shutdown is_closed len is_empty capacity segment; \
    JoinableQueue: open; Lease: item; Task: item; \
    ByteQueue: open max_len is_shutdown is_closed len is_empty capacity segment; \
    InPlaceQueue: open as_queue; \
    Sender: segment len is_empty; Receiver: segment len is_empty; \
    Segment: anonymous try_clone_fd size trusting_peers; TrustedSegment: segment";

/// `Type: operation ..; ..` as pairs.
fn pairs(list: &str) -> Vec<(String, String)> {
    let of = |part: &str| -> Vec<_> {
        let (of, operations) = part.split_once(':').expect("a type");
        let pair = |operation: &str| (of.trim().to_owned(), operation.to_owned());
        operations.split_whitespace().map(pair).collect()
    };
    list.split(';').flat_map(of).collect()
}

/// The folder of sync-ipc, whose sources the package of this test is made of.
fn crate_folder() -> &'static Path {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut with_sources = folders.filter(|folder| folder.join("src/lib.rs").exists());
    with_sources.next().expect("the folder of the package, or the one around it")
}

/// The files of the objects that lie in shared memory.
fn sources() -> Vec<PathBuf> {
    let root = crate_folder().join("src");
    let apart = ["lib", "plain", "eager", "procfs", "random"];
    let files = ["", "queue", "segment"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(root.join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let is_object = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        path.extension().is_some_and(|extension| extension == "rs") && !apart.contains(&&*stem)
    };
    files.filter(is_object).collect()
}

/// The types of the `impl` block that a line begins; of a macro, all its uses.
fn types(line: &str, text: &str) -> Vec<String> {
    let mut rest = line.strip_prefix("impl").expect("asked before");
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '<') - i32::from(letter == '>');
            depth == 0
        });
        rest = &rest[end.expect("closed") + 1..];
    }
    let rest = rest.trim();
    let name = match rest.split_once(" for ") {
        Some(("Drop", of)) => of,
        Some(_) => return Vec::new(),
        None => rest,
    };
    let name = name.split(['<', ' ']).next().unwrap_or_default();
    let uses = |makro: &str| {
        let calls = text.lines().filter_map(|line| line.trim().strip_prefix(makro));
        calls.filter_map(|call| call.split([',', ')']).next().map(str::to_owned)).collect()
    };
    match name {
        "$name" => uses("semaphore!("),
        "$half" => uses("half!("),
        "$guard" => ["Guard", "RwLockWriteGuard"].map(str::to_owned).into(),
        name => vec![name.to_owned()],
    }
}

/// Every public operation of a public type, and the drop of each type that has one.
fn operations() -> BTreeSet<(String, String)> {
    let (mut found, mut public) = (BTreeSet::new(), BTreeSet::from(["Guard", "RwLockWriteGuard"]));
    let texts: Vec<String> =
        sources().iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect();
    for text in &texts {
        let code = text.split("#[cfg(test)]").next().expect("one part at least");
        let mut of = Vec::new();
        for line in code.lines().map(str::trim) {
            if line.starts_with("impl") && line.ends_with('{') {
                of = types(line, code);
                if line.contains("Drop for ") {
                    found.extend(of.iter().map(|of| (of.clone(), "drop".to_owned())));
                }
            } else if let Some(name) = line.strip_prefix("pub struct ") {
                let end = |letter: char| !letter.is_alphanumeric();
                public.extend(name.split(end).next());
            } else if let Some((_, name)) =
                line.split_once("fn ").filter(|_| line.starts_with("pub ") && !of.is_empty())
            {
                let name = name.split(['(', '<']).next().expect("one part at least");
                found.extend(of.iter().map(|of| (of.clone(), name.to_owned())));
            }
        }
    }
    found.into_iter().filter(|(of, _)| public.contains(of.as_str())).collect()
}

/// The tests of this target, as `file::name`.
fn tests() -> BTreeSet<String> {
    let folder = crate_folder().join("tests/kill");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("UTF-8");
        for line in text.lines().map(str::trim) {
            let by_function = line.strip_prefix("fn ").and_then(|rest| rest.strip_suffix("() {"));
            let by_macro = line.split_once("!(").map(|(_, rest)| rest);
            let by_macro = by_macro.and_then(|rest| rest.split_once([':', ',']));
            for name in by_function.into_iter().chain(by_macro.map(|(name, _)| name)) {
                names.insert(format!("{stem}::{name}"));
            }
        }
    }
    names
}

#[test]
fn every_operation_is_killed_in_with_a_second_waiter_and_a_second_death() {
    let mut listed = BTreeMap::new();
    let (tests, mut unknown) = (tests(), Vec::new());
    for row in TESTED {
        for pair in pairs(row.operations) {
            *listed.entry(pair).or_insert(0) += 1;
        }
        let reasons = [NO_WAITER, NO_TRACE];
        let named = [row.death, row.waiter, row.successor].into_iter();
        let named = named.filter(|text| !reasons.contains(text)).flat_map(str::split_whitespace);
        unknown.extend(named.filter(|test| !tests.contains(*test)));
        assert!(!reasons.contains(&row.death), "{}", row.operations);
    }
    for pair in pairs(UNTESTED) {
        *listed.entry(pair).or_insert(0) += 1;
    }
    assert!(unknown.is_empty(), "not tests of this target: {unknown:?}");
    let there = operations();
    assert!(there.len() > 200, "{there:?}");
    let missing: Vec<_> = there.iter().filter(|pair| !listed.contains_key(*pair)).collect();
    assert!(missing.is_empty(), "not in the list, so not killed in: {missing:?}");
    let gone: Vec<_> = listed.keys().filter(|pair| !there.contains(*pair)).collect();
    assert!(gone.is_empty(), "in the list, and no public operation: {gone:?}");
    let twice: Vec<_> = listed.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "more than once in the list: {twice:?}");
}
