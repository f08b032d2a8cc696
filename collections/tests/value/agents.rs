//! Values that several agents replace, read and compare at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::cell;
use coheap::name::{self, Shape};
use coheap::string::{self, Form, Given};
use coheap::{Table, Type, bytes, release};

use super::common::{self, Watchdog, agent, audit, heap, run, threads};
use super::{Value, get, read};

const READS: u64 = 1_000_000;
const FIRST: [u8; 1024] = [b'a'; 1024];
const SECOND: [u8; 1000] = [b'b'; 1000];

/// A writer flips one cell between two strings, each freed at once, and its block used again by churn; two agents read.
/// Whoever reads sees one of the two, whole, and its length. A third compares.
#[test]
fn strings_read_while_they_are_flipped_are_never_mixed() {
    let _watchdog = Watchdog::new("strings_read_while_they_are_flipped_are_never_mixed");
    common::controls();
    let heap = heap(512);
    let first = agent(heap);
    let cell = run(first, |o| cell::create_holding(o, Given::text(&FIRST)));
    let over = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let reads: u64 = threads(heap, 3, |number, agent| {
        if number == 0 {
            let mut flips = 0u64;
            let churned = [[0xC3u8; 1024], [0x01; 1024]];
            while over.load(Ordering::Relaxed) < 2 {
                let text: &[u8] = if flips.is_multiple_of(2) { &SECOND } else { &FIRST };
                run(agent, |o| {
                    let _ = cell::set_value(o, cell, Given::text(text))?;
                    // The block that was just freed, with other contents and another length.
                    for contents in &churned {
                        let block = string::make(o, Given::bytes(&contents[..1024 - flips as usize % 64]))?;
                        block.discard(o)?;
                    }
                    Ok(())
                });
                flips += 1;
            }
            println!("{flips} flips");
            return 0;
        }
        let _over = Over(&over);
        let mut read = 0u64;
        let mut lengths = [0u64; 2];
        let mut copy = [0u8; 2048];
        while read < READS && !failed.load(Ordering::Relaxed) {
            let taken = run(agent, |o| cell::take(Table::of(o), cell, agent.transfer(), 2048));
            let Some((form, length)) = taken.block else { panic!("{taken:?}") };
            let copy = &mut copy[..(length as usize).min(2048)];
            agent.memory().copy_out(agent.transfer(), copy);
            let whole = form == Form::Ascii && (copy == FIRST || copy == SECOND);
            if !whole {
                failed.store(true, Ordering::Relaxed);
                panic!("a mix after {read} reads: {form:?}, {length} bytes, {:?} … {:?}", &copy[..8], copy.last());
            }
            lengths[usize::from(length == 1000)] += 1;
            read += 1;
        }
        println!("agent {number}: {read} reads, {lengths:?}");
        read
    })
    .into_iter()
    .sum();
    println!("cases strings_read_while_they_are_flipped_are_never_mixed {reads}");
    assert_eq!(reads, 2 * READS);
    audit(first);
}

/// Counts who ended, also by a failure.
struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Long contents change between the pieces: what comes out is one value.
#[test]
fn strings_read_in_pieces_while_they_are_flipped_are_never_mixed() {
    let _watchdog = Watchdog::new("strings_read_in_pieces_while_they_are_flipped_are_never_mixed");
    let heap = heap(512);
    let first = agent(heap);
    let texts = [vec![b'a'; 90_000], vec![b'b'; 61_000]];
    let cell = run(first, |o| cell::create_holding(o, Given::text(&texts[0])));
    let over = AtomicU64::new(0);
    threads(heap, 3, |number, agent| {
        if number == 0 {
            let mut flips = 0usize;
            while over.load(Ordering::Relaxed) < 2 {
                let _ = run(agent, |o| cell::set_value(o, cell, Given::text(&texts[flips % 2])));
                flips += 1;
                std::thread::yield_now();
            }
            println!("{flips} flips");
            return;
        }
        let _over = Over(&over);
        for round in 0..300 {
            let found = if round % 2 == 0 {
                let taken = run(agent, |o| cell::snapshot(o, cell));
                let region = taken.region.expect("a copy");
                let mut copy = vec![0; taken.block.expect("a string").1 as usize];
                run(agent, |o| bytes::read(Table::of(o), region, 0, &mut copy));
                let _ = run(agent, |o| release(o, region, Type::Bytes));
                copy
            } else {
                match run(agent, |o| read(agent, Table::of(o), cell)) {
                    Value::Latin1(text) => text,
                    other => panic!("{other:?}"),
                }
            };
            assert!(texts.contains(&found), "{} bytes", found.len());
        }
    });
    audit(first);
}

#[test]
fn values_compared_and_set_by_four_agents_are_won_once() {
    let _watchdog = Watchdog::new("values_compared_and_set_by_four_agents_are_won_once");
    let heap = heap(512);
    let first = agent(heap);
    let text = |number: u64| format!("ticket number {number}").into_bytes();
    let cell = run(first, |o| cell::create_holding(o, Given::text(&text(0))));
    let won: u64 = threads(heap, 4, |_, agent| {
        let mut won = 0;
        loop {
            let Value::Latin1(now) = get(agent, cell) else { panic!("no string") };
            let number: u64 = std::str::from_utf8(&now[14..]).expect("digits").parse().expect("a number");
            if number >= 5000 {
                return won;
            }
            let next = text(number + 1);
            won += u64::from(
                run(agent, |o| cell::compare_and_set_value(o, cell, Given::text(&now), Given::text(&next))).0,
            );
        }
    })
    .into_iter()
    .sum();
    assert_eq!(won, 5000);
    let _ = run(first, |o| release(o, cell, Type::Cell));
    assert_eq!(audit(first).live_blocks, 0);
}

/// A name that others take away all the time: who opens it makes the value anew for each attempt, and what was not wanted
/// goes back.
#[test]
fn value_of_a_name_that_comes_and_goes_is_made_for_each_attempt() {
    const ROUNDS: u32 = 60_000;
    let _watchdog = Watchdog::new("value_of_a_name_that_comes_and_goes_is_made_for_each_attempt");
    let heap = heap(512);
    let first = agent(heap);
    threads(heap, 3, |_, agent| {
        for _ in 0..ROUNDS {
            let given = Given::text(b"the first value of the cell");
            let cell = run(agent, |o| name::open(o, b"comes and goes", Shape::Holding(given)));
            let _ = run(agent, |o| name::remove(o, b"comes and goes"));
            let _ = run(agent, |o| release(o, cell, Type::Cell));
        }
    });
    assert_eq!(audit(first).live_blocks, 0);
    println!("cases value_of_a_name_that_comes_and_goes_is_made_for_each_attempt {}", 3 * ROUNDS);
}

/// A snapshot of contents always has a copy of them, also when a writer puts them there between its two looks.
#[test]
fn snapshot_beside_a_writer_never_answers_what_it_did_not_copy() {
    const ROUNDS: u32 = 200_000;
    let _watchdog = Watchdog::new("snapshot_beside_a_writer_never_answers_what_it_did_not_copy");
    let heap = heap(512);
    let first = agent(heap);
    let cell = run(first, |o| cell::create(o, 5.0));
    let done = AtomicBool::new(false);
    threads(heap, 2, |number, agent| {
        if number == 0 {
            while !done.load(Ordering::Relaxed) {
                let _ = run(agent, |o| cell::set(o, cell, 5.0));
                let _ = run(agent, |o| cell::set_value(o, cell, Given::text(b"a short string")));
            }
        } else {
            let mut whole = true;
            for _ in 0..ROUNDS {
                let taken = run(agent, |o| cell::snapshot(o, cell));
                whole &= taken.block.is_some() == taken.region.is_some();
                if let Some(region) = taken.region {
                    let _ = run(agent, |o| release(o, region, Type::Bytes));
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(whole);
        }
    });
    println!("cases snapshot_beside_a_writer_never_answers_what_it_did_not_copy {ROUNDS}");
}
