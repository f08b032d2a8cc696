//! Death at every shared write of every operation on lists: the same agent recovers, and the list is the old one or the new
//! one, whole, and nothing is lost.
#![cfg(feature = "fault-points")]
mod common;

use coheap::list::{self, Removed};
use coheap::name::{self, Shape};
use coheap::object::State;
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::layout::body;
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Operation, Result};
use common::{Watchdog, agent, dies, heap, run};

static VALUE: [u8; 600] = [b'v'; 600];

/// The records of all values, and how many there are; `None` when the list is gone.
type Seen = Option<(Vec<u8>, u64)>;

fn fill(operation: &Operation, handle: Handle, count: u32) -> Result<()> {
    (0..count).try_for_each(|number| list::push(operation, handle, Given::number(f64::from(number))).map(drop))
}

fn push(operation: &Operation, handle: Handle, given: Given<'_>) -> Result<()> {
    list::push(operation, handle, given).map(drop)
}

/// Takes out and puts in, and copies what was taken out.
fn splice(operation: &Operation, handle: Handle, start: f64, delete: u32, given: &[Given<'_>]) -> Result<()> {
    let (to, room) = (operation.agent().transfer(), body::TRANSFER_LENGTH);
    let mut removed = Removed::To { to, room, region: None };
    let source = |number: u32| Ok(given[number as usize]);
    list::splice(operation, handle, (start, delete), given.len() as u32, source, &mut removed)?;
    if let Removed::To { region: Some(region), .. } = removed {
        let _ = release(operation, region, Type::Bytes)?;
    }
    Ok(())
}

fn clear(operation: &Operation, handle: Handle) -> Result<()> {
    list::splice(operation, handle, (0.0, u32::MAX), 0, |_| Ok(Given::number(0.0)), &mut Removed::Ignored).map(drop)
}

/// Numbers and blocks in turn.
fn mixed(operation: &Operation, handle: Handle) -> Result<()> {
    fill(operation, handle, 3)?;
    push(operation, handle, Given::text(&VALUE))?;
    fill(operation, handle, 2)?;
    push(operation, handle, Given::bytes(&VALUE))
}

/// Of several roots, some of whose parts are still to be freed.
fn edited(operation: &Operation, handle: Handle) -> Result<()> {
    mixed(operation, handle)?;
    splice(operation, handle, 1.0, 1, &[Given::text(&VALUE), Given::number(1.0)])?;
    splice(operation, handle, -1.0, 1, &[])?;
    mixed(operation, handle)?;
    splice(operation, handle, 2.0, 3, &[])
}

/// The list of this name, which is another one.
fn child(operation: &Operation, name: &[u8]) -> Result<Handle> {
    name::open(operation, name, Shape::List)
}

/// A list with lists in it that nobody else has, and a cell.
fn nested(operation: &Operation, handle: Handle) -> Result<()> {
    let (inner, innermost) = (list::create(operation)?, list::create(operation)?);
    let cell = coheap::cell::create(operation, 1.0)?;
    fill(operation, innermost, 30)?;
    push(operation, inner, Given::Reference(innermost))?;
    push(operation, handle, Given::Reference(cell))?;
    push(operation, handle, Given::Reference(inner))?;
    push(operation, handle, Given::text(&VALUE))?;
    for (object, kind) in [(inner, Type::List), (innermost, Type::List), (cell, Type::Cell)] {
        let _ = release(operation, object, kind)?;
    }
    Ok(())
}

fn set_child(operation: &Operation, handle: Handle, index: u64) -> Result<()> {
    let inner = child(operation, b"child")?;
    list::set(operation, handle, index, Given::Reference(inner))
}

fn insert_child(operation: &Operation, handle: Handle) -> Result<()> {
    let inner = child(operation, b"child")?;
    splice(operation, handle, 1.0, 0, &[Given::text(&VALUE), Given::Reference(inner), Given::Reference(inner)])
}

type Step = fn(&Operation, Handle) -> Result<()>;

/// What a list is made of, what is done to it, and how many more objects there may be afterwards.
struct Case {
    what: &'static str,
    prepare: Step,
    step: Step,
    more: usize,
}

static CASES: [Case; 31] = [
    Case { what: "create", prepare: mixed, step: |o, _| list::create(o).map(drop), more: 1 },
    Case { what: "open", prepare: mixed, step: |o, _| name::open(o, b"new", Shape::List).map(drop), more: 1 },
    Case { what: "push the first", prepare: |_, _| Ok(()), step: |o, h| fill(o, h, 1), more: 0 },
    Case { what: "push", prepare: mixed, step: |o, h| fill(o, h, 1), more: 0 },
    Case { what: "push a block", prepare: mixed, step: |o, h| push(o, h, Given::text(&VALUE)), more: 0 },
    Case {
        what: "push into a new chunk",
        prepare: |o, h| fill(o, h, 24),
        step: |o, h| push(o, h, Given::text(&VALUE)),
        more: 0,
    },
    Case {
        what: "push into a new root",
        prepare: |o, h| fill(o, h, 3064),
        step: |o, h| push(o, h, Given::text(&VALUE)),
        more: 0,
    },
    Case { what: "set a number", prepare: mixed, step: |o, h| list::set(o, h, 1, Given::number(9.0)), more: 0 },
    Case { what: "set a block", prepare: mixed, step: |o, h| list::set(o, h, 1, Given::text(&VALUE)), more: 0 },
    Case { what: "set over a block", prepare: mixed, step: |o, h| list::set(o, h, 3, Given::number(9.0)), more: 0 },
    Case {
        what: "set a block over one",
        prepare: mixed,
        step: |o, h| list::set(o, h, 3, Given::bytes(&VALUE)),
        more: 0,
    },
    Case { what: "pop", prepare: |o, h| fill(o, h, 5), step: |o, h| splice(o, h, -1.0, 1, &[]), more: 0 },
    Case { what: "pop a block", prepare: mixed, step: |o, h| splice(o, h, -1.0, 1, &[]), more: 0 },
    Case { what: "pop of an edited list", prepare: edited, step: |o, h| splice(o, h, -1.0, 1, &[]), more: 0 },
    Case { what: "pop the last", prepare: |o, h| fill(o, h, 1), step: |o, h| splice(o, h, -1.0, 1, &[]), more: 0 },
    Case {
        what: "pop of none",
        prepare: |o, h| fill(o, h, 1).and(clear(o, h)),
        step: |o, h| splice(o, h, -1.0, 1, &[]),
        more: 0,
    },
    Case {
        what: "insert at the beginning",
        prepare: mixed,
        step: |o, h| splice(o, h, 0.0, 0, &[Given::number(7.0)]),
        more: 0,
    },
    Case {
        what: "insert blocks",
        prepare: mixed,
        step: |o, h| splice(o, h, 2.0, 0, &[Given::text(&VALUE), Given::number(1.0), Given::bytes(&VALUE)]),
        more: 0,
    },
    Case { what: "splice", prepare: edited, step: |o, h| splice(o, h, 1.0, 4, &[Given::text(&VALUE)]), more: 0 },
    Case { what: "take chunks out", prepare: |o, h| fill(o, h, 60), step: |o, h| splice(o, h, 2.0, 50, &[]), more: 0 },
    Case { what: "clear", prepare: edited, step: clear, more: 0 },
    Case { what: "clear a longer one", prepare: |o, h| fill(o, h, 300).and(mixed(o, h)), step: clear, more: 0 },
    Case { what: "push after edits", prepare: edited, step: |o, h| push(o, h, Given::text(&VALUE)), more: 0 },
    Case { what: "release", prepare: edited, step: |o, h| release(o, h, Type::List).map(drop), more: 0 },
    Case {
        what: "push a structure",
        prepare: mixed,
        step: |o, h| child(o, b"child").and_then(|c| push(o, h, Given::Reference(c))),
        more: 1,
    },
    Case { what: "set a structure", prepare: mixed, step: |o, h| set_child(o, h, 3), more: 1 },
    Case { what: "set one over one", prepare: nested, step: |o, h| set_child(o, h, 1), more: 4 },
    Case {
        what: "set over a structure",
        prepare: nested,
        step: |o, h| list::set(o, h, 1, Given::text(&VALUE)),
        more: 3,
    },
    Case { what: "insert structures", prepare: nested, step: insert_child, more: 4 },
    Case { what: "take a structure out", prepare: nested, step: |o, h| splice(o, h, 1.0, 1, &[]), more: 3 },
    Case { what: "release structures", prepare: nested, step: |o, h| release(o, h, Type::List).map(drop), more: 3 },
];

fn seen(agent: Agent, handle: Handle) -> Seen {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let (mut all, mut from) = (Vec::new(), 0.0);
    loop {
        let batch = list::values(table, handle, from, 64, agent.transfer(), body::TRANSFER_LENGTH).ok()?;
        if batch.count == 0 {
            return Some((all, list::length(table, handle).ok()?));
        }
        // Of each record what it says; the padding says nothing.
        let mut at = agent.transfer();
        for _ in 0..batch.count {
            let kind = agent.memory().own32(at);
            let number = f64::from_bits(agent.memory().own64(at + 8));
            let length = if kind < 8 { 0 } else { number as usize };
            let mut contents = vec![0; length];
            agent.memory().copy_out(at + 16, &mut contents);
            all.push(kind as u8);
            all.extend(number.to_bits().to_le_bytes());
            all.extend(contents);
            at += 16 + (length as u32).next_multiple_of(8);
        }
        from = batch.next as f64;
    }
}

fn prepared(case: &Case) -> (Agent, Handle) {
    let agent = agent(heap(64));
    let handle = run(agent, list::create);
    run(agent, |o| (case.prepare)(o, handle));
    (agent, handle)
}

/// The state before a whole run of a step, and that after it.
fn states(case: &Case) -> Vec<Seen> {
    let (agent, handle) = prepared(case);
    let before = seen(agent, handle);
    run(agent, |o| (case.step)(o, handle));
    vec![before, seen(agent, handle)]
}

/// Writes of a whole run of a step.
fn writes(case: &Case) -> usize {
    let (agent, handle) = prepared(case);
    arm(u64::MAX);
    run(agent, |o| (case.step)(o, handle));
    disarm() as usize
}

fn controls() {
    #[cfg(feature = "controls")]
    {
        coheap_alloc::controls::set_from_environment();
        coheap::controls::set_from_environment();
    }
}

fn check(agent: Agent, handle: Handle, states: &[Seen], more: usize) -> std::result::Result<(), String> {
    agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
    let table = Table { memory: agent.memory(), control: agent.control() };
    let mut live = 0;
    for entry in (0..2048).filter_map(|index| table.entry(index)) {
        match table.word(entry).state() {
            None | Some(State::Raw) => return Err(format!("an entry is {:?}", table.word(entry))),
            Some(State::Live) => live += 1,
            _ => {}
        }
    }
    if live > 1 + more {
        return Err(format!("{live} objects"));
    }
    let found = seen(agent, handle);
    if states.contains(&found) { Ok(()) } else { Err(format!("{found:?}, not one of {states:?}")) }
}

/// The agent goes on, and everything comes back.
fn go_on(case: &Case, agent: Agent, handle: Handle) -> std::result::Result<(), String> {
    let done = agent.operation(|o| (case.step)(o, handle));
    if done.is_err() && seen(agent, handle).is_some() {
        return Err(format!("{done:?}"));
    }
    agent.audit(&mut coheap::Objects).map_err(|error| format!("then {error:?}"))?;
    for name in [&b"new"[..], b"child"] {
        let _ = agent.operation(|o| name::remove(o, name));
    }
    common::leave(agent);
    let other = Agent::clone(&self::agent(heap_of(agent)));
    // An ended list is taken apart as objects are made.
    for _ in 0..400 {
        let made = run(other, |o| coheap::cell::create(o, 1.0));
        let _ = run(other, |o| release(o, made, Type::Cell));
    }
    let figures = other.audit(&mut coheap::Objects).map_err(|error| format!("at last {error:?}"))?;
    if figures.live_blocks > 1 { Err(format!("{} blocks are left", figures.live_blocks)) } else { Ok(()) }
}

fn heap_of(agent: Agent) -> coheap_alloc::Heap {
    coheap_alloc::Heap::open(agent.memory(), agent.control()).expect("the heap")
}

#[test]
fn list_cut_short_at_every_write_is_the_old_or_the_new() {
    let _watchdog = Watchdog::new("list_cut_short_at_every_write_is_the_old_or_the_new");
    controls();
    let mut points = 0;
    for case in &CASES {
        let states = states(case);
        for at in 0.. {
            let (agent, handle) = prepared(case);
            if !dies(at, || run(agent, |o| (case.step)(o, handle))) {
                points += at;
                println!("{}: {at} writes", case.what);
                break;
            }
            agent.recover(&settle).expect("the record is settled");
            let whole = check(agent, handle, &states, case.more).and_then(|()| go_on(case, agent, handle));
            if let Err(why) = whole {
                panic!("{}, death at write {at}: {why}", case.what);
            }
        }
    }
    println!("{points} fault points");
    assert!(points > 1000);
}

#[test]
fn list_whose_recovery_is_cut_short_is_finished_by_the_next() {
    let _watchdog = Watchdog::new("list_whose_recovery_is_cut_short_is_finished_by_the_next");
    controls();
    let mut points = 0;
    for case in &CASES {
        let states = states(case);
        // Some points of the operation, of its recovery some others each time.
        let distance = writes(case) / 25 + 1;
        for at in (0..).step_by(distance) {
            let mut died = false;
            for again in (at % 17..).step_by(17) {
                let (agent, handle) = prepared(case);
                died = dies(at, || run(agent, |o| (case.step)(o, handle)));
                if !died {
                    break;
                }
                let twice = dies(again, || agent.recover(&settle).expect("the record is settled"));
                agent.recover(&settle).expect("the record is settled");
                if let Err(why) = check(agent, handle, &states, case.more) {
                    panic!("{}, deaths at {at} and in recovery at {again}: {why}", case.what);
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
    println!("{points} pairs of deaths");
    assert!(points > 500);
}
