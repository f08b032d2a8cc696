//! Death at every shared write of every operation on fields: the same agent recovers, and the fields are the old ones or
//! the new ones.
#![cfg(feature = "fault-points")]
mod common;

use coheap::fields::{self, Lines, Name, Text};
use coheap::name::{self, Shape};
use coheap::object::State;
use coheap::recovery::settle;
use coheap::{Handle, Table, Type, release};
use coheap_alloc::layout::body;
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Operation, Result};
use common::faults::dies;
use common::{Watchdog, agent, audit, heap, run};

type Pair = (&'static [u8], &'static [u8]);
type Lists = Option<Vec<(Vec<u8>, Vec<u8>)>>;

const OLD: [Pair; 3] = [(b"Accept", b"text/html"), (b"X-Trace", b"7f"), (b"accept", b"text/plain")];
static LONG: [u8; 20_000] = [b'v'; 20_000];

/// The pieces in the agent's transfer buffer.
fn texts(operation: &Operation, pieces: &[&[u8]]) -> Vec<Text> {
    let memory = operation.memory();
    let mut at = operation.agent().transfer();
    let place = |piece: &&[u8]| {
        memory.copy_in(at, piece);
        let text = Text { memory, at, length: piece.len() as u32 };
        at += text.length.next_multiple_of(8);
        text
    };
    pieces.iter().map(place).collect()
}

fn given(operation: &Operation, pairs: &[Pair]) -> std::vec::IntoIter<Result<(Name, Text)>> {
    let pieces: Vec<_> = pairs.iter().flat_map(|&(name, value)| [name, value]).collect();
    let line = |pair: &[Text]| Ok((Name::new(pair[0])?, pair[1]));
    texts(operation, &pieces).chunks(2).map(line).collect::<Vec<_>>().into_iter()
}

fn set(operation: &Operation, handle: Handle, name: &[u8], value: &[u8]) -> Result<()> {
    let texts = texts(operation, &[name, value]);
    fields::set(operation, handle, Name::new(texts[0])?, texts[1..].iter().copied())
}

fn delete(operation: &Operation, handle: Handle, name: &[u8]) -> Result<()> {
    fields::delete(operation, handle, Name::new(texts(operation, &[name])[0])?)
}

type Step = fn(&Operation, Handle) -> Result<()>;

/// What is done, and how many more objects there may be afterwards.
const STEPS: [(&str, Step, usize); 13] = [
    ("create", |o, _| fields::create(o, given(o, &OLD)).map(|_| ()), 1),
    ("create none", |o, _| fields::create(o, given(o, &[])).map(|_| ()), 1),
    ("set", |o, h| set(o, h, b"x-trace", b"80"), 0),
    ("set a new name", |o, h| set(o, h, b"x-new", b"80"), 0),
    ("set a middle block", |o, h| set(o, h, b"x-trace", &LONG), 0),
    ("append", |o, h| fields::append(o, h, given(o, &[(b"ACCEPT", b"*/*")])), 0),
    ("delete", |o, h| delete(o, h, b"accept"), 0),
    (
        "delete all",
        |o, h| {
            delete(o, h, b"accept")?;
            delete(o, h, b"x-trace")
        },
        0,
    ),
    ("freeze", fields::freeze, 0),
    ("clone", |o, h| fields::duplicate(o, h).map(|_| ()), 1),
    ("open a name", |o, _| name::open(o, b"new", Shape::Fields).map(|_| ()), 1),
    ("release", |o, h| release(o, h, Type::Fields).map(|_| ()), 0),
    (
        "set and release",
        |o, h| {
            set(o, h, b"a", b"b")?;
            release(o, h, Type::Fields).map(|_| ())
        },
        0,
    ),
];

/// The lines, or `None` when the fields are gone.
fn lines(agent: Agent, handle: Handle) -> Lists {
    let copied = agent.operation(|o| {
        let copied = fields::lines(Table::of(o), handle, 0, agent.transfer(), body::TRANSFER_LENGTH)?;
        let mut copy = vec![0; copied.size as usize];
        agent.memory().copy_out(agent.transfer(), &mut copy);
        Ok(copy)
    });
    let copy = copied.ok()?;
    Some(Lines::new(&copy).expect("lines").map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// Every state that the fields go through in a whole run of a step.
fn states(step: Step) -> Vec<Lists> {
    let agent = agent(heap(64));
    let handle = run(agent, |o| fields::create(o, given(o, &OLD)));
    let mut states = vec![lines(agent, handle)];
    if step as usize == STEPS[7].1 as usize {
        run(agent, |o| delete(o, handle, b"accept"));
        states.push(lines(agent, handle));
    }
    if step as usize == STEPS[12].1 as usize {
        run(agent, |o| set(o, handle, b"a", b"b"));
        states.push(lines(agent, handle));
    }
    run(agent, |o| step(o, handle).or(Ok(())));
    states.push(lines(agent, handle));
    states
}

/// Writes of a whole run of a step.
fn writes(step: Step) -> usize {
    let agent = agent(heap(64));
    let handle = run(agent, |o| fields::create(o, given(o, &OLD)));
    arm(u64::MAX);
    run(agent, |o| step(o, handle));
    disarm() as usize
}

/// The seeded bug of the allocator that `COHEAP_CONTROL` names, if any.
fn controls() {
    #[cfg(feature = "controls")]
    coheap_alloc::controls::set_from_environment();
}

fn check(agent: Agent, handle: Handle, states: &[Lists], more: usize) -> std::result::Result<(), String> {
    agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))?;
    let table = Table { memory: agent.memory(), control: agent.control() };
    let mut live = 0;
    for entry in (0..2048).filter_map(|index| table.entry(index)) {
        match table.word(entry).state() {
            None | Some(State::Raw | State::Dying) => return Err(format!("an entry is {:?}", table.word(entry))),
            Some(State::Live) => live += 1,
            _ => {}
        }
    }
    if live > 1 + more {
        return Err(format!("{live} objects"));
    }
    let found = lines(agent, handle);
    if states.contains(&found) { Ok(()) } else { Err(format!("{found:?}")) }
}

#[test]
fn fields_cut_short_at_every_write_are_the_old_or_the_new() {
    let _watchdog = Watchdog::new("fields_cut_short_at_every_write_are_the_old_or_the_new");
    controls();
    let mut points = 0;
    for (what, step, more) in STEPS {
        let states = states(step);
        for at in 0.. {
            let agent = agent(heap(64));
            let handle = run(agent, |o| fields::create(o, given(o, &OLD)));
            if !dies(at, || run(agent, |o| step(o, handle))) {
                points += at;
                println!("{what}: {at} writes");
                break;
            }
            agent.recover(&settle).expect("the record is settled");
            if let Err(why) = check(agent, handle, &states, more) {
                panic!("{what}, death at write {at}: {why}");
            }
            // The agent goes on.
            run(agent, |o| step(o, handle).or(Ok(())));
            audit(agent);
        }
    }
    println!("cases fields_cut_short_at_every_write_are_the_old_or_the_new {points}");
    assert!(points > 300);
}

#[test]
fn fields_whose_recovery_is_cut_short_are_finished_by_the_next() {
    let _watchdog = Watchdog::new("fields_whose_recovery_is_cut_short_are_finished_by_the_next");
    controls();
    let mut points = 0;
    for (what, step, more) in STEPS {
        let states = states(step);
        // Some points of the operation, of its recovery some others each time.
        let distance = writes(step) / 25 + 1;
        for at in (0..).step_by(distance) {
            let mut died = false;
            for again in (at % 17..).step_by(17) {
                let agent = agent(heap(64));
                let handle = run(agent, |o| fields::create(o, given(o, &OLD)));
                died = dies(at, || run(agent, |o| step(o, handle)));
                if !died {
                    break;
                }
                let twice = dies(again, || agent.recover(&settle).expect("the record is settled"));
                agent.recover(&settle).expect("the record is settled");
                if let Err(why) = check(agent, handle, &states, more) {
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
    println!("cases fields_whose_recovery_is_cut_short_are_finished_by_the_next {points}");
    assert!(points > 300);
}
