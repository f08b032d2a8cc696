//! The store-then-load protocols under shuttle, which keeps one order of all accesses: waiting, and holding.
//! What runs is what ships: `cell::put`, `cell::watch_word`, `hold::publish`, `hold::holds`.
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
#![cfg(shuttle)]

use coheap::cell::{put, watch_word};
use coheap::hold;
use coheap::object::{EntryWord, Handle, State, Type, VALUE, WORD};
use coheap::wait::Watch;
use coheap_alloc::layout::slot;
use coheap_alloc::{Memory, SlotWord};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const ENTRY: u32 = 65_536;
const SLOT: u32 = 131_072;
const SCHEDULES: usize = 20_000;

/// Sleeping and waking as the platform does it: the word is compared under the lock that a notify takes.
#[derive(Default)]
struct Sleepers {
    turn: Mutex<()>,
    woken: Condvar,
}

impl Sleepers {
    /// Sleeps without a timeout, so a missed wake-up is a deadlock, which shuttle reports.
    fn wait(&self, memory: Memory, watch: Watch) {
        let mut turn = self.turn.lock().unwrap();
        while memory.load32_ordered(watch.address) == watch.expected {
            turn = self.woken.wait(turn).unwrap();
        }
    }

    fn notify(&self) {
        drop(self.turn.lock().unwrap());
        self.woken.notify_all();
    }
}

/// So many setters, two waiters: each waiter sees a change.
fn setters_and_waiters(memory: Memory, setters: u64) {
    memory.share();
    let sleepers = Arc::new(Sleepers::default());
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                while let Some(watch) = watch_word(memory, ENTRY, 0) {
                    sleepers.wait(memory, watch);
                }
                assert_ne!(memory.load64(ENTRY + VALUE), 0);
            })
        })
        .collect();
    let setters: Vec<_> = (1..=setters)
        .map(|number| {
            let sleepers = sleepers.clone();
            thread::spawn(move || {
                if put(memory, ENTRY, number).expect("no block").address() != 0 {
                    sleepers.notify();
                }
            })
        })
        .collect();
    for handle in waiters.into_iter().chain(setters) {
        handle.join().unwrap();
    }
}

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

/// The tests take turns: they share one counter.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Explores a scenario, with the seeded bug that `COHEAP_CONTROL` names, if any.
fn explore(scenario: impl Fn(Memory) + Send + Sync + 'static) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    #[cfg(feature = "controls")]
    coheap::controls::set_from_environment();
    let memory = Memory::map(4, 4).expect("a memory");
    memory.keep();
    let run = move || {
        memory.rewind();
        scenario(memory);
        // The first executions teach the memory which words are raced: those do not count.
        if memory.settle() {
            COUNTED.fetch_add(1, Relaxed);
        }
    };
    COUNTED.store(0, Relaxed);
    shuttle::check_random(run, SCHEDULES);
    let counted = COUNTED.load(Relaxed);
    println!("{counted} schedules, {} raced words", memory.raced().len());
    assert!(counted > SCHEDULES / 2, "too few executions counted");
}

static COUNTED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn waiters_and_setters_under_every_schedule_tried_never_miss_each_other() {
    explore(|memory| setters_and_waiters(memory, 1));
    explore(|memory| setters_and_waiters(memory, 2));
}

#[test]
fn write_under_every_schedule_tried_never_meets_the_next_object() {
    explore(writer_and_releaser);
    explore(returning_writer_and_releaser);
}
