//! `SharedAllocator`: the shared slabs as an allocator for the collections of Rust programs.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use crate::agent::Agent;
use crate::error::Result;
use crate::words::Kind;

/// Blocks taken and freed through one agent's seat, and so by one thread: what it made does not leave that thread. A
/// collection that does has the [`GlobalAlloc`](crate::GlobalAlloc) of a program for its allocator, whose blocks any thread
/// frees. A death takes no block back: what nobody frees is leaked, and an audit counts it. Copies name the same seat.
///
/// ```
/// use coheap_alloc::{Heap, Memory, Options, Seat, SharedAllocator};
///
/// # fn main() -> coheap_alloc::Result<()> {
/// let memory = Memory::map(8, 256).expect("256 pages");
/// let heap = Heap::initialize(memory, 65_536, Options { maximum_pages: 256, fixed: false, seed: 1 })?;
/// let agent = heap.attach(Seat::default())?;
/// // SAFETY: the heap is used through this allocator alone, and never unmapped.
/// let allocator = unsafe { SharedAllocator::new(agent) };
/// let mut words = allocator_api2::vec::Vec::new_in(allocator);
/// words.extend(["shared", "slabs"]);
/// assert_eq!(words.len(), 2);
/// drop(words);
/// agent.detach()
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SharedAllocator(Agent);

impl SharedAllocator {
    /// The allocator of this seat.
    ///
    /// # Safety
    /// Its blocks are their holders': nobody frees one by [`Operation::free`](crate::Operation::free) or
    /// [`Operation::free_at`](crate::Operation::free_at), nor writes to one through a [`Memory`](crate::Memory), and the
    /// memory is not unmapped while one is in use.
    #[must_use]
    pub const unsafe fn new(agent: Agent) -> Self {
        Self(agent)
    }

    /// The pointer of a new block, as one operation.
    pub(crate) fn take(self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let size = u32::try_from(layout.size()).map_err(|_| AllocError)?;
        let align = u32::try_from(layout.align()).map_err(|_| AllocError)?;
        let taken = self.0.operation(|op| {
            let block = op.allocate(size, align, Kind::Rust)?;
            op.publish(block)?;
            Ok((block.address, op.size_of(block)))
        });
        let (at, length) = taken.map_err(|_| AllocError)?;
        let pointer = NonNull::new(self.0.memory().pointer(at, length as usize)).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(pointer, length as usize))
    }

    /// Frees the block at a pointer; `false` when none is there.
    pub(crate) fn give(self, pointer: *const u8) -> bool {
        let at = self.0.memory().address(pointer);
        at.is_some_and(|at| self.0.operation(|op| op.free_at(at)).is_ok())
    }
}

// SAFETY: I-5 a block is handed out once and stays where it is until it is freed; any copy of the seat may free it.
unsafe impl Allocator for SharedAllocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.take(layout)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, _layout: Layout) {
        let freed = self.give(pointer.as_ptr());
        debug_assert!(freed, "{pointer:p} was freed already");
    }
}
