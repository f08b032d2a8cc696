//! What a threaded program does with boxes, vectors, strings and maps of std. Its allocator is std's own, or with the feature
//! `coheap` coheap's; nothing else differs. A thread that gets no memory ends.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use workload::next_random;

#[cfg(feature = "coheap")]
#[global_allocator]
static GLOBAL: coheap_alloc::GlobalAlloc = coheap_alloc::GlobalAlloc::new(8_192);

type Parcel = Box<[u8; 64]>;

/// What a thread sends the other by, and what it receives from it.
type Ends = (Sender<Parcel>, Receiver<Parcel>);

/// Those of the thread that has not come yet.
static OFFERED: Mutex<Option<Ends>> = Mutex::new(None);

/// A thousand words are made of three of them.
const SYLLABLES: [&str; 10] = ["al", "be", "cor", "dun", "e", "fras", "gi", "hol", "ister", "ja"];
const WORDS_OF_A_TEXT: u32 = 1_000;

/// Makes a box of 64 bytes and drops it, `iterations` times.
#[unsafe(no_mangle)]
extern "C" fn pairs(iterations: u32, _: u32) {
    for done in 0..iterations {
        drop(black_box(Box::new([done as u8; 64])));
    }
}

/// Keeps 256 vectors of 16..=512 bytes and replaces one at random, `iterations` times.
#[unsafe(no_mangle)]
extern "C" fn churn(iterations: u32, seed: u32) {
    let mut kept: Vec<Vec<u8>> = vec![Vec::new(); 256];
    let mut random = seed | 1;
    for done in 0..iterations {
        let number = next_random(&mut random);
        let size = 16 + ((number >> 8) % 497) as usize;
        kept[(number & 255) as usize] = black_box(vec![done as u8; size]);
    }
}

/// Counts `iterations` words, which it spells at random, text by text.
#[unsafe(no_mangle)]
extern "C" fn words(iterations: u32, seed: u32) {
    let mut random = seed | 1;
    for begun in (0..iterations).step_by(WORDS_OF_A_TEXT as usize) {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for _ in 0..WORDS_OF_A_TEXT.min(iterations - begun) {
            let number = next_random(&mut random) as usize;
            let mut word = String::new();
            for syllable in [number % 10, number / 10 % 10, number / 100 % 10] {
                word.push_str(SYLLABLES[syllable]);
            }
            *counts.entry(word).or_default() += 1;
        }
        black_box(&counts);
    }
}

/// The ends of two channels, for two threads that both call it.
fn meet() -> Ends {
    let mut offered = OFFERED.lock().expect("no thread panics");
    offered.take().unwrap_or_else(|| {
        let ((to_other, from_this), (to_this, from_other)) = (channel(), channel());
        *offered = Some((to_this, from_this));
        (to_other, from_other)
    })
}

/// Makes `iterations` boxes for another thread that does the same, and drops all that come from there.
#[unsafe(no_mangle)]
extern "C" fn exchange(iterations: u32, _: u32) {
    let (to_other, from_other) = meet();
    for done in 0..iterations {
        to_other.send(Box::new([done as u8; 64])).expect("the other receives to the end");
        from_other.try_iter().for_each(drop);
    }
    drop(to_other);
    from_other.iter().for_each(drop);
}
