//! Death at every shared write of every operation on maps: the same agent recovers, and the map is the old one or the new
//! one, counted, whole, and nothing is lost.
#![cfg(feature = "fault-points")]
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap::holdings::{Holder, holds};
use coheap::map::{self, Key};
use coheap::name::{self, Shape};
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, Type, release, value};
use coheap_alloc::layout::{body, slot};
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Operation, Result};
use common::faults::{Case, Seen, Subject, controls_of_both, dies};
use common::{Watchdog, agent, heap, run};

const LONG: &[u8] = b"a key that needs a block of its own";
static VALUE: [u8; 600] = [b'v'; 600];

fn set(operation: &Operation, handle: Handle, key: &[u8], value: Given<'_>) -> Result<()> {
    map::set(operation, handle, &text(operation, key), value)
}

fn text<'a>(operation: &Operation, key: &'a [u8]) -> Key<'a> {
    Key::given(Table::of(operation), Given::text(key)).expect("a key")
}

fn fill(operation: &Operation, handle: Handle, count: u32) -> Result<()> {
    (0..count).try_for_each(|key| map::set(operation, handle, &Key::number(f64::from(key)), Given::number(1.0)))
}

fn one(operation: &Operation, handle: Handle, number: u32) -> Result<()> {
    map::set(operation, handle, &Key::number(f64::from(number - 1)), Given::number(1.0))
}

/// Sets a key where it was found.
fn set_at(operation: &Operation, handle: Handle) -> Result<()> {
    let found = map::locate(Table::of(operation), handle, &text(operation, b"a"), 0, 0)?.expect("it is there");
    let word = value::from_number(7.0);
    assert_eq!(map::change_at(operation.agent(), handle, found.place, |_| Some(word)), Some(word));
    Ok(())
}

fn delete(operation: &Operation, handle: Handle, key: f64) -> Result<()> {
    map::delete(operation, handle, &Key::number(key)).map(drop)
}

fn two(operation: &Operation, handle: Handle) -> Result<()> {
    set(operation, handle, LONG, Given::text(&VALUE))?;
    set(operation, handle, b"a", Given::number(1.0))
}

/// A chunk of which one entry is left.
fn one_left(operation: &Operation, handle: Handle) -> Result<()> {
    fill(operation, handle, 21)?;
    (0..19).try_for_each(|key| delete(operation, handle, f64::from(key)))
}

/// A node of which one entry is left.
fn node_left(operation: &Operation, handle: Handle) -> Result<()> {
    fill(operation, handle, 420)?;
    (0..399).try_for_each(|key| delete(operation, handle, f64::from(key)))
}

fn cleared(operation: &Operation, handle: Handle) -> Result<()> {
    fill(operation, handle, 90)?;
    two(operation, handle)?;
    map::clear(operation, handle)
}

/// The map of this name, which is another one.
fn child(operation: &Operation, name: &[u8]) -> Result<Handle> {
    name::open(operation, name, Shape::Map)
}

/// A map that nobody has any more but this one, with a map in it that nobody else has either, and a cell.
fn nested(operation: &Operation, handle: Handle) -> Result<()> {
    two(operation, handle)?;
    let (inner, innermost) = (map::create(operation)?, map::create(operation)?);
    let cell = coheap::cell::create(operation, 1.0)?;
    fill(operation, innermost, 30)?;
    set(operation, inner, LONG, Given::Reference(innermost))?;
    set(operation, handle, b"cell", Given::Reference(cell))?;
    set(operation, handle, b"a", Given::Reference(inner))?;
    for (object, kind) in [(inner, Type::Map), (innermost, Type::Map), (cell, Type::Cell)] {
        let _ = release(operation, object, kind)?;
    }
    Ok(())
}

fn nest(operation: &Operation, handle: Handle, key: &[u8]) -> Result<()> {
    let inner = child(operation, b"child")?;
    set(operation, handle, key, Given::Reference(inner))
}

fn nest_if(operation: &Operation, handle: Handle, key: &[u8]) -> Result<()> {
    let inner = Given::Reference(child(operation, b"child")?);
    map::insert_if_absent(operation, handle, &text(operation, key), inner, 0, 0).map(drop)
}

fn compare_nested(operation: &Operation, handle: Handle) -> Result<()> {
    let inner = Given::Reference(child(operation, b"child")?);
    map::compare_and_set(operation, handle, &text(operation, b"a"), Some(inner), Some(Given::text(&VALUE)))?;
    map::compare_and_set(operation, handle, &text(operation, b"a"), Some(Given::text(&VALUE)), Some(inner)).map(drop)
}

fn with_child(operation: &Operation, handle: Handle) -> Result<()> {
    two(operation, handle)?;
    nest(operation, handle, b"a")
}

static NESTED: [Case; 13] = [
    Case { what: "insert a structure", prepare: two, step: |o, h| nest(o, h, b"new"), more: 1 },
    Case { what: "insert the first", prepare: |_, _| Ok(()), step: |o, h| nest(o, h, LONG), more: 1 },
    Case { what: "set a structure", prepare: two, step: |o, h| nest(o, h, b"a"), more: 1 },
    Case { what: "set a structure over a block", prepare: two, step: |o, h| nest(o, h, LONG), more: 1 },
    Case { what: "set over a structure", prepare: nested, step: |o, h| set(o, h, b"a", Given::number(1.0)), more: 3 },
    Case { what: "set a block over one", prepare: nested, step: |o, h| set(o, h, b"a", Given::text(&VALUE)), more: 3 },
    Case { what: "set one over one", prepare: nested, step: |o, h| nest(o, h, b"a"), more: 4 },
    Case {
        what: "delete a structure",
        prepare: nested,
        step: |o, h| map::delete(o, h, &text(o, b"a")).map(drop),
        more: 3,
    },
    Case {
        what: "delete a cell",
        prepare: nested,
        step: |o, h| map::delete(o, h, &text(o, b"cell")).map(drop),
        more: 3,
    },
    Case { what: "clear structures", prepare: nested, step: map::clear, more: 3 },
    Case { what: "release structures", prepare: nested, step: |o, h| release(o, h, Type::Map).map(drop), more: 3 },
    Case {
        what: "insert one if absent",
        prepare: with_child,
        step: |o, h| nest_if(o, h, b"b").and(nest_if(o, h, b"a")),
        more: 1,
    },
    Case { what: "compare with a structure", prepare: with_child, step: compare_nested, more: 1 },
];

/// All of them.
fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(&NESTED)
}

static CASES: [Case; 26] = [
    Case { what: "create", prepare: two, step: |o, _| map::create(o).map(drop), more: 1 },
    Case { what: "open", prepare: two, step: |o, _| name::open(o, b"new", Shape::Map).map(drop), more: 1 },
    Case { what: "insert first", prepare: |_, _| Ok(()), step: |o, h| one(o, h, 1), more: 0 },
    Case { what: "insert", prepare: two, step: |o, h| one(o, h, 1), more: 0 },
    Case {
        what: "insert blocks",
        prepare: two,
        step: |o, h| set(o, h, b"another key with a block", Given::text(&VALUE)),
        more: 0,
    },
    Case { what: "insert a bucket", prepare: |o, h| fill(o, h, 8), step: |o, h| one(o, h, 9), more: 0 },
    Case { what: "insert a chunk", prepare: |o, h| fill(o, h, 20), step: |o, h| one(o, h, 21), more: 0 },
    Case { what: "insert a node", prepare: |o, h| fill(o, h, 80), step: |o, h| one(o, h, 81), more: 0 },
    Case { what: "insert a page", prepare: |o, h| fill(o, h, 512), step: |o, h| one(o, h, 513), more: 0 },
    Case { what: "set a number", prepare: two, step: |o, h| set(o, h, b"a", Given::number(2.0)), more: 0 },
    Case { what: "set a block", prepare: two, step: |o, h| set(o, h, LONG, Given::bytes(&VALUE)), more: 0 },
    Case { what: "set over a block", prepare: two, step: |o, h| set(o, h, LONG, Given::number(2.0)), more: 0 },
    Case { what: "set at a place", prepare: two, step: set_at, more: 0 },
    Case { what: "add", prepare: two, step: |o, h| map::add(o, h, &text(o, b"a"), 1.0).map(drop), more: 0 },
    Case { what: "add anew", prepare: two, step: |o, h| map::add(o, h, &text(o, b"b"), 1.0).map(drop), more: 0 },
    Case {
        what: "insert if absent",
        prepare: two,
        step: |o, h| map::insert_if_absent(o, h, &text(o, b"b"), Given::text(&VALUE), 0, 0).map(drop),
        more: 0,
    },
    Case {
        what: "compare and set",
        prepare: two,
        step: |o, h| {
            let (old, new) = (Given::text(&VALUE), Given::bytes(&VALUE));
            map::compare_and_set(o, h, &text(o, LONG), Some(old), Some(new)).map(drop)
        },
        more: 0,
    },
    Case {
        what: "compare and delete",
        prepare: two,
        step: |o, h| map::compare_and_set(o, h, &text(o, LONG), Some(Given::text(&VALUE)), None).map(drop),
        more: 0,
    },
    Case { what: "delete", prepare: two, step: |o, h| map::delete(o, h, &text(o, b"a")).map(drop), more: 0 },
    Case { what: "delete blocks", prepare: two, step: |o, h| map::delete(o, h, &text(o, LONG)).map(drop), more: 0 },
    Case { what: "delete a chunk", prepare: one_left, step: |o, h| delete(o, h, 19.0), more: 0 },
    Case { what: "delete a node", prepare: node_left, step: |o, h| delete(o, h, 399.0), more: 0 },
    Case { what: "clear", prepare: two, step: map::clear, more: 0 },
    Case { what: "clear again", prepare: cleared, step: |o, h| two(o, h).and(map::clear(o, h)), more: 0 },
    Case { what: "insert after a clear", prepare: cleared, step: |o, h| one(o, h, 1), more: 0 },
    Case { what: "release", prepare: cleared, step: |o, h| release(o, h, Type::Map).map(drop), more: 0 },
];

fn seen(agent: Agent, handle: Handle) -> Seen {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let batch = map::entries(table, handle, from, 64, agent.transfer(), body::TRANSFER_LENGTH).ok()?;
        if batch.count == 0 {
            return Some((all, map::size(table, handle).ok()?));
        }
        // Of each record what it says; the padding says nothing.
        let mut at = agent.transfer();
        for _ in 0..batch.count * 2 {
            let kind = agent.memory().own32(at);
            let number = f64::from_bits(agent.memory().own64(at + 8));
            let length = if kind < 8 { 0 } else { number as usize };
            let mut bytes = vec![0; length];
            agent.memory().copy_out(at + 16, &mut bytes);
            all.push(kind as u8);
            all.extend(number.to_bits().to_le_bytes());
            all.extend(bytes);
            at += 16 + (length as u32).next_multiple_of(8);
        }
        from = batch.next;
    }
}

/// The states of a map between the beginning and the end of a step.
fn between(case: &Case, agent: Agent, handle: Handle) -> Vec<Seen> {
    let mut states = Vec::new();
    if case.what == "clear again" {
        run(agent, |o| set(o, handle, LONG, Given::text(&VALUE)));
        states.push(seen(agent, handle));
        run(agent, |o| set(o, handle, b"a", Given::number(1.0)));
        states.push(seen(agent, handle));
    }
    if case.what == "compare with a structure" {
        run(agent, |o| set(o, handle, b"a", Given::text(&VALUE)));
        states.push(seen(agent, handle));
        run(agent, |o| nest(o, handle, b"a"));
    }
    states
}

const MAPS: Subject = Subject { create: map::create, seen, between };

#[test]
fn map_cut_short_at_every_write_is_the_old_or_the_new() {
    const TEST: &str = "map_cut_short_at_every_write_is_the_old_or_the_new";
    let _watchdog = Watchdog::new(TEST);
    controls_of_both();
    assert!(MAPS.die_at_every_write(TEST, cases()) > 800);
}

#[test]
fn map_whose_recovery_is_cut_short_is_finished_by_the_next() {
    const TEST: &str = "map_whose_recovery_is_cut_short_is_finished_by_the_next";
    let _watchdog = Watchdog::new(TEST);
    controls_of_both();
    assert!(MAPS.die_in_recovery(TEST, cases()) > 500);
}

#[test]
fn map_of_a_dead_agent_is_as_if_it_had_recovered_and_left() {
    let _watchdog = Watchdog::new("map_of_a_dead_agent_is_as_if_it_had_recovered_and_left");
    controls_of_both();
    let (points, seconds) = MAPS.be_reaped(cases());
    println!("cases map_of_a_dead_agent_is_as_if_it_had_recovered_and_left {}", points + seconds);
    assert!(points > 800 && seconds > 500);
}

#[test]
fn place_of_a_record_that_is_made_up_is_refused() {
    let delete = CASES.iter().find(|case| case.what == "delete").expect("the case");
    let mut refused = 0;
    for at in 0.. {
        let (agent, handle) = MAPS.prepared(delete);
        if !dies(at, || run(agent, |o| (delete.step)(o, handle))) {
            break;
        }
        let field = |offset: u32| agent.slot() + offset;
        if agent.memory().load64(field(slot::CHANGE)) == 0 {
            continue;
        }
        let place = agent.memory().load64(field(slot::PLACE));
        for made_up in [place + 4, place + 1, 8, u64::from(u32::MAX) - 7] {
            agent.memory().store64(field(slot::PLACE), made_up);
            let settled = agent.recover(&settle);
            assert!(matches!(settled, Err(coheap_alloc::Error::Corrupt { .. })), "{made_up}: {settled:?}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn change_after_a_release_in_one_operation_loses_no_reference() {
    let _watchdog = Watchdog::new("change_after_a_release_in_one_operation_loses_no_reference");
    let mut points = 0;
    for at in 0.. {
        let agent = agent(heap(64));
        let (ended, kept) = run(agent, |o| Ok((map::create(o)?, map::create(o)?)));
        // Too much to be taken apart at once: the rest is recovery's, too, if the agent dies.
        let cell = run(agent, |o| coheap::cell::create(o, 1.0));
        for key in 0..1500 {
            run(agent, |o| map::set(o, ended, &Key::number(f64::from(key)), Given::Reference(cell)));
        }
        run(agent, |o| set(o, kept, b"a", Given::Reference(cell)));
        let _ = run(agent, |o| release(o, cell, Type::Cell));
        let died = catch_unwind(AssertUnwindSafe(|| {
            run(agent, |o| {
                let _ = release(o, ended, Type::Map)?;
                arm(at);
                set(o, kept, b"a", Given::number(1.0))
            });
        }))
        .is_err();
        disarm();
        if !died {
            break;
        }
        agent.recover(&settle).expect("the record is settled");
        if let Err(error) = agent.audit(&mut coheap::Objects) {
            panic!("death at write {at}: {error:?}");
        }
        points += 1;
    }
    assert!(points > 20);
}

#[test]
fn death_in_a_release_leaves_no_holding_of_what_ended() {
    let mut points = 0;
    for at in 0.. {
        let agent = agent(heap(64));
        let handle = run(agent, map::create);
        let cell = run(agent, |o| coheap::cell::create(o, 1.0));
        for key in 0..10 {
            run(agent, |o| map::set(o, handle, &Key::number(f64::from(key)), Given::Reference(cell)));
        }
        let died = dies(at, || {
            let _ = run(agent, |o| release(o, handle, Type::Map));
        });
        if !died {
            break;
        }
        agent.recover(&settle).expect("the record is settled");
        let holder = run(agent, |o| Ok(Holder::of(o)));
        let table = Table { memory: agent.memory(), control: agent.control() };
        let lives = table.find(handle, Type::Map).is_ok();
        assert_eq!(holds(agent.memory(), holder, handle), Ok(lives), "death at write {at}");
        points += 1;
    }
    assert!(points > 100);
}
