//! Atoms: fixed ones, shared ones, and what happens when the table is full.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use coheap::cell;
use coheap::string::Given;
use coheap::value::{self, Tag};
use coheap::{Table, atom};
use coheap_alloc::Agent;
use common::{Watchdog, agent, audit, heap, run, threads};

fn text(agent: Agent, atom: u32) -> Option<Vec<u8>> {
    run(agent, |o| {
        let mut copy = [0; atom::LONGEST];
        Ok(atom::text(Table::of(o), atom, &mut copy).map(|length| copy[..length].to_vec()))
    })
}

#[test]
fn atom_of_every_fixed_name_is_found_without_memory() {
    let agent = agent(heap(64));
    let before = audit(agent).live_bytes;
    for (number, name) in (0..).zip(atom::fixed().lines()) {
        assert_eq!(run(agent, |o| atom::intern(o, name.as_bytes())), Some(number));
        assert_eq!(text(agent, number).as_deref(), Some(name.as_bytes()));
    }
    assert_eq!(audit(agent).live_bytes, before);
}

#[test]
fn atom_made_by_two_agents_at_once_has_one_number() {
    const NAMES: u64 = 3000;
    let _watchdog = Watchdog::new("atom_made_by_two_agents_at_once_has_one_number");
    let heap = heap(512);
    let arrived = AtomicU64::new(0);
    let numbers = threads(heap, 2, |_, agent| {
        (1..=NAMES)
            .map(|n| {
                let name = format!("x-header-{n}");
                // Both begin with a name at the same moment, as far as the machine lets them.
                arrived.fetch_add(1, Ordering::SeqCst);
                let mut looks = 0u32;
                while arrived.load(Ordering::SeqCst) < 2 * n {
                    looks += 1;
                    if looks.is_multiple_of(1000) {
                        std::thread::yield_now();
                    }
                }
                let atom = run(agent, |o| atom::intern(o, name.as_bytes())).expect("room");
                assert_eq!(text(agent, atom).as_deref(), Some(name.as_bytes()));
                atom
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(numbers[0], numbers[1], "one number for each name");
    assert_eq!(numbers[0].iter().collect::<HashSet<_>>().len() as u64, NAMES);
    let figures = audit(agent(heap));
    assert_eq!(figures.live_blocks, NAMES + 1, "a block for each text, and the table");
}

#[test]
fn atoms_that_are_full_leave_strings_as_strings() {
    let _watchdog = Watchdog::new("atoms_that_are_full_leave_strings_as_strings");
    let agent = agent(heap(512));
    let (mut known, mut refused) = (HashMap::new(), 0u32);
    for n in 0..20_000 {
        let name = format!("name number {n}");
        match run(agent, |o| atom::intern(o, name.as_bytes())) {
            Some(atom) => assert_eq!(known.insert(atom, name), None),
            None => refused += 1,
        }
    }
    assert!(known.len() > 4000 && known.len() <= 4096, "{}", known.len());
    assert_eq!(known.len() as u32 + refused, 20_000);
    println!("{} atoms, {refused} plain strings", known.len());
    for (&atom, name) in &known {
        assert_eq!(run(agent, |o| Ok(atom::find(Table::of(o), name.as_bytes()))), Some(atom));
        assert_eq!(text(agent, atom).as_deref(), Some(name.as_bytes()));
    }
    for (n, other) in [&b""[..], &[b'x'; 65], b"name number"].into_iter().enumerate() {
        assert_eq!(run(agent, |o| atom::intern(o, other)), None, "{n}");
    }
    for number in [u32::MAX, 999, atom::FIRST_SHARED + atom::MOST] {
        assert_eq!(text(agent, number), None);
        assert!(run(agent, |o| Ok(Given::atom(Table::of(o), number).is_none())));
    }
    audit(agent);
}

#[test]
fn atom_equals_the_plain_string_that_was_stored_before() {
    let agent = agent(heap(256));
    for name in [&b"grows into an atom"[..], "ein übler Name".as_bytes(), b"X"] {
        let cell = run(agent, |o| cell::create_holding(o, Given::text(name)));
        let atom = run(agent, |o| atom::intern(o, name)).expect("room");
        let same =
            |expected: Given<'_>, new: Given<'_>| run(agent, |o| cell::compare_and_set_value(o, cell, expected, new)).0;
        let given = run(agent, |o| Ok(Given::atom(Table::of(o), atom))).expect("there is one");
        assert!(same(given, given), "the string is the atom");
        let word = run(agent, |o| cell::take(Table::of(o), cell, agent.transfer(), 100)).word;
        let expected = if name.len() <= value::SHORTEST { Tag::Short } else { Tag::Atom };
        assert_eq!(value::tag(word), Some(expected));
        assert!(same(Given::text(name), Given::number(1.0)), "the atom is the string");
        assert!(!same(given, given) && !same(Given::text(name), given));
    }
    audit(agent);
}
