//! The heap and std's own allocator share one memory: each is the foreign grower of the other.
#![cfg(target_arch = "wasm32")]

use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Block, Error, Kind};
use coheap_wasm_pack_tests::heap_in_own_memory;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

#[wasm_bindgen_test]
fn heap_beside_the_allocator_of_std_stays_whole() {
    const STEPS: u32 = 2_000;
    let agent = heap_in_own_memory(4_096).expect("a heap");
    let memory = agent.memory();
    let mut blocks: Vec<(Block, u32)> = Vec::new();
    let mut vectors: Vec<Vec<u8>> = Vec::new();
    for step in 0..STEPS {
        // Both grow in turn: blocks of every class and page runs, vectors of up to two pages.
        let size = 16 << (step % 13);
        let tag = step as u8;
        let block = agent
            .operation(|operation| {
                let block = operation.allocate(size, 16, Kind::Rust)?;
                operation.publish(block)?;
                Ok(block)
            })
            .expect("a block");
        memory.fill(block.address, size, tag);
        blocks.push((block, step));
        vectors.push(vec![!tag; (step as usize * 64) % 131_072]);
        if step % 3 == 2 {
            let (block, _) = blocks.swap_remove((step as usize * 7) % blocks.len());
            agent.operation(|operation| operation.free(block)).expect("a free");
            vectors.swap_remove((step as usize * 5) % vectors.len());
        }
    }
    for &(block, step) in &blocks {
        let mut bytes = vec![0; 16 << (step % 13)];
        memory.copy_out(block.address, &mut bytes);
        assert!(bytes.iter().all(|&byte| byte == step as u8), "block of step {step}");
    }
    assert!(vectors.iter().all(|vector| vector.iter().all(|byte| *byte == vector[0])));
    let figures = agent.audit(&mut NoReferences).expect("a whole heap");
    assert_eq!(figures.live_blocks, blocks.len() as u64);
    console_log!("cases heap_beside_the_allocator_of_std_stays_whole {STEPS}");
}

#[wasm_bindgen_test]
fn heap_in_own_memory_says_when_it_is_full() {
    let pages = coheap_alloc::Memory::linear().pages() + 64;
    let agent = heap_in_own_memory(pages).expect("a heap");
    let take = || {
        agent.operation(|operation| {
            let block = operation.allocate(65_536, 16, Kind::Rust)?;
            operation.publish(block)
        })
    };
    let refused = (0..1_000).find_map(|_| take().err());
    assert!(matches!(refused, Some(Error::OutOfMemory { .. })), "{refused:?}");
    // Every string of this assertion came from std's allocator, in the same memory.
    assert!(format!("{:?}", agent.figures()).contains("live_bytes"));
}
