//! Pages that several claim and free at once: of granules, of runs, and those that the memory grows by.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use coheap_alloc::audit::NoReferences;
use coheap_alloc::layout::{GRANULE, PAGE};
use coheap_alloc::{Agent, Block, Heap, Memory, Options, PageKind, Seat, nothing_to_settle};

use super::common::controls;
use super::common::world::{RESERVED, World, assert_conserved, give, kinds, take};
use super::explore::{beside, explore};
use super::hints::assert_hinted;

#[test]
fn granule_pages_that_empty_and_fill_again_are_never_out_of_memory() {
    const HALF: u32 = 7 * GRANULE;
    explore(
        "granule_pages_that_empty_and_fill_again_are_never_out_of_memory",
        World::new(3, 3, true),
        10_000,
        |world| {
            // Three at once, of the six that three pages hold.
            let work = |_: &World, agent: Agent| {
                for _ in 0..2 {
                    let block = take(agent, HALF).unwrap();
                    give(agent, block).unwrap();
                }
            };
            let others = [1, 2].map(|index| beside(world, index, work));
            work(world, world.agent(0));
            others.into_iter().for_each(|other| other.join().unwrap());
        },
        |world, ()| {
            assert_hinted(world.heap);
            assert_conserved(world.agent(0), [], HALF, 6);
        },
    );
}

/// What is held is whole and apart, and with it there is room for `pages` runs of one page.
fn assert_runs(world: &World, held: Vec<Block>, pages: usize) {
    let agent = world.agent(0);
    let many = held.len() as u64;
    let figures =
        agent.audit(&mut NoReferences).unwrap_or_else(|error| panic!("{error:?}: {held:?}, {:?}", kinds(agent)));
    assert_eq!(figures.live_blocks, many);
    assert!(!kinds(agent).contains(&PageKind::Private), "{:?}", kinds(agent));
    assert_hinted(world.heap);
    held.into_iter().for_each(|block| give(agent, block).unwrap());
    assert_conserved(agent, [], PAGE, pages);
}

#[test]
fn runs_of_overlapping_stretches_never_share_a_page() {
    explore(
        "runs_of_overlapping_stretches_never_share_a_page",
        World::new(3, 3, true),
        6000,
        |world| {
            // Each wants another length of the same three pages.
            let work = |agent: Agent, pages: u32| {
                for _ in 0..3 {
                    if let Ok(block) = take(agent, pages * PAGE) {
                        give(agent, block).unwrap();
                    }
                }
                take(agent, pages * PAGE).ok()
            };
            let others = [1, 2].map(|index| beside(world, index, move |_, agent| work(agent, index as u32 + 1)));
            let mine = work(world.agent(0), 1);
            mine.into_iter().chain(others.into_iter().filter_map(|other| other.join().unwrap())).collect::<Vec<_>>()
        },
        |world, held| assert_runs(world, held, 3),
    );
}

#[test]
fn run_freed_by_two_while_its_maker_claims_again_is_freed_once() {
    explore(
        "run_freed_by_two_while_its_maker_claims_again_is_freed_once",
        World::new(3, 2, true).with_blocks(1, 2 * PAGE),
        10_000,
        |world| {
            // Who is too late throws: its record names the run, so its recovery frees what the other is freeing.
            let others = [1, 2].map(|index| {
                beside(world, index, move |world, agent| {
                    let free =
                        || agent.operation(|op| op.free(world.blocks[0]).or_else(|_| resume_unwind(Box::new(()))));
                    let freed = catch_unwind(AssertUnwindSafe(free)).is_ok();
                    agent.recover(&nothing_to_settle).unwrap();
                    freed
                })
            });
            let maker = world.agent(0);
            let mine = (0..4).find_map(|_| take(maker, 2 * PAGE).ok());
            assert_eq!(others.map(|other| other.join().unwrap()).into_iter().filter(|&freed| freed).count(), 1);
            mine
        },
        |world, mine| assert_runs(world, mine.into_iter().collect(), 2),
    );
}

#[test]
fn growth_that_another_pushed_beyond_the_table_is_everybodys() {
    controls();
    const ROOM: u32 = 4;
    // The memory may have more pages than the table; two are the bodies of the seats.
    let memory = Memory::map(RESERVED + 2, RESERVED + 2 + 3 * ROOM).unwrap();
    let options = Options { maximum_pages: RESERVED + 2 + ROOM, fixed: false, seed: 1 };
    let heap = Heap::initialize(memory, PAGE, options).unwrap();
    let slots = (0..2).map(|_| heap.attach(Seat::default()).unwrap().slot()).collect();
    explore(
        "growth_that_another_pushed_beyond_the_table_is_everybodys",
        World { heap, slots, blocks: Vec::new() },
        2000,
        |world| {
            let other = beside(world, 1, |world, _| world.memory().grow(ROOM / 2).unwrap());
            let run = take(world.agent(0), (ROOM - 1) * PAGE).ok();
            (run, other.join().unwrap())
        },
        |world, (run, foreign)| {
            let pages = if foreign == RESERVED + 2 { ROOM / 2 } else { ROOM };
            assert_runs(world, run.into_iter().collect(), pages as usize);
        },
    );
}
