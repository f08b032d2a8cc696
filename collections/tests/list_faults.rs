//! Death at every shared write of every operation on lists: the same agent recovers, and the list is the old one or the new
//! one, whole, and nothing is lost.
#![cfg(feature = "fault-points")]
mod common;

use coheap::list::{self, Removed};
use coheap::name::{self, Shape};
use coheap::string::Given;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Operation, Result};
use common::Watchdog;
use common::faults::{Case, Seen, Subject, controls_of_both};

static VALUE: [u8; 600] = [b'v'; 600];

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

const LISTS: Subject = Subject { create: list::create, seen, between: |_, _, _| Vec::new() };

#[test]
fn list_cut_short_at_every_write_is_the_old_or_the_new() {
    const TEST: &str = "list_cut_short_at_every_write_is_the_old_or_the_new";
    let _watchdog = Watchdog::new(TEST);
    controls_of_both();
    assert!(LISTS.die_at_every_write(TEST, CASES.iter()) > 1000);
}

#[test]
fn list_of_a_dead_agent_is_as_if_it_had_recovered_and_left() {
    let _watchdog = Watchdog::new("list_of_a_dead_agent_is_as_if_it_had_recovered_and_left");
    controls_of_both();
    let (points, seconds) = LISTS.be_reaped(CASES.iter());
    println!("cases list_of_a_dead_agent_is_as_if_it_had_recovered_and_left {}", points + seconds);
    assert!(points > 1000 && seconds > 500);
}

#[test]
fn list_whose_recovery_is_cut_short_is_finished_by_the_next() {
    const TEST: &str = "list_whose_recovery_is_cut_short_is_finished_by_the_next";
    let _watchdog = Watchdog::new(TEST);
    controls_of_both();
    assert!(LISTS.die_in_recovery(TEST, CASES.iter()) > 500);
}
