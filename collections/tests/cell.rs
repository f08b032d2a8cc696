//! Cells: one number, many agents.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use coheap::claim::{Note, Purpose};
use coheap::{Handle, Table, Type, cell, release};
use coheap_alloc::{Agent, Error};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

fn get(agent: Agent, handle: Handle) -> coheap_alloc::Result<f64> {
    agent.operation(|operation| cell::get(Table::of(operation), handle))
}

fn same(left: f64, right: f64) -> bool {
    (left.is_nan() && right.is_nan()) || left.to_bits() == right.to_bits()
}

#[test]
fn cell_under_random_operations_matches_a_plain_number() {
    let mut random = Random::new("cell_under_random_operations_matches_a_plain_number");
    let agent = agent(heap(256));
    let interesting =
        [0.0, -0.0, 1.0, -1.0, 0.5, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 5e-324, 9e15, f64::MAX];
    let mut model: Vec<(Handle, f64)> = Vec::new();
    for _ in 0..100_000 {
        let number = interesting[random.below(interesting.len() as u64) as usize];
        let other = interesting[random.below(interesting.len() as u64) as usize];
        if model.is_empty() || (model.len() < 3000 && random.below(20) == 0) {
            model.push((run(agent, |operation| cell::create(operation, number)), number));
        }
        let place = random.below(model.len() as u64) as usize;
        let (handle, now) = model[place];
        match random.below(6) {
            0 => {
                let _ = run(agent, |operation| cell::set(operation, handle, number));
                model[place].1 = number;
            }
            1 => {
                let (sum, _) = run(agent, |operation| cell::add(operation, handle, number));
                assert!(same(sum, now + number));
                model[place].1 = sum;
            }
            2 => {
                let (done, _) = run(agent, |operation| cell::compare_and_set(operation, handle, other, number));
                assert_eq!(done, same(other, now));
                if done {
                    model[place].1 = number;
                }
            }
            3 if random.below(4) == 0 => {
                let _ = run(agent, |operation| release(operation, handle, Type::Cell));
                model.swap_remove(place);
                let stale = Error::StaleHandle { index: handle.index, generation: handle.generation };
                assert_eq!(get(agent, handle), Err(stale));
            }
            _ => assert!(same(get(agent, handle).expect("live"), now)),
        }
    }
    for (handle, number) in &model {
        assert!(same(get(agent, *handle).expect("live"), *number));
    }
    audit(agent);
}

#[test]
fn cell_added_to_by_eight_agents_loses_nothing() {
    let _watchdog = Watchdog::new("cell_added_to_by_eight_agents_loses_nothing");
    let heap = heap(256);
    let first = agent(heap);
    let cell = run(first, |operation| cell::create(operation, 0.0));
    threads(heap, 8, |_, agent| {
        for _ in 0..20_000 {
            let _ = run(agent, |operation| cell::add(operation, cell, 1.0));
        }
    });
    assert_eq!(get(first, cell), Ok(160_000.0));
    audit(first);
    println!("cases cell_added_to_by_eight_agents_loses_nothing {}", get(first, cell).expect("a number"));
}

#[test]
fn cell_compared_and_set_by_eight_agents_gives_each_number_once() {
    let _watchdog = Watchdog::new("cell_compared_and_set_by_eight_agents_gives_each_number_once");
    let heap = heap(256);
    let first = agent(heap);
    let cell = run(first, |operation| cell::create(operation, 0.0));
    let won = threads(heap, 8, |_, agent| {
        let mut won = Vec::new();
        loop {
            let now = get(agent, cell).expect("live");
            if now >= 20_000.0 {
                return won;
            }
            if run(agent, |operation| cell::compare_and_set(operation, cell, now, now + 1.0)).0 {
                won.push(now as u64);
            }
        }
    });
    let all: Vec<u64> = won.into_iter().flatten().collect();
    assert_eq!(all.len(), 20_000);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 20_000);
    println!("cases cell_compared_and_set_by_eight_agents_gives_each_number_once {}", all.len());
}

/// One agent makes and releases cells in the same few entries; others write what they were told, and may be late.
/// What stands in a cell was written to this very cell.
#[test]
fn cell_released_while_others_write_never_changes_its_successor() {
    let _watchdog = Watchdog::new("cell_released_while_others_write_never_changes_its_successor");
    common::controls();
    let heap = heap(256);
    let told = AtomicU64::new(0);
    let over = AtomicU64::new(0);
    threads(heap, 4, |number, agent| {
        if number != 0 {
            let (mut written, mut refused) = (0u64, 0u64);
            while over.load(Ordering::Relaxed) == 0 {
                let handle = Handle::from_word(told.load(Ordering::Acquire));
                if handle.index == 0 {
                    continue;
                }
                match agent.operation(|operation| cell::set(operation, handle, f64::from(handle.generation))) {
                    Ok(_) => written += 1,
                    Err(Error::StaleHandle { .. }) => refused += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            println!("writer {number}: {written} written, {refused} refused");
            return;
        }
        let _over = Over(&over);
        for round in 0..600_000 {
            let handle = run(agent, |operation| cell::create(operation, -1.0));
            told.store(handle.to_word(), Ordering::Release);
            for _ in 0..round % 16 {
                let now = get(agent, handle).expect("live");
                assert!(now == -1.0 || now == f64::from(handle.generation), "{now} in {handle:?}");
            }
            let _ = run(agent, |operation| release(operation, handle, Type::Cell));
        }
    });
    audit(agent(heap));
}

/// Lets the other threads end, also when this one fails.
struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

#[test]
fn cell_of_another_heap_or_type_is_refused() {
    let agent = agent(heap(256));
    let cell = run(agent, |operation| cell::create(operation, 7.0));
    let bytes = run(agent, |operation| coheap::bytes::create(operation, 64));
    assert_eq!(get(agent, bytes), Err(Error::WrongType { expected: 1, found: 2 }));
    let wrong = agent.operation(|operation| coheap::bytes::length(Table::of(operation), cell));
    assert_eq!(wrong, Err(Error::WrongType { expected: 2, found: 1 }));
    let wrong = agent.operation(|operation| release(operation, cell, Type::Bytes).map(|_| ()));
    assert_eq!(wrong, Err(Error::WrongType { expected: 2, found: 1 }));
    assert_eq!(get(agent, cell), Ok(7.0));
}

#[test]
fn note_of_every_handle_round_trips() {
    for word in [0x1234_5678_0000_0020, 0xFFFF_FFFF_007F_FFFF] {
        for purpose in [Purpose::Making, Purpose::Acquiring, Purpose::Releasing, Purpose::Taking] {
            let note = Note { handle: Handle::from_word(word), purpose };
            assert_eq!(Note::from_word(note.to_word()), note);
        }
    }
}
