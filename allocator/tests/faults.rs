//! Every fault point of every operation: the agent is cut short before its k-th write, recovers its own record, and the
//! heap is what it was before or what it was to become.
#![cfg(feature = "fault-points")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap_alloc::audit::References;
use coheap_alloc::layout::control;
use coheap_alloc::sync::fault::{Died, arm, disarm};
use coheap_alloc::{Address, Agent, Block, Heap, Kind, Memory, Operation, Result, Seat, nothing_to_settle};
use common::{cases, controls, heap, heap_at};

/// Each root word names one block of bytes.
struct Roots;

impl References for Roots {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, control: Address, seen: &mut F) -> Result<()> {
        for index in 0..control::ROOT_COUNT {
            if let Some(block) = Block::from_word(memory.load64(root(control, index))) {
                seen(block, Kind::Bytes)?;
            }
        }
        Ok(())
    }
}

fn root(control: Address, index: u32) -> Address {
    control + control::ROOTS + index * 8
}

/// Puts a new block of `size` bytes into a root and retires the one that was there.
fn set_root(op: &Operation, index: u32, size: Option<u32>) -> Result<()> {
    let cell = root(op.control(), index);
    loop {
        let before = op.memory().load64(cell);
        let new = match size {
            Some(size) => Some(op.allocate(size, 8, Kind::Bytes)?),
            None => None,
        };
        let word = new.map_or(0, Block::to_word);
        if op.replace(cell, before, word, new, Block::from_word(before))?.is_ok() {
            return Ok(());
        }
        if let Some(block) = new {
            op.free(block)?;
        }
    }
}

/// Runs `run` on heaps made by `make`, dying at each of its writes in turn; `check` gets what the audit saw live.
fn enumerate(
    name: &str,
    make: impl Fn() -> (Heap, Agent),
    run: impl Fn(Agent) -> Result<()>,
    check: impl Fn(u64, bool) -> bool,
) -> u64 {
    for k in 0.. {
        let (heap, agent) = make();
        arm(k);
        let ended = catch_unwind(AssertUnwindSafe(|| run(agent)));
        let writes = disarm();
        let died = match &ended {
            Ok(result) => {
                result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                false
            }
            Err(cause) => {
                assert!(cause.is::<Died>(), "{name}: panicked at write {k}");
                true
            }
        };
        if died {
            agent.recover(&nothing_to_settle).unwrap_or_else(|error| panic!("{name} at write {k}: {error:?}"));
            agent.recover(&nothing_to_settle).unwrap();
        }
        let figures = agent.audit(&mut Roots).unwrap_or_else(|error| panic!("{name} at write {k}: {error:?}"));
        assert!(check(figures.live_blocks, died), "{name} at write {k}: {figures:?}");
        // The same agent goes on, and so do others.
        let other = heap.attach(Seat::default()).unwrap();
        for who in [agent, other] {
            for size in [64, 20_000, 70_000] {
                // A heap this full may have no room for another middle or large block.
                let _ = who.operation(|op| set_root(op, 7, Some(size)));
            }
            who.operation(|op| set_root(op, 7, Some(64))).unwrap();
            who.operation(|op| set_root(op, 7, None)).unwrap();
        }
        other.detach().unwrap();
        let after = agent.audit(&mut Roots).unwrap_or_else(|error| panic!("{name} after write {k}: {error:?}"));
        assert_eq!(after.live_blocks, figures.live_blocks, "{name} after write {k}");
        // SAFETY: nothing of this heap is used after this round.
        unsafe { heap.memory().unmap() };
        if !died {
            println!("  {name}: {writes} writes");
            return k + 1;
        }
    }
    unreachable!()
}

/// A heap whose agent has made a block of each small size before: a slab of 64-byte blocks is 909 writes.
fn fresh() -> (Heap, Agent) {
    let heap = heap(256);
    let agent = heap.attach(Seat::default()).unwrap();
    agent.operation(|op| set_root(op, 0, Some(64)).and_then(|()| set_root(op, 0, None))).unwrap();
    (heap, agent)
}

/// A heap in which nothing was ever allocated.
fn untouched() -> (Heap, Agent) {
    let heap = heap(256);
    let agent = heap.attach(Seat::default()).unwrap();
    (heap, agent)
}

const SIZES: [u32; 4] = [64, 8192, 20_000, 200_000];

#[test]
fn operation_cut_short_at_every_write_is_done_or_undone() {
    controls();
    let mut points = enumerate(
        "first publish 64",
        untouched,
        |agent| agent.operation(|op| set_root(op, 0, Some(64))),
        |live, died| live == 1 || died && live == 0,
    );
    for size in SIZES {
        points += enumerate(
            &format!("publish {size}"),
            fresh,
            |agent| agent.operation(|op| set_root(op, 0, Some(size))),
            |live, died| live == 1 || died && live == 0,
        );
        let with_root = || {
            let (heap, agent) = fresh();
            agent.operation(|op| set_root(op, 0, Some(size))).unwrap();
            (heap, agent)
        };
        for then in SIZES {
            points += enumerate(
                &format!("replace {size} by {then}"),
                with_root,
                |agent| agent.operation(|op| set_root(op, 0, Some(then))),
                |live, _| live == 1,
            );
        }
        points += enumerate(
            &format!("remove {size}"),
            with_root,
            |agent| agent.operation(|op| set_root(op, 0, None)),
            |live, died| live == 0 || died && live == 1,
        );
        points += enumerate(
            &format!("remove {size} that another made"),
            || {
                let (heap, maker) = with_root();
                let agent = heap.attach(Seat::default()).unwrap();
                maker.operation(|op| set_root(op, 1, Some(16))).unwrap();
                (heap, agent)
            },
            |agent| agent.operation(|op| set_root(op, 0, None)),
            |live, died| live == 1 || died && live == 2,
        );
        points += enumerate(
            &format!("scratch {size}"),
            fresh,
            |agent| {
                agent.operation(|op| {
                    let one = op.allocate(size, 8, Kind::Bytes)?;
                    op.allocate(size, 8, Kind::Bytes)?;
                    op.free(one)?;
                    op.allocate(16, 8, Kind::Bytes).map(|_| ())
                })
            },
            |live, _| live == 0,
        );
    }
    cases("operation_cut_short_at_every_write_is_done_or_undone", points);
}

#[test]
fn reclaiming_cut_short_at_every_write_loses_nothing() {
    controls();
    // Full but for what an idle agent's slabs hold: the next block needs revoking, adopting and giving back.
    let make = || {
        let heap = heap_at(1, 24, true);
        let idle = heap.attach(Seat::default()).unwrap();
        let agent = heap.attach(Seat::default()).unwrap();
        // The third seat of the check is made, so it finds its body.
        heap.attach(Seat::default()).unwrap().detach().unwrap();
        let mut index = 0;
        while idle.operation(|op| set_root(op, index, Some(8192))).is_ok() {
            index += 1;
        }
        agent.operation(|op| (0..index).try_for_each(|index| set_root(op, index, None))).unwrap();
        (heap, agent)
    };
    let mut points = 0;
    for size in [64, 20_000, 200_000] {
        points += enumerate(
            &format!("reclaim for {size}"),
            make,
            |agent| agent.operation(|op| set_root(op, 0, Some(size))),
            |live, died| live == 1 || died && live == 0,
        );
    }
    cases("reclaiming_cut_short_at_every_write_loses_nothing", points);
}

#[test]
fn turn_and_fence_cut_short_at_every_write_recover() {
    controls();
    let points = enumerate(
        "turn",
        fresh,
        |agent| {
            agent.turn_begin()?;
            agent.operation(|op| set_root(op, 0, Some(64)))?;
            agent.operation(|op| set_root(op, 0, None))?;
            agent.turn_end();
            Ok(())
        },
        |live, died| live == 0 || died && live == 1,
    );
    cases("turn_and_fence_cut_short_at_every_write_recover", points);
}
