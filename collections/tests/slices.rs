//! Reaping is cut into slices that are as long however much the dead agent had: counted in loads and writes, not in time.
#![cfg(feature = "fault-points")]
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap::map::{self, Key};
use coheap::reap::{Proof, Slice, reap_slice};
use coheap::string::Given;
use coheap::{Handle, Table, cell, value};
use coheap_alloc::layout::slot;
use coheap_alloc::sync::fault;
use coheap_alloc::{Agent, Error, Heap, Kind, Operation, Result, Seat};
use common::additions::add_many;
use common::faults::{controls_of_both, seat_of, unmap};
use common::hasty::Hasty;
use common::{agent, audit, heap, run};

/// Blocks of a slab of the smallest class, and their size.
const BLOCKS: u32 = 4000;
const SMALL: u32 = 16;
/// Loads and writes of a slice at most: 32 slabs are looked through, block by block.
const MOST: u64 = 300_000;

/// Takes as many blocks as fill this many slabs; one in a hundred stays for good, as those of a Rust program do.
fn fill(operation: &Operation, slabs: u32) -> Result<()> {
    for number in 0..slabs * BLOCKS {
        let block = operation.allocate(SMALL, 8, Kind::Rust)?;
        if number % 100 == 0 {
            operation.publish(block)?;
        }
    }
    Ok(())
}

/// What the slices of one reaping were: how many, and loads and writes of the longest.
fn slices_of(by: Agent, dead: Agent) -> (u32, u64) {
    let host = Hasty::new(by.memory());
    let (mut slices, mut longest, mut next) = (0, 0, seat_of(dead));
    loop {
        fault::arm(u64::MAX);
        let loads = fault::loaded();
        // SAFETY: I-28 nothing is done in the name of the dead agent any more.
        let slice = unsafe { reap_slice(by, &host, next, Proof::Ended) };
        longest = longest.max(fault::loaded() - loads + fault::disarm());
        slices += 1;
        match slice {
            Ok(Some(Slice { is_over: true, .. })) => return (slices, longest),
            Ok(Some(_)) => next = by.unfinished().expect("it goes on"),
            lost => panic!("slice {slices}: {lost:?}"),
        }
    }
}

fn reaped(heap: Heap, slabs: u32, inside: bool) -> (u32, u64) {
    let by = agent(heap);
    let dead: Agent = heap.attach(Seat::default()).expect("a seat");
    let died = catch_unwind(AssertUnwindSafe(|| {
        dead.operation(|operation| {
            fill(operation, slabs)?;
            assert!(!inside, "it dies here");
            Ok(())
        })
    }));
    assert_eq!(died.is_err(), inside);
    let (slices, longest) = slices_of(by, dead);
    let figures = audit(by);
    assert_eq!(
        (figures.agents, figures.live_blocks),
        (1, u64::from(slabs * BLOCKS / 100)),
        "private ones are taken back"
    );
    unmap(by);
    (slices, longest)
}

#[test]
fn slice_is_as_long_however_much_the_dead_had() {
    controls_of_both();
    let mut cases = 0;
    for inside in [false, true] {
        let few = reaped(heap(4096), 200, inside);
        let many = reaped(heap(4096), 800, inside);
        println!("inside an operation: {inside}; 200 slabs: {few:?} slices and steps, 800 slabs: {many:?}");
        assert!(few.1 < MOST && many.1 < MOST, "steps of the longest slice");
        assert!(many.0 > 3 * few.0, "more is done in more slices");
        cases += few.0 + many.0;
    }
    println!("cases slice_is_as_long_however_much_the_dead_had {cases}");
}

/// Slices after which one is taken for one that never ends.
const ENDLESS: u32 = 1000;

/// Reaps an agent that holds 300 cells, whose slot `damage` changes behind the first slice, or before it. How that ended, if it did.
fn reaped_beside(damage: impl Fn(Agent), from_the_first: bool) -> Option<Result<bool>> {
    let heap = heap(256);
    let by = agent(heap);
    let dead: Agent = heap.attach(Seat::default()).expect("a seat");
    for number in 0..300 {
        run(dead, |o| cell::create(o, f64::from(number)));
    }
    let host = Hasty::new(by.memory());
    let mut next = seat_of(dead);
    if from_the_first {
        damage(dead);
    }
    for slice in 0..ENDLESS {
        // SAFETY: I-28 nothing is done in the name of the dead agent any more.
        let ended = match unsafe { reap_slice(by, &host, next, Proof::Ended) } {
            Ok(Some(Slice { is_over: false, .. })) => None,
            Ok(over) => Some(Ok(over.is_some())),
            Err(error) => Some(Err(error)),
        };
        if slice == 0 && !from_the_first {
            damage(dead);
        }
        match by.unfinished() {
            Some(again) if ended.is_none() => next = again,
            // A flag may say that the seat is kept already.
            left => {
                assert_eq!(left, None, "the seat is free, or nobody's");
                unmap(by);
                return ended.or(Some(Ok(false)));
            }
        }
    }
    None
}

#[test]
fn slices_end_also_beside_a_damaged_seat() {
    controls_of_both();
    let mut refused = 0;
    for bit in 0..16 {
        let damage = |dead: Agent| {
            let _ = dead.memory().fetch_or64(dead.slot() + slot::WORD, 1 << bit);
        };
        let ended = reaped_beside(damage, false).unwrap_or_else(|| panic!("flag {bit}: no end"));
        assert!(matches!(ended, Ok(_) | Err(Error::Corrupt { .. })), "flag {bit}: {ended:?}");
        refused += u32::from(ended.is_err());
    }
    assert!(refused > 8, "{refused} are no flags that an agent at work has");
    for bit in 0..32 {
        let damage = |dead: Agent| {
            let at = dead.slot() + slot::BODY;
            dead.memory().store32(at, dead.memory().load32(at) ^ 1 << bit);
        };
        let ended = reaped_beside(damage, true);
        assert!(matches!(ended, Some(Err(Error::Corrupt { .. }))), "body, bit {bit}: {ended:?}");
    }
    println!("cases slices_end_also_beside_a_damaged_seat {}", 16 + 32);
}

/// The slices of reaping an agent that held so many cells.
fn let_go(cells: u32) -> (u32, u64) {
    let heap = heap(1024);
    let by = agent(heap);
    let dead: Agent = heap.attach(Seat::default()).expect("a seat");
    for number in 0..cells {
        run(dead, |o| cell::create(o, f64::from(number)));
    }
    let (slices, longest) = slices_of(by, dead);
    let figures = audit(by);
    assert_eq!((figures.agents, figures.live_blocks), (1, 0), "its holdings went back, too");
    unmap(by);
    (slices, longest)
}

#[test]
fn slice_is_as_long_however_many_objects_the_dead_held() {
    controls_of_both();
    let (few, many) = (let_go(4_000), let_go(32_000));
    println!("4,000 objects: {few:?} slices and steps, 32,000 objects: {many:?}");
    assert!(many.0 > 7 * few.0, "more is done in more slices");
    assert!(many.1 < 2 * few.1, "steps of the longest slice");
    println!("cases slice_is_as_long_however_many_objects_the_dead_held {}", few.0 + many.0);
}

/// Adds one to each of so many keys, which were there before or not, and dies at this write; how many there were, and the slices of reaping it.
fn cut_short(keys: u32, at: u64, known: bool) -> (u64, u32, u64) {
    let heap = heap(1024);
    let by = agent(heap);
    let map = run(by, map::create);
    let dead: Agent = heap.attach(Seat::default()).expect("a seat");
    let texts: Vec<String> = (0..keys).map(|number| format!("key {number}")).collect();
    let additions: Vec<(&[u8], f64)> = texts.iter().map(|text| (text.as_bytes(), 1.0)).collect();
    if known {
        run(dead, |o| add_many(o, map, &additions));
    }
    fault::arm(at);
    let died = catch_unwind(AssertUnwindSafe(|| dead.operation(|o| add_many(o, map, &additions)))).is_err();
    let writes = fault::disarm();
    assert_eq!(died, at != u64::MAX);
    let (slices, longest) = slices_of(by, dead);
    let sums: Vec<_> = run(by, |o| texts.iter().map(|text| sum(o, map, text)).collect::<Result<_>>());
    assert!(sums.iter().all(|&sum| sum == sums[0]), "all of it or nothing");
    audit(by);
    unmap(by);
    (writes, slices, longest)
}

fn sum(operation: &Operation, map: Handle, text: &str) -> Result<Option<f64>> {
    let table = Table::of(operation);
    let key = Key::given(table, Given::text(text.as_bytes())).expect("a key");
    Ok(map::get(table, map, &key, 0, 0)?.and_then(|taken| value::to_number(taken.word)))
}

#[test]
fn slice_is_as_long_however_many_keys_a_transaction_had() {
    controls_of_both();
    let mut cases = 0;
    let longest = |keys| {
        let (writes, ..) = cut_short(keys, u64::MAX, true);
        // Before the commit and behind it.
        let slices = (1..12).map(|part| cut_short(keys, writes * part / 12, true));
        slices.map(|(_, slices, longest)| (slices, longest)).max_by_key(|&(_, longest)| longest)
    };
    for keys in [5_000, 40_000] {
        let (slices, longest) = longest(keys).expect("it dies");
        println!("{keys} keys: {slices} slices, {longest} steps");
        assert!(longest < MOST);
        cases += slices;
    }
    println!("cases slice_is_as_long_however_many_keys_a_transaction_had {cases}");
}

/// Where they are taken out again, chunks and pages that were theirs become somebody else's between two slices.
#[test]
fn new_keys_of_a_transaction_are_taken_out_in_slices() {
    controls_of_both();
    let (keys, mut cases) = (20_000, 0);
    let (writes, ..) = cut_short(keys, u64::MAX, false);
    for part in 1..12 {
        let (_, slices, longest) = cut_short(keys, writes * part / 12, false);
        println!("dead at {part} of 12: {slices} slices, {longest} steps");
        assert!(longest < MOST);
        cases += slices;
    }
    println!("cases new_keys_of_a_transaction_are_taken_out_in_slices {cases}");
}
