//! Pipes under shuttle: a heap with a pipe that all agents have, and what they do with it.

#[path = "pipes/bytes.rs"]
mod bytes;
#[path = "pipes/loans.rs"]
mod loans;
#[path = "pipes/waits.rs"]
mod waits;

use coheap::acquire;
use coheap::object::Handle;
use coheap::pipe::{self, Lease, Outcome, Read, SMALLEST, Source};
use coheap::wait::Wake;
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Address, Agent, Error, Heap, Memory, Options, Seat};

use super::explore::explore_times;

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

    /// Whether there was room.
    fn write_some(&self, agent: usize) -> bool {
        let written =
            self.agent(agent).operation(|o| pipe::write(o, self.pipe, Source::Slice(&[7; WORD as usize]), false));
        matches!(written.expect("it works").0, Outcome::Done(_))
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

/// Both ways to choose who goes on.
fn each(schedules: usize, prepare: impl Fn(Piping), scenario: impl Fn(Piping) + Copy + Send + Sync + 'static) {
    for few in [false, true] {
        let world = Piping::new();
        prepare(world);
        explore_times(schedules, world.heap.memory(), few, move |_| scenario(world));
    }
}
