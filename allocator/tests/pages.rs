//! Blocks of no bytes, whatever their alignment, and what needs pages side by side.
#![cfg(feature = "std")]

mod common;

use std::alloc::{GlobalAlloc as _, Layout};
use std::cell::Cell;
use std::collections::BTreeSet;

use allocator_api2::alloc::Allocator;
use coheap_alloc::arena::{AgentArena, CurrentAgent};
use coheap_alloc::audit::NoReferences;
use coheap_alloc::layout::PAGE;
use coheap_alloc::{Agent, Block, Error, Kind, Memory, Result, Seat, SharedAllocator};
use common::{cases, controls, heap, heap_at};

fn take(agent: Agent, size: u32, align: u32) -> Result<Block> {
    agent.operation(|op| {
        let block = op.allocate(size, align, Kind::Rust)?;
        op.publish(block)?;
        assert!(op.size_of(block) >= size.max(1) && block.address.is_multiple_of(align), "{block:?}");
        Ok(block)
    })
}

fn give(agent: Agent, block: Block) {
    agent.operation(|op| op.free(block)).unwrap();
}

fn live_blocks(agent: Agent) -> u64 {
    agent.audit(&mut NoReferences).unwrap().live_blocks
}

/// Every power of two that an alignment can be.
fn alignments() -> impl Iterator<Item = u32> {
    (0..=16).map(|bit| 1 << bit)
}

#[test]
fn block_of_no_bytes_has_a_place_of_its_own() {
    controls();
    let heap = heap(256);
    let agent = heap.attach(Seat::default()).unwrap();
    let blocks: Vec<Block> =
        alignments().flat_map(|align| [take(agent, 0, align).unwrap(), take(agent, 1, align).unwrap()]).collect();
    let places: BTreeSet<u32> = blocks.iter().map(|block| block.address).collect();
    assert_eq!(places.len(), blocks.len(), "{blocks:?}");
    assert_eq!(live_blocks(agent), blocks.len() as u64);
    cases("block_of_no_bytes_has_a_place_of_its_own", blocks.len() as u64);
    blocks.into_iter().for_each(|block| give(agent, block));

    // SAFETY: no block of it is freed or written otherwise, and the memory stays.
    let allocator = unsafe { SharedAllocator::new(agent) };
    let layout = Layout::from_size_align(0, 16_384).unwrap();
    let pointer = allocator.allocate(layout).unwrap().cast::<u8>();
    assert!((pointer.as_ptr() as usize).is_multiple_of(16_384));
    assert_eq!(live_blocks(agent), 1);
    // SAFETY: allocated just now with this layout.
    unsafe { allocator.deallocate(pointer, layout) };
    assert_eq!(live_blocks(agent), 0);
}

#[test]
fn block_of_no_bytes_is_refused_where_the_page_table_ends() {
    controls();
    // Its table fills pages, so the words of the first slots stand right behind it.
    let heap = heap(4096);
    let agents = [heap.attach(Seat::default()).unwrap(), heap.attach(Seat::default()).unwrap()];
    let mut blocks = Vec::new();
    for pages in [1024, 16, 1] {
        blocks.extend(std::iter::from_fn(|| take(agents[0], pages * PAGE, 8).ok()));
    }
    assert_eq!(heap.memory().pages(), 4096);
    for align in alignments().filter(|&align| align > 8192) {
        assert!(matches!(take(agents[0], 0, align), Err(Error::OutOfMemory { .. })), "{align}");
        assert_eq!(agents.map(live_blocks), [blocks.len() as u64; 2]);
    }
    blocks.into_iter().for_each(|block| give(agents[1], block));
    assert_eq!(agents.map(live_blocks), [0; 2]);
}

#[test]
#[should_panic(expected = "unaligned word")]
fn unaligned_word_of_a_native_memory_is_refused() {
    let _ = Memory::map(1, 1).unwrap().load64(4);
}

thread_local! {
    static CURRENT: Cell<Option<Agent>> = const { Cell::new(None) };
}

struct ThisThread;

// SAFETY: each test sets the agent of its own thread, and unsets it before the agent leaves.
unsafe impl CurrentAgent for ThisThread {
    fn current() -> Option<Agent> {
        CURRENT.get()
    }
}

static ARENA: AgentArena<ThisThread> = AgentArena::new();

#[test]
fn arena_of_a_slot_taken_again_begins_anew() {
    controls();
    let heap = heap(256);
    let witness = heap.attach(Seat::default()).unwrap();
    let layout = Layout::new::<[u64; 512]>();
    let mut slots = BTreeSet::new();
    for round in 0..3u8 {
        let agent = heap.attach(Seat::default()).unwrap();
        slots.insert(agent.slot());
        CURRENT.set(Some(agent));
        // SAFETY: the layout is not empty.
        let pointer = unsafe { ARENA.alloc(layout) };
        assert!(!pointer.is_null());
        // SAFETY: just allocated with this layout.
        unsafe { pointer.write_bytes(round, layout.size()) };
        // Whoever has the pages of the arena before finds in them what he wrote.
        let block = take(witness, 2 * PAGE, 8).unwrap();
        witness.memory().fill(block.address, 2 * PAGE, 0xA5);
        // SAFETY: as above.
        let more = unsafe { ARENA.alloc(layout) };
        // SAFETY: both allocated above with this layout, freed once.
        unsafe { [pointer, more].into_iter().for_each(|pointer| ARENA.dealloc(pointer, layout)) };
        let mut bytes = vec![0; 2 * PAGE as usize];
        witness.memory().copy_out(block.address, &mut bytes);
        assert!(bytes.iter().all(|&byte| byte == 0xA5));
        give(witness, block);
        CURRENT.set(None);
        agent.detach().unwrap();
        // All the pages that are free.
        let rest: Vec<Block> = std::iter::from_fn(|| take(witness, PAGE, 8).ok()).collect();
        rest.iter().for_each(|block| witness.memory().fill(block.address, PAGE, 0xA5));
        rest.into_iter().for_each(|block| give(witness, block));
        assert_eq!(live_blocks(witness), 0);
    }
    assert_eq!(slots.len(), 1);
}

#[test]
fn pages_side_by_side_are_looked_for_in_what_others_freed() {
    controls();
    let heap = heap_at(1, 64, true);
    let idle = heap.attach(Seat::default()).unwrap();
    let agent = heap.attach(Seat::default()).unwrap();
    CURRENT.set(Some(agent));
    let (small, large) = (Layout::new::<u64>(), Layout::from_size_align(3 * PAGE as usize, 8).unwrap());
    // The arena has its first page while there are some.
    // SAFETY: the layout is not empty.
    let first = unsafe { ARENA.alloc(small) };
    let blocks: Vec<Block> = std::iter::from_fn(|| take(idle, 8192, 8).ok()).collect();
    // Into slabs that are the idle agent's.
    blocks.into_iter().for_each(|block| give(agent, block));
    // SAFETY: the layout is not empty.
    let pointer = unsafe { ARENA.alloc(large) };
    assert!(!pointer.is_null());
    // SAFETY: both allocated above with these layouts.
    unsafe {
        ARENA.dealloc(pointer, large);
        ARENA.dealloc(first, small);
    }
    CURRENT.set(None);
    agent.detach().unwrap();
    assert_eq!(live_blocks(idle), 0);
}
