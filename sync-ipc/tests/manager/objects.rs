//! The objects of a manager, and proxies of them in other processes.

use std::time::Duration;

use sync_ipc::manager::{
    Array, Counter, Deque, Dict, List, Manager, Namespace, Pool, Queue, Refusal, Set, SharedProxy,
    Value,
};
use sync_ipc::{Item, Process, Segment, ShareableList, manager};

use super::support::{Account, AccountProxy, SPLITS_AT_THE_END, refused, square};

#[test]
fn a_dictionary_has_all_methods_and_keeps_the_order() {
    let manager = Manager::start().unwrap();
    let dict: Dict<u32, String> = manager.dict().unwrap();
    assert!(dict.is_empty().unwrap());
    for n in [3, 1, 2] {
        assert_eq!(dict.insert(&n, &n.to_string()).unwrap(), None);
    }
    assert_eq!(dict.keys().unwrap(), [3, 1, 2]);
    assert_eq!(dict.values().unwrap(), ["3", "1", "2"]);
    assert_eq!(dict.insert(&1, &"one".into()).unwrap(), Some("1".into()));
    assert_eq!(dict.items().unwrap()[1], (1, "one".into()));
    assert_eq!(dict.get(&7).unwrap(), None);
    assert_eq!(dict.get_or_insert(&7, "seven".into()).unwrap(), "seven");
    assert_eq!(dict.get_or_insert(&7, "other".into()).unwrap(), "seven");
    assert!(dict.contains(&7).unwrap());
    assert_eq!(dict.remove(&7).unwrap(), Some("seven".into()));
    assert_eq!(dict.remove(&7).unwrap(), None);
    dict.update(&2, |present| present.map(|text| text + "!")).unwrap();
    assert_eq!(dict.get(&2).unwrap(), Some("2!".into()));
    dict.update(&2, |_| None).unwrap();
    assert_eq!(dict.pop_last().unwrap(), Some((1, "one".into())));
    dict.extend([(&8, &"8".to_owned()), (&9, &"9".to_owned())]).unwrap();
    assert_eq!(dict.len().unwrap(), 3);
    dict.clear().unwrap();
    assert_eq!(dict.pop_last().unwrap(), None);
}

fn change_everything(
    (list, dict, set): (List<i32>, Dict<String, i32>, Set<i32>),
    (value, array, namespace): (Value<i32>, Array<i32>, Namespace),
    (counter, deque): (Counter<String>, Deque<i32>),
) {
    list.push(&4).unwrap();
    list.insert(0, &0).unwrap();
    list.update(|items| items.sort_unstable_by(|a, b| b.cmp(a))).unwrap();
    dict.insert(&"child".into(), &1).unwrap();
    assert!(set.insert(&5).unwrap());
    assert!(!set.insert(&5).unwrap());
    value.update(|n| n + 1).unwrap();
    array.set(1, &20).unwrap();
    namespace.set("from", "the child").unwrap();
    namespace.delete("old").unwrap();
    counter.add(&"a".into(), 2).unwrap();
    deque.push_front(&0).unwrap();
    deque.rotate(1).unwrap();
}
sync_ipc::entry!(change_everything);

#[test]
fn a_child_changes_containers_and_the_parent_sees_it() {
    let manager = Manager::start().unwrap();
    let list = manager.list().unwrap();
    list.extend(&[1, 2, 3]).unwrap();
    let (dict, set) = (manager.dict().unwrap(), manager.set().unwrap());
    let value = manager.value(&41).unwrap();
    let array = manager.array(&[1, 2, 3]).unwrap();
    let namespace = manager.namespace().unwrap();
    namespace.set("old", &1_u8).unwrap();
    let (counter, deque) = (manager.counter().unwrap(), manager.deque(Some(3)).unwrap());
    deque.extend(&[1, 2, 3, 4]).unwrap();
    assert_eq!(deque.to_vec().unwrap(), [2, 3, 4], "the oldest has left");
    let arguments = (
        (list.clone(), dict.clone(), set.clone()),
        (value.clone(), array.clone(), namespace.clone()),
        (counter.clone(), deque.clone()),
    );
    Process::spawn(change_everything, arguments).unwrap().result().unwrap();
    assert_eq!(list.to_vec().unwrap(), [4, 3, 2, 1, 0]);
    assert_eq!(dict.get(&"child".into()).unwrap(), Some(1));
    assert_eq!(set.to_vec().unwrap(), [5]);
    assert_eq!(value.get().unwrap(), 42);
    assert_eq!(array.to_vec().unwrap(), [1, 20, 3]);
    assert_eq!(namespace.names().unwrap(), ["from"]);
    assert_eq!(namespace.get::<String>("from").unwrap().as_deref(), Some("the child"));
    assert_eq!(counter.get(&"a".into()).unwrap(), 2);
    assert_eq!(deque.to_vec().unwrap(), [3, 0, 2]);
}

#[test]
fn an_iteration_over_a_list_shows_changes_and_over_a_dictionary_fails_by_new_keys() {
    let manager = Manager::start().unwrap();
    let list: List<u32> = manager.list().unwrap();
    list.extend(&[0, 1, 2]).unwrap();
    let mut seen = Vec::new();
    for item in list.iter() {
        let item = item.unwrap();
        seen.push(item);
        if item == 1 {
            list.set(2, &20).unwrap();
            list.push(&30).unwrap();
        }
    }
    assert_eq!(seen, [0, 1, 20, 30]);
    list.clear().unwrap();
    assert_eq!(list.iter().count(), 0);

    let dict: Dict<u32, char> = manager.dict().unwrap();
    assert_eq!(dict.iter().count(), 0);
    dict.extend([(&1, &'a'), (&2, &'b'), (&3, &'c')]).unwrap();
    let pairs: Vec<_> = dict.iter().map(Result::unwrap).collect();
    assert_eq!(pairs, dict.items().unwrap());
    let mut pairs = dict.iter();
    assert_eq!(pairs.next().unwrap().unwrap(), (1, 'a'));
    // A new value is no change of the size.
    dict.insert(&2, &'x').unwrap();
    assert_eq!(pairs.next().unwrap().unwrap(), (2, 'x'));
    let change = |dict: Dict<u32, char>| dict.insert(&4, &'d').map(drop).unwrap();
    std::thread::scope(|scope| scope.spawn(|| change(dict.clone())).join().unwrap());
    assert_eq!(refused(pairs.next().unwrap()), Refusal::Changed);
    assert!(pairs.next().is_none());
    let mut pairs = dict.iter();
    pairs.next().unwrap().unwrap();
    dict.remove(&1).unwrap();
    assert_eq!(refused(pairs.next().unwrap()), Refusal::Changed);
}

#[test]
fn sequences_have_all_methods() {
    let manager = Manager::start().unwrap();
    let list: List<String> = manager.list().unwrap();
    list.extend(&["b".to_owned(), "a".into(), "b".into()]).unwrap();
    assert_eq!(list.index_of(&"a".into()).unwrap(), Some(1));
    assert_eq!(list.index_of(&"z".into()).unwrap(), None);
    assert_eq!(list.count(&"b".into()).unwrap(), 2);
    assert!(list.remove_value(&"b".into()).unwrap());
    list.reverse().unwrap();
    assert_eq!(list.to_vec().unwrap(), ["b", "a"]);
    assert_eq!(list.set(0, &"c".into()).unwrap(), "b");
    assert_eq!(list.remove(0).unwrap(), "c");
    assert_eq!(list.pop().unwrap(), Some("a".into()));
    assert_eq!(list.pop().unwrap(), None);
    assert_eq!(list.get(0).unwrap(), None);
    assert_eq!(refused(list.set(0, &"x".into())), Refusal::OutOfRange);
    assert_eq!(refused(list.insert(1, &"x".into())), Refusal::OutOfRange);
    let array = manager.array(&[1, 2]).unwrap();
    array.update(|items| items[0] = 7).unwrap();
    assert_eq!(array.to_vec().unwrap(), [7, 2]);
    assert_eq!(refused(array.update(|items| items.push(1))), Refusal::FixedLength);
    let counter = manager.counter::<char>().unwrap();
    for letter in "abracadabra".chars() {
        counter.add(&letter, 1).unwrap();
    }
    assert_eq!(counter.most_common(2).unwrap(), [('a', 5), ('b', 2)]);
    assert_eq!(counter.total().unwrap(), 11);
    assert_eq!(counter.add(&'a', i64::MAX).unwrap(), i64::MAX, "numbers stop at their ends");
    assert_eq!(counter.remove(&'a').unwrap(), i64::MAX);
}

#[test]
fn objects_inside_of_objects_live_as_long_as_these() {
    let manager = Manager::start().unwrap();
    let outer: Dict<String, List<u32>> = manager.dict().unwrap();
    let queues: List<Queue<u32>> = manager.list().unwrap();
    let before = manager.stats().unwrap().objects;
    {
        let inner = manager.list().unwrap();
        inner.push(&1).unwrap();
        outer.insert(&"inner".into(), &inner).unwrap();
        let queue = manager.queue(None).unwrap();
        queue.put(&7).unwrap();
        queues.push(&queue).unwrap();
    }
    assert_eq!(manager.stats().unwrap().objects, before + 2);
    let inner = outer.get(&"inner".into()).unwrap().unwrap();
    inner.push(&2).unwrap();
    assert_eq!(outer.get(&"inner".into()).unwrap().unwrap().to_vec().unwrap(), [1, 2]);
    assert_eq!(queues.get(0).unwrap().unwrap().get().unwrap(), 7);
    outer.clear().unwrap();
    assert_eq!(inner.to_vec().unwrap(), [1, 2], "a proxy keeps it");
}

#[test]
fn a_value_that_was_read_is_a_copy() {
    let manager = Manager::start().unwrap();
    let dict: Dict<u32, Vec<u32>> = manager.dict().unwrap();
    dict.insert(&1, &vec![1]).unwrap();
    let mut copy = dict.get(&1).unwrap().unwrap();
    copy.push(2);
    assert_eq!(dict.get(&1).unwrap(), Some(vec![1]));
    dict.update(&1, |present| {
        let mut present = present.unwrap_or_default();
        present.push(2);
        Some(present)
    })
    .unwrap();
    assert_eq!(dict.get(&1).unwrap(), Some(copy));
}

fn add_thousand(value: Value<u64>, dict: Dict<u8, u64>) {
    for _ in 0..1000 {
        value.update(|n| n + 1).unwrap();
        dict.update(&0, |n| Some(n.unwrap_or(0) + 1)).unwrap();
    }
}
sync_ipc::entry!(add_thousand);

#[test]
fn updates_from_several_processes_are_exact() {
    let manager = Manager::start().unwrap();
    let (value, dict) = (manager.value(&0_u64).unwrap(), manager.dict().unwrap());
    let processes: Vec<_> = (0..3)
        .map(|_| Process::spawn(add_thousand, (value.clone(), dict.clone())).unwrap())
        .collect();
    for process in processes {
        process.result().unwrap();
    }
    assert_eq!(value.get().unwrap(), 3000);
    assert_eq!(dict.get(&0).unwrap(), Some(3000));
}

fn deposit_ten(account: AccountProxy) -> i64 {
    account.deposit(10).unwrap()
}
sync_ipc::entry!(deposit_ten);

#[test]
fn a_type_of_the_program_is_called_by_typed_methods() {
    let manager = Manager::start().unwrap();
    let account: AccountProxy = manager.shared::<Account>((5,)).unwrap().into();
    assert_eq!(Process::spawn(deposit_ten, account.clone()).unwrap().result().unwrap(), 15);
    assert_eq!(account.withdraw(20).unwrap(), Err("only 15 left".into()));
    assert_eq!(account.withdraw(5).unwrap(), Ok(10));
    // A panic of a method ends this call, and nothing else.
    match refused(account.audit()) {
        Refusal::Panicked(message) => assert_eq!(message, "the books do not add up"),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.deposit(0).unwrap(), 10);
    assert!(matches!(refused(manager.shared::<Account>((-1,))), Refusal::Panicked(_)));
    // A method that is not in the list cannot be called.
    let raw: SharedProxy<Account> = manager.shared((0,)).unwrap();
    let refusal = refused(raw.call::<_, ()>("drop_tables", &()));
    assert_eq!(refusal, Refusal::NotRegistered("drop_tables".into()));
    let refusal = refused(raw.call::<_, i64>("deposit", &("text",)));
    assert!(matches!(refusal, Refusal::BadValue(_) | Refusal::Panicked(_)), "{refusal:?}");
}

#[test]
fn a_pool_in_the_manager_runs_entry_points() {
    let manager = Manager::start().unwrap();
    let pool: Pool = manager.pool(2).unwrap();
    assert_eq!(pool.apply(square, &12).unwrap(), 144);
    match refused(pool.apply(square, &13)) {
        Refusal::Panicked(message) => assert!(message.contains("thirteen"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply_timeout(square, &3, Duration::from_secs(60)).unwrap(), Some(9));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    assert_eq!(pool.apply_deadline(square, &4, deadline).unwrap(), Some(16));
    assert!(matches!(refused(manager.pool(1000)), Refusal::Limit(_)));
}

#[test]
fn calls_in_a_pipeline_run_in_order() {
    let manager = Manager::start().unwrap();
    let dict = manager.dict::<u32, u32>().unwrap();
    let list = manager.list::<u32>().unwrap();
    let queue = manager.queue::<u32>(Some(1)).unwrap();
    let counter = manager.counter::<u8>().unwrap();
    let account = manager.shared::<Account>((0,)).unwrap();
    let mut pipeline = manager.pipeline().unwrap();
    let mut befores = Vec::new();
    for n in 0..500 {
        befores.push(pipeline.insert(&dict, &(n % 7), &n).unwrap());
        pipeline.push(&list, &n).unwrap();
        pipeline.count(&counter, &0, 1).unwrap();
    }
    let (first, second) = (pipeline.try_put(&queue, &1), pipeline.try_put(&queue, &2));
    let balance = pipeline.call::<_, _, i64>(&account, "deposit", &(3,)).unwrap();
    let bad = pipeline.call::<_, _, i64>(&account, "none", &()).unwrap();
    let mut answers = pipeline.finish().unwrap();
    for (n, before) in befores.into_iter().enumerate() {
        let before = answers.take(before).unwrap();
        assert_eq!(before, n.checked_sub(7).map(|n| n as u32));
    }
    assert!(answers.take(first.unwrap()).unwrap());
    assert!(!answers.take(second.unwrap()).unwrap());
    assert_eq!(answers.take(balance).unwrap(), 3);
    assert!(matches!(refused(answers.take(bad)), Refusal::NotRegistered(_)));
    assert_eq!(list.to_vec().unwrap(), (0..500).collect::<Vec<_>>());
    assert_eq!(counter.get(&0).unwrap(), 500);
    // Large answers that are not read meanwhile, and large requests between them.
    let large = manager.dict::<u8, Vec<u8>>().unwrap();
    let bytes = vec![1; 1 << 20];
    large.insert(&0, &bytes).unwrap();
    let mut pipeline = manager.pipeline().unwrap();
    let mut answers = Vec::new();
    for round in 0..20 {
        answers.push(pipeline.get(&large, &0).unwrap());
        if round % 5 == 0 {
            pipeline.insert(&large, &1, &bytes).unwrap();
        }
    }
    let mut finished = pipeline.finish().unwrap();
    for answer in answers {
        assert_eq!(finished.take(answer).unwrap().map(|bytes| bytes.len()), Some(1 << 20));
    }
}

#[test]
fn shared_memory_of_a_manager_is_there_until_the_manager_ends() {
    let manager = Manager::start().unwrap();
    let memory = manager::SharedMemoryManager::new(&manager);
    let (list, managed) = memory.shareable_list(&[Item::Int(1), Item::Str("two".into())]).unwrap();
    let name = managed.name().to_owned();
    let same = ShareableList::open(&Segment::open(&name).unwrap(), "list").unwrap();
    list.set(0, &Item::Int(42)).unwrap();
    assert_eq!(same.get(0).unwrap(), Item::Int(42));
    let (segment, other) = memory.segment(1 << 16).unwrap();
    let other_name = other.name().to_owned();
    drop((segment, other));
    super::support::until("the name is gone", || Segment::open(&other_name).is_err());
    managed.check().unwrap();
    manager.shutdown().unwrap();
    assert!(Segment::open(&name).is_err(), "the name ends with the server");
    assert_eq!(list.get(0).unwrap(), Item::Int(42), "the memory is kept by its users");
}

/// A method and a destructor fork, and the child returns from them. Each call gets one answer, the
/// parent's, and the calls after it get theirs.
#[test]
fn a_child_that_code_of_users_forks_answers_nothing() {
    let manager = Manager::start().unwrap();
    let account: AccountProxy = manager.shared::<Account>((0,)).unwrap().into();
    for n in 1..=10 {
        assert!(account.split().unwrap() > 0, "the answer of the child");
        assert_eq!(account.deposit(1).unwrap(), n);
        drop(manager.shared::<Account>((SPLITS_AT_THE_END,)).unwrap());
        manager.ping().unwrap();
    }
    drop(account);
    manager.ping().unwrap();
}

/// An item that cannot be serialised is an error and costs nothing.
#[test]
fn a_value_that_cannot_be_serialised_is_an_error() {
    #[derive(Debug)]
    struct Never;
    impl serde::Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Never {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let manager = Manager::start().unwrap();
    let queue = manager.queue::<Never>(None).unwrap();
    assert!(matches!(queue.put(&Never), Err(manager::ManagerError::BadValue(_))));
    assert!(queue.is_empty().unwrap());
    // A proxy is serialised inside of its own manager only.
    let other = Manager::start().unwrap();
    let list: List<List<u8>> = manager.list().unwrap();
    let foreign: List<u8> = other.list().unwrap();
    assert!(matches!(list.push(&foreign), Err(manager::ManagerError::BadValue(_))));
    assert!(serde_json::to_string(&foreign).is_err());
}
