//! `GlobalAlloc`: the shared slabs as the `#[global_allocator]` of a threaded native program.

extern crate std;

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;
use std::sync::OnceLock;

use crate::agent::Agent;
use crate::heap::{Heap, Options, Seat};
use crate::shared::SharedAllocator;
use crate::sync::{Memory, PAGE};

/// One heap for the whole process; each thread takes a seat with its first allocation and leaves it when it ends.
///
/// A block may be freed by any thread. What a thread leaves behind belongs to whoever got it: never taken back.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: coheap_alloc::GlobalAlloc = coheap_alloc::GlobalAlloc::new(1024);
///
/// let words = std::thread::spawn(|| vec![String::from("made elsewhere")]).join().unwrap();
/// assert_eq!(words[0], "made elsewhere");
/// assert!(GLOBAL.heap().is_some());
/// ```
#[derive(Debug)]
pub struct GlobalAlloc {
    maximum_pages: u32,
    heap: OnceLock<Option<Heap>>,
}

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
    static LEAVE: Leave = const { Leave };
}

/// Leaves the seat when the thread ends in order. It runs outside any operation and is no part of a structure, so it
/// does not weaken the rule that unwinding writes nothing (SAFETY.md, I-9).
struct Leave;

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
        Self { maximum_pages, heap: OnceLock::new() }
    }

    /// The heap, made by the first allocation; `None` when the system refuses it.
    pub fn heap(&self) -> Option<Heap> {
        *self.heap.get_or_init(|| {
            let memory = Memory::map(4, self.maximum_pages)?;
            let options = Options { maximum_pages: self.maximum_pages, fixed: false, seed: 0 };
            Heap::initialize(memory, PAGE, options).ok()
        })
    }

    fn with<R>(&self, run: impl FnOnce(SharedAllocator) -> R) -> Option<R> {
        match LOCAL.get() {
            Local::Seated(agent) => Some(run(SharedAllocator::new(agent))),
            Local::Unseated => {
                let agent = self.heap()?.attach(Seat { may_block: true, ..Seat::default() }).ok()?;
                LOCAL.set(Local::Seated(agent));
                // Registers the destructor; on a thread that is ending already the seat is left at once.
                if LEAVE.try_with(|_| ()).is_err() {
                    LOCAL.set(Local::Ending);
                    let answer = run(SharedAllocator::new(agent));
                    let _ = agent.detach();
                    return Some(answer);
                }
                Some(run(SharedAllocator::new(agent)))
            }
            Local::Ending => {
                let agent = self.heap()?.attach(Seat::default()).ok()?;
                let answer = run(SharedAllocator::new(agent));
                let _ = agent.detach();
                Some(answer)
            }
        }
    }
}

// SAFETY: I-5 as SharedAllocator; a null pointer is "none", and nothing unwinds.
unsafe impl core::alloc::GlobalAlloc for GlobalAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = self.with(|allocator| allocator.take(layout));
        taken.and_then(Result::ok).map_or(core::ptr::null_mut(), |block| block.cast::<u8>().as_ptr())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _layout: Layout) {
        let freed = NonNull::new(pointer).is_some() && self.with(|allocator| allocator.give(pointer)) == Some(true);
        debug_assert!(freed, "{pointer:p} was freed already");
    }
}
