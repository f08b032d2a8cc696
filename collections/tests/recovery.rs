//! Death at every shared write of every operation: the same agent recovers, and the heap is whole.
#![cfg(feature = "fault-points")]
mod common;

use std::ops::RangeInclusive;

use coheap::count::{self, release_any};
use coheap::holdings::Holder;
use coheap::name::{self, Shape};
use coheap::object::State;
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, Type, acquire, atom, bytes, cell, park, release};
use coheap_alloc::layout::PAGE;
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Error, Heap, Kind, Operation, Result};
use common::faults::dies;
use common::{Watchdog, agent, audit, heap, leave, run};

/// What an operation finds: objects to work on, and names that exist. Another agent has a part in some of them.
struct Scene {
    cell: Handle,
    text: Handle,
    bytes: Handle,
    /// The other agent's.
    other: Handle,
    /// Of both.
    shared: Handle,
    /// The other agent parked its reference.
    parked: Handle,
    /// As well, but this agent has one of its own.
    surplus: Handle,
    /// Has a name, and this agent has a reference.
    kept: Handle,
}

/// Strings whose blocks are of a class that the scene has a slab of: else most writes would make one.
const TEXT: &[u8] = b"a string in a block";
const INSTEAD: &[u8] = b"one instead of it";

fn scene(heap: Heap, own: Agent) -> Scene {
    let other = agent(heap);
    for (name, shape) in [("taken", Shape::Bytes(100)), ("number", Shape::Cell(1.0))] {
        run(other, |o| {
            let handle = name::open(o, name.as_bytes(), shape)?;
            release_any(o, handle).map(drop)
        });
    }
    let text = run(own, |o| name::open(o, b"number", Shape::Cell(1.0)));
    let _ = run(own, |o| cell::set_value(o, text, Given::text(TEXT)));
    run(own, |o| release_any(o, text).map(drop));
    let [theirs, shared, parked, surplus] = [(); 4].map(|()| run(other, |o| bytes::create(o, 100)));
    for handle in [shared, surplus] {
        run(own, |o| acquire(o, handle, None));
    }
    for handle in [parked, surplus] {
        run(other, |o| park(o, handle));
    }
    let kept = run(own, |o| name::open(o, b"kept", Shape::Cell(1.0)));
    let cell = run(own, |o| cell::create(o, 1.0));
    let bytes = run(own, |o| bytes::create(o, 5000));
    Scene { cell, text, bytes, other: theirs, shared, parked, surplus, kept }
}

type Step = fn(&Operation, &Scene) -> Result<()>;

/// What is done, and how many objects there may be after it was cut short.
const STEPS: [(&str, Step, RangeInclusive<usize>); 37] = [
    ("create a cell", |o, _| cell::create(o, 2.0).map(|_| ()), 9..=9),
    ("create small bytes", |o, _| bytes::create(o, 100).map(|_| ()), 9..=9),
    ("create middle bytes", |o, _| bytes::create(o, 20_000).map(|_| ()), 9..=9),
    ("create large bytes", |o, _| bytes::create(o, 200_000).map(|_| ()), 9..=9),
    ("create no bytes", |o, _| bytes::create(o, 0).map(|_| ()), 9..=9),
    ("set", |o, s| cell::set(o, s.cell, 5.0).map(|_| ()), 9..=9),
    ("add", |o, s| cell::add(o, s.cell, 5.0).map(|_| ()), 9..=9),
    ("write bytes", |o, s| bytes::write(o, s.bytes, 10, b"written"), 9..=9),
    ("release a cell", |o, s| release(o, s.cell, Type::Cell).map(|_| ()), 8..=9),
    ("release bytes", |o, s| release(o, s.bytes, Type::Bytes).map(|_| ()), 8..=9),
    ("release what another has", |o, s| release(o, s.shared, Type::Bytes).map(|_| ()), 9..=9),
    ("release what has a name", |o, s| release(o, s.kept, Type::Cell).map(|_| ()), 9..=9),
    ("acquire", |o, s| acquire(o, s.other, None).map(|_| ()), 9..=9),
    ("acquire what is parked", |o, s| acquire(o, s.parked, None).map(|_| ()), 9..=9),
    ("acquire what is parked, and held", |o, s| acquire(o, s.surplus, None).map(|_| ()), 9..=9),
    ("acquire and release", |o, s| acquire(o, s.other, None).and_then(|_| release_any(o, s.other)).map(|_| ()), 9..=9),
    ("park", |o, s| park(o, s.cell), 9..=9),
    ("park what another has", |o, s| park(o, s.shared), 9..=9),
    ("give all back", |o, _| give_all_back(o), 7..=9),
    ("open a new cell", |o, _| name::open(o, b"new", Shape::Cell(1.0)).map(|_| ()), 9..=10),
    ("open new bytes", |o, _| name::open(o, b"new", Shape::Bytes(300)).map(|_| ()), 9..=10),
    ("open an existing name", |o, _| name::open(o, b"taken", Shape::Bytes(1)).map(|_| ()), 9..=9),
    ("open a new name without memory for the list", |o, _| open_without_memory(o), 9..=9),
    ("remove a name", |o, _| name::remove(o, b"taken").map(|_| ()), 8..=9),
    ("remove the name of what is held", |o, _| name::remove(o, b"kept").map(|_| ()), 9..=9),
    ("create a cell with a string", |o, _| cell::create_holding(o, Given::text(b"a new string")).map(|_| ()), 9..=9),
    ("open a new cell with a string", |o, _| open_holding(o, b"new"), 9..=10),
    ("open an existing cell with a string", |o, _| open_holding(o, b"number"), 9..=9),
    ("set a string over a number", |o, s| cell::set_value(o, s.cell, Given::text(INSTEAD)).map(|_| ()), 9..=9),
    ("set a string over a string", |o, s| cell::set_value(o, s.text, Given::text(INSTEAD)).map(|_| ()), 9..=9),
    ("set long bytes over a string", |o, s| cell::set_value(o, s.text, Given::bytes(&[1; 70_000])).map(|_| ()), 9..=9),
    ("set a number over a string", |o, s| cell::set(o, s.text, 1.0).map(|_| ()), 9..=9),
    ("compare and set a string", |o, s| compare(o, s.text, TEXT), 9..=9),
    ("compare with another string", |o, s| compare(o, s.text, b"another string"), 9..=9),
    ("take a snapshot", |o, s| cell::snapshot(o, s.text).map(|_| ()), 9..=9),
    ("remove a cell with a string", |o, _| name::remove(o, b"number").map(|_| ()), 8..=9),
    ("intern two atoms", |o, _| atom::intern(o, b"first atom").and(atom::intern(o, b"second atom")).map(|_| ()), 9..=9),
];

fn give_all_back(operation: &Operation) -> Result<()> {
    let mut from = 0;
    while let Some((next, _)) = count::give_back(operation, Holder::of(operation), from)? {
        from = next;
    }
    Ok(())
}

fn open_holding(operation: &Operation, name: &[u8]) -> Result<()> {
    name::open(operation, name, Shape::Holding(Given::text(b"the first value"))).map(drop)
}

fn compare(operation: &Operation, cell: Handle, expected: &[u8]) -> Result<()> {
    cell::compare_and_set_value(operation, cell, Given::text(expected), Given::text(INSTEAD)).map(|_| ())
}

/// The object of a name that cannot be listed is taken back.
fn open_without_memory(operation: &Operation) -> Result<()> {
    for pages in [32, 16, 8, 4, 2, 1] {
        while operation.allocate(pages * PAGE, 16, Kind::Bytes).is_ok() {}
    }
    // So long that no slab has such blocks yet.
    match name::open(operation, &[b'n'; 200], Shape::Cell(1.0)) {
        Err(Error::OutOfMemory { .. }) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// The dead agent is recovered by another one, which may die too: first what its record says of a count, then what it
/// holds.
#[test]
fn dead_agents_references_are_given_back_by_another_that_may_die_too() {
    let _watchdog = Watchdog::new("dead_agents_references_are_given_back_by_another_that_may_die_too");
    let mut points = 0;
    for (what, step, _) in STEPS.into_iter().filter(|(what, ..)| COUNTING.contains(what)) {
        for at in 0.. {
            let mut died = false;
            for again in (at % 7..).step_by(7) {
                let heap = heap(64);
                let dead = agent(heap);
                let scene = scene(heap, dead);
                died = dies(at, || run(dead, |o| step(o, &scene)));
                if !died {
                    break;
                }
                let reaper = agent(heap);
                let reap = |reaper: Agent| {
                    let holder = run(reaper, |o| Ok(Holder::at(o, dead.index()).expect("a slot")));
                    run(reaper, |o| count::settle(o, holder));
                    let mut from = 0;
                    while let Some((next, _)) = run(reaper, |o| count::give_back(o, holder, from)) {
                        from = next;
                    }
                };
                let twice = dies(again, || reap(reaper));
                reaper.recover(&settle).expect("the record is settled");
                let second = agent(heap);
                reap(second);
                // The rest of what recovers a dead agent is not built yet: it does that itself.
                dead.recover(&settle).expect("the record is settled");
                if let Err(error) = second.audit(&mut coheap::Objects) {
                    panic!("{what}, deaths at {at} and in recovery at {again}: {error:?}");
                }
                points += 1;
                if !twice {
                    break;
                }
            }
            if !died {
                break;
            }
        }
    }
    println!("cases dead_agents_references_are_given_back_by_another_that_may_die_too {points}");
    assert!(points > 200);
}

/// Steps of [`STEPS`] in which a count changes.
const COUNTING: [&str; 11] = [
    "release a cell",
    "release bytes",
    "release what another has",
    "acquire",
    "acquire what is parked",
    "acquire what is parked, and held",
    "acquire and release",
    "park",
    "park what another has",
    "give all back",
    "remove the name of what is held",
];

/// Objects that are live, by going through the table.
fn live_objects(agent: Agent) -> usize {
    let table = Table { memory: agent.memory(), control: agent.control() };
    (0..2048).filter_map(|index| table.entry(index)).filter(|&at| table.word(at).state() == Some(State::Live)).count()
}

/// What must hold after a recovery: the audit, no raw or dying entry, no object that nobody can name.
fn check(agent: Agent, expected: &RangeInclusive<usize>) -> std::result::Result<(), String> {
    agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
    let table = Table { memory: agent.memory(), control: agent.control() };
    for entry in (0..2048).filter_map(|index| table.entry(index)) {
        let state = table.word(entry).state();
        if matches!(state, None | Some(State::Raw | State::Dying)) {
            return Err(format!("an entry is {state:?}"));
        }
    }
    let objects = live_objects(agent);
    if expected.contains(&objects) { Ok(()) } else { Err(format!("{objects} objects")) }
}

/// Writes of a whole run of a step.
fn writes(step: Step) -> u64 {
    let heap = heap(64);
    let agent = agent(heap);
    let scene = scene(heap, agent);
    arm(u64::MAX);
    run(agent, |o| step(o, &scene));
    disarm()
}

/// How many objects there may be. An operation has ended when its record is cleared, four writes before it is offline:
/// then its objects stay, although nobody hears of them.
fn expected(range: &RangeInclusive<usize>, ended: bool) -> RangeInclusive<usize> {
    *range.start()..=range.end() + usize::from(ended)
}

#[test]
fn operation_cut_short_at_every_write_leaves_the_heap_whole() {
    let _watchdog = Watchdog::new("operation_cut_short_at_every_write_leaves_the_heap_whole");
    let mut points = 0;
    for (what, step, range) in STEPS {
        let all = writes(step);
        for at in 0.. {
            let heap = heap(64);
            let agent = agent(heap);
            let scene = scene(heap, agent);
            if !dies(at, || run(agent, |o| step(o, &scene))) {
                points += at;
                println!("{what}: {at} writes");
                break;
            }
            agent.recover(&settle).expect("the record is settled");
            if let Err(why) = check(agent, &expected(&range, at + 4 >= all)) {
                panic!("{what}, death at write {at}: {why}");
            }
            // The agent goes on.
            run(agent, |o| step(o, &scene).or(Ok(())));
            agent.recover(&settle).expect("nothing to do");
            audit(agent);
            // And nothing of it is left when it goes: no object that only it knew.
            let index = agent.index();
            leave(agent);
            let next = common::agent(heap);
            let left = run(next, |o| count::give_back(o, Holder::at(o, index).expect("a slot"), 0));
            assert!(left.is_none(), "{what}, death at write {at}: something is still held");
            audit(next);
        }
    }
    println!("cases operation_cut_short_at_every_write_leaves_the_heap_whole {points}");
    assert!(points > 150);
}

#[test]
fn operation_cut_short_without_settling_leaves_traces() {
    // The control of the test above: what it looks for is there when the objects are not settled.
    let mut found = 0;
    for (what, step, range) in STEPS {
        for at in 0.. {
            let heap = heap(64);
            let agent = agent(heap);
            let scene = scene(heap, agent);
            if !dies(at, || run(agent, |o| step(o, &scene))) {
                break;
            }
            agent.recover(&|_, _, _| Ok(true)).expect("blocks are recovered");
            found += usize::from(check(agent, &range).is_err());
        }
        println!("up to {what}: {found} traces");
    }
    assert!(found > 20, "{found}");
}

#[test]
fn recovery_cut_short_at_every_write_is_finished_by_the_next() {
    let _watchdog = Watchdog::new("recovery_cut_short_at_every_write_is_finished_by_the_next");
    let mut points = 0;
    for (what, step, range) in STEPS {
        let all = writes(step);
        // Every seventh point of the operation; of its recovery every fifth, beginning elsewhere each time.
        for at in (0..).step_by(7) {
            let mut died = false;
            for again in (at % 5..).step_by(5) {
                let heap = heap(64);
                let agent = agent(heap);
                let scene = scene(heap, agent);
                died = dies(at, || run(agent, |o| step(o, &scene)));
                if !died {
                    break;
                }
                let twice = dies(again, || agent.recover(&settle).expect("the record is settled"));
                agent.recover(&settle).expect("the record is settled");
                if let Err(why) = check(agent, &expected(&range, at + 4 >= all)) {
                    panic!("{what}, deaths at {at} and in recovery at {again}: {why}");
                }
                points += 1;
                if !twice {
                    break;
                }
            }
            if !died {
                break;
            }
        }
    }
    println!("cases recovery_cut_short_at_every_write_is_finished_by_the_next {points}");
    assert!(points > 200);
}
