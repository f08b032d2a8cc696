//! The heap of a threaded WebAssembly program, in the program's own memory: one for all, whoever asks first.

extern crate std;

use std::sync::OnceLock;

use crate::heap::{Heap, Options};
use crate::sync::{Memory, PAGE};

static HEAP: OnceLock<Option<Heap>> = OnceLock::new();

/// The heap of this program, made by the first call at the end of the memory, which then grows to `maximum_pages` pages of
/// 64 KiB at most; `None` when there is no room for it. The first call must not race others on a thread that may not
/// block: a program's main thread allocates before it starts any.
#[must_use]
pub fn heap(maximum_pages: u32) -> Option<Heap> {
    *HEAP.get_or_init(|| {
        let memory = Memory::linear();
        let control = memory.pages().checked_mul(PAGE)?;
        Heap::initialize(memory, control, Options { maximum_pages, fixed: false, seed: 0 }).ok()
    })
}
