//! The name directory.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::name::{self, Shape};
use coheap::{Handle, Table, Type, cell, release};
use coheap_alloc::{Agent, Error};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

const CELL: Shape = Shape::Cell(0.0);

fn open(agent: Agent, name: &str) -> Handle {
    run(agent, |operation| name::open(operation, name.as_bytes(), CELL))
}

fn remove(agent: Agent, name: &str) -> bool {
    run(agent, |operation| name::remove(operation, name.as_bytes())).0
}

fn find(agent: Agent, name: &str) -> Option<Handle> {
    run(agent, |operation| name::find(operation, name.as_bytes())).map(|listed| listed.handle)
}

#[test]
fn names_under_random_operations_match_a_map() {
    let mut random = Random::new("names_under_random_operations_match_a_map");
    let agent = agent(heap(512));
    let mut model: HashMap<String, Handle> = HashMap::new();
    let pool: Vec<String> = (0..600)
        .map(|number| {
            let length = 1 + random.below(if number % 50 == 0 { 1000 } else { 20 }) as usize;
            format!("{number:x}{}", "é".repeat(length / 2))
        })
        .collect();
    for _ in 0..60_000 {
        let name = &pool[random.below(pool.len() as u64) as usize];
        match random.below(4) {
            0 | 1 => {
                let handle = open(agent, name);
                assert_eq!(*model.entry(name.clone()).or_insert(handle), handle);
            }
            2 => {
                let gone = model.remove(name);
                assert_eq!(remove(agent, name), gone.is_some());
                if let Some(handle) = gone {
                    // Whoever has it keeps it.
                    assert!(run(agent, |o| cell::get(Table::of(o), handle)).is_finite());
                    let _ = run(agent, |o| release(o, handle, Type::Cell));
                    let read = agent.operation(|o| cell::get(Table::of(o), handle));
                    assert!(matches!(read, Err(Error::StaleHandle { .. })));
                }
            }
            _ => assert_eq!(find(agent, name), model.get(name).copied()),
        }
    }
    let distinct: HashSet<_> = model.values().collect();
    assert_eq!(distinct.len(), model.len());
    let figures = audit(agent);
    assert!(figures.live_blocks <= 257, "{} blocks for 256 buckets and what is held", figures.live_blocks);
    for (name, &handle) in &model {
        assert!(remove(agent, name));
        let _ = run(agent, |o| release(o, handle, Type::Cell));
    }
    assert!(audit(agent).live_blocks <= 1, "an empty directory has no blocks, nor have the holdings more than one");
}

#[test]
fn name_opened_by_eight_agents_at_once_is_one_object() {
    let _watchdog = Watchdog::new("name_opened_by_eight_agents_at_once_is_one_object");
    let heap = heap(512);
    for round in 0..40 {
        let found = threads(heap, 8, |_, agent| {
            (0..25).map(|number| open(agent, &format!("{round}/{number}"))).collect::<Vec<_>>()
        });
        for names in &found {
            assert_eq!(names, &found[0], "two objects of one name");
        }
        assert_eq!(found[0].iter().collect::<HashSet<_>>().len(), 25);
    }
    // What the losers made is gone: a thousand objects, no more.
    let agent = agent(heap);
    audit(agent);
    let listed = (0..1000).filter(|n| find(agent, &format!("{}/{}", n / 25, n % 25)).is_some()).count();
    assert_eq!(listed, 1000);
}

#[test]
fn names_added_and_removed_by_eight_agents_never_hide_others() {
    let _watchdog = Watchdog::new("names_added_and_removed_by_eight_agents_never_hide_others");
    common::controls();
    let heap = heap(512);
    let first = agent(heap);
    // All in one bucket, so that it is replaced all the time.
    let bucket = |name: &str| name::bucket_number(heap.memory(), heap.control(), name.as_bytes());
    let wanted = bucket("steady");
    let pool: Vec<String> = (0..).map(|n| format!("name {n}")).filter(|name| bucket(name) == wanted).take(64).collect();
    let steady = open(first, "steady");
    let over = AtomicBool::new(false);
    let looked = AtomicU64::new(0);
    let rounds = threads(heap, 8, |number, agent| {
        // Also if this thread ends with an assertion.
        let _over = Over(&over);
        let mut rounds = 0u64;
        if number >= 5 {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(find(agent, "steady"), Some(steady));
                assert_eq!(find(agent, "never made"), None);
                rounds += 1;
                looked.fetch_add(1, Ordering::Relaxed);
            }
            return rounds;
        }
        let mut random = Random::from(number as u64 + 7);
        // On a busy machine those who look may come late.
        let is_late = || looked.load(Ordering::Relaxed) < 100 && !over.load(Ordering::Relaxed);
        for _ in (0..).take_while(|&round| round < 3000 || is_late()) {
            let name = &pool[random.below(pool.len() as u64) as usize];
            if random.below(2) == 0 {
                let handle = open(agent, name);
                // It is this name's cell, or removed by now.
                let _ = agent.operation(|o| cell::add(o, handle, 1.0));
            } else {
                remove(agent, name);
            }
        }
        rounds
    });
    println!("lookups meanwhile: {:?}", &rounds[5..]);
    assert!(rounds[5..].iter().sum::<u64>() > 0);
    audit(first);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn bucket_larger_than_a_slab_block_serves_lookups() {
    let _watchdog = Watchdog::new("bucket_larger_than_a_slab_block_serves_lookups");
    let heap = heap(1024);
    let agent = agent(heap);
    let bucket = |name: &str| name::bucket_number(heap.memory(), heap.control(), name.as_bytes());
    let long = "x".repeat(1000);
    let pool: Vec<_> = (0..).map(|n| format!("{n}{long}")).filter(|name| bucket(name) == 3).take(100).collect();
    let handles: Vec<_> = pool.iter().map(|name| open(agent, name)).collect();
    for (name, handle) in pool.iter().zip(&handles) {
        assert_eq!(find(agent, name), Some(*handle));
    }
    audit(agent);
    for name in &pool {
        assert!(remove(agent, name));
    }
    assert_eq!(audit(agent).live_blocks, 0);
    assert_eq!(run(agent, |o| cell::get(Table::of(o), handles[0])), 0.0);
}

#[test]
fn name_of_another_type_or_a_bad_length_is_refused() {
    let agent = agent(heap(256));
    let number = open(agent, "number");
    let wrong = agent.operation(|o| name::open(o, b"number", Shape::Bytes(10)));
    assert_eq!(wrong, Err(Error::WrongType { expected: 2, found: 1 }));
    let long = agent.operation(|o| name::open(o, &[b'a'; 1025], CELL));
    assert_eq!(long, Err(Error::NameTooLong { length: 1025, maximum: 1024 }));
    assert!(agent.operation(|o| name::open(o, b"", CELL)).is_err());
    run(agent, |o| name::open(o, &[b'a'; 1024], CELL));
    // Without its opener, the directory has it.
    let _ = run(agent, |o| release(o, number, Type::Cell));
    assert_eq!(open(agent, "number"), number);
    assert!(!remove(agent, "nothing"));
    audit(agent);
}

#[test]
fn name_is_removed_when_memory_is_exhausted() {
    let agent = agent(heap(24));
    let mut names = 0;
    while agent.operation(|o| name::open(o, format!("name {names}").as_bytes(), Shape::Bytes(3000))).is_ok() {
        names += 1;
    }
    // Every last block, too.
    for size in [4000, 1000, 100, 16] {
        while agent.operation(|o| coheap::bytes::create(o, size)).is_ok() {}
    }
    for number in 0..names {
        let handle = find(agent, &format!("name {number}")).expect("listed");
        assert!(remove(agent, &format!("name {number}")));
        let _ = run(agent, |o| release(o, handle, Type::Bytes));
    }
    audit(agent);
    // What filled the last blocks is still there, so not as many as before.
    assert!(names > 50);
    for number in 0..names / 2 {
        run(agent, |o| name::open(o, format!("again {number}").as_bytes(), Shape::Bytes(3000)));
    }
    audit(agent);
}
