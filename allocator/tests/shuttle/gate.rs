//! Who comes in while the gate closes, and audits beside those who work.

use std::sync::{Arc, Mutex};

use coheap_alloc::audit::{NoReferences, References};
use coheap_alloc::{Address, Agent, Block, Entry, Error, Kind, Memory, Result};
use shuttle::thread;

use super::common::world::{IN_SLAB, SMALL, World, assert_conserved, take};
use super::explore::{beside, explore};

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
