//! `GlobalAlloc` where there is nothing left: a block is freed all the same, whoever frees it.
#![cfg(feature = "std")]

mod common;

use std::alloc::{GlobalAlloc as _, Layout};
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use coheap_alloc::audit::NoReferences;
use coheap_alloc::layout::slot as layout;
use coheap_alloc::{Agent, GlobalAlloc, Heap, Seat, SlotWord, slot};
use common::{Watchdog, cases};

/// Not the allocator of this program, whose own threads shall not need it.
static SHARED: GlobalAlloc = GlobalAlloc::new(512);

/// A slab has seven of these.
const SMALL: Layout = Layout::new::<[u64; 1024]>();
/// A run of one page.
const PAGE: Layout = Layout::new::<[u64; 8192]>();

/// A block, by its address: so that it can go to another thread.
fn take(layout: Layout) -> Option<usize> {
    // SAFETY: the layout is not empty.
    let pointer = unsafe { SHARED.alloc(layout) };
    (!pointer.is_null()).then_some(pointer as usize)
}

fn give(layout: Layout, block: usize) {
    // SAFETY: the test frees what it took, once.
    unsafe { SHARED.dealloc(block as *mut u8, layout) };
}

fn fill(layout: Layout) -> Vec<usize> {
    std::iter::from_fn(|| take(layout)).collect()
}

fn seats(heap: Heap) -> u32 {
    let mut count = 0;
    slot::each(heap.memory(), heap.control(), |_, at| {
        count += u32::from(slot::word(heap.memory(), at).has(SlotWord::ATTACHED));
        None::<()>
    });
    count
}

/// A thread that asks for a block, and so for a seat, and goes on living.
fn sitter() -> (Sender<()>, JoinHandle<()>) {
    let (leave, left) = channel();
    let (ready, is_ready) = channel();
    let thread = thread::spawn(move || {
        assert_eq!(take(PAGE), None);
        ready.send(()).unwrap();
        // An error: the sender is gone.
        let _ = left.recv();
    });
    is_ready.recv().unwrap();
    (leave, thread)
}

#[test]
fn full_heap_frees_for_threads_that_find_no_seat() {
    let _watchdog = Watchdog::new("full_heap_frees_for_threads_that_find_no_seat", 120);
    let mut small: Vec<usize> = (0..70).map(|_| take(SMALL).unwrap()).collect();
    let mut pages = fill(PAGE);
    small.extend(fill(SMALL));

    // One of each slab stays, so that no page comes back.
    let mut slabs = BTreeSet::new();
    let (kept, mut small): (Vec<usize>, Vec<usize>) = small.into_iter().partition(|block| slabs.insert(block >> 16));
    let many = small.len();

    // No page for the body of a seat.
    small.into_iter().for_each(|block| thread::spawn(move || give(SMALL, block)).join().unwrap());
    small = fill(SMALL);
    assert_eq!(small.len(), many);

    // Nor a slot, but for the one that is nobody's: each seat gets the page that is freed for it, and there is never
    // room for another chunk of slots.
    // SAFETY: through the heap nothing is freed or written but the seat of the audit below.
    let heap = unsafe { SHARED.heap() }.unwrap();
    let mut sitters = Vec::new();
    for count in 2..=layout::CHUNK {
        give(PAGE, pages.pop().unwrap());
        sitters.push(sitter());
        assert_eq!(seats(heap), count.min(layout::CHUNK - 1));
    }

    // All have the one slot in turn.
    let givers: Vec<_> = small.into_iter().map(|block| thread::spawn(move || give(SMALL, block))).collect();
    givers.into_iter().for_each(|giver| giver.join().unwrap());
    assert_eq!(seats(heap), layout::CHUNK - 1);
    small = fill(SMALL);
    assert_eq!(small.len(), many);

    // Somebody died who had it: the block is leaked, and nobody waits for ever.
    let stuck = slot::claim(heap.memory(), heap.control(), 0, 0, 0, 0).unwrap();
    let leaked = small.pop().unwrap();
    thread::spawn(move || give(SMALL, leaked)).join().unwrap();
    // SAFETY: claimed by this thread, which has not left it.
    let stuck = unsafe { Agent::from_slot(heap.memory(), stuck, slot::word(heap.memory(), stuck).incarnation()) };
    stuck.abandon();

    for (leave, thread) in sitters {
        drop(leave);
        thread.join().unwrap();
    }
    let auditor = heap.attach(Seat::default()).unwrap();
    let figures = auditor.audit(&mut NoReferences).unwrap();
    assert_eq!(figures.live_blocks as usize, pages.len() + kept.len() + small.len() + 1);
    auditor.detach().unwrap();
    pages.into_iter().for_each(|block| give(PAGE, block));
    small.into_iter().chain(kept).for_each(|block| give(SMALL, block));
    give(SMALL, leaked);
    cases("full_heap_frees_for_threads_that_find_no_seat", 2 * many as u64);
}
