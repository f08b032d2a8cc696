//! What the model-checked suites begin with: a small heap, its agents, and blocks that one of them published.
#![allow(dead_code, unreachable_pub, reason = "each suite uses its part")]

use std::collections::BTreeSet;

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Agent, Block, Heap, Kind, Memory, PageKind, PageWord, Result, Seat};

use super::{controls, heap_at};

/// Small blocks of the largest class: seven in a slab, so that walks are short.
pub const SMALL: u32 = 8192;
pub const IN_SLAB: usize = 7;

/// Pages of a heap before its first free one: nothing, two of control, two of slots.
pub const RESERVED: u32 = 5;

/// Of a slot that nobody had before.
const FIRST_INCARNATION: u32 = 0;

/// What the executions of one model begin with.
pub struct World {
    pub heap: Heap,
    pub slots: Vec<Address>,
    pub blocks: Vec<Block>,
}

impl World {
    /// A heap with `agents` attached and `free` pages beyond; of fixed size, or to be grown.
    pub fn new(agents: usize, free: u32, fixed: bool) -> Self {
        controls();
        let heap = heap_at(1, RESERVED + agents as u32 + free, fixed);
        let slots = (0..agents).map(|_| heap.attach(Seat::default()).unwrap().slot()).collect();
        Self { heap, slots, blocks: Vec::new() }
    }

    /// With `count` blocks of `size` bytes that the first agent published.
    pub fn with_blocks(mut self, count: usize, size: u32) -> Self {
        self.blocks = (0..count).map(|_| take(self.agent(0), size).unwrap()).collect();
        self
    }

    pub fn memory(&self) -> Memory {
        self.heap.memory()
    }

    pub fn agent(&self, index: usize) -> Agent {
        // SAFETY: attached in `new`; each model gives a slot to one thread at a time.
        unsafe { Agent::from_slot(self.memory(), self.slots[index], FIRST_INCARNATION) }
    }

    /// A word of the heap that refers to at most one block.
    pub fn cell(&self) -> Address {
        self.heap.control() + control::ROOTS
    }
}

/// A published block.
pub fn take(agent: Agent, size: u32) -> Result<Block> {
    agent.operation(|op| {
        let block = op.allocate(size, 8, Kind::Rust)?;
        op.publish(block)?;
        Ok(block)
    })
}

pub fn give(agent: Agent, block: Block) -> Result<()> {
    agent.operation(|op| op.free(block))
}

/// What the agent can still get.
pub fn drain(agent: Agent, size: u32) -> Vec<Block> {
    std::iter::from_fn(|| take(agent, size).ok()).collect()
}

/// Each block is held once, and with what is free there are `total`: nothing is handed out twice, nothing is lost.
pub fn assert_conserved(agent: Agent, held: impl IntoIterator<Item = Block>, size: u32, total: usize) {
    let mut all: Vec<Block> = held.into_iter().collect();
    all.extend(drain(agent, size));
    let places: BTreeSet<u32> = all.iter().map(|block| block.address).collect();
    assert_eq!(places.len(), all.len(), "a block is held twice: {all:?}");
    assert_eq!(all.len(), total, "blocks are missing: {all:?}, pages: {:?}", kinds(agent));
}

/// What each page is, for messages.
pub fn kinds(agent: Agent) -> Vec<PageKind> {
    let (memory, control) = (agent.memory(), agent.control());
    let pages = memory.load32(control + control::LIMIT);
    (0..pages).map(|page| PageWord(memory.load64(control + control::TABLE + page * 16)).kind()).collect()
}
