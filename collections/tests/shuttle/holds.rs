//! Who writes into an object that another ends.

use coheap::cell::put;
use coheap::hold;
use coheap::object::{EntryWord, Handle, State, Type, VALUE, WORD};
use coheap_alloc::layout::slot;
use coheap_alloc::{Memory, SlotWord};
use shuttle::thread;

use super::explore::{ENTRY, SLOT, explore};

/// A writer holds, looks and writes; a releaser ends the object, looks for holders, and then uses the entry again.
/// The writer must not write into the next object.
fn writer_and_releaser(memory: Memory) {
    let handle = Handle { index: 40, generation: 7 };
    let live = EntryWord::new(7, 0, Type::Cell as u8, State::Live);
    memory.store64(ENTRY + WORD, live.0);
    memory.store64(SLOT + slot::WORD, SlotWord::ONLINE | SlotWord::ATTACHED);
    memory.share();
    let writer = thread::spawn(move || {
        hold::publish(memory, SLOT + slot::HOLD, handle);
        if EntryWord(memory.load64_ordered(ENTRY + WORD)).is_live(handle, Type::Cell) {
            let _ = put(memory, ENTRY, 99);
        }
    });
    let dying = live.with_state(State::Dying);
    memory.compare_exchange64(ENTRY + WORD, live.0, dying.0).unwrap();
    if !hold::holds(memory, SLOT, handle) {
        memory.store64(ENTRY + VALUE, 1);
        memory.store64(ENTRY + WORD, EntryWord::new(8, 0, Type::Cell as u8, State::Live).0);
        writer.join().unwrap();
        assert_eq!(memory.load64(ENTRY + VALUE), 1, "a late write to the next object");
    } else {
        writer.join().unwrap();
    }
}

/// A writer whose hold stands from its last operation: coming online is what the releaser must see.
fn returning_writer_and_releaser(memory: Memory) {
    let handle = Handle { index: 40, generation: 7 };
    let live = EntryWord::new(7, 0, Type::Cell as u8, State::Live);
    memory.store64(ENTRY + WORD, live.0);
    memory.store64(SLOT + slot::WORD, SlotWord::ATTACHED);
    memory.store64(SLOT + slot::HOLD, handle.to_word());
    memory.share();
    let writer = thread::spawn(move || {
        let word = SLOT + slot::WORD;
        memory.compare_exchange64(word, SlotWord::ATTACHED, SlotWord::ATTACHED | SlotWord::ONLINE).unwrap();
        hold::publish(memory, SLOT + slot::HOLD, handle);
        if EntryWord(memory.load64_ordered(ENTRY + WORD)).is_live(handle, Type::Cell) {
            let _ = put(memory, ENTRY, 99);
        }
        memory.fetch_and64(word, !SlotWord::ONLINE);
    });
    let dying = live.with_state(State::Dying);
    memory.compare_exchange64(ENTRY + WORD, live.0, dying.0).unwrap();
    if !hold::holds(memory, SLOT, handle) {
        memory.store64(ENTRY + VALUE, 1);
        writer.join().unwrap();
        assert_eq!(memory.load64(ENTRY + VALUE), 1, "a late write to the next object");
    } else {
        writer.join().unwrap();
    }
}

#[test]
fn write_under_every_schedule_tried_never_meets_the_next_object() {
    explore(writer_and_releaser);
    explore(returning_writer_and_releaser);
}
