//! Sorting words in place: heapsort (Williams, 1964), which needs neither memory nor recursion.

use coheap_alloc::{Address, Memory};

/// Sorts so many words that only this agent uses. O(n log n).
pub(super) fn sort(memory: Memory, at: Address, count: u32) {
    for root in (0..count / 2).rev() {
        sink(memory, at, root, count);
    }
    for last in (1..count).rev() {
        swap(memory, at, 0, last);
        sink(memory, at, 0, last);
    }
}

fn place(at: Address, index: u32) -> Address {
    at.wrapping_add(index.wrapping_mul(8))
}

fn swap(memory: Memory, at: Address, one: u32, other: u32) {
    let (one, other) = (place(at, one), place(at, other));
    let word = memory.own64(one);
    memory.set_own64(one, memory.own64(other));
    memory.set_own64(other, word);
}

/// Lets a word sink below greater ones.
fn sink(memory: Memory, at: Address, root: u32, count: u32) {
    let word = |index| memory.own64(place(at, index));
    let mut root = root;
    loop {
        let mut child = 2 * root + 1;
        if child >= count {
            return;
        }
        if child + 1 < count && word(child) < word(child + 1) {
            child += 1;
        }
        if word(root) >= word(child) {
            return;
        }
        swap(memory, at, root, child);
        root = child;
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use std::vec::Vec;

    use coheap_alloc::Memory;
    use coheap_alloc::layout::PAGE;

    use super::sort;

    #[test]
    fn words_are_sorted() {
        let memory = Memory::map(4, 4).expect("a mapping");
        let mut seed = 1u64;
        for count in [0, 1, 2, 3, 7, 8, 64, 1000] {
            let mut words: Vec<u64> = (0..count)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    seed >> 56
                })
                .collect();
            for (index, &word) in (0..).zip(&words) {
                memory.set_own64(PAGE + index * 8, word);
            }
            sort(memory, PAGE, count);
            words.sort_unstable();
            let sorted: Vec<u64> = (0..count).map(|index| memory.own64(PAGE + index * 8)).collect();
            assert_eq!(sorted, words);
        }
    }
}
