//! What is taken out of a structure beside an agent at work: freed when the agent cannot meet it, and never while it may.
//! What runs is what ships: `eras::publish`, `eras::covers`, `eras::raise`, `eras::meets`.

use coheap::hold;
use coheap::map::eras;
use coheap::object::{EntryWord, Handle, State, Type, WORD};
use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Memory, SlotWord};
use shuttle::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::explore::{ENTRY, SLOT, explore};

const HANDLE: Handle = Handle { index: 40, generation: 7 };
/// What is in the structure: the address of a block, or 0.
const CELL: Address = 196_608;
/// Two blocks: the era in which it was made, and a word that who works there writes to.
const BLOCKS: [Address; 2] = [CELL + 64, CELL + 128];
const WRITTEN: Address = 8;

static FREED: AtomicUsize = AtomicUsize::new(0);

/// An agent looks for what is in the structure and writes to it, twice; another puts a block in, takes it out and frees it if it can: one that
/// was there from the beginning, and one that it makes.
fn finding_beside_taking_out(memory: Memory) {
    memory.store64(ENTRY + WORD, EntryWord::new(7, 0, Type::Map as u8, State::Live).0);
    memory.store64(SLOT + slot::WORD, SlotWord::ONLINE | SlotWord::ATTACHED);
    memory.store64(CELL, u64::from(BLOCKS[0]));
    memory.share();
    let finder = thread::spawn(move || {
        hold::publish(memory, SLOT + slot::HOLD, HANDLE);
        eras::publish(memory, ENTRY, SLOT);
        for _ in 0..2 {
            let found = loop {
                let found = memory.load64(CELL) as Address;
                if eras::covers(memory, ENTRY, SLOT) {
                    break found;
                }
            };
            if found != 0 {
                memory.store64(found + WRITTEN, 1);
            }
        }
        memory.store64(SLOT + slot::HOLD_ERA, 0);
    });
    let mut freed = Vec::new();
    for block in BLOCKS {
        if block != BLOCKS[0] {
            memory.store64(block, memory.load64(ENTRY + coheap::object::ERA));
            memory.swap64(CELL, u64::from(block));
        }
        memory.swap64(CELL, 0);
        let gone = eras::raise(memory, ENTRY);
        if !eras::meets(memory, SLOT, HANDLE, memory.load64(block), gone) {
            memory.store64(block + WRITTEN, 0);
            freed.push(block);
        }
    }
    finder.join().unwrap();
    for &block in &freed {
        assert_eq!(memory.load64(block + WRITTEN), 0, "a late write to what was freed");
    }
    FREED.fetch_add(freed.len(), Relaxed);
}

#[test]
fn structure_under_every_schedule_tried_frees_nothing_that_an_agent_may_meet() {
    FREED.store(0, Relaxed);
    explore(finding_beside_taking_out);
    assert!(FREED.load(Relaxed) > 1000, "something is freed while an agent is at work");
}
