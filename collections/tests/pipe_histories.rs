//! Recorded histories of pipes, on real threads: some order of the calls explains every answer.
#![allow(clippy::disallowed_types, reason = "the clock of a test is no shared word of a heap")]
mod common;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use coheap::pipe::{self, Lease, Outcome, Read, SMALLEST, Source};
use coheap::{Handle, Type, acquire, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Heap};
use common::history::{Meeting, Overlaps, pause};
use common::stream::{Begin, Event, What, is_linearizable};
use common::{Random, Watchdog, agent, controls, heap, leave, run};

const ROUNDS: u64 = 6_000;
const THREADS: usize = 3;
const OPERATIONS: u64 = 20;
/// Writes that a pipe of the smallest capacity takes.
const PLACES: usize = 127;

#[test]
fn checker_tells_histories_of_pipes_apart() {
    let event = |begun, ended, agent, what| Event { begun, ended, agent, what };
    let begin = Begin { writes: vec![b"ab".to_vec()], places: 2, capacity: 100 };
    let fits = |events: &[Event]| is_linearizable(events, &begin);
    let read = |bytes: &[u8]| What::Read(bytes.to_vec());
    assert!(fits(&[event(0, 1, 0, read(b"a")), event(2, 3, 1, read(b"b")), event(4, 5, 0, What::Nothing)]));
    assert!(fits(&[event(0, 3, 0, read(b"b")), event(1, 2, 1, read(b"a"))]), "at once");
    assert!(!fits(&[event(0, 1, 0, read(b"b")), event(2, 3, 1, read(b"a"))]), "in the wrong order");
    assert!(!fits(&[event(0, 3, 0, read(b"a")), event(1, 2, 1, read(b"a"))]), "twice");
    assert!(!fits(&[event(0, 1, 0, What::Nothing)]), "there is something");
    assert!(!fits(&[event(0, 1, 0, What::Full)]), "there is room");
    let lease = || What::Lease(0, b"ab".to_vec());
    let end = |agent| event(6, 7, agent, What::End);
    let close = || event(4, 5, 0, What::Close);
    assert!(fits(&[event(0, 1, 0, lease()), close(), end(0)]), "its own loan");
    assert!(!fits(&[event(0, 1, 0, lease()), close(), end(1)]), "another's loan");
    assert!(fits(&[event(0, 1, 0, lease()), event(2, 3, 0, What::Commit(0)), close(), end(1)]));
    assert!(!fits(&[event(0, 1, 0, lease()), event(2, 3, 0, What::GiveUp(0)), close(), end(1)]));
}

/// One of the agents of a round, and what it has on loan.
struct Actor {
    number: usize,
    agent: Agent,
    handle: Handle,
    random: Random,
    leases: Vec<Lease>,
    written: u8,
}

impl Actor {
    fn taken(&self, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.agent.memory().copy_out(self.agent.transfer(), &mut bytes);
        bytes
    }

    fn write(&mut self) -> What {
        // A byte of one agent comes again after 80 of its own. The block of many stays not in its place.
        let count = if self.random.below(6) == 0 { 70 } else { 1 + self.random.below(3) as u8 };
        let bytes: Vec<u8> = (0..count).map(|byte| 80 * self.number as u8 + (self.written + byte) % 80).collect();
        match self.agent.operation(|o| pipe::write(o, self.handle, Source::Slice(&bytes), false)) {
            Ok((Outcome::Done(length), _)) => {
                assert_eq!(length as usize, bytes.len());
                self.written = (self.written + count) % 80;
                What::Write(bytes)
            }
            Ok((Outcome::Wait(_), _)) => What::Full,
            Err(Error::PipeClosed { .. }) => What::Refused,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn read(&mut self) -> What {
        let to = (self.agent.transfer(), 1 + self.random.below([5, 100][self.random.clone().below(2) as usize]) as u32);
        match run(self.agent, |o| pipe::read(o, self.handle, to, None, &mut None, false)).0 {
            Outcome::Done(Read::Bytes(length)) => What::Read(self.taken(length)),
            Outcome::Done(Read::End) => What::End,
            Outcome::Wait(_) => What::Nothing,
            Outcome::Done(Read::Long(_)) => panic!("there is no delimiter"),
        }
    }

    /// A loan, and then its bytes, of which nobody else knows when they are copied.
    fn lease(&mut self) -> What {
        // What came back is taken whole.
        match run(self.agent, |o| pipe::lease(o, self.handle, body::TRANSFER_LENGTH, None, &mut None, false)).0 {
            Outcome::Done(Some(lease)) => {
                let to = (self.agent.transfer(), lease.length);
                run(self.agent, |o| pipe::lease_bytes(o, self.handle, lease, 0, to));
                self.leases.push(lease);
                What::Lease(lease.position, self.taken(lease.length))
            }
            Outcome::Done(None) => What::End,
            Outcome::Wait(_) => What::Nothing,
        }
    }

    fn end(&mut self) -> What {
        let which = self.random.below(self.leases.len() as u64) as usize;
        let lease = self.leases.swap_remove(which);
        if self.random.below(3) == 0 {
            let _ = run(self.agent, |o| pipe::commit(o, self.handle, lease));
            What::Commit(lease.position)
        } else {
            let _ = run(self.agent, |o| pipe::give_up(o, self.handle, lease));
            What::GiveUp(lease.position)
        }
    }

    fn step(&mut self, closes: bool) -> What {
        match self.random.below(if closes { 18 } else { 17 }) {
            0..=5 => self.write(),
            6..=10 => self.read(),
            11..=13 if self.leases.len() < 8 => self.lease(),
            14..=16 if !self.leases.is_empty() => self.end(),
            11..=16 => self.read(),
            _ => {
                let _ = run(self.agent, |o| pipe::close(o, self.handle));
                What::Close
            }
        }
    }
}

/// What so many agents at once do with a pipe that has these writes in it.
fn record(heap: Heap, handle: Handle, seed: u64) -> Vec<Event> {
    let (clock, meeting) = (AtomicU64::new(0), Meeting::of(THREADS as u64));
    let closes = seed.is_multiple_of(4);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (clock, meeting) = (&clock, &meeting);
                scope.spawn(move || {
                    let agent = agent(heap);
                    run(agent, |o| acquire(o, handle, Some(Type::Pipe)));
                    let random = Random::from(seed.wrapping_add(number as u64));
                    let mut actor = Actor { number, agent, handle, random, leases: Vec::new(), written: 0 };
                    let mut events = Vec::new();
                    meeting.wait();
                    for _ in 0..OPERATIONS {
                        pause(&mut actor.random);
                        let begun = clock.fetch_add(1, SeqCst);
                        let what = actor.step(closes);
                        events.push(Event { begun, ended: clock.fetch_add(1, SeqCst), agent: number, what });
                        if actor.random.below(8) == 0 {
                            std::thread::yield_now();
                        }
                    }
                    // Who leaves gives its loans back, which is no event.
                    meeting.wait();
                    leave(agent);
                    events
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    })
}

#[test]
fn recorded_histories_of_pipes_are_linearizable() {
    let _watchdog = Watchdog::new("recorded_histories_of_pipes_are_linearizable");
    controls();
    let mut random = Random::new("recorded_histories_of_pipes_are_linearizable");
    let heap = heap(256);
    let owner = agent(heap);
    let mut overlaps = Overlaps::default();
    for round in 0..ROUNDS {
        let handle = run(owner, |o| pipe::create(o, SMALLEST));
        // Empty, or with room for a few writes.
        let before = if round.is_multiple_of(3) { PLACES - random.below(4) as usize } else { random.below(3) as usize };
        let begin = Begin { writes: vec![vec![255]; before], places: PLACES, capacity: SMALLEST as usize };
        for bytes in &begin.writes {
            run(owner, |o| pipe::write(o, handle, Source::Slice(bytes), false).map(drop));
        }
        let events = record(heap, handle, random.next());
        overlaps.add(events.iter().map(|event| (event.begun, event.ended)));
        assert!(is_linearizable(&events, &begin), "round {round}, {before} writes before: {events:?}");
        let _ = run(owner, |o| release(o, handle, Type::Pipe));
    }
    overlaps.check();
    println!("cases recorded_histories_of_pipes_are_linearizable {}", ROUNDS * THREADS as u64 * OPERATIONS);
}
