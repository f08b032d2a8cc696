//! Random schedules, sequentially consistent: what stands on a store before a load (the fence, the hints), the audit of
//! a heap that is in use, and three agents doing everything at once.
#![cfg(shuttle)]
#![allow(missing_docs)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use coheap_alloc::audit::{NoReferences, References};
use coheap_alloc::layout::{GRANULE, PAGE, body, control, window};
use coheap_alloc::size_class::CLASS;
use coheap_alloc::{
    Address, Agent, Block, Entry, Error, GranuleWord, Header, Heap, Kind, Memory, Options, PageKind, PageWord, Result,
    Seat, State, nothing_to_settle,
};
use common::world::{IN_SLAB, RESERVED, SMALL, World, assert_conserved, give, kinds, take};
use common::{Watchdog, cases, controls, seed};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::thread::{self, JoinHandle};

/// Whether some agent's window of the class holds the block with this header.
fn in_window(heap: Heap, class: u32, header: Address) -> bool {
    let (memory, control) = (heap.memory(), heap.control());
    coheap_alloc::slot::each(memory, control, |_, slot| {
        let body = coheap_alloc::slot::body(memory, slot).address();
        let window = body + body::WINDOWS + class * window::SIZE;
        if body == 0 || memory.load32(window + window::HEADERS) == 0 {
            return None;
        }
        let bit = header.checked_sub(memory.load32(window + window::HEADERS)).map(|distance| distance / 8);
        bit.is_some_and(|bit| bit < 64 && memory.load64(window) & 1 << bit != 0).then_some(())
    })
    .is_some()
}

/// What is free and in no list has a hint: every free page, and every slab with a block that others freed.
fn assert_hinted(heap: Heap) {
    let (memory, control) = (heap.memory(), heap.control());
    let hinted = |bitmap: Address, page: u32| memory.load64(control + bitmap + page / 64 * 8) & 1 << (page & 63) != 0;
    for page in 0..memory.load32(control + control::LIMIT) {
        let word = PageWord(memory.load64(control + control::TABLE + page * 16));
        if word.kind() == PageKind::Free {
            assert!(hinted(control::FREE_HINTS, page), "page {page} is free and no hint says so");
        }
        if word.kind() == PageKind::Granules {
            let granules = GranuleWord(memory.load64(control + control::TABLE + page * 16 + 8));
            let full = granules.room(1).is_none();
            assert!(full || hinted(control::GRANULE_HINTS, page), "granule page {page} has room and no hint says so");
        }
        if word.kind() == PageKind::Slab {
            let shape = CLASS[word.class() as usize];
            let at = page * PAGE;
            let header = |index| Header(memory.load64(at + shape.header(index)));
            let listed = |index: u32| memory.load64(shape.bitmap(at) + index / 64 * 8) & 1 << (index & 63) != 0;
            let loose = (0..u32::from(shape.count)).any(|index| {
                header(index).state() == State::Free
                    && !listed(index)
                    && !in_window(heap, word.class(), at + shape.header(index))
            });
            assert!(!loose || hinted(control::FREED_HINTS, page), "slab {page} has a freed block and no hint says so");
        }
    }
}

/// Random, but who runs mostly goes on: the whole of one agent's free between two steps of another's claim.
struct Bursts(RandomScheduler);

impl Scheduler for Bursts {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let goes_on = !is_yielding && !self.0.next_u64().is_multiple_of(16);
        let same = current.filter(|&id| goes_on && runnable.iter().any(|task| task.id() == id));
        same.or_else(|| self.0.next_task(runnable, current, is_yielding))
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Runs `together` in so many random schedules, half as many again with few preemptions and half as many in bursts, and
/// after each `afterwards`.
fn explore<R: 'static>(
    name: &'static str,
    world: World,
    schedules: usize,
    together: impl Fn(&Arc<World>) -> R + Send + Sync + 'static,
    afterwards: impl Fn(&World, R) + Send + Sync + 'static,
) {
    let _watchdog = Watchdog::new(name, 600);
    let world = Arc::new(world);
    world.memory().keep();
    let run = Arc::new((together, afterwards));
    let count = Arc::new(Mutex::new(0u64));
    let mut config = shuttle::Config::new();
    config.stack_size = 0x2_0000;
    config.silence_warnings = true;
    let seed = seed(name);
    let schedulers: [Box<dyn Scheduler + Send>; 3] = [
        Box::new(RandomScheduler::new_from_seed(seed, schedules)),
        Box::new(PctScheduler::new_from_seed(seed, 3, schedules / 2)),
        Box::new(Bursts(RandomScheduler::new_from_seed(seed, schedules / 2))),
    ];
    for scheduler in schedulers {
        let (world, run, counted) = (world.clone(), run.clone(), count.clone());
        shuttle::Runner::new(scheduler, config.clone()).run(move || {
            let memory = world.memory();
            memory.rewind();
            memory.share();
            let result = (run.0)(&world);
            let counts = memory.settle();
            (run.1)(&world, result);
            // One that met a raced word for the first time had too few schedule points to count.
            *counted.lock().unwrap() += u64::from(counts);
        });
    }
    cases(name, *count.lock().unwrap());
}

/// Another thread with the agent `index`.
fn beside<R: Send + 'static>(
    world: &Arc<World>,
    index: usize,
    work: impl FnOnce(&World, Agent) -> R + Send + 'static,
) -> JoinHandle<R> {
    let world = world.clone();
    thread::spawn(move || work(&world, world.agent(index)))
}

/// Closes the gate, waits a little, walks if everybody is offline, opens the gate. `None`: somebody was in the way.
fn audit(agent: Agent, references: &mut impl References) -> Option<u64> {
    let mut online = agent.audit_begin();
    for _ in 0..10 {
        if online == 0 {
            break;
        }
        thread::yield_now();
        online = agent.audit_online();
    }
    let walked = agent.audit_walk(references);
    agent.audit_end();
    match walked {
        Ok(figures) => Some(figures.live_blocks),
        Err(Error::Busy { .. }) => None,
        Err(violation) => panic!("{violation:?}"),
    }
}

/// As [`Agent::operation`] of an agent that waits while the gate is closed.
fn patiently<R>(agent: Agent, work: impl FnOnce(&coheap_alloc::Operation) -> Result<R>) -> Result<R> {
    for _ in 0..1000 {
        match agent.enter() {
            Ok(entry) => return agent.run(entry, work),
            Err(Error::Gate { .. }) => thread::yield_now(),
            Err(other) => return Err(other),
        }
    }
    panic!("the gate stayed closed");
}

#[test]
fn fence_between_entry_revoking_and_audit_lets_one_in() {
    let walks = Arc::new(Mutex::new(0u64));
    let walked = walks.clone();
    explore(
        "fence_between_entry_revoking_and_audit_lets_one_in",
        World::new(3, 1, true).with_blocks(5, SMALL),
        6000,
        |world| {
            // Nothing is left but two blocks of the first agent's slab, so it revokes.
            let other = beside(world, 1, |_, agent| [take(agent, SMALL).ok(), take(agent, SMALL).ok()]);
            let auditor = beside(world, 2, |_, agent| audit(agent, &mut NoReferences));
            let agent = world.agent(0);
            let taken = patiently(agent, |op| {
                op.free(world.blocks[0])?;
                let block = op.allocate(SMALL, 8, Kind::Rust)?;
                op.publish(block)?;
                Ok(block)
            });
            patiently(agent, |op| op.free(world.blocks[1])).unwrap();
            (taken.ok(), other.join().unwrap(), auditor.join().unwrap())
        },
        move |world, (mine, theirs, audited)| {
            let held = world.blocks[2..].iter().copied().chain(mine).chain(theirs.into_iter().flatten());
            assert_conserved(world.agent(0), held, SMALL, IN_SLAB);
            *walked.lock().unwrap() += u64::from(audited.is_some());
        },
    );
    assert!(*walks.lock().unwrap() > 0, "no audit ever saw everybody offline");
}

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
fn operation_nested_under_a_closing_gate_keeps_its_slabs() {
    explore(
        "operation_nested_under_a_closing_gate_keeps_its_slabs",
        World::new(3, 1, true),
        6000,
        |world| {
            let auditor = beside(world, 2, |_, agent| audit(agent, &mut NoReferences));
            let other = beside(world, 1, |_, agent| [take(agent, SMALL).ok(), take(agent, SMALL).ok()]);
            let mine = world.agent(0).operation(|op| {
                let outer = op.allocate(SMALL, 8, Kind::Rust)?;
                let inner = take(op.agent(), SMALL)?;
                op.publish(outer)?;
                Ok([outer, inner])
            });
            auditor.join().unwrap();
            (mine.ok(), other.join().unwrap())
        },
        |world, (mine, theirs)| {
            let held = mine.into_iter().flatten().chain(theirs.into_iter().flatten());
            assert_conserved(world.agent(0), held, SMALL, IN_SLAB);
        },
    );
}

/// One cell refers to a block.
struct Cell(Address);

impl References for Cell {
    fn visit<F: FnMut(Block, Kind) -> Result<()>>(&self, memory: Memory, _: Address, seen: &mut F) -> Result<()> {
        Block::from_word(memory.load64(self.0)).map_or(Ok(()), |block| seen(block, Kind::Bytes))
    }
}

/// Puts a new block into the cell, however often others are quicker.
fn put(agent: Agent, cell: Address) {
    let put = agent.operation(|op| {
        let new = op.allocate(SMALL, 8, Kind::Bytes)?;
        for _ in 0..100 {
            let found = op.memory().load64(cell);
            if op.replace(cell, found, new.to_word(), Some(new), Block::from_word(found))?.is_ok() {
                return Ok(());
            }
        }
        panic!("a hundred others were quicker");
    });
    put.unwrap();
}

#[test]
fn audit_beside_writers_never_reports_a_violation() {
    explore(
        "audit_beside_writers_never_reports_a_violation",
        World::new(3, 3, true),
        4000,
        |world| {
            let writer = beside(world, 1, |world, agent| {
                put(agent, world.cell());
                put(agent, world.cell());
            });
            let auditor = beside(world, 2, |world, agent| audit(agent, &mut Cell(world.cell())));
            put(world.agent(0), world.cell());
            writer.join().unwrap();
            auditor.join().unwrap();
        },
        |world, ()| assert_eq!(world.agent(0).audit(&mut Cell(world.cell())).unwrap().live_blocks, 1),
    );
}

#[test]
fn audits_by_two_never_report_a_violation() {
    let world = World::new(3, 3, true);
    put(world.agent(0), world.cell());
    explore(
        "audits_by_two_never_report_a_violation",
        world,
        4000,
        |world| {
            let auditors = [1, 2].map(|index| {
                beside(world, index, |world, agent| {
                    for _ in 0..2 {
                        audit(agent, &mut Cell(world.cell()));
                    }
                })
            });
            put(world.agent(0), world.cell());
            for auditor in auditors {
                auditor.join().unwrap();
            }
        },
        |world, ()| assert_eq!(world.agent(0).audit(&mut Cell(world.cell())).unwrap().live_blocks, 1),
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

#[test]
fn entry_while_online_is_no_second_entry() {
    explore(
        "entry_while_online_is_no_second_entry",
        World::new(2, 1, true),
        1000,
        |world| {
            let auditor = beside(world, 1, |_, agent| audit(agent, &mut NoReferences));
            let agent = world.agent(0);
            while let Err(Error::Gate { .. }) = agent.turn_begin() {
                thread::yield_now();
            }
            let block = patiently(agent, |op| {
                let block = op.allocate(SMALL, 8, Kind::Rust)?;
                op.publish(block)?;
                assert_eq!(agent.enter(), Ok(Entry::Online));
                Ok(block)
            });
            agent.turn_end();
            auditor.join().unwrap();
            block.unwrap()
        },
        |world, block| assert_conserved(world.agent(0), [block], SMALL, IN_SLAB),
    );
}
