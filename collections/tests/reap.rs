//! The seats of dead agents: taken over by one, never entered again by the dead, free afterwards.
#![cfg(feature = "fault-points")]
mod common;

use coheap::reap::{Reaped, reap};
use coheap::wait::native::Threads;
use coheap::{bytes, map};
use coheap_alloc::reap::{condemn, is_left, left, of_life};
use coheap_alloc::{Agent, Error, Heap, Result, Seat, SlotWord, slot};
use common::faults::{controls_of_both, dies};
use common::{Watchdog, agent, audit, heap, leave, run};

const LIFE: u64 = 0x11FE;

fn attach(heap: Heap) -> Result<Agent> {
    heap.attach(Seat { life: LIFE, may_block: true, ..Seat::default() })
}

/// Reaps the agent of this life, if there is one.
fn reap_life(by: Agent) -> Result<Option<Reaped>> {
    let Some((at, incarnation)) = of_life(by.memory(), by.control(), LIFE) else { return Ok(None) };
    // SAFETY: I-28 what is done in the name of these agents afterwards only shows that it is refused.
    unsafe { reap(by, &Threads::new(by.memory()), at, incarnation) }
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
        let (at, incarnation) = (dead.slot(), dead.incarnation());
        let reaped = common::threads(heap, 3, |_, by| {
            // SAFETY: I-28 nothing is done in the name of the agent afterwards.
            let reaped = unsafe { reap(by, &Threads::new(by.memory()), at, incarnation) };
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
        // Between taking the slot and saying whose it is there is one point at which nobody can tell.
        lost += u32::from(attached.is_some() && reaped.is_none());
        assert_eq!(of_life(memory, control, LIFE), None);
        if reaped.is_none() {
            continue;
        }
        assert!(!is_left(memory, control, attached.expect("it was there")));
        let after = audit(by);
        assert_eq!((after.live_blocks, after.agents), (before.live_blocks, before.agents), "death at {at}");
        let next = attach(heap).expect("a seat");
        run(next, |o| bytes::create(o, 100).map(drop));
        leave(next);
        audit(by);
    }
    println!("{points} points, {lost} of them without a trace");
    println!("cases agent_that_dies_while_it_attaches_leaves_its_seat {points}");
    assert!(points > 20 && lost <= 1);
}
