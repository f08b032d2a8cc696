//! Lists against `Vec`: every operation, values of every kind, and nothing is left.
#![cfg(all(feature = "std", not(any(loom, shuttle))))]
mod common;

use coheap::typed::{Agent, Any, Heap, List, Map, Scalar, Str};
use coheap_alloc::Error;
use common::{Random, Watchdog};

fn agent() -> Agent {
    Heap::in_process(256 << 20).expect("a heap").attach().expect("a seat")
}

/// A value of any kind, by its number.
fn scalar(number: u64) -> Scalar {
    match number % 8 {
        0 => Scalar::Undefined,
        1 => Scalar::Bool(number % 16 < 8),
        2 => Scalar::Text("x".repeat((number % 7) as usize)),
        3 => Scalar::Text(format!("a text that needs a block, number {number}")),
        4 => Scalar::Bytes(vec![number as u8; (number % 900) as usize]),
        5 => Scalar::Integer(number % 16 < 8, vec![number, 1]),
        6 => Scalar::Text("é€".repeat((number % 50) as usize)),
        _ => Scalar::Number(number as f64),
    }
}

fn clamp(index: u64, length: usize) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX).min(length)
}

/// One random operation on both; how they differ would be seen at once.
fn step(list: &List<Any>, model: &mut Vec<Scalar>, random: &mut Random, most: u64) {
    let length = model.len() as u64;
    let index = random.below(length + 3);
    match random.below(if length > most { 14 } else { 20 }) {
        0..=1 => assert_eq!(list.pop().expect("pop"), model.pop()),
        2..=5 => {
            let delete = random.below(12);
            let new: Vec<_> = (0..random.below(6)).map(|_| scalar(random.next())).collect();
            let from = clamp(index, model.len());
            let to = from + clamp(delete, model.len() - from);
            let removed: Vec<_> = model.splice(from..to, new.iter().cloned()).collect();
            assert_eq!(list.splice(index, delete, &new.iter().collect::<Vec<_>>()).expect("splice"), removed);
        }
        6..=8 => {
            let value = scalar(random.next());
            match list.set(index, &value) {
                Ok(()) => model[index as usize] = value,
                Err(Error::OutOfRange { .. }) => assert!(index >= length),
                Err(error) => panic!("{error:?}"),
            }
        }
        9..=11 => assert_eq!(list.get(index).expect("get"), model.get(index as usize).cloned()),
        12 if random.below(40) == 0 => {
            list.clear().expect("clear");
            model.clear();
        }
        12 => {
            let from = clamp(index, model.len());
            let new: Vec<_> = (0..random.below(200)).map(|_| scalar(random.next())).collect();
            list.insert(index, &new.iter().collect::<Vec<_>>()).expect("insert");
            model.splice(from..from, new);
        }
        13 => {
            let from = clamp(index, model.len());
            let to = from + clamp(random.below(300), model.len() - from);
            let removed: Vec<_> = model.drain(from..to).collect();
            assert_eq!(list.splice(from as u64, (to - from) as u64, &[]).expect("splice"), removed);
        }
        14 => {
            let new: Vec<_> = (0..random.below(300)).map(|_| scalar(random.next())).collect();
            list.extend(&new.iter().collect::<Vec<_>>()).expect("extend");
            model.extend(new);
        }
        _ => {
            let value = scalar(random.next());
            model.push(value.clone());
            assert_eq!(list.push(&value).expect("push"), model.len() as u64);
        }
    }
    assert_eq!(list.len().expect("length"), model.len() as u64);
}

#[test]
fn list_does_what_a_vector_does() {
    let _watchdog = Watchdog::new("list_does_what_a_vector_does");
    let mut random = Random::new("list_does_what_a_vector_does");
    let agent = agent();
    let mut steps = 0;
    for round in 0..40 {
        let list: List<Any> = agent.new_list().expect("room");
        let mut model = Vec::new();
        let most = [20, 200, 3000][round % 3];
        for number in 0..4000 {
            step(&list, &mut model, &mut random, most);
            steps += 1;
            if number % 500 == 0 {
                assert_eq!(list.to_vec().expect("all"), model);
                agent.audit().expect("whole");
            }
        }
        assert_eq!(list.to_vec().expect("all"), model);
    }
    println!("cases list_does_what_a_vector_does {steps}");
    // Ended lists are taken apart as objects are made.
    for _ in 0..4000 {
        drop(agent.new_cell::<f64>().expect("room"));
    }
    let figures = agent.audit().expect("whole");
    assert!(figures.live_blocks <= 1, "{figures:?}");
}

#[test]
fn list_of_lists_keeps_them_and_gives_them_back() {
    let agent = agent();
    let before = agent.audit().expect("whole").live_blocks;
    let outer: List<List<Str>> = agent.new_list().expect("room");
    for number in 0..100 {
        let inner: List<Str> = agent.new_list().expect("room");
        inner.push(&format!("the inner text with the number {number}")).expect("push");
        outer.push(&inner).expect("push");
    }
    let map: Map<Str, List<List<Str>>> = agent.new_map().expect("room");
    map.insert("lists", &outer).expect("insert");
    assert_eq!(
        outer.get(7).expect("get").expect("it is there").get(0).expect("get").as_deref(),
        Some("the inner text with the number 7")
    );
    let popped = outer.pop().expect("pop").expect("it is there");
    assert_eq!(popped.len(), Ok(1));
    let moved = outer.splice(10, 20, &[&popped]).expect("splice");
    assert_eq!((moved.len(), outer.len()), (20, Ok(80)));
    outer.set(0, &popped).expect("set");
    agent.audit().expect("whole");
    drop((popped, moved, outer));
    agent.audit().expect("whole");
    drop(map);
    for _ in 0..600 {
        drop(agent.new_cell::<f64>().expect("room"));
    }
    assert_eq!(agent.audit().expect("whole").live_blocks, before);
}

#[test]
fn value_longer_than_a_crossing_is_popped_whole() {
    let agent = agent();
    let list: List<Str> = agent.new_list().expect("room");
    let long = "long ".repeat(40_000);
    list.push("short").expect("push");
    list.push(&long).expect("push");
    assert_eq!(list.get(1).expect("get").as_deref(), Some(long.as_str()));
    assert_eq!(list.splice(0, 2, &["new"]).expect("splice"), ["short".to_owned(), long]);
    assert_eq!(list.to_vec().expect("all"), ["new"]);
    agent.audit().expect("whole");
}

#[test]
fn list_without_memory_is_as_it_was() {
    let agent = Heap::in_process(4 << 20).expect("a heap").attach().expect("a seat");
    let list: List<Any> = agent.new_list().expect("room");
    let text = Scalar::Text("a text of some length, so that memory ends soon".repeat(20));
    let mut count = 0;
    let error = loop {
        match list.push(&text) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::OutOfMemory { .. }));
    let three = [&text, &text, &text];
    let refused = list.insert(count / 2, &three).expect_err("no room");
    assert!(matches!(refused, Error::OutOfMemory { .. }));
    assert!(matches!(list.set(1, &text), Err(Error::OutOfMemory { .. })));
    assert_eq!(list.len(), Ok(count));
    agent.audit().expect("whole");
    // An edit needs a table of its own; to change a value for one without a block takes nothing.
    (0..count).for_each(|index| list.set(index, &Scalar::Number(1.0)).expect("no memory is needed"));
    while list.len().expect("length") > 0 {
        list.pop().expect("what was set gave room");
    }
    agent.audit().expect("whole");
}
