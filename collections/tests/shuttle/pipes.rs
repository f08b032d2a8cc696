//! Pipes under shuttle: who reads, writes, lends, closes and waits at once.

use super::*;
use coheap::pipe::{self, Lease, Outcome, Read, SMALLEST, Source, Until};
use coheap::reap::{Proof, reap};
use coheap::wait::{Host, Slept, Wake};
use coheap_alloc::Error;
use coheap_alloc::reap::Dead;

/// Each byte of a scenario is so many of them in the pipe, whole words, because the checked memory copies words: the block of
/// a write of one stays in its place, that of a write of two does not.
const WIDTH: u32 = 40;
/// Bytes of a write where there are many, and of a delimiter.
const WORD: u32 = 8;

fn wide(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| [byte; WIDTH as usize]).collect()
}

/// A heap with a pipe that all agents have.
#[derive(Clone, Copy)]
struct Piping {
    heap: Heap,
    slots: [(Address, u32); 4],
    pipe: Handle,
}

/// What a read answers.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Bytes(Vec<u8>),
    End,
    Nothing,
}

impl Piping {
    fn new() -> Self {
        let memory = Memory::map(48, 48).expect("a memory");
        let options = Options { maximum_pages: 48, fixed: true, seed: 0x5EED };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        let agents = [(); 4].map(|()| heap.attach(Seat::default()).expect("a seat"));
        let pipe = agents[0].operation(|o| pipe::create(o, SMALLEST)).expect("a pipe");
        let world = Self { heap, slots: agents.map(|agent| (agent.slot(), agent.incarnation())), pipe };
        for agent in &agents[1..] {
            agent.operation(|o| acquire(o, pipe, None)).expect("a reference");
        }
        // The blocks of former writes stand in the places: those that come replace them.
        for _ in 0..130 {
            assert!(world.write(0, b"x"));
            assert_eq!(world.read(0, 1), Got::Bytes(b"x".to_vec()));
        }
        // Each has a slab of its own for what follows.
        for agent in 0..4 {
            assert!(world.write(agent, b"x"));
            let lease = world.lease(agent, 1).expect("a byte");
            let _ = world.end(agent, lease, true);
        }
        world
    }

    fn agent(&self, index: usize) -> Agent {
        let (slot, incarnation) = self.slots[index];
        // SAFETY: I-14 attached in `new`; each slot is used by one thread at a time.
        unsafe { Agent::from_slot(self.heap.memory(), slot, incarnation) }
    }

    /// Whether it was written: else the pipe was closed.
    fn write(&self, agent: usize, bytes: &[u8]) -> bool {
        match self.agent(agent).operation(|o| pipe::write(o, self.pipe, Source::Slice(&wide(bytes)), false)) {
            Ok((Outcome::Done(length), _)) => length as usize == bytes.len() * WIDTH as usize,
            Err(Error::PipeClosed { .. }) => false,
            other => panic!("{other:?}"),
        }
    }

    fn try_read(&self, agent: usize, room: u32, wait: bool) -> (Outcome<Read>, Wake) {
        let agent = self.agent(agent);
        let to = (agent.transfer(), room * WIDTH);
        agent.operation(|o| pipe::read(o, self.pipe, to, None, &mut None, wait)).expect("a read")
    }

    fn read(&self, agent: usize, room: u32) -> Got {
        match self.try_read(agent, room, false).0 {
            Outcome::Done(Read::Bytes(length)) => Got::Bytes(self.bytes(agent, length)),
            Outcome::Done(Read::End) => Got::End,
            Outcome::Wait(_) => Got::Nothing,
            Outcome::Done(Read::Long(_)) => panic!("there is no delimiter"),
        }
    }

    fn bytes(&self, agent: usize, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.heap.memory().copy_out(self.agent(agent).transfer(), &mut bytes);
        let words = bytes.chunks(WIDTH as usize);
        words.inspect(|word| assert!(word.iter().all(|byte| *byte == word[0]), "a mix")).map(|word| word[0]).collect()
    }

    fn lease(&self, agent: usize, most: u32) -> Option<Lease> {
        let leased = self.agent(agent).operation(|o| pipe::lease(o, self.pipe, most * WIDTH, None, &mut None, false));
        match leased.expect("a loan").0 {
            Outcome::Done(lease) => lease,
            Outcome::Wait(_) => None,
        }
    }

    fn lease_bytes(&self, agent: usize, lease: Lease) -> Vec<u8> {
        let to = (self.agent(agent).transfer(), lease.length);
        self.agent(agent).operation(|o| pipe::lease_bytes(o, self.pipe, lease, 0, to)).expect("its bytes");
        self.bytes(agent, lease.length)
    }

    fn end(&self, agent: usize, lease: Lease, commit: bool) -> Wake {
        let end = if commit { pipe::commit } else { pipe::give_up };
        self.agent(agent).operation(|o| end(o, self.pipe, lease)).expect("it has the loan")
    }

    fn close(&self, agent: usize) -> Wake {
        self.agent(agent).operation(|o| pipe::close(o, self.pipe)).expect("it is closed")
    }

    /// Reads what is left.
    fn drain(&self, into: &mut Vec<u8>) -> Got {
        loop {
            match self.read(0, 100) {
                Got::Bytes(bytes) => into.extend(bytes),
                other => return other,
            }
        }
    }
}

/// Reads so many times, so many bytes at most.
fn reads(world: Piping, agent: usize, times: u32, room: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..times {
        if let Got::Bytes(bytes) = world.read(agent, room) {
            all.extend(bytes);
        }
    }
    all
}

fn sorted(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.sort_unstable();
    bytes
}

/// Two write two times, two read parts of it: each byte is read once, and no reader meets a writer's bytes out of order.
fn writers_and_readers(world: Piping) {
    world.heap.memory().share();
    let room = thread_rng().gen_range(1..5u32);
    let writers = [(1, [[1, 2], [3, 4]]), (2, [[11, 12], [13, 14]])].map(|(agent, pairs)| {
        thread::spawn(move || {
            for pair in pairs {
                assert!(world.write(agent, &pair));
            }
        })
    });
    let reader = thread::spawn(move || reads(world, 3, 3, room));
    let mut all = reads(world, 0, 3, room);
    for writer in writers {
        writer.join().unwrap();
    }
    let other = reader.join().unwrap();
    for seen in [&all, &other] {
        for first in [true, false] {
            assert!(seen.iter().filter(|&&byte| (byte < 10) == first).is_sorted(), "out of order: {seen:?}");
        }
    }
    all.extend(other);
    assert_eq!(world.drain(&mut all), Got::Nothing);
    assert_eq!(sorted(all), [1, 2, 3, 4, 11, 12, 13, 14], "each byte once");
}

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

/// Two write, one closes, one reads: what was written is read, and nothing comes behind the end.
fn closing_beside_writers(world: Piping) {
    world.heap.memory().share();
    let writers = [1, 2].map(|agent| {
        thread::spawn(move || {
            let written = [1, 2].map(|count| world.write(agent, &[agent as u8 * 10 + count]));
            assert!(written[0] || !written[1], "the pipe was closed already");
            written.iter().filter(|&&written| written).count()
        })
    });
    let reader = thread::spawn(move || {
        let mut read = 0;
        for _ in 0..3 {
            match world.read(3, 1) {
                Got::Bytes(bytes) => read += bytes.len(),
                Got::End => return (read, true),
                Got::Nothing => {}
            }
        }
        (read, false)
    });
    let _ = world.close(0);
    let written: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    let (read, ended) = reader.join().unwrap();
    let mut rest = Vec::new();
    assert_eq!(world.drain(&mut rest), Got::End);
    assert!(!ended || rest.is_empty(), "bytes behind the end");
    assert_eq!(read + rest.len(), written, "what was written is read");
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

/// Two wait for bytes that one writes, or lends and gives back: none sleeps for ever.
fn waiters_and_a_writer(world: Piping, lease: Option<Lease>) {
    let memory = world.heap.memory();
    memory.share();
    let sleepers = Arc::new(Sleepers::default());
    let waiters: Vec<_> = [2, 3]
        .map(|agent| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                loop {
                    let (outcome, wake) = world.try_read(agent, 1, true);
                    if wake.address() != 0 {
                        sleepers.notify();
                    }
                    match outcome {
                        Outcome::Done(found) => return assert_eq!(found, Read::Bytes(WIDTH)),
                        Outcome::Wait(watch) => sleepers.wait(memory, watch.expect("a watch")),
                    }
                }
            })
        })
        .into();
    let woken = |wake: Wake| {
        if wake.address() != 0 {
            sleepers.notify();
        }
    };
    match lease {
        Some(lease) => woken(world.end(1, lease, false)),
        None => {
            for _ in 0..2 {
                let written =
                    world.agent(1).operation(|o| pipe::write(o, world.pipe, Source::Slice(&wide(b"a")), false));
                woken(written.expect("room").1);
            }
        }
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
}

/// One waits for room in a full pipe from which another reads.
fn waiter_for_room(world: Piping) {
    let memory = world.heap.memory();
    memory.share();
    let sleepers = Arc::new(Sleepers::default());
    let reader = {
        let sleepers = sleepers.clone();
        thread::spawn(move || {
            let (found, wake) = world.try_read(2, 100, false);
            assert!(matches!(found, Outcome::Done(Read::Bytes(_))));
            if wake.address() != 0 {
                sleepers.notify();
            }
        })
    };
    loop {
        let written = world.agent(1).operation(|o| pipe::write(o, world.pipe, Source::Slice(&wide(b"b")), true));
        match written.expect("it works").0 {
            Outcome::Done(_) => break,
            Outcome::Wait(watch) => sleepers.wait(memory, watch.expect("a watch")),
        }
    }
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
    let memory = world.heap.memory();
    memory.share();
    let sleepers = Arc::new(Sleepers::default());
    let reader = {
        let sleepers = sleepers.clone();
        thread::spawn(move || {
            loop {
                let (outcome, wake) = world.try_read(2, 100, true);
                if wake.address() != 0 {
                    sleepers.notify();
                }
                match outcome {
                    Outcome::Done(found) => return assert!(matches!(found, Read::Bytes(_))),
                    Outcome::Wait(watch) => sleepers.wait(memory, watch.expect("a watch")),
                }
            }
        })
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
    let mut is_waiting = is_full;
    while is_waiting {
        let written = world.agent(0).operation(|o| pipe::write(o, world.pipe, Source::Slice(&wide(b"b")), true));
        let (outcome, wake) = written.expect("it works");
        if wake.address() != 0 {
            sleepers.notify();
        }
        match outcome {
            Outcome::Done(_) => is_waiting = false,
            Outcome::Wait(watch) => sleepers.wait(memory, watch.expect("a watch")),
        }
    }
    reaper.join().unwrap();
    reader.join().unwrap();
}

/// The last write that has room ends the token: no reader is told that there is none.
fn token_of_the_last_write(world: Piping) {
    world.heap.memory().share();
    let writer = thread::spawn(move || {
        let end = [b'.'; WORD as usize];
        let written = world.agent(1).operation(|o| pipe::write(o, world.pipe, Source::Slice(&end), false));
        assert_eq!(written.expect("it works").0, Outcome::Done(WORD));
    });
    let readers = [2, 3].map(|agent| {
        thread::spawn(move || {
            let (agent, mut scanned) = (world.agent(agent), None);
            let until = Until::new(&[b'.'; WORD as usize]);
            for _ in 0..2 {
                let to = (agent.transfer(), WORD);
                let found = agent.operation(|o| pipe::read(o, world.pipe, to, until, &mut scanned, false));
                let found = found.expect("no token that is too long").0;
                let whole = 127 * WORD;
                assert!(matches!(found, Outcome::Wait(_)) || found == Outcome::Done(Read::Long(whole)), "{found:?}");
            }
        })
    });
    writer.join().unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
}

/// Both ways to choose who goes on.
fn each(schedules: usize, prepare: impl Fn(Piping), scenario: impl Fn(Piping) + Copy + Send + Sync + 'static) {
    for few in [false, true] {
        let world = Piping::new();
        prepare(world);
        explore_times(schedules, world.heap.memory(), few, move |_| scenario(world));
    }
}

#[test]
fn pipe_under_every_schedule_tried_hands_on_each_byte_once() {
    each(SCHEDULES / 2, |_| {}, writers_and_readers);
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
fn pipe_under_every_schedule_tried_is_closed_behind_all_that_was_written() {
    each(SCHEDULES / 2, |_| {}, closing_beside_writers);
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

#[test]
fn pipe_under_every_schedule_tried_finds_the_end_of_a_token() {
    let prepare = |world: Piping| (0..126).for_each(|_| assert!(world.write_some(0)));
    each(SCHEDULES / 16, prepare, token_of_the_last_write);
}

impl Piping {
    /// Whether there was room.
    fn write_some(&self, agent: usize) -> bool {
        let written =
            self.agent(agent).operation(|o| pipe::write(o, self.pipe, Source::Slice(&[7; WORD as usize]), false));
        matches!(written.expect("it works").0, Outcome::Done(_))
    }
}
