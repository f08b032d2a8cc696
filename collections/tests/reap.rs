//! The seats of dead agents: taken over by one, never entered again by the dead, free afterwards.
#![cfg(feature = "fault-points")]
mod common;

use coheap::reap::{Proof, Reaped, reap};
use coheap::wait::native::Threads;
use coheap::{Type, bytes, map};
use coheap_alloc::reap::{condemn, is_left, left, of_life};
use coheap_alloc::{Agent, Error, Heap, Kind, Result, Seat, SlotWord, layout, slot};
use common::faults::{controls_of_both, dies, seat_of, unmap};
use common::{Watchdog, agent, audit, heap, leave, run};

const LIFE: u64 = 0x11FE;

fn attach(heap: Heap) -> Result<Agent> {
    heap.attach(Seat { life: LIFE, may_block: true, ..Seat::default() })
}

/// Reaps the agent of this life, if there is one.
fn reap_life(by: Agent) -> Result<Option<Reaped>> {
    let Some(dead) = of_life(by.memory(), by.control(), LIFE, Proof::Ended) else { return Ok(None) };
    // SAFETY: I-28 what is done in the name of these agents afterwards only shows that it is refused.
    unsafe { reap(by, &Threads::new(by.memory()), dead, Proof::Ended) }
}

#[test]
fn zombie_never_enters_again_whoever_has_its_seat() {
    controls_of_both();
    let heap = heap(64);
    let by = agent(heap);
    let zombie = attach(heap).expect("a seat");
    let before = audit(by).live_blocks;
    let held = run(zombie, |o| bytes::create(o, 5000));
    zombie.turn_begin().expect("it is online");
    assert_eq!(reap_life(by), Ok(Some(Reaped { repaired: false })));
    let enters = || zombie.operation(|o| bytes::create(o, 10)).map(drop);
    assert!(matches!(enters(), Err(Error::AgentLost { .. })));
    assert_eq!(audit(by).live_blocks, before, "what it had is given back");
    // The next one has the same slot.
    let next = attach(heap).expect("a seat");
    assert_eq!(next.slot(), zombie.slot());
    assert!(matches!(enters(), Err(Error::AgentLost { .. })));
    assert!(!zombie.is_online());
    assert!(matches!(zombie.recover(&coheap::recovery::settle), Err(Error::AgentLost { .. })));
    assert!(matches!(zombie.detach(), Err(Error::AgentLost { .. })));
    assert!(matches!(run(next, |o| Ok(coheap::acquire(o, held, None))), Err(Error::StaleHandle { .. })));
    leave(next);
    audit(by);
}

#[test]
fn condemned_agent_begins_no_operation() {
    let heap = heap(64);
    let (by, agent) = (agent(heap), attach(heap).expect("a seat"));
    let map = run(agent, map::create);
    // Inside an operation it goes on to the end.
    run(agent, |o| {
        assert!(condemn(by.memory(), agent.slot(), agent.incarnation()));
        map::clear(o, map)
    });
    assert!(matches!(agent.operation(map::create), Err(Error::AgentLost { .. })));
    assert!(!condemn(by.memory(), agent.slot(), agent.incarnation() + 1), "it is another");
    assert_eq!(by.figures().quarantined, 1);
    assert!(matches!(reap_life(by), Ok(Some(_))));
    assert_eq!(by.figures().quarantined, 0);
    assert!(!condemn(by.memory(), agent.slot(), agent.incarnation()), "it has left");
    audit(by);
}

/// A box may have moved to another thread: its maker's death takes nothing from its holder.
#[test]
fn block_of_a_rust_program_outlives_its_maker_and_is_counted() {
    const NAME: &str = "block_of_a_rust_program_outlives_its_maker_and_is_counted";
    const SIZES: [u32; 3] = [64, 20_000, 200_000];
    let heap = heap(64);
    let by = agent(heap);
    let (memory, before) = (by.memory(), audit(by));
    for size in SIZES {
        let dead = attach(heap).expect("a seat");
        let block = run(dead, |o| {
            let block = o.allocate(size, 8, Kind::Rust)?;
            o.publish(block)?;
            Ok(block)
        });
        let words = || (block.address..block.address + size / 8 * 8).step_by(8);
        words().for_each(|at| memory.store64(at, u64::from(at) << 7));
        assert_eq!(audit(by).orphans, 0, "its maker has a seat");
        // It dies in an operation, and others use what it left free.
        dead.turn_begin().expect("it is online");
        assert_eq!(reap_life(by), Ok(Some(Reaped { repaired: false })));
        let others = run(by, |o| (0..100).map(|_| bytes::create(o, size.min(9000))).collect::<Result<Vec<_>>>());
        assert!(words().all(|at| memory.load64(at) == u64::from(at) << 7), "its contents are another's");
        let figures = audit(by);
        assert_eq!((figures.orphans, figures.live_blocks), (1, before.live_blocks + 101));
        // Whoever has it frees it, once.
        common::threads(heap, 1, |_, other| {
            run(other, |o| o.free(block));
            assert!(other.operation(|o| o.free(block)).is_err());
        });
        assert_eq!(audit(by).orphans, 0);
        others.into_iter().for_each(|each| run(by, |o| coheap::release(o, each, Type::Bytes).map(drop)));
        assert_eq!(audit(by).live_bytes, before.live_bytes);
    }
    println!("cases {NAME} {}", SIZES.len());
}

#[test]
fn seat_is_taken_over_by_one_of_many() {
    let _watchdog = Watchdog::new("seat_is_taken_over_by_one_of_many");
    let heap = heap(256);
    let host = agent(heap);
    let mut total = 0;
    for round in 0..300 {
        let dead = attach(heap).expect("a seat");
        let held = run(dead, map::create);
        for key in 0..round % 40 {
            let key = map::Key::number(f64::from(key));
            run(dead, |o| map::set(o, held, &key, coheap::string::Given::text(b"a value that needs a block")));
        }
        let (at, dead) = (dead.slot(), seat_of(dead));
        let reaped = common::threads(heap, 3, |_, by| {
            // SAFETY: I-28 nothing is done in the name of the agent afterwards.
            let reaped = unsafe { reap(by, &Threads::new(by.memory()), dead, Proof::Ended) };
            u32::from(reaped.expect("it makes sense").is_some())
        });
        assert_eq!(reaped.iter().sum::<u32>(), 1, "round {round}");
        assert!(!slot::word(host.memory(), at).has(SlotWord::ATTACHED));
        total += 1;
    }
    assert_eq!(left(host.memory(), host.control()), None);
    println!("cases seat_is_taken_over_by_one_of_many {total}");
    audit(host);
}

/// One who knew the dead agent as it was before another took its seat over.
#[test]
fn reaper_that_comes_too_late_keeps_nobody_away() {
    let heap = heap(64);
    let [first, late, by] = [(); 3].map(|()| agent(heap));
    let (memory, control) = (by.memory(), by.control());
    let dead = attach(heap).expect("a seat");
    run(dead, |o| bytes::create(o, 5000).map(drop));
    // The first reaper dies with the seat taken over, and is reaped.
    let mut at = 0;
    while !slot_is_taken_over(dead) {
        assert!(dies(at, || assert!(reap_life(first).is_ok())), "it dies before it is done");
        at += 1;
    }
    // SAFETY: I-28 neither does anything any more.
    let reaped = unsafe { reap(by, &Threads::new(memory), seat_of(first), Proof::Ended) };
    assert!(matches!(reaped, Ok(Some(_))));
    assert!(is_left(memory, control, dead.slot()));
    // Its last agent may have been in the middle of anything: unlike one that has just attached it does count.
    assert!(slot::is_anonymous(memory, dead.slot()));
    assert!(matches!(by.audit(&mut coheap::references::Objects), Err(Error::Busy { .. })));
    // SAFETY: I-28 as above.
    let reaped = unsafe { reap(late, &Threads::new(memory), seat_of(dead), Proof::Ended) };
    assert_eq!(reaped, Ok(None), "it is not that one any more");
    assert!(is_left(memory, control, dead.slot()), "the seat waits for the next still");
    let waiting = left(memory, control).expect("it is found");
    // SAFETY: I-28 as above.
    assert!(matches!(unsafe { reap(by, &Threads::new(memory), waiting, Proof::Fenced) }, Ok(Some(_))));
    assert!(!slot::word(memory, dead.slot()).has(SlotWord::ATTACHED), "its first reaper had the better proof");
    assert_eq!(left(memory, control), None);
    audit(by);
}

/// All that a third one knows is whom the last reaper was: that one left a seat which another had left.
#[test]
fn seat_whose_reapers_die_one_after_the_other_is_found() {
    let _watchdog = Watchdog::new("seat_whose_reapers_die_one_after_the_other_is_found");
    let mut pairs = 0;
    'first: for at in 0.. {
        for again in 0..40 {
            let heap = heap(64);
            let [first, second, by] = [(); 3].map(|()| agent(heap));
            let (memory, control) = (by.memory(), by.control());
            let dead = attach(heap).expect("a seat");
            run(dead, |o| bytes::create(o, 5000).map(drop));
            let died = dies(at, || assert!(reap_life(first).is_ok()));
            if !died {
                break 'first;
            }
            if memory.load64(dead.slot() + layout::slot::REAPER) == 0 {
                // It has not said whose the seat is to be: that takes who has the proof.
                unmap(by);
                break;
            }
            let reaper = seat_of(first);
            let host = Threads::new(memory);
            let died = dies(again, || {
                for dead in std::iter::once(reaper).chain(std::iter::from_fn(|| left(memory, control))) {
                    // SAFETY: I-28 the agents here die by unwinding, and do nothing afterwards.
                    let reaped = unsafe { reap(second, &host, dead, Proof::Ended) };
                    reaped.expect("it makes sense");
                }
            });
            // Who has the proof that they do not run says whose seats these are.
            for dead in [seat_of(second), reaper] {
                // SAFETY: I-28 as above.
                assert!(unsafe { reap(by, &host, dead, Proof::Ended) }.is_ok());
            }
            while let Some(dead) = left(memory, control) {
                // SAFETY: I-28 as above; what is left says which proof its reaper had.
                let reaped = unsafe { reap(by, &host, dead, Proof::Fenced) };
                assert!(matches!(reaped, Ok(Some(_))), "deaths at {at} and {again}");
            }
            assert_eq!(of_life(memory, control, LIFE, Proof::Ended), None, "deaths at {at} and {again}");
            assert_eq!(audit(by).agents, 1, "deaths at {at} and {again}");
            unmap(by);
            pairs += 1;
            if !died {
                break;
            }
        }
    }
    println!("cases seat_whose_reapers_die_one_after_the_other_is_found {pairs}");
    assert!(pairs > 100);
}

fn slot_is_taken_over(dead: Agent) -> bool {
    slot::word(dead.memory(), dead.slot()).incarnation() != dead.incarnation()
}

#[test]
fn agent_that_dies_while_it_leaves_leaves_its_seat() {
    let _watchdog = Watchdog::new("agent_that_dies_while_it_leaves_leaves_its_seat");
    let mut points = 0;
    for at in 0.. {
        let heap = heap(64);
        let by = agent(heap);
        let before = audit(by);
        let other = attach(heap).expect("a seat");
        run(other, |o| bytes::create(o, 100).map(drop));
        if !dies(at, || leave(other)) {
            break;
        }
        points += 1;
        let was_there = slot::word(by.memory(), other.slot()).has(SlotWord::ATTACHED);
        let reaped = reap_life(by).expect("it makes sense");
        assert_eq!(reaped.is_some(), was_there, "death at {at}");
        let after = audit(by);
        assert_eq!((after.live_blocks, after.agents), (before.live_blocks, before.agents), "death at {at}");
    }
    println!("cases agent_that_dies_while_it_leaves_leaves_its_seat {points}");
    assert!(points > 20);
}

#[test]
fn agent_that_dies_while_it_attaches_leaves_its_seat() {
    let _watchdog = Watchdog::new("agent_that_dies_while_it_attaches_leaves_its_seat");
    let (mut points, mut lost) = (0, 0);
    for at in 0.. {
        let heap = heap(64);
        let by = agent(heap);
        let before = audit(by);
        if !dies(at, || assert!(attach(heap).is_ok())) {
            break;
        }
        points += 1;
        let (memory, control) = (by.memory(), by.control());
        let attached = slot::each(memory, control, |_, at| {
            let is_there = at != by.slot() && slot::word(memory, at).has(SlotWord::ATTACHED);
            is_there.then_some(at)
        });
        let reaped = reap_life(by).expect("it makes sense");
        // Between taking the slot and saying whose it is there are two points at which nobody can tell.
        assert_eq!(of_life(memory, control, LIFE, Proof::Ended), None);
        assert!(!attached.is_some_and(|at| is_left(memory, control, at)));
        let stays = u32::from(attached.is_some() && reaped.is_none());
        lost += stays;
        let after = audit(by);
        let wanted = (before.live_blocks, before.agents + stays, stays);
        assert_eq!((after.live_blocks, after.agents, after.quarantined), wanted, "death at {at}");
        let next = attach(heap).expect("a seat");
        run(next, |o| bytes::create(o, 100).map(drop));
        leave(next);
        audit(by);
    }
    println!("{points} points, {lost} of them without a trace");
    println!("cases agent_that_dies_while_it_attaches_leaves_its_seat {points}");
    assert!(points > 20 && lost <= 2);
}

/// An exception stops the reaper, and not its agent: that one recovers and goes on.
#[test]
fn reaper_that_an_exception_stops_goes_on() {
    let _watchdog = Watchdog::new("reaper_that_an_exception_stops_goes_on");
    let mut points = 0;
    for at in 0.. {
        let heap = heap(64);
        let [by, other] = [(); 2].map(|()| agent(heap));
        let before = audit(other).live_blocks;
        let dead = attach(heap).expect("a seat");
        let held = run(dead, map::create);
        let set = |key: f64| {
            let value = coheap::string::Given::text(b"a value that needs a block");
            dead.operation(|o| map::set(o, held, &map::Key::number(key), value)).expect("room");
        };
        (0..20).for_each(|key| set(f64::from(key)));
        // A tenure that only the next one in the seat learns of.
        run(other, |o| {
            bytes::create(o, 100).and_then(|handle| coheap::release(o, handle, coheap::Type::Bytes).map(drop))
        });
        assert!(dies(5, || set(100.0)));
        let stopped = dies(at, || assert!(reap_life(by).is_ok()));
        by.recover(&coheap::recovery::settle).expect("it is attached");
        let next = || by.unfinished().or_else(|| of_life(by.memory(), by.control(), LIFE, Proof::Ended));
        for round in 0.. {
            let Some(dead) = next() else { break };
            assert!(round < 3, "point {at}: it goes on to the end");
            // SAFETY: I-28 nothing is done in the name of the dead agent any more.
            let reaped = unsafe { reap(by, &Threads::new(by.memory()), dead, Proof::Ended) };
            assert!(matches!(reaped, Ok(Some(_))), "point {at}: {reaped:?}");
        }
        while coheap::reap::finish_slice(by, 0).expect("it is attached").worked {}
        let figures = audit(other);
        assert_eq!((figures.agents, figures.live_blocks), (2, before), "point {at}");
        unmap(by);
        if !stopped {
            break;
        }
        points += 1;
    }
    assert!(points > 100);
    println!("cases reaper_that_an_exception_stops_goes_on {points}");
}
