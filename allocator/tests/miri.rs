//! Random steps over a small heap, for Miri: it watches every access for races and undefined behaviour. Under an
//! ordinary test run the same steps are a quick check.
#![cfg(not(any(loom, shuttle)))]
#![allow(missing_docs)]

mod common;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Barrier, mpsc};
use std::thread;

use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Agent, Block, Error, Heap, Kind, Seat, nothing_to_settle};
use common::{Random, cases, controls, heap_at};

const STEPS: u64 = 300;
/// Miri runs the whole test once for each of its own seeds.
const SEEDS: u64 = if cfg!(miri) { 1 } else { 8 };
/// Small enough that the agents run out of it now and then.
const PAGES: u32 = 18;

/// The seeds of this run: from `COHEAP_SEED`, or from what the process (under Miri: its own seed) draws.
fn seeds(test: &str) -> Vec<u64> {
    let given = std::env::var("COHEAP_SEED").ok().and_then(|text| text.parse().ok());
    let first: u64 = given.unwrap_or_else(|| RandomState::new().hash_one(test));
    println!("{test}: COHEAP_SEED={first}");
    (0..SEEDS).map(|index| first.wrapping_add(index).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).collect()
}

type Parcel = (Block, u32, u8);

/// Not the smallest: Miri walks thousands of their headers in seconds.
fn size(random: &mut Random) -> u32 {
    match random.below(20) {
        0..15 => 600 + random.below(7500) as u32,
        15..19 => 8193 + random.below(40_000) as u32,
        _ => 66_000 + random.below(70_000) as u32,
    }
}

/// The first bytes of a block say whose it is, and a few more.
fn fill(agent: Agent, (block, size, tag): Parcel) {
    agent.memory().copy_in(block.address, &[tag; 16][..size.min(16) as usize]);
}

fn check(agent: Agent, (block, size, tag): Parcel) {
    let mut found = [0; 16];
    let found = &mut found[..size.min(16) as usize];
    agent.memory().copy_out(block.address, found);
    assert!(found.iter().all(|&byte| byte == tag), "{block:?} of {size} bytes was written by another");
}

fn give(agent: Agent, parcel: Parcel) {
    check(agent, parcel);
    agent.operation(|op| op.free(parcel.0)).unwrap();
    let address = parcel.0.address;
    // Nobody has it again, or the generation tells.
    assert_eq!(agent.operation(|op| op.free(parcel.0)), Err(Error::NotAllocated { address }));
}

/// One random step: take, give, replace a cell, begin or end a turn, leave a private block to the operation's end.
fn step(agent: Agent, random: &mut Random, mine: &mut Vec<Parcel>) {
    let tag = random.next() as u8;
    match random.below(16) {
        0..8 => {
            let size = size(random);
            let taken = agent.operation(|op| {
                let block = op.allocate(size, 8, Kind::Rust)?;
                op.publish(block)?;
                Ok(block)
            });
            match taken {
                Ok(block) => {
                    fill(agent, (block, size, tag));
                    mine.push((block, size, tag));
                }
                Err(error) => assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}"),
            }
        }
        8..13 if !mine.is_empty() => {
            let parcel = mine.swap_remove(random.below(mine.len() as u64) as usize);
            give(agent, parcel);
        }
        13 => drop(agent.operation(|op| op.allocate(size(random), 64, Kind::Rust))),
        14 => agent.turn_begin().unwrap(),
        15 => assert!(agent.turn_end()),
        _ => {}
    }
}

fn assert_empty(heap: Heap) {
    let agent = heap.attach(Seat::default()).unwrap();
    assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 0);
    agent.detach().unwrap();
}

#[test]
fn steps_of_one_and_of_two_agents_are_defined() {
    const NAME: &str = "steps_of_one_and_of_two_agents_are_defined";
    controls();
    let mut count = 0;
    for seed in seeds(NAME) {
        let heap = heap_at(1, PAGES, false);
        let agent = heap.attach(Seat::default()).unwrap();
        let (mut random, mut mine) = (Random(seed), Vec::new());
        for _ in 0..STEPS / 3 {
            step(agent, &mut random, &mut mine);
        }
        mine.into_iter().for_each(|parcel| give(agent, parcel));
        agent.turn_end();
        agent.recover(&nothing_to_settle).unwrap();
        agent.detach().unwrap();

        let ready = &Barrier::new(2);
        let (to_second, from_first) = mpsc::channel::<Parcel>();
        let (to_first, from_second) = mpsc::channel::<Parcel>();
        thread::scope(|scope| {
            for (me, out, inbox) in [(1, to_second, from_second), (2, to_first, from_first)] {
                scope.spawn(move || {
                    let agent = heap.attach(Seat::default()).unwrap();
                    let (mut random, mut mine) = (Random(seed ^ me << 32), Vec::new());
                    ready.wait();
                    for _ in 0..STEPS / 3 {
                        step(agent, &mut random, &mut mine);
                        if random.below(4) == 0
                            && let Some(parcel) = mine.pop()
                        {
                            out.send(parcel).unwrap();
                        }
                        inbox.try_iter().for_each(|parcel| give(agent, parcel));
                    }
                    mine.into_iter().for_each(|parcel| out.send(parcel).unwrap());
                    drop(out);
                    inbox.iter().for_each(|parcel| give(agent, parcel));
                    agent.turn_end();
                    agent.detach().unwrap();
                });
            }
        });
        assert_empty(heap);
        count += STEPS;
    }
    cases(NAME, count);
}
