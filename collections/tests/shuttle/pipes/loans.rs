//! Bytes on loan that come back, from who lives and from who is dead.

use coheap::pipe::{self, Lease};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::{Got, Piping, WIDTH, each, reads, sorted};
use crate::explore::{SCHEDULES, explore_times};

/// A loan under whose number another came back before is given up while one reads and another lends: each byte is read once.
fn loan_that_comes_back(world: Piping, lease: Lease) {
    world.heap.memory().share();
    let giver = thread::spawn(move || {
        let _ = world.end(1, lease, false);
        // It is there for whoever begins now.
        assert!(world.lease(1, 2).is_none_or(|again| {
            let bytes = world.lease_bytes(1, again);
            let _ = world.end(1, again, false);
            bytes.len() <= 2
        }));
    });
    let reader = thread::spawn(move || reads(world, 2, 2, 1));
    let mut all = reads(world, 0, 1, 2);
    giver.join().unwrap();
    all.extend(reader.join().unwrap());
    assert_eq!(world.drain(&mut all), Got::Nothing);
    assert_eq!(sorted(all), b"abcd", "each byte once");
}

/// The last bytes of a closed pipe are taken on loan, and come back or not: who was told of the end sees no byte any more.
fn loan_at_the_end(world: Piping) {
    world.heap.memory().share();
    let commit = thread_rng().gen_range(0..2u32) == 0;
    let lender = thread::spawn(move || {
        let Some(lease) = world.lease(1, 2) else { return 0 };
        let _ = world.end(1, lease, commit);
        if commit { (lease.length / WIDTH) as usize } else { 0 }
    });
    let reader = thread::spawn(move || {
        let mut read = 0;
        for _ in 0..3 {
            match world.read(2, 1) {
                Got::Bytes(bytes) => read += bytes.len(),
                Got::End => return (read, true),
                Got::Nothing => {}
            }
        }
        (read, false)
    });
    let other = reads(world, 0, 1, 1).len();
    let (read, ended) = reader.join().unwrap();
    let mut rest = Vec::new();
    let taken = lender.join().unwrap();
    assert_eq!(world.drain(&mut rest), Got::End);
    assert!(!ended || rest.is_empty(), "bytes behind the end: {rest:?}");
    assert_eq!(taken + other + read + rest.len(), 2, "each byte once");
}

/// An agent dies when it has taken bytes on loan and not said so; others read, lend, and one recovers it.
fn death_in_a_loan(world: Piping) {
    world.heap.memory().share();
    let steps = thread_rng().gen_range(0..4u32);
    let dying = thread::spawn(move || {
        let agent = world.agent(3);
        agent.turn_begin().expect("it enters");
        let half = agent.operation(|o| {
            let done = pipe::parts::begin_lease(o, world.pipe, 2 * WIDTH, steps);
            // Here it ends, inside its operation; nobody but who recovers it goes on with it.
            agent.recover(&coheap::recovery::settle).expect("the record is settled");
            done
        });
        half.expect("its first half");
    });
    let lender = thread::spawn(move || {
        let Some(lease) = world.lease(1, 1) else { return Vec::new() };
        let bytes = world.lease_bytes(1, lease);
        let _ = world.end(1, lease, true);
        bytes
    });
    let mut all = reads(world, 0, 1, 1);
    dying.join().unwrap();
    all.extend(lender.join().unwrap());
    assert_eq!(world.drain(&mut all), Got::Nothing);
    assert_eq!(sorted(all), b"abcd", "each byte once");
}

#[test]
fn pipe_under_every_schedule_tried_loses_no_loan_that_comes_back() {
    for few in [false, true] {
        let world = Piping::new();
        assert!(world.write(0, b"abcd"));
        let lease = world.lease(1, 2).expect("bytes");
        let _ = world.end(1, lease, false);
        let lease = world.lease(1, 2).expect("bytes");
        explore_times(SCHEDULES / 2, world.heap.memory(), few, move |_| loan_that_comes_back(world, lease));
    }
}

#[test]
fn pipe_under_every_schedule_tried_ends_once() {
    let prepare = |world: Piping| {
        assert!(world.write(0, b"ab"));
        let _ = world.close(0);
    };
    each(SCHEDULES / 2, prepare, loan_at_the_end);
}

#[test]
fn pipe_under_every_schedule_tried_has_again_what_the_dead_had_on_loan() {
    // Each has a death, and its recovery walks all pages.
    each(SCHEDULES / 16, |world| assert!(world.write(0, b"abcd")), death_in_a_loan);
}
