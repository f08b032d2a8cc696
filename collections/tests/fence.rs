//! Agents whose thread may still run: who is condemned and offline is reaped, and its seat kept until the thread has ended.
#![cfg(feature = "fault-points")]
mod common;

use coheap::reap::{Dead, Proof, Reaped, Slice, finish_slice, reap, reap_slice};
use coheap::wait::Host;
use coheap::wait::native::Threads;
use coheap::{Type, bytes, map, release, string};
use coheap_alloc::reap::{condemn, is_left, left, next_adopted, of_life};
use coheap_alloc::{Address, Agent, Error, Heap, Result, Seat, SlotWord, slot};
use common::faults::{controls_of_both, dies, seat_of, unmap};
use common::hasty::Hasty;
use common::{agent, audit, heap, leave, run};

const LIFE: u64 = 0x11FE;

fn attach(heap: Heap) -> Agent {
    heap.attach(Seat { life: LIFE, may_block: true, ..Seat::default() }).expect("a seat")
}

fn reap_as(by: Agent, proof: Proof) -> Result<Option<Reaped>> {
    let found = of_life(by.memory(), by.control(), LIFE, proof);
    let Some(dead) = found.or_else(|| left(by.memory(), by.control())) else { return Ok(None) };
    // SAFETY: I-28 what is done in the name of these agents afterwards only shows that it is refused.
    unsafe { reap(by, &Threads::new(by.memory()), dead, proof) }
}

/// Holds a map, a block and a cell.
fn hold_something(agent: Agent) {
    let held = run(agent, map::create);
    for key in 0..20 {
        let key = map::Key::number(f64::from(key));
        run(agent, |o| map::set(o, held, &key, string::Given::text(b"a value that needs a block")));
    }
    run(agent, |o| bytes::create(o, 5000).map(drop));
}

fn has_kept_seat(by: Agent, at: Address) -> bool {
    let word = slot::word(by.memory(), at);
    word.has(SlotWord::KEPT) && word.has(SlotWord::CONDEMNED) && !word.has(SlotWord::ONLINE)
}

#[test]
fn fenced_agent_is_reaped_and_its_seat_is_kept() {
    controls_of_both();
    let heap = heap(64);
    let (by, zombie) = (agent(heap), attach(heap));
    let before = audit(by);
    hold_something(zombie);
    zombie.turn_begin().expect("it is online");
    assert!(condemn(by.memory(), zombie.slot(), zombie.incarnation()));
    assert_eq!(reap_as(by, Proof::Fenced), Ok(None), "it may be in an operation");
    assert!(zombie.turn_end());
    assert_eq!(reap_as(by, Proof::Fenced), Ok(Some(Reaped { repaired: false })));
    let after = audit(by);
    assert_eq!((after.live_blocks, after.quarantined, after.agents), (before.live_blocks, 1, before.agents));
    assert!(has_kept_seat(by, zombie.slot()));
    assert!(matches!(zombie.operation(|o| bytes::create(o, 10)), Err(Error::AgentLost { .. })));
    let next = heap.attach(Seat::default()).expect("another seat");
    assert_ne!(next.slot(), zombie.slot());
    assert_eq!(reap_as(by, Proof::Fenced), Ok(None), "that is done");
    assert_eq!(reap_as(by, Proof::Ended), Ok(Some(Reaped { repaired: false })));
    assert!(!slot::word(by.memory(), zombie.slot()).has(SlotWord::ATTACHED));
    assert_eq!(attach(heap).slot(), zombie.slot());
}

/// What the seat's thread still writes to its own is nobody's meanwhile.
#[test]
fn kept_seat_has_no_memory_that_others_get() {
    let heap = heap(64);
    let (by, zombie) = (agent(heap), attach(heap));
    hold_something(zombie);
    assert!(condemn(by.memory(), zombie.slot(), zombie.incarnation()));
    assert!(matches!(reap_as(by, Proof::Fenced), Ok(Some(_))));
    let (memory, transfer) = (by.memory(), zombie.transfer());
    for offset in (0..64).step_by(8) {
        memory.store64(transfer + offset, 0x5A5A_5A5A);
    }
    // Others fill the heap, each block with zeros, and leave: nothing is in the way, and nothing of the zombie's is theirs.
    let next = heap.attach(Seat::default()).expect("another seat");
    while next.operation(|o| bytes::create(o, 3000)).is_ok() {}
    for offset in (0..64).step_by(8) {
        assert_eq!(memory.load64(transfer + offset), 0x5A5A_5A5A);
    }
    leave(next);
    audit(by);
}

#[test]
fn reaper_of_a_fenced_agent_dies_anywhere() {
    let mut points = 0;
    for at in 0.. {
        let heap = heap(64);
        let (by, next) = (agent(heap), agent(heap));
        let before = audit(by).live_blocks;
        let zombie = attach(heap);
        hold_something(zombie);
        assert!(condemn(by.memory(), zombie.slot(), zombie.incarnation()));
        let died = dies(at, || assert!(reap_as(by, Proof::Fenced).is_ok()));
        if died {
            points += 1;
            // SAFETY: I-28 it died.
            let reaped = unsafe { reap(next, &Threads::new(next.memory()), seat_of(by), Proof::Ended) };
            assert!(matches!(reaped, Ok(Some(_))));
            while left(next.memory(), next.control()).is_some() {
                assert!(matches!(reap_as(next, Proof::Fenced), Ok(Some(_))), "death at {at}");
            }
        } else {
            leave(by);
        }
        let word = slot::word(next.memory(), zombie.slot());
        assert!(word.has(SlotWord::ATTACHED), "its thread may run, death at {at}");
        assert!(!is_left(next.memory(), next.control(), zombie.slot()));
        assert_eq!(audit(next).live_blocks, before, "death at {at}");
        assert!(matches!(reap_as(next, Proof::Ended), Ok(Some(_))), "death at {at}");
        let after = audit(next);
        assert_eq!((after.live_blocks, after.quarantined, after.agents), (before, 0, 1), "death at {at}");
        unmap(next);
        if !died {
            break;
        }
    }
    println!("cases reaper_of_a_fenced_agent_dies_anywhere {points}");
    assert!(points > 50);
}

#[test]
fn agent_that_surrenders_is_reaped_by_whoever_looks() {
    let mut points = 0;
    for at in 0.. {
        let heap = heap(64);
        let (by, broken) = (agent(heap), attach(heap));
        let held = run(broken, map::create);
        let key = map::Key::number(7.0);
        let set = || run(broken, |o| map::set(o, held, &key, string::Given::text(b"a value that needs a block")));
        let died = dies(at, set);
        broken.surrender();
        assert!(matches!(broken.operation(|o| bytes::create(o, 10)), Err(Error::AgentLost { .. })), "death at {at}");
        let dead = left(by.memory(), by.control()).expect("it is found");
        assert_eq!(dead, seat_of(broken));
        // SAFETY: I-28 it surrendered.
        let reaped = unsafe { reap(by, &Threads::new(by.memory()), dead, Proof::Fenced) };
        assert!(matches!(reaped, Ok(Some(_))), "death at {at}");
        let after = audit(by);
        assert_eq!((after.live_blocks, after.quarantined), (0, 1), "death at {at}");
        unmap(by);
        points += u32::from(died);
        if !died {
            break;
        }
    }
    println!("cases agent_that_surrenders_is_reaped_by_whoever_looks {points}");
    assert!(points > 20);
}

#[test]
fn others_work_and_audit_between_two_slices() {
    const HELD: u32 = 1000;
    let heap = heap(256);
    let (host, second, other, dead) = (agent(heap), agent(heap), agent(heap), attach(heap));
    let before = audit(other);
    for _ in 0..HELD {
        run(dead, |o| bytes::create(o, 100).map(drop));
    }
    let clock = Hasty::new(host.memory());
    // SAFETY: I-28 nothing is done in the name of the dead agent any more, nor of a reaper that gave up.
    let slice = |by: Agent, dead: Dead| unsafe { reap_slice(by, &clock, dead, Proof::Ended) };
    let mut slices = 0;
    let mut by = host;
    let mut next = seat_of(dead);
    loop {
        slices += 1;
        match slice(by, next) {
            Ok(Some(Slice { is_over: true, .. })) => break,
            Ok(Some(_)) => {}
            lost => panic!("slice {slices}: {lost:?}"),
        }
        run(other, |o| bytes::create(o, 10).map(drop));
        let live = audit(other).live_blocks;
        assert!(live > before.live_blocks, "slice {slices}");
        if slices == 5 {
            // The reaper dies between two slices.
            while !matches!(slice(second, seat_of(host)), Ok(Some(Slice { is_over: true, .. }))) {}
            by = second;
            next = left(second.memory(), second.control()).expect("the seat is left");
        } else {
            next = by.unfinished().expect("it goes on");
        }
    }
    let mut from = 0;
    loop {
        let round = finish_slice(by, from).expect("it is attached");
        from = round.next;
        if from == 0 && !round.worked {
            break;
        }
    }
    assert!(slices > HELD / 64, "{slices} slices");
    leave(other);
    assert_eq!(audit(by).agents, 1);
    assert_eq!(audit(by).live_blocks, before.live_blocks);
    println!("cases others_work_and_audit_between_two_slices {slices}");
}

#[test]
fn finishing_what_was_left_is_done_in_slices() {
    let heap = heap(512);
    let (by, other) = (agent(heap), agent(heap));
    // More objects than one slice looks at.
    let first = finish_slice(by, 0).expect("it is attached");
    assert_eq!(first.next, 0);
    for _ in 0..9000 {
        run(by, |o| bytes::create(o, 0).map(drop));
    }
    let next = finish_slice(by, 0).expect("it is attached").next;
    assert!((8000..9000).contains(&next), "{next}");
    assert_eq!(finish_slice(by, next).expect("it is attached").next, 0);
    // An object with more parts than one slice takes apart.
    let map = run(other, map::create);
    for key in 0..40_000 {
        run(other, |o| map::set(o, map, &map::Key::number(f64::from(key)), string::Given::text(b"7")));
    }
    run(other, |o| release(o, map, Type::Map).map(drop));
    let (mut from, mut slices, mut worked) = (0, 0, true);
    while worked {
        worked = false;
        loop {
            let round = finish_slice(by, from).expect("it is attached");
            (slices, worked, from) = (slices + u32::from(round.worked), worked | round.worked, round.next);
            if from == 0 {
                break;
            }
        }
    }
    assert!(slices > 1, "{slices} slices");
    assert!(audit(by).live_bytes < 9000 * 64);
}

#[test]
fn workers_of_a_worker_are_known_by_their_lives() {
    let heap = heap(64);
    let (by, parent) = (agent(heap), attach(heap));
    let all = || {
        let mut found = vec![];
        let mut from = 0;
        while let Some((next, child)) = next_adopted(by.memory(), by.control(), LIFE, from) {
            found.push(child);
            from = next;
        }
        found
    };
    assert_eq!(all(), []);
    for child in 1..=64 {
        assert!(parent.adopt_worker(child));
    }
    assert!(!parent.adopt_worker(65), "there is no room");
    for child in (1..=64).filter(|child| child % 3 != 0) {
        parent.disown_worker(child);
    }
    parent.disown_worker(1000);
    assert_eq!(all(), (1..=21).map(|third| third * 3).collect::<Vec<_>>());
    assert_eq!(next_adopted(by.memory(), by.control(), 0, 0), None);
    leave(parent);
    assert_eq!(all(), []);
    let next = attach(heap);
    assert_eq!(next.slot(), parent.slot());
    assert_eq!(all(), [], "they are not the next one's");
}

/// Who hears that the thread has ended hears it once: another agent that is at the seat by the fence alone must learn it.
#[test]
fn end_of_a_thread_is_not_forgotten_while_another_reaps_by_the_fence() {
    let heap = heap(256);
    let (by, parent, zombie) = (agent(heap), agent(heap), attach(heap));
    for _ in 0..500 {
        run(zombie, |o| bytes::create(o, 100).map(drop));
    }
    assert!(condemn(by.memory(), zombie.slot(), zombie.incarnation()));
    let clock = Hasty::new(by.memory());
    // SAFETY: I-28 nothing is done in the name of the zombie any more.
    let slice = |dead: Dead| unsafe { reap_slice(by, &clock, dead, Proof::Fenced) }.expect("it makes sense");
    assert!(!slice(seat_of(zombie)).expect("it is fenced").is_over);
    assert_eq!(reap_as(parent, Proof::Ended), Ok(None), "another agent is at it");
    while !slice(by.unfinished().expect("it goes on")).expect("it is its").is_over {}
    assert!(!slot::word(by.memory(), zombie.slot()).has(SlotWord::ATTACHED), "the seat is free");
    audit(by);
}

#[test]
fn kept_seat_is_freed_by_whoever_knows_of_the_end() {
    let heap = heap(64);
    let (by, parent, zombie) = (agent(heap), agent(heap), attach(heap));
    hold_something(zombie);
    assert!(condemn(by.memory(), zombie.slot(), zombie.incarnation()));
    assert!(matches!(reap_as(by, Proof::Fenced), Ok(Some(_))));
    assert!(has_kept_seat(by, zombie.slot()));
    // The one who kept it is there, and at nothing.
    assert_eq!(by.unfinished(), None);
    assert!(matches!(reap_as(parent, Proof::Ended), Ok(Some(_))));
    assert!(!slot::word(by.memory(), zombie.slot()).has(SlotWord::ATTACHED));
    audit(by);
}

/// A clock at whose looks, that is in the middle of a slice, something happens.
struct Meanwhile<F: Fn()>(Threads, F);

impl<F: Fn()> Host for Meanwhile<F> {
    fn wait(&self, address: Address, expected: u32, timeout: f64) -> coheap::wait::Slept {
        self.0.wait(address, expected, timeout)
    }
    fn notify(&self, address: Address) {
        self.0.notify(address);
    }
    fn now(&self) -> f64 {
        (self.1)();
        self.0.now()
    }
}

/// Else the next one would act in the dead agent's seat beside it.
#[test]
fn reaper_is_not_fenced_in_the_middle_of_a_slice() {
    let heap = heap(256);
    let (by, second, dead) = (agent(heap), agent(heap), attach(heap));
    for _ in 0..500 {
        run(dead, |o| bytes::create(o, 100).map(drop));
    }
    let threads = Threads::new(by.memory());
    // SAFETY: I-28 that of the reaper does not hold.
    let fenced = |at: Agent| unsafe { reap(second, &threads, seat_of(at), Proof::Fenced) };
    let host = Meanwhile(Threads::new(by.memory()), || {
        let _ = condemn(by.memory(), by.slot(), by.incarnation());
        if left(second.memory(), second.control()) == Some(seat_of(by)) {
            let _ = fenced(by);
        }
        assert!(!is_left(second.memory(), second.control(), dead.slot()), "two agents are at it");
    });
    // SAFETY: I-28 it died.
    let sliced = |dead| unsafe { reap_slice(by, &host, dead, Proof::Ended) };
    assert!(matches!(sliced(seat_of(dead)), Ok(Some(_))));
    assert!(matches!(fenced(by), Ok(Some(_))), "now it is in none");
    assert!(matches!(sliced(seat_of(second)), Err(Error::AgentLost { .. })), "it acts for nobody any more");
    while let Some(left) = left(second.memory(), second.control()) {
        // SAFETY: I-28 the one who left it is fenced, and in no slice.
        assert!(matches!(unsafe { reap(second, &threads, left, Proof::Fenced) }, Ok(Some(_))));
    }
    assert!(!slot::word(second.memory(), dead.slot()).has(SlotWord::ATTACHED));
    audit(second);
}
