//! The hints of a heap in which nobody is at work.

use coheap_alloc::layout::{PAGE, body, control, window};
use coheap_alloc::size_class::CLASS;
use coheap_alloc::{Address, GranuleWord, Header, Heap, PageKind, PageWord, State};

/// Whether some agent's window of the class holds the block with this header.
fn in_window(heap: Heap, class: u32, header: Address) -> bool {
    let (memory, control) = (heap.memory(), heap.control());
    coheap_alloc::slot::each(memory, control, |_, slot| {
        let body = coheap_alloc::slot::body(memory, slot).address();
        let window = body + body::WINDOWS + class * window::SIZE;
        if body == 0 || memory.load32(window + window::HEADERS) == 0 {
            return None;
        }
        let bit = header.checked_sub(memory.load32(window + window::HEADERS)).map(|distance| distance / 8);
        bit.is_some_and(|bit| bit < 64 && memory.load64(window) & 1 << bit != 0).then_some(())
    })
    .is_some()
}

/// What is free and in no list has a hint: every free page, and every slab with a block that others freed.
pub(super) fn assert_hinted(heap: Heap) {
    let (memory, control) = (heap.memory(), heap.control());
    let hinted = |bitmap: Address, page: u32| memory.load64(control + bitmap + page / 64 * 8) & 1 << (page & 63) != 0;
    for page in 0..memory.load32(control + control::LIMIT) {
        let word = PageWord(memory.load64(control + control::TABLE + page * 16));
        if word.kind() == PageKind::Free {
            assert!(hinted(control::FREE_HINTS, page), "page {page} is free and no hint says so");
        }
        if word.kind() == PageKind::Granules {
            let granules = GranuleWord(memory.load64(control + control::TABLE + page * 16 + 8));
            let full = granules.room(1).is_none();
            assert!(full || hinted(control::GRANULE_HINTS, page), "granule page {page} has room and no hint says so");
        }
        if word.kind() == PageKind::Slab {
            let shape = CLASS[word.class() as usize];
            let at = page * PAGE;
            let header = |index| Header(memory.load64(at + shape.header(index)));
            let listed = |index: u32| memory.load64(shape.bitmap(at) + index / 64 * 8) & 1 << (index & 63) != 0;
            let loose = (0..u32::from(shape.count)).any(|index| {
                header(index).state() == State::Free
                    && !listed(index)
                    && !in_window(heap, word.class(), at + shape.header(index))
            });
            assert!(!loose || hinted(control::FREED_HINTS, page), "slab {page} has a freed block and no hint says so");
        }
    }
}
