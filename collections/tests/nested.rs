//! Structures in structures: who keeps them, and when they end.
#![cfg(not(any(loom, shuttle)))]
mod common;

use coheap::map::{self, Key};
use coheap::string::{Form, Given};
use coheap::{Handle, Table, Type, acquire, cell, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Operation, Result};
use common::{Random, Watchdog, agent, audit, controls, heap, leave, run, threads};

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

fn nest(operation: &Operation, handle: Handle, key: f64, inner: Handle) -> Result<()> {
    map::set(operation, handle, &Key::number(key), Given::Reference(inner))
}

/// The structure that a key has.
fn nested(agent: Agent, handle: Handle, key: f64) -> Option<Handle> {
    let to = agent.transfer();
    let taken = map::get(table(agent), handle, &Key::number(key), to, body::TRANSFER_LENGTH).expect("it is read")?;
    (taken.block == Some((Form::Reference, 8))).then(|| Handle::from_word(agent.memory().own64(to)))
}

/// What was ended is taken apart as objects are made.
fn drain(agent: Agent) {
    for _ in 0..2000 {
        let made = run(agent, |o| cell::create(o, 1.0));
        let _ = run(agent, |o| release(o, made, Type::Cell));
    }
}

#[test]
fn structure_lives_as_long_as_a_map_has_it() {
    let agent = agent(heap(64));
    let outer = run(agent, map::create);
    drain(agent);
    let before = audit(agent).live_blocks;
    let inner = run(agent, map::create);
    run(agent, |o| nest(o, outer, 1.0, inner));
    run(agent, |o| nest(o, outer, 2.0, inner));
    let _ = run(agent, |o| release(o, inner, Type::Map));
    assert_eq!(nested(agent, outer, 1.0), Some(inner));
    run(agent, |o| map::delete(o, outer, &Key::number(1.0)));
    assert_eq!(run(agent, |o| acquire(o, inner, None)), Type::Map, "the other entry has it");
    let _ = run(agent, |o| release(o, inner, Type::Map));
    audit(agent);
    run(agent, |o| map::set(o, outer, &Key::number(2.0), Given::number(2.0)));
    assert!(matches!(agent.operation(|o| acquire(o, inner, None)), Err(Error::StaleHandle { .. })));
    run(agent, |o| map::clear(o, outer));
    drain(agent);
    assert_eq!(audit(agent).live_blocks, before);
}

#[test]
fn reference_is_made_by_who_has_one_and_never_of_a_cell_or_a_key() {
    let heap = heap(64);
    let (one, other) = (agent(heap), agent(heap));
    let outer = run(one, map::create);
    run(other, |o| acquire(o, outer, None));
    let inner = run(one, map::create);
    let refused = other.operation(|o| nest(o, outer, 1.0, inner));
    assert!(matches!(refused, Err(Error::StaleHandle { .. })), "{refused:?}");
    let kept = run(one, |o| cell::create(o, 1.0));
    let refused = one.operation(|o| cell::set_value(o, kept, Given::Reference(inner)));
    assert!(matches!(refused, Err(Error::UnexpectedValue { .. })));
    assert!(Key::given(table(one), Given::Reference(inner)).is_none());
    let refused =
        one.operation(|o| nest(o, outer, 1.0, Handle { index: inner.index, generation: inner.generation + 1 }));
    assert!(matches!(refused, Err(Error::StaleHandle { .. })));
    assert_eq!(map::size(table(one), outer), Ok(0));
    audit(one);
}

#[test]
fn structure_has_at_most_as_many_references_as_are_counted() {
    let agent = agent(heap(512));
    let (outer, inner) = run(agent, |o| Ok((map::create(o)?, map::create(o)?)));
    for key in 0..coheap::count::MOST - 1 {
        run(agent, |o| nest(o, outer, f64::from(key), inner));
    }
    let refused = agent.operation(|o| nest(o, outer, -1.0, inner));
    assert!(matches!(refused, Err(Error::TooManyReferences { maximum: coheap::count::MOST, .. })), "{refused:?}");
    run(agent, |o| map::delete(o, outer, &Key::number(0.0)));
    run(agent, |o| nest(o, outer, -1.0, inner));
    audit(agent);
}

#[test]
fn structures_end_in_slices_however_deep_and_wide_they_are() {
    let agent = agent(heap(2048));
    drain(agent);
    let before = audit(agent).live_blocks;
    let root = run(agent, map::create);
    let mut innermost = root;
    for _ in 0..3000 {
        // Each is held by the one before alone.
        let inner = run(agent, map::create);
        run(agent, |o| nest(o, innermost, 1.0, inner));
        if innermost != root {
            let _ = run(agent, |o| release(o, innermost, Type::Map));
        }
        innermost = inner;
    }
    for key in 0..3000 {
        let inner = run(agent, map::create);
        run(agent, |o| nest(o, innermost, f64::from(key), inner));
        let _ = run(agent, |o| release(o, inner, Type::Map));
    }
    let _ = run(agent, |o| release(o, innermost, Type::Map));
    audit(agent);
    let _ = run(agent, |o| release(o, root, Type::Map));
    assert!(audit(agent).live_blocks > before + 5000, "most of it is left for later");
    for _ in 0..20 {
        drain(agent);
    }
    assert_eq!(audit(agent).live_blocks, before);
}

#[test]
fn structures_in_a_circle_end_when_one_is_taken_out() {
    let agent = agent(heap(64));
    drain(agent);
    let before = audit(agent).live_blocks;
    let (one, other) = run(agent, |o| Ok((map::create(o)?, map::create(o)?)));
    run(agent, |o| nest(o, one, 1.0, other).and(nest(o, other, 1.0, one)).and(nest(o, one, 2.0, one)));
    let _ = run(agent, |o| release(o, other, Type::Map));
    audit(agent);
    run(agent, |o| map::clear(o, one));
    let _ = run(agent, |o| release(o, one, Type::Map));
    drain(agent);
    assert_eq!(audit(agent).live_blocks, before);
}

#[test]
fn structures_that_threads_take_from_each_other_are_counted_once() {
    const ROUNDS: u32 = 20_000;
    const KEYS: u64 = 3;
    let _watchdog = Watchdog::new("structures_that_threads_take_from_each_other_are_counted_once");
    controls();
    let heap = heap(512);
    let first = agent(heap);
    drain(first);
    let before = audit(first).live_blocks;
    let outer = run(first, map::create);
    let opened = threads(heap, 4, |number, agent| {
        let mut random = Random::new(&format!("structures that threads take, thread {number}"));
        run(agent, |o| acquire(o, outer, None));
        let mut opened = 0u64;
        for _ in 0..ROUNDS {
            let key = random.below(KEYS) as f64;
            match random.below(4) {
                0 | 1 => {
                    let inner = run(agent, map::create);
                    run(agent, |o| map::set(o, inner, &Key::number(key), Given::number(key)));
                    run(agent, |o| nest(o, outer, key, inner));
                    let _ = run(agent, |o| release(o, inner, Type::Map));
                }
                2 => {
                    run(agent, |o| map::delete(o, outer, &Key::number(key)));
                }
                _ => {
                    let Some(inner) = nested(agent, outer, key) else { continue };
                    // It may have ended since.
                    if agent.operation(|o| acquire(o, inner, Some(Type::Map))).is_ok() {
                        let own = map::size(table(agent), inner);
                        assert_eq!(own, Ok(1), "it is the map that was put there");
                        opened += 1;
                        let _ = run(agent, |o| release(o, inner, Type::Map));
                    }
                }
            }
        }
        opened
    });
    let opened: u64 = opened.into_iter().sum();
    assert!(opened > 0);
    audit(first);
    let _ = run(first, |o| release(o, outer, Type::Map));
    for _ in 0..20 {
        drain(first);
    }
    assert_eq!(audit(first).live_blocks, before);
    println!("cases structures_that_threads_take_from_each_other_are_counted_once {}", 4 * ROUNDS);
    leave(first);
}
