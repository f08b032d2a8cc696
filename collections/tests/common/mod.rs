//! What the tests share: a heap in this process, random numbers that can be replayed, a watchdog.
#![allow(dead_code, unreachable_pub, reason = "each suite uses its part")]

pub mod additions;
#[cfg(feature = "fault-points")]
pub mod faults;
pub mod hasty;
pub mod history;
pub mod stream;

use std::sync::Barrier;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use coheap::Objects;
use coheap::wait::native::Threads;
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Agent, Figures, Heap, Memory, Operation, Options, Result, Seat};

/// A heap of its own for one test.
pub fn heap(maximum_pages: u32) -> Heap {
    let memory = Memory::map(16, maximum_pages).expect("a mapping");
    let options = Options { maximum_pages, fixed: false, seed: 0x005E_ED0F_7E57 };
    Heap::initialize(memory, PAGE, options).expect("a heap")
}

pub fn agent(heap: Heap) -> Agent {
    heap.attach(Seat { may_block: true, ..Seat::default() }).expect("a seat")
}

pub fn audit(agent: Agent) -> Figures {
    agent.audit(&mut Objects).expect("the heap is whole")
}

/// Gives back what the agent holds, and leaves.
pub fn leave(agent: Agent) {
    coheap::detach(agent, &Threads::new(agent.memory())).expect("the agent leaves");
}

/// One operation that must succeed.
pub fn run<R>(agent: Agent, f: impl FnOnce(&Operation) -> Result<R>) -> R {
    agent.operation(f).expect("the operation succeeds")
}

/// Pseudo-random numbers (xorshift64*). `COHEAP_SEED` replays a run.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(test: &str) -> Self {
        let seed = std::env::var("COHEAP_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64)
        });
        println!("{test}: COHEAP_SEED={seed}");
        Self::from(seed)
    }

    pub fn from(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Ends the process when a test hangs.
pub struct Watchdog(Sender<()>);

impl Watchdog {
    pub fn new(test: &'static str) -> Self {
        let (alive, over) = channel();
        std::thread::spawn(move || {
            // Nothing is ever sent: the sender goes when the test ends.
            if over.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{test}: no progress for two minutes");
                std::process::exit(99);
            }
        });
        Self(alive)
    }
}

/// Runs `f` on `count` threads at once, each with an agent of its own.
pub fn threads<R: Send>(heap: Heap, count: usize, f: impl Fn(usize, Agent) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .map(|number| {
                let (f, start) = (&f, &start);
                scope.spawn(move || {
                    let agent = agent(heap);
                    start.wait();
                    let answer = f(number, agent);
                    leave(agent);
                    answer
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("the thread ends")).collect()
    })
}

/// The seeded bug that `COHEAP_CONTROL` names, if any: the tests it must redden then fail.
pub fn controls() {
    #[cfg(feature = "controls")]
    coheap::controls::set_from_environment();
}

/// A copy of what stands at the beginning of the agent's transfer buffer.
pub fn take(agent: Agent, length: u32) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    agent.memory().copy_out(agent.transfer(), &mut bytes);
    bytes
}
