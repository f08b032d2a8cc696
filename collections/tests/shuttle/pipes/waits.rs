//! Who waits for bytes or for room is woken, by whoever brings them.

use coheap::pipe::{self, Lease, Outcome, Read, Source};
use coheap::reap::{Proof, reap};
use coheap::wait::{Host, Slept, Wake};
use coheap_alloc::Address;
use coheap_alloc::reap::Dead;
use shuttle::sync::Arc;
use shuttle::thread;

use super::{Piping, WIDTH, each, wide};
use crate::explore::{SCHEDULES, explore_times};
use crate::waits::Sleepers;

/// Wakes whom a step concerns.
fn wake(sleepers: &Sleepers, wake: Wake) {
    if wake.address() != 0 {
        sleepers.notify();
    }
}

/// Reads as soon as there is something.
fn read_patiently(world: Piping, agent: usize, room: u32, sleepers: &Sleepers) -> Read {
    loop {
        let (outcome, woken) = world.try_read(agent, room, true);
        wake(sleepers, woken);
        match outcome {
            Outcome::Done(found) => return found,
            Outcome::Wait(watch) => sleepers.wait(world.heap.memory(), watch.expect("a watch")),
        }
    }
}

/// Writes as soon as there is room.
fn write_patiently(world: Piping, agent: usize, sleepers: &Sleepers) {
    loop {
        let written = world.agent(agent).operation(|o| pipe::write(o, world.pipe, Source::Slice(&wide(b"b")), true));
        let (outcome, woken) = written.expect("it works");
        wake(sleepers, woken);
        match outcome {
            Outcome::Done(_) => return,
            Outcome::Wait(watch) => sleepers.wait(world.heap.memory(), watch.expect("a watch")),
        }
    }
}

/// Two wait for bytes that one writes, or lends and gives back: none sleeps for ever.
fn waiters_and_a_writer(world: Piping, lease: Option<Lease>) {
    world.heap.memory().share();
    let sleepers = Arc::new(Sleepers::default());
    let waiters = [2, 3].map(|agent| {
        let sleepers = sleepers.clone();
        thread::spawn(move || assert_eq!(read_patiently(world, agent, 1, &sleepers), Read::Bytes(WIDTH)))
    });
    match lease {
        Some(lease) => wake(&sleepers, world.end(1, lease, false)),
        None => {
            for _ in 0..2 {
                let written =
                    world.agent(1).operation(|o| pipe::write(o, world.pipe, Source::Slice(&wide(b"a")), false));
                wake(&sleepers, written.expect("room").1);
            }
        }
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
}

/// One waits for room in a full pipe from which another reads.
fn waiter_for_room(world: Piping) {
    world.heap.memory().share();
    let sleepers = Arc::new(Sleepers::default());
    let reader = {
        let sleepers = sleepers.clone();
        thread::spawn(move || {
            let (found, woken) = world.try_read(2, 100, false);
            assert!(matches!(found, Outcome::Done(Read::Bytes(_))));
            wake(&sleepers, woken);
        })
    };
    write_patiently(world, 1, &sleepers);
    reader.join().unwrap();
}

/// Of one who reaps: nobody of these looks again if it is not woken.
struct Waking(Arc<Sleepers>);

impl Host for Waking {
    fn wait(&self, _: Address, _: u32, _: f64) -> Slept {
        unreachable!("who reaps waits for nobody")
    }

    fn notify(&self, _: Address) {
        self.0.notify();
    }

    fn now(&self) -> f64 {
        0.0
    }
}

/// All bytes are on loan to an agent that is dead. One sleeps until there are some, one, if the pipe is full, until there is room, and one
/// reaps: none sleeps for ever.
fn waiters_and_a_reaper(world: Piping, is_full: bool) {
    world.heap.memory().share();
    let sleepers = Arc::new(Sleepers::default());
    let reader = {
        let sleepers = sleepers.clone();
        thread::spawn(move || assert!(matches!(read_patiently(world, 2, 100, &sleepers), Read::Bytes(_))))
    };
    let reaper = {
        let host = Waking(sleepers.clone());
        thread::spawn(move || {
            let (slot, incarnation) = world.slots[1];
            // SAFETY: I-28 nothing is done in the name of that agent afterwards.
            let reaped = unsafe { reap(world.agent(3), &host, Dead { slot, incarnation }, Proof::Ended) };
            assert!(matches!(reaped, Ok(Some(_))));
        })
    };
    if is_full {
        write_patiently(world, 0, &sleepers);
    }
    reaper.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn pipe_under_every_schedule_tried_wakes_who_waits() {
    each(SCHEDULES / 4, |_| {}, |world| waiters_and_a_writer(world, None));
    let prepare = |world: Piping| while world.write_some(0) {};
    each(SCHEDULES / 4, prepare, waiter_for_room);
    for few in [false, true] {
        let world = Piping::new();
        assert!(world.write(0, b"ab"));
        let lease = world.lease(1, 2).expect("bytes");
        explore_times(SCHEDULES / 4, world.heap.memory(), few, move |_| waiters_and_a_writer(world, Some(lease)));
    }
}

#[test]
fn pipe_under_every_schedule_tried_wakes_who_waits_for_what_the_dead_had() {
    for is_full in [false, true] {
        for few in [false, true] {
            let world = Piping::new();
            assert!(world.write(0, b"ab"));
            while is_full && world.write_some(0) {}
            while world.lease(1, 100).is_some() {}
            // Reaping walks all pages.
            explore_times(SCHEDULES / 16, world.heap.memory(), few, move |_| waiters_and_a_reaper(world, is_full));
        }
    }
}
