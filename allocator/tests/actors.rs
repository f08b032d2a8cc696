//! Several agents at once against a model: what each wrote into its blocks is there when the block is freed, by whomever.

mod common;

use std::collections::HashMap;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;

use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Agent, Block, Heap, Kind, Seat};
use common::{Random, Watchdog, cases, controls, heap, heap_at, seed};

const ACTORS: u64 = 4;

/// What stands in a block of an actor: every eighth byte tells whose it is.
fn fill(agent: Agent, block: Block, size: u32, tag: u64) {
    for offset in (0..size / 8 * 8).step_by(8).take(64).chain((size >= 16).then(|| (size / 8 - 1) * 8)) {
        agent.memory().set_own64(block.address + offset, tag ^ u64::from(offset));
    }
}

fn check(agent: Agent, block: Block, size: u32, tag: u64) {
    for offset in (0..size / 8 * 8).step_by(8).take(64).chain((size >= 16).then(|| (size / 8 - 1) * 8)) {
        let found = agent.memory().own64(block.address + offset);
        assert_eq!(found, tag ^ u64::from(offset), "{block:?} of {size} bytes at {offset}");
    }
}

fn size(random: &mut Random) -> u32 {
    match random.below(1000) {
        0..900 => random.below(600) as u32,
        900..980 => random.below(8192) as u32,
        980..997 => 8193 + random.below(52_000) as u32,
        _ => 61_000 + random.below(300_000) as u32,
    }
}

type Parcel = (Block, u32, u64);

fn act(agent: Agent, me: u64, steps: u64, seed: u64, inbox: &mpsc::Receiver<Parcel>, others: &[mpsc::Sender<Parcel>]) {
    let mut random = Random(seed ^ (me + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut mine: Vec<Parcel> = Vec::new();
    for step in 0..steps {
        if random.below(64) == 0 {
            agent.turn_begin().unwrap();
        }
        match random.below(10) {
            0..5 if mine.len() < 400 => {
                let size = size(&mut random);
                let taken = agent.operation(|op| {
                    let block = op.allocate(size, 8, Kind::Rust)?;
                    op.publish(block)?;
                    Ok(block)
                });
                if let Ok(block) = taken {
                    let tag = me << 56 ^ step << 8;
                    fill(agent, block, size, tag);
                    mine.push((block, size, tag));
                }
            }
            5..8 if !mine.is_empty() => {
                let (block, size, tag) = mine.swap_remove(random.below(mine.len() as u64) as usize);
                check(agent, block, size, tag);
                agent.operation(|op| op.free(block)).unwrap();
            }
            8 if !mine.is_empty() => {
                let parcel = mine.swap_remove(random.below(mine.len() as u64) as usize);
                others[random.below(others.len() as u64) as usize].send(parcel).unwrap();
            }
            _ => {
                while let Ok((block, size, tag)) = inbox.try_recv() {
                    check(agent, block, size, tag);
                    agent.operation(|op| op.free(block)).unwrap();
                }
            }
        }
        if random.below(64) == 0 {
            agent.turn_end();
        }
    }
    for (block, size, tag) in mine {
        check(agent, block, size, tag);
        agent.operation(|op| op.free(block)).unwrap();
    }
    agent.turn_end();
    agent.detach().unwrap();
}

/// Runs the actors, frees what is still under way, audits: nothing may be left.
fn run(heap: Heap, steps: u64, seed: u64) -> u64 {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..ACTORS).map(|_| mpsc::channel::<Parcel>()).unzip();
    let left = Mutex::new(Vec::new());
    let start = Barrier::new(ACTORS as usize);
    thread::scope(|scope| {
        for (me, inbox) in receivers.into_iter().enumerate() {
            let (senders, left, start) = (senders.clone(), &left, &start);
            scope.spawn(move || {
                let agent = heap.attach(Seat::default()).unwrap();
                start.wait();
                act(agent, me as u64, steps, seed, &inbox, &senders);
                drop(senders);
                start.wait();
                left.lock().unwrap().extend(inbox.try_iter());
            });
        }
    });
    let agent = heap.attach(Seat::default()).unwrap();
    for (block, size, tag) in left.into_inner().unwrap() {
        check(agent, block, size, tag);
        agent.operation(|op| op.free(block)).unwrap();
    }
    let figures = agent.audit(&mut NoReferences).unwrap();
    assert_eq!((figures.live_blocks, figures.live_bytes), (0, 0));
    ACTORS * steps
}

#[test]
fn actors_of_a_growing_heap_never_meet_in_a_block() {
    let _watchdog = Watchdog::new("actors_of_a_growing_heap_never_meet_in_a_block", 300);
    controls();
    let count = run(heap(4096), 1_000_000, seed("actors of a growing heap"));
    cases("actors_of_a_growing_heap_never_meet_in_a_block", count);
}

#[test]
fn actors_of_a_small_fixed_heap_survive_exhaustion() {
    let _watchdog = Watchdog::new("actors_of_a_small_fixed_heap_survive_exhaustion", 300);
    controls();
    let count = run(heap_at(1, 96, true), 30_000, seed("actors of a small heap"));
    cases("actors_of_a_small_fixed_heap_survive_exhaustion", count);
}

#[test]
fn blocks_freed_by_the_other_side_of_a_channel_come_back() {
    let _watchdog = Watchdog::new("blocks_freed_by_the_other_side_of_a_channel_come_back", 120);
    controls();
    // One makes, one frees: without collecting, 500,000 blocks of 64 bytes would need 32 MiB; there are 8.
    let heap = heap(128);
    let (sender, receiver) = mpsc::sync_channel::<Block>(1000);
    let made = thread::spawn(move || {
        let agent = heap.attach(Seat::default()).unwrap();
        let mut addresses = HashMap::new();
        for _ in 0..500_000 {
            let block = agent
                .operation(|op| {
                    let block = op.allocate(64, 64, Kind::Rust)?;
                    op.publish(block)?;
                    Ok(block)
                })
                .unwrap();
            *addresses.entry(block.address).or_insert(0u32) += 1;
            sender.send(block).unwrap();
        }
        agent.detach().unwrap();
        addresses.len()
    });
    let agent = heap.attach(Seat::default()).unwrap();
    let mut count = 0;
    for block in receiver {
        agent.operation(|op| op.free(block)).unwrap();
        count += 1;
    }
    assert!(made.join().unwrap() < 100_000);
    assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 0);
    cases("blocks_freed_by_the_other_side_of_a_channel_come_back", count);
}
