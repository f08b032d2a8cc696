//! The two allocators that Rust programs use, and the private one.
#![cfg(feature = "std")]

mod common;

use std::alloc::{GlobalAlloc as _, Layout};
use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use coheap_alloc::arena::{AgentArena, CurrentAgent};
use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Agent, GlobalAlloc, Seat};
use common::{Random, Watchdog, cases, controls, heap};

#[global_allocator]
static GLOBAL: GlobalAlloc = GlobalAlloc::new(16_384);

#[test]
fn boxes_made_by_four_threads_are_freed_by_others() {
    const BOXES: usize = 250_000;
    let _watchdog = Watchdog::new("boxes_made_by_four_threads_are_freed_by_others", 240);
    controls();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::sync_channel::<Box<[u64]>>(1024)).unzip();
    let moved: usize = thread::scope(|scope| {
        let readers: Vec<_> = receivers
            .into_iter()
            .map(|inbox| {
                scope.spawn(move || {
                    let mut count = 0;
                    for words in inbox {
                        assert!(words.iter().all(|&word| word == words.len() as u64));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for (me, _) in senders.iter().enumerate() {
            let others = senders.clone();
            scope.spawn(move || {
                let mut random = Random(me as u64 + 1);
                for _ in 0..BOXES {
                    let length = random.below(40) + 1;
                    let to = random.below(4) as usize;
                    others[to].send(vec![length; length as usize].into_boxed_slice()).unwrap();
                }
            });
        }
        drop(senders);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert_eq!(moved, 4 * BOXES);
    // All of them together would take three times as many pages.
    // SAFETY: the heap is asked for its size alone.
    let pages = unsafe { GLOBAL.heap() }.unwrap().memory().pages_now();
    assert!(pages < 1024, "{pages} pages: what others freed did not come back");
    cases("boxes_made_by_four_threads_are_freed_by_others", moved as u64);
}

/// Collections that name the allocator go where they like, grow there and are dropped there.
#[test]
fn collections_of_the_global_allocator_move_between_threads() {
    const NAME: &str = "collections_of_the_global_allocator_move_between_threads";
    const STEPS: u64 = 2_000;
    let _watchdog = Watchdog::new(NAME, 120);
    // SAFETY: the heap is read alone.
    let heap = unsafe { GLOBAL.heap() }.unwrap();
    let is_ours = move |words: &Shared| heap.memory().address(words.as_ptr().cast()).is_some();
    type Shared = allocator_api2::vec::Vec<u64, &'static GlobalAlloc>;
    let (send, receive) = mpsc::sync_channel::<Shared>(64);
    let reader = thread::spawn(move || {
        let mut kept: Option<Shared> = None;
        for (step, mut words) in (0..).zip(receive) {
            assert!(words.iter().all(|&word| word == step));
            words.extend([step; 100]);
            assert!(is_ours(&words) && words.len() as u64 == step % 50 + 100);
            kept = Some(words);
        }
        kept
    });
    for step in 0..STEPS {
        let mut words = Shared::new_in(&GLOBAL);
        words.extend((0..step % 50).map(|_| step));
        send.send(words).unwrap();
    }
    drop(send);
    let kept = reader.join().unwrap().unwrap();
    assert!(kept.iter().all(|&word| word == STEPS - 1));
    cases(NAME, STEPS);
}

#[test]
fn box_outlives_the_thread_that_made_it() {
    let text = thread::spawn(|| "kept".repeat(1000)).join().unwrap();
    let filler: Vec<String> = (0..1000).map(|n| "other".repeat(n)).collect();
    assert_eq!(text, "kept".repeat(1000));
    drop(filler);
}

#[test]
fn thread_that_left_its_seat_frees_and_allocates_again() {
    thread::spawn(|| {
        let before = vec![1u8; 5_000];
        GlobalAlloc::leave();
        GlobalAlloc::leave();
        drop(before);
        let after = "made by a new seat".repeat(100);
        GlobalAlloc::leave();
        assert_eq!(after.len(), 1_800);
    })
    .join()
    .unwrap();
}

thread_local! {
    static CURRENT: Cell<Option<Agent>> = const { Cell::new(None) };
}

struct ThisThread;

// SAFETY: each test sets the agent of its own thread, and unsets it before the agent leaves.
unsafe impl CurrentAgent for ThisThread {
    fn current() -> Option<Agent> {
        CURRENT.get()
    }
}

#[test]
fn arena_serves_one_agent_and_gives_its_pages_back() {
    controls();
    let arena = AgentArena::<ThisThread>::new();
    let heap = heap(512);
    let agent = heap.attach(Seat::default()).unwrap();
    let before = agent.figures().reserved_bytes;
    CURRENT.set(Some(agent));
    let mut random = Random(7);
    let mut taken: Vec<(*mut u8, Layout)> = Vec::new();
    for _ in 0..20_000 {
        if random.below(2) == 0 || taken.is_empty() {
            let layout = Layout::from_size_align(1 + random.below(5000) as usize, 1 << random.below(7)).unwrap();
            // SAFETY: the layout is not empty.
            let pointer = unsafe { arena.alloc(layout) };
            assert!(!pointer.is_null() && (pointer as usize).is_multiple_of(layout.align()));
            // SAFETY: just allocated with this layout.
            unsafe { pointer.write_bytes(taken.len() as u8, layout.size()) };
            taken.push((pointer, layout));
        } else {
            let (pointer, layout) = taken.swap_remove(random.below(taken.len() as u64) as usize);
            // SAFETY: allocated above with this layout, freed once.
            unsafe { arena.dealloc(pointer, layout) };
        }
    }
    assert!(agent.figures().reserved_bytes > before);
    CURRENT.set(None);
    let other = heap.attach(Seat::default()).unwrap();
    agent.detach().unwrap();
    let figures = other.audit(&mut NoReferences).unwrap();
    assert_eq!(figures.live_blocks, 0);
    // What is left is the body of the second seat.
    assert_eq!(figures.reserved_bytes, before + 65_536);
}

#[test]
#[cfg(debug_assertions)]
fn arena_refuses_what_another_agent_made() {
    controls();
    let arena = AgentArena::<ThisThread>::new();
    let heap = heap(512);
    let (one, two) = (heap.attach(Seat::default()).unwrap(), heap.attach(Seat::default()).unwrap());
    let layout = Layout::new::<[u64; 8]>();
    CURRENT.set(Some(one));
    // SAFETY: the layout is not empty.
    let pointer = unsafe { arena.alloc(layout) } as usize;
    CURRENT.set(Some(two));
    let refused = std::panic::catch_unwind(|| {
        // SAFETY: the pointer was allocated with this layout; that it is another agent's is what is under test.
        unsafe { AgentArena::<ThisThread>::new().dealloc(pointer as *mut u8, layout) }
    });
    assert!(refused.is_err());
    CURRENT.set(None);
}
