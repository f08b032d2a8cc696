//! Several threads index a text: the lines stand in a `Vec` of the program, the words in the map `words` of its heap.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, RwLock};

use coheap::typed::{Heap, Map, Str};
use coheap::{GlobalAlloc, Result};

/// Everything that the program allocates stands in the heap, beside its maps.
#[global_allocator]
static GLOBAL: GlobalAlloc = GlobalAlloc::new(4_096);

coheap::export!();

static LINES: OnceLock<RwLock<Vec<String>>> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn lines() -> &'static RwLock<Vec<String>> {
    LINES.get_or_init(RwLock::default)
}

/// Makes `count` lines, in one thread; all of them read them.
#[unsafe(no_mangle)]
extern "C" fn prepare(count: usize) {
    let words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"];
    let line = |number: usize| (0..=number % 9).map(|word| words[word]).collect::<Vec<_>>().join(" ");
    lines().write().expect("no thread panics").extend((0..count).map(line));
}

/// Takes line after line, as long as there is one that no thread has taken. Answers how many it took, or −1.
#[unsafe(no_mangle)]
extern "C" fn index() -> i32 {
    take_lines().unwrap_or(-1)
}

fn take_lines() -> Result<i32> {
    let words: Map<Str, f64> = Heap::of_program(256 << 20)?.attach()?.map("words")?;
    let mut taken = 0;
    while let Some(line) = lines().read().expect("no thread panics").get(NEXT.fetch_add(1, Ordering::Relaxed)) {
        for word in line.split(' ') {
            words.add(word, 1.0)?;
        }
        taken += 1;
    }
    Ok(taken)
}
