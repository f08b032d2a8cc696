//! Makes a heap in the memory that std's allocator grows as well.

use coheap_alloc::{Agent, Heap, Memory, Options, Seat, sync::PAGE};

/// A heap that starts where the memory ends now, and the one agent of this program.
pub fn heap_in_own_memory(maximum_pages: u32) -> coheap_alloc::Result<Agent> {
    let memory = Memory::linear();
    let control = memory.pages() * PAGE;
    let heap = Heap::initialize(memory, control, Options { maximum_pages, fixed: false, seed: 7 })?;
    heap.attach(Seat::default())
}
