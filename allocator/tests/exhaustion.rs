//! The end of memory: a value, not a trap; and what is freed can be had again, whoever holds the slab it was freed into.

mod common;

use coheap_alloc::audit::NoReferences;
use coheap_alloc::{Agent, Amount, Block, Error, Kind, Seat};
use common::{Random, cases, controls, heap, heap_at, seed};

fn take(agent: Agent, size: u32) -> Result<Block, Error> {
    agent.operation(|op| {
        let block = op.allocate(size, 8, Kind::Rust)?;
        op.publish(block)?;
        Ok(block)
    })
}

fn give(agent: Agent, block: Block) {
    agent.operation(|op| op.free(block)).unwrap();
}

fn fill(agent: Agent, size: u32) -> Vec<Block> {
    let mut blocks = Vec::new();
    loop {
        match take(agent, size) {
            Ok(block) => blocks.push(block),
            Err(Error::OutOfMemory { requested, live, maximum }) => {
                let [requested, live, maximum] = [requested, live, maximum].map(Amount::get);
                assert!(requested >= u64::from(size).min(65_536) && live <= maximum, "{requested} {live} {maximum}");
                return blocks;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn exhaustion_is_a_value_and_everything_comes_back() {
    controls();
    let heap = heap(128);
    let agent = heap.attach(Seat::default()).unwrap();
    let mut count = 0;
    let sizes = [16, 64, 500, 8192, 9000, 60_000, 65_536, 200_000];
    let first: Vec<usize> = sizes
        .iter()
        .map(|&size| {
            let blocks = fill(agent, size);
            let many = blocks.len();
            blocks.into_iter().for_each(|block| give(agent, block));
            many
        })
        .collect();
    for round in 0..5 {
        for (index, &size) in sizes.iter().enumerate() {
            let blocks = fill(agent, size);
            assert!(
                blocks.len() + 16 >= first[index],
                "round {round}: {} of {} of {size} bytes",
                blocks.len(),
                first[index]
            );
            blocks.into_iter().for_each(|block| give(agent, block));
            assert_eq!(agent.audit(&mut NoReferences).unwrap().live_blocks, 0);
            count += 1;
        }
    }
    cases("exhaustion_is_a_value_and_everything_comes_back", count);
}

#[test]
fn memory_freed_into_slabs_of_an_idle_agent_serves_others() {
    controls();
    let heap = heap(128);
    let worker = heap.attach(Seat::default()).unwrap();
    let host = heap.attach(Seat::default()).unwrap();
    let mut count = 0;
    for size in [64, 1000, 8192] {
        let blocks = fill(worker, size);
        let many = blocks.len();
        // The worker goes idle; the host frees what it made, then needs memory of another size.
        blocks.into_iter().for_each(|block| give(host, block));
        let other = fill(host, size * 2);
        assert!(other.len() * 5 / 2 >= many, "{} after {many} of {size} bytes", other.len());
        other.into_iter().for_each(|block| give(host, block));
        // The worker notices that its slabs are gone and goes on.
        let block = take(worker, size).unwrap();
        give(worker, block);
        count += 1;
    }
    assert_eq!(host.audit(&mut NoReferences).unwrap().live_blocks, 0);
    cases("memory_freed_into_slabs_of_an_idle_agent_serves_others", count);
}

#[test]
fn memory_of_an_online_agent_is_not_taken_from_it() {
    controls();
    let heap = heap(64);
    let worker = heap.attach(Seat::default()).unwrap();
    let host = heap.attach(Seat::default()).unwrap();
    worker.turn_begin().unwrap();
    let mut blocks = fill(worker, 64);
    let kept = blocks.split_off(blocks.len() - 10);
    blocks.into_iter().for_each(|block| give(host, block));
    assert!(matches!(take(host, 100_000), Err(Error::OutOfMemory { .. })));
    let again = fill(worker, 64);
    assert!(again.len() > 1000);
    worker.turn_end();
    again.into_iter().chain(kept).for_each(|block| give(host, block));
    assert!(take(host, 100_000).is_ok());
}

#[test]
fn growth_by_somebody_else_is_never_taken_for_ours() {
    controls();
    let seed = seed("growth by somebody else");
    let mut random = Random(seed);
    let heap = heap(1024);
    let memory = heap.memory();
    let agent = heap.attach(Seat::default()).unwrap();
    let mut foreign = Vec::new();
    let mut blocks = Vec::new();
    let mut size_before = memory.pages();
    let mut growths = 0;
    // A foreign grower between every two growths.
    while let Ok(block) = take(agent, 1 + random.below(100_000) as u32) {
        blocks.push(block);
        let now = memory.pages();
        if now != size_before {
            growths += 1;
            if let Some(first) = memory.grow(1 + random.below(3) as u32) {
                for page in first..memory.pages() {
                    for offset in (0..65_536).step_by(8) {
                        memory.set_own64(page * 65_536 + offset, 0xF0F0_F0F0_0000_0000 | u64::from(page));
                    }
                    foreign.push(page);
                }
            }
            size_before = memory.pages();
        }
    }
    assert!(growths > 10 && !foreign.is_empty());
    for &block in &blocks {
        agent.memory().set_own64(block.address, u64::MAX);
    }
    for &page in &foreign {
        for offset in (0..65_536).step_by(8) {
            let found = memory.own64(page * 65_536 + offset);
            assert_eq!(found, 0xF0F0_F0F0_0000_0000 | u64::from(page), "foreign page {page} at {offset}");
        }
    }
    let figures = agent.audit(&mut NoReferences).unwrap();
    assert_eq!(figures.foreign_bytes, (foreign.len() as u64 + 1) * 65_536);
    blocks.into_iter().for_each(|block| give(agent, block));
    cases("growth_by_somebody_else_is_never_taken_for_ours", growths);
}

#[test]
fn fixed_heap_never_grows() {
    controls();
    let heap = heap_at(1, 64, true);
    let agent = heap.attach(Seat::default()).unwrap();
    let blocks = fill(agent, 4096);
    assert_eq!(heap.memory().pages(), 64);
    assert!(blocks.len() > 700);
    blocks.into_iter().for_each(|block| give(agent, block));
}

#[test]
fn seats_run_out_with_an_error_and_come_back() {
    controls();
    let heap = heap(4096);
    let mut agents = Vec::new();
    let error = loop {
        match heap.attach(Seat::default()) {
            Ok(agent) => agents.push(agent),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::OutOfMemory { .. } | Error::NoSlot { .. }), "{error:?}");
    assert!(agents.len() > 3000, "{}", agents.len());
    let many = agents.len() as u64;
    let pages = heap.memory().pages();
    for agent in agents {
        agent.detach().unwrap();
        assert!(matches!(agent.operation(|_| Ok(())), Err(Error::AgentLost { .. })));
    }
    for _ in 0..2000 {
        heap.attach(Seat::default()).unwrap().detach().unwrap();
    }
    assert_eq!(heap.memory().pages(), pages);
    cases("seats_run_out_with_an_error_and_come_back", many);
}
