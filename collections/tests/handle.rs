//! Handles: forged, stale, of the wrong type, at the end of their generations.
mod common;

use coheap::object::{EntryWord, State};
use coheap::{Handle, Table, Type, bytes, cell, release};
use coheap_alloc::{Agent, Error};
use common::{Random, Watchdog, agent, audit, heap, run};

/// Every call that takes a handle, with this one; answers the errors.
fn every_call(agent: Agent, handle: Handle) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut call = |result: Result<(), Error>| errors.extend(result.err());
    call(agent.operation(|o| cell::get(Table::of(o), handle)).map(|_| ()));
    call(agent.operation(|o| cell::set(o, handle, 1.0)).map(|_| ()));
    call(agent.operation(|o| cell::add(o, handle, 1.0)).map(|_| ()));
    call(agent.operation(|o| cell::compare_and_set(o, handle, 0.0, 1.0)).map(|_| ()));
    call(agent.operation(|o| cell::watch(Table::of(o), handle, 0.0)).map(|_| ()));
    call(agent.operation(|o| bytes::length(Table::of(o), handle)).map(|_| ()));
    call(agent.operation(|o| bytes::read(Table::of(o), handle, 0, &mut [0; 8])));
    call(agent.operation(|o| bytes::write(o, handle, 0, &[1; 8])));
    call(agent.operation(|o| bytes::sum(Table::of(o), handle, 0, 8)).map(|_| ()));
    call(agent.operation(|o| release(o, handle, Type::Cell)).map(|_| ()));
    call(agent.operation(|o| release(o, handle, Type::Bytes)).map(|_| ()));
    errors
}

const CALLS: usize = 11;

#[test]
fn handle_forged_a_million_times_is_refused_and_the_heap_whole() {
    let _watchdog = Watchdog::new("handle_forged_a_million_times_is_refused_and_the_heap_whole");
    common::controls();
    let mut random = Random::new("handle_forged_a_million_times_is_refused_and_the_heap_whole");
    let agent = agent(heap(256));
    let live: Vec<_> = (0..200)
        .map(|n| {
            run(agent, |o| if n % 2 == 0 { cell::create(o, f64::from(n)) } else { bytes::create(o, n as u32 * 100) })
        })
        .collect();
    let dead: Vec<_> = (0..200).map(|_| run(agent, |o| cell::create(o, 0.0))).collect();
    for &handle in &dead {
        let _ = run(agent, |o| release(o, handle, Type::Cell));
    }
    let before = audit(agent);
    let mut refused = 0;
    while refused < 1_000_000 {
        let Handle { index, generation } = live[random.below(live.len() as u64) as usize];
        let noise = random.next();
        let handle = match random.below(8) {
            0 => Handle { index: noise as u32, generation: (noise >> 32) as u32 },
            1 => Handle { index, generation: generation ^ 1 << (noise % 32) },
            2 => Handle { index: index ^ 1 << (noise % 32), generation },
            3 => Handle { index, generation: generation.wrapping_add(1) },
            4 => Handle { index, generation: 0 },
            5 => Handle { index: noise as u32 % 4096, generation: noise as u32 },
            6 => dead[random.below(dead.len() as u64) as usize],
            _ => Handle { index: u32::MAX - noise as u32 % 64, generation },
        };
        if live.contains(&handle) {
            continue;
        }
        let errors = every_call(agent, handle);
        assert_eq!(errors.len(), CALLS, "{handle:?}");
        for error in errors {
            let stale = Error::StaleHandle { index: handle.index, generation: handle.generation };
            assert_eq!(error, stale);
        }
        refused += CALLS;
    }
    println!("cases handle_forged_a_million_times_is_refused_and_the_heap_whole {refused}");
    for (number, &handle) in live.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
        assert_eq!(run(agent, |o| cell::get(Table::of(o), handle)), number as f64);
    }
    let after = audit(agent);
    assert_eq!((before.live_bytes, before.live_blocks), (after.live_bytes, after.live_blocks));
}

#[test]
fn handle_of_a_released_object_is_stale_when_its_entry_is_used_again() {
    common::controls();
    let agent = agent(heap(256));
    let mut seen = std::collections::HashSet::new();
    let mut reused = 0;
    let mut last = None;
    for _ in 0..5000 {
        let handle = run(agent, |o| cell::create(o, 1.0));
        if let Some(old) = last.replace(handle) {
            assert_eq!(every_call(agent, old).len(), CALLS);
            reused += u32::from(old.index == handle.index);
        }
        assert!(seen.insert(handle), "{handle:?} was given twice");
        let _ = run(agent, |o| release(o, handle, Type::Cell));
    }
    assert!(reused > 0, "no entry was used again, so nothing was tested");
}

#[test]
fn entry_at_its_last_generation_retires() {
    let agent = agent(heap(256));
    let handle = run(agent, |o| cell::create(o, 1.0));
    let table = Table { memory: agent.memory(), control: agent.control() };
    let entry = table.entry(handle.index).expect("an entry");
    let _ = run(agent, |o| release(o, handle, Type::Cell));
    // As if it had lived 2^32 - 2 lives: the next generation but one would be the first again.
    let last = Handle { index: handle.index, generation: table.first_generation(handle.index).wrapping_sub(1) };
    agent.memory().store64(entry, EntryWord::new(last.generation, 0, 0, State::Free).0);
    assert_eq!(run(agent, |o| cell::create(o, 1.0)), last);
    let _ = run(agent, |o| release(o, last, Type::Cell));
    assert_eq!(table.word(entry).state(), Some(State::Retired));
    for _ in 0..5000 {
        assert_ne!(run(agent, |o| cell::create(o, 0.0)).index, handle.index);
    }
    audit(agent);
}

#[test]
fn objects_by_the_hundred_thousand_fill_and_reuse_pages() {
    let _watchdog = Watchdog::new("objects_by_the_hundred_thousand_fill_and_reuse_pages");
    let agent = agent(heap(512));
    let mut indices = std::collections::HashSet::new();
    let all: Vec<_> = (0..100_000).map(|n| run(agent, |o| cell::create(o, f64::from(n)))).collect();
    for (number, &handle) in all.iter().enumerate() {
        assert!(indices.insert(handle.index));
        assert_eq!(run(agent, |o| cell::get(Table::of(o), handle)), number as f64);
    }
    let grown = agent.memory().pages();
    for _ in 0..3 {
        let some: Vec<_> = all.iter().copied().filter(|h| h.index % 3 == 0).collect();
        let mut again = Vec::new();
        for &handle in &some {
            let _ = agent.operation(|o| release(o, handle, Type::Cell));
        }
        for _ in 0..some.len() {
            again.push(run(agent, |o| cell::create(o, 5.0)));
        }
        for handle in again {
            let _ = run(agent, |o| release(o, handle, Type::Cell));
        }
    }
    assert_eq!(agent.memory().pages(), grown, "free entries were not found again");
    audit(agent);
}

#[test]
fn object_table_that_cannot_grow_says_so_and_goes_on() {
    let agent = agent(heap(24));
    let mut all = Vec::new();
    let error = loop {
        match agent.operation(|o| cell::create(o, 1.0)) {
            Ok(handle) => all.push(handle),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
    for &handle in &all {
        let _ = run(agent, |o| release(o, handle, Type::Cell));
    }
    for _ in 0..all.len() {
        run(agent, |o| cell::create(o, 2.0));
    }
    assert!(agent.operation(|o| cell::create(o, 1.0)).is_err());
    audit(agent);
}
