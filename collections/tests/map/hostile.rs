//! Maps in which words were overwritten: every search ends, and the audit names what it finds.

use coheap::map::{self, Key};
use coheap::string::Given;
use coheap::value;
use coheap::{Type, object, release};
use coheap_alloc::layout::slot;
use coheap_alloc::{Error, Result};

use super::common::{Watchdog, audit, heap, run};
use super::{Shared, number, table, text};

/// A small map, and where its head is.
fn small(count: u32) -> (Shared, u32) {
    let shared = Shared::new(heap(64));
    (0..count).for_each(|key| shared.try_set(&number(f64::from(key)), &number(1.0)).expect("room"));
    let entry = table(shared.agent).entry(shared.handle.index).expect("an entry");
    let head = shared.agent.memory().load64(entry + object::VALUE) as u32;
    (shared, head)
}

fn is_corrupt<R>(result: &Result<R>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

/// Words of a head, see the table in `map/words.rs`.
const TAIL: u32 = 16;

const PREVIOUS: u32 = 32;
const BUCKETS: u32 = 64;
const CHUNKS: u32 = 328;
const SEGMENTS: u32 = 392;

#[test]
fn bucket_that_is_marked_ends_the_search() {
    let _watchdog = Watchdog::new("bucket_that_is_marked_ends_the_search");
    let (shared, head) = small(1);
    shared.agent.memory().fetch_or64(head + BUCKETS, 2);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert!(is_corrupt(&shared.agent.audit(&mut coheap::Objects)));
}

#[test]
fn list_that_leads_back_ends_the_search() {
    let _watchdog = Watchdog::new("list_that_leads_back_ends_the_search");
    let (shared, head) = small(1);
    // The first bucket, listed, leads to itself.
    shared.agent.memory().store64(head + BUCKETS, u64::from(head + BUCKETS) | 5);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert!(is_corrupt(&map::has(table(shared.agent), shared.handle, &Key::number(7.0))));
    assert!(is_corrupt(&shared.agent.audit(&mut coheap::Objects)));
}

#[test]
fn log_of_dead_chunks_without_end_ends_the_search() {
    let _watchdog = Watchdog::new("log_of_dead_chunks_without_end_ends_the_search");
    let (shared, head) = small(1);
    let memory = shared.agent.memory();
    // A node whose pairs lead to one node, and so on: 256⁵ chunks, all of them dead, where nobody has a block.
    let node = |level: u32| (memory.pages() - 1) * 65_536 + level * 4096;
    for level in 0..5 {
        let word = if level == 4 { 1 } else { u64::from(node(level + 1)) };
        (0..256).for_each(|pair| memory.store64(node(level) + pair * 16, word));
    }
    memory.store64(head + SEGMENTS + 5 * 16, u64::from(node(0)));
    let first = 4 + 16 + 256 + (1 << 16) + (1 << 24) + (1u64 << 32);
    let at = shared.agent.transfer();
    assert!(is_corrupt(&map::entries(table(shared.agent), shared.handle, first * 20, 4, at, 64)));
    memory.store64(head + TAIL, first);
    assert!(is_corrupt(&shared.try_set(&number(7.0), &number(1.0))));
    assert_eq!(memory.load64(shared.agent.slot() + slot::CHANGE), 0, "nothing is in flight");
}

#[test]
fn heads_that_were_cleared_and_lead_back_are_given_up() {
    let _watchdog = Watchdog::new("heads_that_were_cleared_and_lead_back_are_given_up");
    for is_own in [false, true] {
        let (shared, head) = small(400);
        let memory = shared.agent.memory();
        let entry = table(shared.agent).entry(shared.handle.index).expect("an entry");
        let word = memory.load64(entry + object::VALUE);
        run(shared.agent, |o| map::clear(o, shared.handle));
        assert_ne!(memory.load64(entry + object::VALUE), word);
        let now = memory.load64(entry + object::VALUE) as u32;
        if is_own {
            memory.store64(now + PREVIOUS, u64::from(now));
        } else {
            assert_eq!(memory.load64(now + PREVIOUS), word, "it is not taken apart yet");
            memory.store64(head + PREVIOUS, word);
        }
        let failed = (0..400).filter(|&key| is_corrupt(&shared.try_set(&number(f64::from(key)), &number(1.0)))).count();
        assert!(failed > 0);
        assert_eq!(memory.load64(shared.agent.slot() + slot::RECLAIMING), 0, "the right is given back");
        let _ = run(shared.agent, |o| release(o, shared.handle, Type::Map));
        for _ in 0..100 {
            let _ = run(shared.agent, map::create);
        }
    }
}

#[test]
fn dying_map_that_makes_no_sense_does_not_stop_others() {
    let _watchdog = Watchdog::new("dying_map_that_makes_no_sense_does_not_stop_others");
    let (shared, head) = small(30);
    let (agent, memory) = (shared.agent, shared.agent.memory());
    memory.store64(head + CHUNKS, u64::MAX - 6);
    let _ = run(agent, |o| release(o, shared.handle, Type::Map));
    assert_eq!(memory.load64(agent.slot() + slot::RECLAIMING), 0, "the right is given back");
    // Nor does one that lives, whose cleared heads make none.
    let other = run(agent, map::create);
    let entry = table(agent).entry(other.index).expect("an entry");
    memory.store64(memory.load64(entry + object::VALUE) as u32 + PREVIOUS, 7);
    let handle = run(agent, map::create);
    let full = (0..).find_map(|key| {
        agent.operation(|o| map::set(o, handle, &Key::number(f64::from(key)), Given::bytes(&[1; 4000]))).err()
    });
    assert!(matches!(full, Some(Error::OutOfMemory { .. })), "{full:?}");
}

#[test]
fn position_that_no_entry_can_have_is_behind_the_last() {
    let (shared, _) = small(1);
    for from in [21, 1 << 40, u64::MAX / 2, u64::MAX] {
        let batch = map::entries(table(shared.agent), shared.handle, from, 4, shared.agent.transfer(), 64);
        assert!(matches!(batch, Ok(map::Batch { count: 0, needed: 0, .. })), "{from}: {batch:?}");
    }
}

#[test]
fn audit_sees_keys_that_are_there_twice_and_what_should_be_out() {
    for key in [number(1.0), text("a key that needs a block of its own")] {
        let (shared, head) = small(0);
        let memory = shared.agent.memory();
        shared.try_set(&key, &number(1.0)).expect("room");
        let value_at = memory.load64(head + CHUNKS) as u32 + 32 + 8;
        let value = memory.load64(value_at);
        audit(shared.agent);
        // Hidden, so that it is inserted again.
        let out = value::tagged(value::Tag::Operation, 2 << 44);
        memory.store64(value_at, out);
        shared.try_set(&key, &number(2.0)).expect("room");
        memory.store64(value_at, value);
        let found = shared.agent.audit(&mut coheap::Objects);
        assert!(matches!(found, Err(Error::Corrupt { rule: coheap::rule::MAP, .. })), "{found:?}");
        memory.store64(value_at, out);
        let found = shared.agent.audit(&mut coheap::Objects);
        assert!(matches!(found, Err(Error::Corrupt { rule: coheap::rule::MAP, .. })), "{found:?}");
    }
}
