//! Maps that nobody has any more: they are taken apart in slices by whoever makes objects, and none is forgotten.
#![cfg(feature = "fault-points")]
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use coheap::map::{self, Key};
use coheap::object::State;
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, Type, acquire, cell, release};
use coheap_alloc::{Agent, Heap, Operation, Result};
use common::faults::dies;
use common::{Watchdog, agent, audit, heap, run};

static VALUE: [u8; 600] = [b'v'; 600];

fn nest(operation: &Operation, handle: Handle, key: u32, inner: Handle) -> Result<()> {
    map::set(operation, handle, &Key::number(f64::from(key)), Given::Reference(inner))
}

/// A map of so many entries with blocks.
fn full(agent: Agent, count: u32) -> Handle {
    let made = run(agent, map::create);
    for key in 0..count {
        run(agent, |o| map::set(o, made, &Key::number(f64::from(key)), Given::bytes(&VALUE)));
    }
    made
}

fn drop_one(agent: Agent, handle: Handle, kind: Type) {
    let _ = run(agent, |o| release(o, handle, kind));
}

/// Makes so many objects.
fn make(agent: Agent, count: u32) {
    for _ in 0..count {
        let made = run(agent, |o| cell::create(o, 1.0));
        drop_one(agent, made, Type::Cell);
    }
}

/// How many objects have ended and are not taken apart.
fn ended(heap: Heap) -> usize {
    let table = Table { memory: heap.memory(), control: heap.control() };
    let is_ended = |index: &u32| table.entry(*index).is_some_and(|at| table.word(at).state() == Some(State::Dying));
    (0..1024).filter(is_ended).count()
}

#[test]
fn ended_maps_in_maps_are_all_taken_apart_before_memory_is_called_exhausted() {
    for depth in 0..7 {
        let agent = agent(heap(56));
        let kept = run(agent, map::create);
        for key in 0..2600 {
            run(agent, |o| map::set(o, kept, &Key::number(f64::from(key)), Given::number(1.0)));
        }
        // Each is made after the one that is in it, so that its place in the table is behind that.
        let mut outer = full(agent, 2600);
        for _ in 0..depth {
            let next = run(agent, map::create);
            run(agent, |o| nest(o, next, 1, outer));
            drop_one(agent, outer, Type::Map);
            outer = next;
        }
        drop_one(agent, outer, Type::Map);
        for key in 0..2600 {
            let key = Key::number(f64::from(key));
            let done = agent.operation(|o| map::set(o, kept, &key, Given::bytes(&VALUE)));
            assert_eq!(done, Ok(()), "there is room, {depth} levels deep");
        }
        audit(agent);
    }
}

#[test]
fn ended_map_that_somebody_holds_up_holds_up_no_others() {
    let heap = heap(2048);
    let (dead, other) = (agent(heap), agent(heap));
    let stuck = full(other, 3000);
    run(dead, |o| acquire(o, stuck, None));
    drop_one(other, stuck, Type::Map);
    let rest: Vec<Handle> = (0..20).map(|_| full(other, 1000)).collect();
    drop_one(dead, stuck, Type::Map);
    assert!(dies(40, || make(dead, 1)), "in the middle of taking it apart");
    for handle in rest {
        drop_one(other, handle, Type::Map);
    }
    make(other, 20_000);
    assert_eq!(ended(heap), 1, "the one whose taker died");
    dead.recover(&settle).expect("the record is settled");
    make(other, 20_000);
    assert_eq!(ended(heap), 0);
    audit(other);
}

#[test]
fn ended_map_is_not_forgotten_by_who_dies_when_going_on_with_it() {
    let mut points = 0;
    for at in 0.. {
        let heap = heap(512);
        let (dead, other) = (agent(heap), agent(heap));
        let handle = full(dead, 1500);
        drop_one(dead, handle, Type::Map);
        assert_eq!(ended(heap), 1, "too large for who gave it back");
        if !dies(at, || make(dead, 1)) {
            break;
        }
        dead.recover(&settle).expect("the record is settled");
        make(other, 500);
        assert_eq!(ended(heap), 0, "death at write {at}");
        points += 1;
    }
    println!("cases ended_map_is_not_forgotten_by_who_dies_when_going_on_with_it {points}");
    assert!(points > 20);
}

#[test]
fn map_that_ends_while_another_is_looked_for_is_not_forgotten() {
    const ROUNDS: u32 = 3000;
    let _watchdog = Watchdog::new("map_that_ends_while_another_is_looked_for_is_not_forgotten");
    let heap = heap(512);
    let looking = agent(heap);
    let (begun, done) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let (begun, done) = (&begun, &done);
        scope.spawn(move || {
            let ending = agent(heap);
            let outer = run(ending, map::create);
            for round in 0..ROUNDS {
                // Two maps with others between them, which end one after the other.
                let first = run(ending, map::create);
                let between = [(); 5].map(|()| run(ending, |o| cell::create(o, 1.0)));
                let second = run(ending, map::create);
                for (key, inner) in [(1, first), (2, second)] {
                    run(ending, |o| nest(o, outer, key, inner));
                    drop_one(ending, inner, Type::Map);
                }
                let end = |key: u32| run(ending, |o| map::delete(o, outer, &Key::number(f64::from(key))));
                assert!(end(1));
                begun.store(round + 1, SeqCst);
                for _ in 0..round * 7 % 3000 {
                    std::hint::spin_loop();
                }
                assert!(end(2));
                done.store(round + 1, SeqCst);
                while begun.load(SeqCst) != 0 {
                    std::hint::spin_loop();
                }
                for handle in between {
                    drop_one(ending, handle, Type::Cell);
                }
            }
        });
        for round in 1..=ROUNDS {
            while begun.load(SeqCst) != round {
                std::hint::spin_loop();
            }
            while done.load(SeqCst) != round {
                make(looking, 1);
            }
            make(looking, 50);
            assert_eq!(ended(heap), 0, "round {round}");
            begun.store(0, SeqCst);
        }
    });
}
