//! How schedules are tried.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use coheap_alloc::Memory;

/// Where tests put an entry of the object table and a slot that are in no heap.
pub(super) const ENTRY: u32 = 65_536;
pub(super) const SLOT: u32 = 131_072;
pub(super) const SCHEDULES: usize = 20_000;

/// The tests take turns: they share one counter.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Explores a scenario, with the seeded bug that `COHEAP_CONTROL` names, if any.
pub(super) fn explore(scenario: impl Fn(Memory) + Send + Sync + 'static) {
    explore_in(Memory::map(4, 4).expect("a memory"), scenario);
}

pub(super) fn explore_in(memory: Memory, scenario: impl Fn(Memory) + Send + Sync + 'static) {
    explore_by(memory, false, scenario);
}

/// Most schedules change at each step who goes on; `few`: only at a few of them, for what shows when one is stopped for
/// long.
pub(super) fn explore_by(memory: Memory, few: bool, scenario: impl Fn(Memory) + Send + Sync + 'static) {
    explore_times(SCHEDULES, memory, few, scenario);
}

pub(super) fn explore_times(
    schedules: usize,
    memory: Memory,
    few: bool,
    scenario: impl Fn(Memory) + Send + Sync + 'static,
) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    #[cfg(feature = "controls")]
    coheap::controls::set_from_environment();
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
    if few {
        shuttle::check_pct(run, schedules, 3);
    } else {
        shuttle::check_random(run, schedules);
    }
    let counted = COUNTED.load(Relaxed);
    println!("{} raced words", memory.raced().len());
    // The thread of a test has its name.
    if let Some(test) = std::thread::current().name() {
        println!("cases {test} {counted}");
    }
    assert!(counted > schedules / 2, "too few executions counted");
}

static COUNTED: AtomicUsize = AtomicUsize::new(0);
