//! `GlobalAlloc`: the shared slabs as the `#[global_allocator]` of a threaded program.

extern crate std;

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::OnceLock;

use allocator_api2::alloc::{AllocError, Allocator};

use crate::agent::{Agent, Entry};
use crate::heap::{Heap, Seat};
use crate::shared::SharedAllocator;
use crate::slot;
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    heap::Options,
    sync::{Memory, PAGE},
};

/// One heap for the whole process; each thread takes a seat with its first allocation and leaves it when it ends.
///
/// A block may be freed by any thread. What a thread leaves behind belongs to whoever got it: never taken back.
///
/// A process has one of it: a thread has one seat, at the heap that it allocated from first. In a WebAssembly program the
/// heap lies in the program's own memory, and the end of a thread is nothing that Rust hears of: its seat is left by
/// [`GlobalAlloc::leave`].
///
/// ```
/// #[global_allocator]
/// static GLOBAL: coheap_alloc::GlobalAlloc = coheap_alloc::GlobalAlloc::new(1024);
///
/// let words = std::thread::spawn(|| vec![String::from("made elsewhere")]).join().unwrap();
/// assert_eq!(words[0], "made elsewhere");
/// // SAFETY: no block is freed or written through it.
/// let heap = unsafe { GLOBAL.heap() };
/// assert!(heap.is_some());
/// ```
///
/// As an [`Allocator`] it serves collections beside another global allocator. They may go to other threads, which
/// free them through seats of their own:
///
/// ```
/// use allocator_api2::vec::Vec;
/// use coheap_alloc::GlobalAlloc;
///
/// static SHARED: GlobalAlloc = GlobalAlloc::new(1024);
///
/// let mut words = Vec::new_in(&SHARED);
/// words.extend(["made", "here"]);
/// assert_eq!(std::thread::spawn(move || words.len()).join().unwrap(), 2);
/// ```
#[derive(Debug)]
pub struct GlobalAlloc {
    maximum_pages: u32,
    #[cfg(not(target_arch = "wasm32"))]
    heap: OnceLock<Option<Heap>>,
}

/// How often a thread that only frees looks for a slot before it leaks the block.
const LOOKS: u32 = 100_000;

/// A thread's seat. Neither has a destructor, so it can be read while others of the thread's locals are destroyed.
#[derive(Clone, Copy)]
enum Local {
    Unseated,
    Seated(Agent),
    /// The thread is ending: each call takes a seat for itself.
    Ending,
}

std::thread_local! {
    static LOCAL: Cell<Local> = const { Cell::new(Local::Unseated) };
}

#[cfg(not(target_arch = "wasm32"))]
std::thread_local! {
    static LEAVE: Leave = const { Leave };
}

/// Registers the destructor that leaves the seat; `false` on a thread that is ending already.
#[cfg(not(target_arch = "wasm32"))]
fn will_leave() -> bool {
    LEAVE.try_with(|_| ()).is_ok()
}

/// A destructor would be kept and never run.
#[cfg(target_arch = "wasm32")]
fn will_leave() -> bool {
    true
}

/// Leaves the seat when the thread ends in order. It runs outside any operation and is no part of a structure, so it
/// does not weaken the rule that unwinding writes nothing (SAFETY.md, I-9).
#[cfg(not(target_arch = "wasm32"))]
struct Leave;

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Leave {
    fn drop(&mut self) {
        if let Local::Seated(agent) = LOCAL.replace(Local::Ending) {
            let _ = agent.detach();
        }
    }
}

impl GlobalAlloc {
    /// An allocator whose heap may grow to `maximum_pages` pages of 64 KiB, at most 65,536.
    #[must_use]
    pub const fn new(maximum_pages: u32) -> Self {
        Self {
            maximum_pages,
            #[cfg(not(target_arch = "wasm32"))]
            heap: OnceLock::new(),
        }
    }

    /// Leaves this thread's seat, which the next allocation takes again. Nothing needs it where threads end in order.
    pub fn leave() {
        // A thread that is ending stays so.
        if let Local::Seated(agent) = LOCAL.get() {
            LOCAL.set(Local::Unseated);
            let _ = agent.detach();
        }
    }

    /// The heap, made by the first allocation; `None` when the system refuses it.
    ///
    /// # Safety
    /// Its blocks are their holders': nobody frees one by [`Operation::free`](crate::Operation::free) or
    /// [`Operation::free_at`](crate::Operation::free_at), nor writes to one through a [`Memory`], nor unmaps it.
    pub unsafe fn heap(&self) -> Option<Heap> {
        self.made()
    }

    #[cfg(target_arch = "wasm32")]
    fn made(&self) -> Option<Heap> {
        crate::program::heap(self.maximum_pages)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn made(&self) -> Option<Heap> {
        *self.heap.get_or_init(|| {
            let memory = Memory::map(4, self.maximum_pages)?;
            let options = Options { maximum_pages: self.maximum_pages, fixed: false, seed: 0 };
            Heap::initialize(memory, PAGE, options).ok()
        })
    }

    /// Takes a seat, but never the last slot: that is for those who only free.
    fn attach(&self, seat: Seat) -> Option<Agent> {
        let heap = self.made()?;
        let agent = heap.attach(seat).ok()?;
        let is_free = |at| slot::word(heap.memory(), at).0 & 0xFFFF == 0;
        let spare = slot::each(heap.memory(), heap.control(), |_, at| is_free(at).then_some(()));
        if spare.is_none() {
            let _ = agent.detach();
            return None;
        }
        Some(agent)
    }

    fn with<R>(&self, run: impl FnOnce(SharedAllocator) -> R) -> Option<R> {
        // SAFETY: I-15 the heap is nobody's but this allocator's, or a caller of `heap` vouches for the same.
        let allocator = |agent| unsafe { SharedAllocator::new(agent) };
        match LOCAL.get() {
            Local::Seated(agent) => Some(run(allocator(agent))),
            Local::Unseated => {
                let agent = self.attach(Seat { may_block: cfg!(not(target_arch = "wasm32")), ..Seat::default() })?;
                LOCAL.set(Local::Seated(agent));
                // On a thread that is ending already the seat is left at once.
                if !will_leave() {
                    LOCAL.set(Local::Ending);
                    let answer = run(allocator(agent));
                    let _ = agent.detach();
                    return Some(answer);
                }
                Some(run(allocator(agent)))
            }
            Local::Ending => {
                let agent = self.attach(Seat::default())?;
                let answer = run(allocator(agent));
                let _ = agent.detach();
                Some(answer)
            }
        }
    }

    /// Frees a block when there is no seat: a seat needs a page, which a full heap may not have; freeing needs a slot
    /// alone, taken for this once. At least one is nobody's seat, so only others who pass may have it: a block that finds
    /// none in a hundred thousand looks is leaked, because who has it may have died there.
    fn give_in_passing(&self, pointer: *const u8) -> bool {
        let Some(heap) = self.made() else { return false };
        let (memory, control) = (heap.memory(), heap.control());
        let claimed = (0..LOOKS).find_map(|look| {
            if look > 0 {
                std::thread::yield_now();
            }
            slot::claim(memory, control, 0, 0, 0, 0)
        });
        let Some(slot) = claimed else { return true };
        // SAFETY: I-14 claimed just now.
        let agent = unsafe { Agent::from_slot(memory, slot, slot::word(memory, slot).incarnation()) };
        let at = memory.address(pointer);
        let freed = at.is_some_and(|at| agent.run(Entry::Online, |op| op.free_at(at)).is_ok());
        agent.abandon();
        freed
    }

    fn take(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.with(|allocator| allocator.take(layout)).unwrap_or(Err(AllocError))
    }

    fn give(&self, pointer: *const u8) {
        let freed = self.with(|allocator| allocator.give(pointer)).unwrap_or_else(|| self.give_in_passing(pointer));
        if cfg!(debug_assertions) && !freed {
            // Freed already. Not a panic: an allocator must not unwind, and a message would allocate.
            std::process::abort();
        }
    }
}

// SAFETY: I-5 a block is handed out once and stays where it is until it is freed, also when the allocator is moved or
// dropped, because nobody unmaps the heap (I-15); each call goes by the seat of its own thread, so any thread may make it.
unsafe impl Allocator for GlobalAlloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.take(layout)
    }

    unsafe fn deallocate(&self, pointer: NonNull<u8>, _layout: Layout) {
        self.give(pointer.as_ptr());
    }
}

// SAFETY: I-5 as SharedAllocator; a null pointer is "none", and nothing unwinds.
unsafe impl core::alloc::GlobalAlloc for GlobalAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout).map_or(core::ptr::null_mut(), |block| block.cast::<u8>().as_ptr())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _layout: Layout) {
        self.give(pointer);
    }
}
