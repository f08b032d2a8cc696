//! What the native suites share: heaps in a mapping, a seeded random source, a watchdog.
#![allow(dead_code, unreachable_pub, reason = "each suite uses its part")]

#[cfg(any(loom, shuttle))]
pub mod world;

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use coheap_alloc::sync::PAGE;
use coheap_alloc::{Heap, Memory, Options};

/// A heap whose control area stands on page `control`, in a memory that may grow to `maximum` pages.
pub fn heap_at(control: u32, maximum: u32, fixed: bool) -> Heap {
    let initial = if fixed { maximum } else { control + 2 };
    let memory = Memory::map(initial, maximum).expect("a mapping");
    let options = Options { maximum_pages: maximum, fixed, seed: 0x5EED };
    Heap::initialize(memory, control * PAGE, options).expect("a heap")
}

/// A growing heap.
pub fn heap(maximum: u32) -> Heap {
    heap_at(1, maximum, false)
}

/// Xorshift: the same numbers for the same seed everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The seed of this run: `COHEAP_SEED`, or the clock's. Printed, so that a failure can be run again.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("COHEAP_SEED").ok().and_then(|text| text.parse().ok());
    let clock =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64 | 1);
    let seed = given.unwrap_or_else(clock);
    println!("{test}: COHEAP_SEED={seed}");
    seed
}

/// Tells the test runner how many cases a test went through.
pub fn cases(test: &str, count: u64) {
    println!("cases {test} {count}");
}

/// Ends the process when the test has not ended in time: a hang must be red.
pub struct Watchdog(Sender<()>);

impl Watchdog {
    pub fn new(test: &'static str, seconds: u64) -> Self {
        let (alive, over) = channel();
        thread::spawn(move || {
            // Nothing is ever sent: the sender goes when the test ends.
            if over.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{test}: no end after {seconds} s");
                std::process::exit(101);
            }
        });
        Self(alive)
    }
}

/// Switches on the seeded bug that `COHEAP_CONTROL` names, in a build that has them.
pub fn controls() {
    #[cfg(feature = "controls")]
    coheap_alloc::controls::set_from_environment();
}
