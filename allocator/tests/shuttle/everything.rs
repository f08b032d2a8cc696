//! Three agents that do everything at once.

use std::sync::{Arc, Mutex};

use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Address, Agent, Block, Error};
use shuttle::rand::{Rng, thread_rng};

use super::common::world::{IN_SLAB, SMALL, World, assert_conserved, give, take};
use super::explore::{beside, explore};
use super::hints::assert_hinted;

/// What stands in a block: its first and its last word tell whose it is.
fn ends(block: Block, size: u32) -> [Address; 2] {
    [block.address, block.address + size / 8 * 8 - 8]
}

#[test]
fn three_agents_doing_everything_never_meet_in_a_block() {
    const SIZES: [u32; 5] = [8192, 8000, 12_288, 30_000, 70_000];
    type Parcel = (Block, u32, u64);
    type Post = Arc<Mutex<Vec<Parcel>>>;

    fn give_checked(agent: Agent, (block, size, tag): Parcel) {
        for at in ends(block, size) {
            assert_eq!(
                agent.memory().load64(at),
                tag ^ u64::from(at),
                "{block:?} of {size} bytes was written by another"
            );
        }
        give(agent, block).unwrap();
    }

    fn act(agent: Agent, me: u64, post: &Post) {
        let mut mine: Vec<Parcel> = Vec::new();
        for step in 0..8u64 {
            match thread_rng().gen_range(0..10) {
                0..5 => {
                    let size = SIZES[thread_rng().gen_range(0..SIZES.len())];
                    if let Ok(block) = take(agent, size) {
                        let tag = me << 40 | step << 32;
                        for at in ends(block, size) {
                            agent.memory().store64(at, tag ^ u64::from(at));
                        }
                        mine.push((block, size, tag));
                    }
                }
                5..7 => {
                    if let Some(parcel) = mine.pop() {
                        give_checked(agent, parcel);
                    }
                }
                7 => post.lock().unwrap().extend(mine.pop()),
                8 => {
                    let parcel = post.lock().unwrap().pop();
                    if let Some(parcel) = parcel {
                        give_checked(agent, parcel);
                    }
                }
                _ => {
                    agent.turn_end();
                    if thread_rng().gen_bool(0.5) {
                        while let Err(Error::Gate { .. }) = agent.turn_begin() {
                            agent.break_gate();
                        }
                    }
                }
            }
        }
        agent.turn_end();
        post.lock().unwrap().append(&mut mine);
    }

    explore(
        "three_agents_doing_everything_never_meet_in_a_block",
        World::new(3, 6, false),
        4000,
        |world| {
            let post = Post::default();
            let others = [1, 2].map(|index| {
                let post = post.clone();
                beside(world, index, move |_, agent| act(agent, index as u64, &post))
            });
            act(world.agent(0), 0, &post);
            for other in others {
                other.join().unwrap();
            }
            post
        },
        |world, post| {
            assert_hinted(world.heap);
            for parcel in post.lock().unwrap().drain(..) {
                give_checked(world.agent(0), parcel);
            }
            assert_eq!(world.agent(0).audit(&mut NoReferences).unwrap().live_blocks, 0);
            assert_conserved(world.agent(0), [], SMALL, 6 * IN_SLAB);
        },
    );
}
