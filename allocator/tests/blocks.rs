//! Blocks of every size, one agent: what is handed out is disjoint, aligned, and comes back.

mod common;

use coheap_alloc::audit::NoReferences;
use coheap_alloc::layout::control;
use coheap_alloc::sync::PAGE;
use coheap_alloc::{Error, Kind, Seat, nothing_to_settle};
use common::{cases, controls, heap, heap_at};

#[test]
fn block_of_every_size_is_aligned_and_disjoint() {
    controls();
    let heap = heap(2048);
    let agent = heap.attach(Seat::default()).unwrap();
    let mut count = 0;
    agent
        .operation(|op| {
            let mut taken = Vec::new();
            for size in (0..=8192).step_by(61).chain((8193..200_000).step_by(3571)) {
                for align in [1, 16, 64, 256, 4096, 65_536] {
                    let block = op.allocate(size, align, Kind::Rust)?;
                    assert_eq!(block.address % align, 0, "{size} at {align}");
                    assert!(op.size_of(block) >= size);
                    taken.push((block.address, block.address + op.size_of(block), block));
                    count += 1;
                    if taken.len() > 300 {
                        taken.sort_unstable_by_key(|&(start, ..)| start);
                        for pair in taken.windows(2) {
                            assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
                        }
                        for (_, _, block) in taken.drain(..) {
                            op.free(block)?;
                        }
                    }
                }
            }
            for (_, _, block) in taken {
                op.free(block)?;
            }
            Ok(())
        })
        .unwrap();
    let figures = agent.audit(&mut NoReferences).unwrap();
    assert_eq!((figures.live_blocks, figures.live_bytes), (0, 0));
    cases("block_of_every_size_is_aligned_and_disjoint", count);
}

#[test]
fn free_twice_is_refused_and_wrong_addresses_too() {
    controls();
    let heap = heap(256);
    let agent = heap.attach(Seat::default()).unwrap();
    let other = heap.attach(Seat::default()).unwrap();
    let mut count = 0;
    for size in [16, 64, 8192, 10_000, 60_000, 100_000] {
        for by_other in [false, true] {
            let block = agent
                .operation(|op| {
                    let block = op.allocate(size, 16, Kind::Rust)?;
                    op.publish(block)?;
                    Ok(block)
                })
                .unwrap();
            let who = if by_other { other } else { agent };
            assert_eq!(who.operation(|op| op.free(block)), Ok(()));
            for again in [agent, other] {
                let address = block.address;
                assert_eq!(again.operation(|op| op.free(block)), Err(Error::NotAllocated { address }));
                count += 1;
            }
            for wrong in [block.address + 16, block.address ^ 0x1000, 16, 0xFFFF_FFF0] {
                let block = coheap_alloc::Block { address: wrong, generation: block.generation };
                assert!(agent.operation(|op| op.free(block)).is_err());
                count += 1;
            }
        }
    }
    assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 0);
    cases("free_twice_is_refused_and_wrong_addresses_too", count);
}

#[test]
fn private_block_left_behind_goes_back_at_the_end() {
    controls();
    let heap = heap(256);
    let agent = heap.attach(Seat::default()).unwrap();
    for size in [16, 100, 8192, 20_000, 300_000] {
        let inner = |op: &coheap_alloc::Operation| op.allocate(size, 8, Kind::Rust).map(|_| ());
        agent.operation(|op| inner(op)).unwrap();
        agent.operation(|op| op.agent().operation(|op| inner(op))).unwrap();
        assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 0, "{size}");
    }
}

#[test]
fn heap_anywhere_in_its_memory_works() {
    controls();
    for control in [1, 7, 100] {
        for fixed in [false, true] {
            let heap = heap_at(control, 256, fixed);
            let agent = heap.attach(Seat::default()).unwrap();
            let block = agent
                .operation(|op| {
                    let block = op.allocate(100, 8, Kind::Rust)?;
                    op.publish(block)?;
                    Ok(block)
                })
                .unwrap();
            assert!(block.address > control * PAGE);
            assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 1);
        }
    }
}

#[test]
fn agent_that_left_is_lost_whoever_has_its_slot() {
    controls();
    let heap = heap(64);
    let stale = heap.attach(Seat::default()).unwrap();
    stale.detach().unwrap();
    let lost = Error::AgentLost { agent: stale.index() };
    assert_eq!(stale.turn_begin(), Err(lost));
    let next = heap.attach(Seat::default()).unwrap();
    assert_eq!((next.slot(), next.incarnation()), (stale.slot(), stale.incarnation() + 1));
    next.turn_begin().unwrap();
    assert_eq!(stale.turn_begin(), Err(lost));
    assert_eq!(stale.recover(&nothing_to_settle), Err(lost));
    assert_eq!(stale.detach(), Err(lost));
    stale.turn_end();
    assert!(next.is_online() && !stale.is_online());
    next.operation(|_| {
        assert_eq!(stale.operation(|op| op.allocate(64, 8, Kind::Bytes)), Err(lost));
        Ok(())
    })
    .unwrap();
}

#[test]
fn agent_stays_online_inside_its_operation() {
    let agent = heap(64).attach(Seat::default()).unwrap();
    agent
        .operation(|op| {
            assert!(!agent.turn_end());
            agent.leave();
            assert!(agent.is_online());
            assert_eq!(agent.detach(), Err(Error::Busy { agent: agent.index() }));
            op.allocate(64, 8, Kind::Bytes)
        })
        .unwrap();
    assert!(!agent.is_online());
}

#[test]
fn block_is_published_once_and_by_its_maker() {
    let heap = heap(256);
    let (maker, other) = (heap.attach(Seat::default()).unwrap(), heap.attach(Seat::default()).unwrap());
    for size in [64, 20_000, 200_000] {
        let block = maker
            .operation(|op| {
                let block = op.allocate(size, 8, Kind::Rust)?;
                let refused = Err(Error::NotAllocated { address: block.address });
                assert_eq!(other.operation(|op| op.publish(block)), refused);
                op.publish(block)?;
                assert_eq!(op.publish(block), refused);
                // Neither does a replacement that fails leave anything in the record.
                let cell = heap.control() + control::ROOTS;
                assert_eq!(op.replace(cell, 0, 1, Some(block), None).map(drop), refused);
                Ok(block)
            })
            .unwrap();
        maker.recover(&nothing_to_settle).unwrap();
        assert_eq!(maker.operation(|op| Ok(op.is_live(block))), Ok(Some(Kind::Rust)), "{size}");
    }
}

#[test]
fn private_block_goes_back_although_a_published_one_was_freed() {
    let agent = heap(256).attach(Seat::default()).unwrap();
    for size in [64, 20_000, 200_000] {
        let published = agent.operation(|op| op.allocate(size, 8, Kind::Rust).and_then(|b| op.publish(b).map(|()| b)));
        let (published, mut left) = (published.unwrap(), None);
        agent
            .operation(|op| {
                left = Some(op.allocate(size, 8, Kind::Rust)?);
                op.free(published)
            })
            .unwrap();
        let again = agent.operation(|op| op.free(left.unwrap()));
        assert_eq!(again, Err(Error::NotAllocated { address: left.unwrap().address }), "{size}");
        agent.audit(&mut NoReferences).unwrap();
    }
}
