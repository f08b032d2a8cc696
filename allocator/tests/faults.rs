//! Every fault point of every operation: the agent is cut short before its k-th write, recovers its own record, and the
//! heap is what it was before or what it was to become.
#![cfg(feature = "fault-points")]

mod common;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use coheap_alloc::audit::References;
use coheap_alloc::layout::{PAGE, control};
use coheap_alloc::sync::fault::{Died, arm, disarm};
use coheap_alloc::{
    Address, Agent, Block, Heap, Kind, Memory, Operation, PageKind, PageWord, Result, Seat, nothing_to_settle, slot,
};
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

/// Runs `work`, which dies at its write number `k` (from 0): then `None`.
fn dying<R>(name: &str, k: u64, work: impl FnOnce() -> Result<R>) -> Option<R> {
    arm(k);
    let ended = catch_unwind(AssertUnwindSafe(work));
    disarm();
    match ended {
        Ok(result) => Some(result.unwrap_or_else(|error| panic!("{name}: {error:?}"))),
        Err(cause) => {
            assert!(cause.is::<Died>(), "{name}: panicked at write {k}");
            None
        }
    }
}

fn recover(name: &str, agent: Agent) {
    agent.recover(&nothing_to_settle).unwrap_or_else(|error| panic!("{name}: {error:?}"));
}

fn live_blocks(name: &str, agent: Agent) -> u64 {
    agent.audit(&mut Roots).unwrap_or_else(|error| panic!("{name}: {error:?}")).live_blocks
}

/// Runs `run` on heaps made by `make`, dying at each of its writes in turn; `check` gets what the audit saw live.
fn enumerate(
    name: &str,
    make: impl Fn() -> (Heap, Agent),
    run: impl Fn(Agent) -> Result<()>,
    check: impl Fn(u64, bool) -> bool,
) -> u64 {
    for k in 0.. {
        let at = format!("{name} at write {k}");
        let (heap, agent) = make();
        let died = dying(&at, k, || run(agent)).is_none();
        if died {
            recover(&at, agent);
            recover(&at, agent);
        }
        let live = live_blocks(&at, agent);
        assert!(check(live, died), "{at}: {live}");
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
        assert_eq!(live_blocks(&at, agent), live, "{at}, afterwards");
        unmap(heap);
        if !died {
            println!("  {name}: {k} writes");
            return k + 1;
        }
    }
    unreachable!()
}

/// As [`enumerate`], and for each death of `run` the recovery dies at each of its writes, too. Between the two and
/// behind them `meanwhile` runs: what another agent does. `check` gets what it answered.
fn enumerate_recovery<A: Default>(
    name: &str,
    make: impl Fn() -> (Heap, Agent),
    run: impl Fn(Agent) -> Result<()>,
    meanwhile: impl Fn(Heap, &mut A),
    check: impl Fn(&str, Heap, Agent, A),
) -> u64 {
    let mut points = 0;
    for k in 0.. {
        for j in 0.. {
            let at = format!("{name} at write {k}, recovery at write {j}");
            let (heap, agent) = make();
            if dying(&at, k, || run(agent)).is_some() {
                unmap(heap);
                println!("  {name}: {k} writes, {points} points");
                return points;
            }
            let mut answer = A::default();
            meanwhile(heap, &mut answer);
            let ended = dying(&at, j, || agent.recover(&nothing_to_settle)).is_some();
            meanwhile(heap, &mut answer);
            recover(&at, agent);
            check(&at, heap, agent, answer);
            unmap(heap);
            points += 1;
            if ended {
                break;
            }
        }
    }
    unreachable!()
}

fn unmap(heap: Heap) {
    // SAFETY: a test's heap, and the end of its round.
    unsafe { heap.memory().unmap() };
}

/// A heap whose agent has made a block of each small size before: a slab of 64-byte blocks is 909 writes.
fn fresh() -> (Heap, Agent) {
    let heap = heap(64);
    let agent = heap.attach(Seat::default()).unwrap();
    agent.operation(|op| set_root(op, 0, Some(64)).and_then(|()| set_root(op, 0, None))).unwrap();
    (heap, agent)
}

/// A heap in which nothing was ever allocated.
fn untouched() -> (Heap, Agent) {
    let heap = heap(64);
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

#[test]
fn recovery_cut_short_at_every_write_is_taken_up_again() {
    controls();
    let mut points = 0;
    for (size, then) in [(64, 8192), (8192, 20_000), (20_000, 200_000), (200_000, 64)] {
        let mut twice = |name: &str, make: &dyn Fn() -> (Heap, Agent), index, then, live: &[u64]| {
            points += enumerate_recovery(
                &format!("{name} {size}"),
                make,
                |agent| agent.operation(|op| set_root(op, index, then)),
                |_, (): &mut ()| {},
                |at, _, agent, ()| {
                    assert!(live.contains(&live_blocks(at, agent)), "{at}");
                    agent.operation(|op| set_root(op, 7, Some(size)).and_then(|()| set_root(op, 7, None))).unwrap();
                    assert!(live.contains(&live_blocks(at, agent)), "{at}, afterwards");
                },
            );
        };
        let with_root = || {
            let (heap, agent) = fresh();
            agent.operation(|op| set_root(op, 0, Some(size))).unwrap();
            (heap, agent)
        };
        let of_another = || {
            let (heap, _) = with_root();
            (heap, heap.attach(Seat::default()).unwrap())
        };
        twice("publish", &fresh, 0, Some(size), &[0, 1]);
        twice("replace", &with_root, 0, Some(then), &[1]);
        twice("remove", &with_root, 0, None, &[0, 1]);
        twice("remove another's", &of_another, 0, None, &[0, 1]);
    }
    cases("recovery_cut_short_at_every_write_is_taken_up_again", points);
}

/// The other agent of a heap whose slots two have.
fn second(heap: Heap) -> Agent {
    let memory = heap.memory();
    let at = slot::find(memory, heap.control(), 1).unwrap();
    // SAFETY: attached by the test on this thread, and the only agent that the slot ever had.
    unsafe { Agent::from_slot(memory, at, 0) }
}

#[test]
fn recovery_cut_short_retires_the_old_block_though_another_took_the_new_one() {
    controls();
    let mut points = 0;
    for size in SIZES {
        points += enumerate_recovery(
            &format!("replace {size}, taken out"),
            || {
                let (heap, agent) = fresh();
                heap.attach(Seat::default()).unwrap();
                agent.operation(|op| set_root(op, 0, Some(size))).unwrap();
                agent.operation(|op| set_root(op, 1, Some(16))).unwrap();
                (heap, agent)
            },
            |agent| agent.operation(|op| set_root(op, 0, Some(size))),
            |heap, taken: &mut Option<Block>| {
                // Takes out what is in the cell and has not come to retire it.
                let cell = root(heap.control(), 0);
                let found = heap.memory().load64(cell);
                if taken.is_none() {
                    second(heap).operation(|op| op.replace(cell, found, 0, None, None)).unwrap().unwrap();
                    *taken = Block::from_word(found);
                }
            },
            |at, heap, agent, taken| {
                // The recovery may have been quicker.
                let _ = second(heap).operation(|op| op.free(taken.unwrap()));
                assert_eq!(live_blocks(at, agent), 1, "{at}");
            },
        );
    }
    cases("recovery_cut_short_retires_the_old_block_though_another_took_the_new_one", points);
}

/// The word of a page.
fn page_word(heap: Heap, page: u32) -> PageWord {
    PageWord(heap.memory().load64(page_word_at(heap, page)))
}

fn page_word_at(heap: Heap, page: u32) -> Address {
    heap.control() + control::TABLE + page * 16
}

#[test]
fn pages_that_were_not_installed_are_left_to_who_installs_them_next() {
    controls();
    let cell = |heap: Heap, index: u32| heap.control() + control::OBJECT_CHUNKS + index * 4;
    let install = |heap: Heap, agent: Agent, index| agent.operation(|op| op.install_objects_page(cell(heap, index)));
    let mut points = 0;
    for quicker in [false, true] {
        points += enumerate_recovery(
            if quicker { "install, too late" } else { "install" },
            || {
                let (heap, agent) = untouched();
                heap.attach(Seat::default()).unwrap();
                if quicker {
                    install(heap, second(heap), 0).unwrap();
                }
                (heap, agent)
            },
            |agent| agent.operation(|op| op.install_objects_page(op.control() + control::OBJECT_CHUNKS).map(drop)),
            |heap, index: &mut u32| {
                *index += 1;
                assert_eq!(install(heap, second(heap), *index), Ok(true));
            },
            |at, heap, agent, _| {
                live_blocks(at, agent);
                let cells = (0..3).map(|index| heap.memory().load32(cell(heap, index))).filter(|&page| page != 0);
                let installed: BTreeSet<u32> = cells.map(|address| address / PAGE).collect();
                assert!(installed.len() >= 2 + usize::from(quicker), "{at}: {installed:?}");
                let objects = (0..64).filter(|&page| page_word(heap, page).kind() == PageKind::Objects);
                assert_eq!(objects.collect::<BTreeSet<u32>>(), installed, "{at}");
            },
        );
    }
    cases("pages_that_were_not_installed_are_left_to_who_installs_them_next", points);
}

#[test]
fn freeing_a_run_that_was_cut_short_leaves_pages_that_another_claims() {
    controls();
    // Behind nothing, two pages of control, two of slots and two bodies.
    const FIRST: u32 = 7;
    const LENGTH: u32 = 4;
    let points = enumerate_recovery(
        "remove a run",
        || {
            let (heap, agent) = untouched();
            heap.attach(Seat::default()).unwrap();
            agent.operation(|op| set_root(op, 0, Some(LENGTH * PAGE))).unwrap();
            assert_eq!(heap.memory().load64(root(heap.control(), 0)) as u32, FIRST * PAGE);
            (heap, agent)
        },
        |agent| agent.operation(|op| set_root(op, 0, None)),
        |heap, claimed: &mut Vec<(u32, PageWord)>| {
            // A claim of the same pages, begun when all were free: takes each that is free again, but for the first.
            for distance in 1..LENGTH {
                let word = page_word(heap, FIRST + distance);
                if word.kind() == PageKind::Free {
                    let body = PageWord::run_body(word.next_generation(), distance, second(heap).index());
                    heap.memory().store64(page_word_at(heap, FIRST + distance), body.0);
                    claimed.push((FIRST + distance, body));
                }
            }
        },
        |at, heap, agent, claimed| {
            for (page, body) in claimed {
                assert_eq!(page_word(heap, page), body, "{at}: page {page}");
                heap.memory().store64(page_word_at(heap, page), PageWord::free(body.next_generation()).0);
            }
            assert!(live_blocks(at, agent) < 2, "{at}");
        },
    );
    cases("freeing_a_run_that_was_cut_short_leaves_pages_that_another_claims", points);
}
