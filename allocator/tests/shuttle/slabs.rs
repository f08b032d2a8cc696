//! Slabs that change owner, blocks that others freed, seats that come and go.

use coheap_alloc::Seat;
use coheap_alloc::audit::NoReferences;
use coheap_alloc::layout::GRANULE;
use shuttle::thread;

use super::common::world::{IN_SLAB, SMALL, World, assert_conserved, give, take};
use super::explore::{beside, explore};
use super::hints::assert_hinted;

#[test]
fn slab_revoked_beside_its_owner_coming_online_has_one_owner() {
    explore(
        "slab_revoked_beside_its_owner_coming_online_has_one_owner",
        World::new(2, 1, true).with_blocks(4, SMALL),
        6000,
        |world| {
            let other = beside(world, 1, |_, agent| take(agent, SMALL).ok());
            let mine = [take(world.agent(0), SMALL).ok(), take(world.agent(0), SMALL).ok()];
            (mine, other.join().unwrap())
        },
        |world, (mine, theirs)| {
            let held = world.blocks.iter().copied().chain(mine.into_iter().flatten()).chain(theirs);
            assert_conserved(world.agent(0), held, SMALL, IN_SLAB);
        },
    );
}

#[test]
fn freed_block_is_always_found_by_collecting() {
    explore(
        "freed_block_is_always_found_by_collecting",
        World::new(3, 4, true).with_blocks(IN_SLAB, SMALL),
        20_000,
        |world| {
            let others = [1, 2].map(|index| {
                beside(world, index, move |world, agent| {
                    give(agent, world.blocks[index]).unwrap();
                    give(agent, world.blocks[index + 2]).unwrap();
                })
            });
            // The slab is full: each takes what was freed so far, or a block of a new slab.
            let taken = [take(world.agent(0), SMALL).unwrap(), take(world.agent(0), SMALL).unwrap()];
            for other in others {
                other.join().unwrap();
            }
            taken
        },
        |world, taken| {
            assert_hinted(world.heap);
            let held = [0, 5, 6].map(|index| world.blocks[index]).into_iter().chain(taken);
            assert_conserved(world.agent(0), held, SMALL, 4 * IN_SLAB);
        },
    );
}

#[test]
fn seats_that_come_and_go_leave_every_block_behind() {
    explore(
        "seats_that_come_and_go_leave_every_block_behind",
        World::new(1, 7, true).with_blocks(2, SMALL),
        3000,
        |world| {
            let others = [0, 1].map(|index| {
                let world = world.clone();
                thread::spawn(move || {
                    let agent = world.heap.attach(Seat::default()).unwrap();
                    let kept = take(agent, SMALL).unwrap();
                    give(agent, world.blocks[index]).unwrap();
                    let gone = take(agent, 3 * GRANULE).ok();
                    if let Some(block) = gone {
                        give(agent, block).unwrap();
                    }
                    agent.detach().unwrap();
                    kept
                })
            });
            others.map(|other| other.join().unwrap())
        },
        |world, kept| {
            assert_eq!(world.agent(0).audit(&mut NoReferences).unwrap().live_blocks, 2);
            // The bodies of the two stay with their slots.
            let bodies = world.memory().load32(world.slots[0] + 1024 + coheap_alloc::layout::slot::BODY) != 0;
            let second = world.memory().load32(world.slots[0] + 2048 + coheap_alloc::layout::slot::BODY) != 0;
            let pages = 7 - usize::from(bodies) - usize::from(second);
            assert_conserved(world.agent(0), kept, SMALL, pages * IN_SLAB);
        },
    );
}
