//! Byte regions.
#![cfg(feature = "std")]
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::wait::native::Threads;
use coheap::{Handle, Table, Type, acquire, bytes, park, release};
use coheap_alloc::{Agent, Error};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

fn create(agent: Agent, length: u32) -> Handle {
    run(agent, |operation| bytes::create(operation, length))
}

#[test]
fn bytes_under_random_reads_writes_and_sums_match_a_plain_array() {
    let mut random = Random::new("bytes_under_random_reads_writes_and_sums_match_a_plain_array");
    let agent = agent(heap(512));
    for length in [0u32, 1, 7, 8, 9, 100, 4096, 8192, 8193, 50_000, 65_536, 300_001] {
        let region = create(agent, length);
        let mut model = vec![0u8; length as usize];
        assert_eq!(run(agent, |o| bytes::length(Table::of(o), region)), length);
        for _ in 0..300 {
            let offset = random.below(u64::from(length) + 1);
            let count = random.below(u64::from(length) - offset + 1).min(5000);
            let range = offset as usize..(offset + count) as usize;
            match random.below(3) {
                0 => {
                    let piece: Vec<u8> = (0..count).map(|_| random.next() as u8).collect();
                    run(agent, |o| bytes::write(o, region, offset, &piece));
                    model[range].copy_from_slice(&piece);
                }
                1 => {
                    let mut piece = vec![0xAA; count as usize];
                    run(agent, |o| bytes::read(Table::of(o), region, offset, &mut piece));
                    assert_eq!(piece, model[range]);
                }
                _ => {
                    let rest = u64::from(length) - offset;
                    let sum = run(agent, |o| bytes::sum(Table::of(o), region, offset, rest));
                    assert_eq!(sum, model[offset as usize..].iter().map(|&byte| u64::from(byte)).sum::<u64>());
                }
            }
        }
        for (offset, count) in [(u64::from(length), 1), (0, u64::from(length) + 1), (u64::MAX, 2), (1 << 32, 0)] {
            let beyond = Err(Error::out_of_range(offset, count, u64::from(length)));
            assert_eq!(agent.operation(|o| bytes::sum(Table::of(o), region, offset, count)), beyond);
        }
        assert!(agent.operation(|o| bytes::write(o, region, u64::from(length), &[1])).is_err());
    }
    audit(agent);
}

#[test]
fn bytes_released_are_all_free_again() {
    let agent = agent(heap(256));
    let before = audit(agent);
    for length in [1, 100, 9000, 200_000] {
        for _ in 0..50 {
            let region = create(agent, length);
            let mut piece = [1; 64];
            let piece = &mut piece[..64.min(length as usize)];
            run(agent, |o| bytes::read(Table::of(o), region, 0, piece));
            assert!(piece.iter().all(|&byte| byte == 0), "a new region is zero");
            piece.fill(0xEE);
            run(agent, |o| bytes::write(o, region, 0, piece));
            let _ = run(agent, |o| release(o, region, Type::Bytes));
        }
    }
    let after = audit(agent);
    assert_eq!((before.live_bytes, before.live_blocks), (after.live_bytes, after.live_blocks));
}

#[test]
fn bytes_that_do_not_fit_are_refused_and_the_heap_goes_on() {
    let agent = agent(heap(64));
    let error = agent.operation(|o| bytes::create(o, 64 << 20)).expect_err("too large");
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
    let error = agent.operation(|o| bytes::create(o, u32::MAX)).expect_err("too large");
    assert!(matches!(error, Error::OutOfMemory { .. } | Error::InvalidLayout { .. }), "{error:?}");
    audit(agent);
    create(agent, 1000);
}

/// One agent makes regions of one letter and releases them at once; the others read, write and sum them. Whoever
/// succeeds saw this letter alone, and every region holds its letter until it is released.
#[test]
fn bytes_released_beside_a_writer_are_freed_when_both_are_done() {
    let _watchdog = Watchdog::new("bytes_released_beside_a_writer_are_freed_when_both_are_done");
    let heap = heap(512);
    let first = agent(heap);
    let length = 200_000;
    let before = audit(first).live_bytes;
    for round in 0..300u32 {
        let region = create(first, length);
        run(first, |o| park(o, region));
        threads(heap, 2, |number, agent| {
            // Online all the time, as an agent inside a turn of JavaScript is.
            agent.turn_begin().expect("online");
            if number == 0 {
                let piece = vec![1; 4096];
                while agent.operation(|o| bytes::write(o, region, 0, &piece)).is_ok() {}
            } else {
                for _ in 0..round * 10 {
                    std::hint::spin_loop();
                }
                run(agent, |o| acquire(o, region, None));
                run(agent, |o| release(o, region, Type::Bytes)).notify(&Threads::new(heap.memory()));
            }
            agent.turn_end();
        });
        assert_eq!(audit(first).live_bytes, before, "round {round}");
    }
}

#[test]
fn bytes_released_under_readers_and_writers_never_mix() {
    let _watchdog = Watchdog::new("bytes_released_under_readers_and_writers_never_mix");
    common::controls();
    const LENGTH: u32 = 1024;
    let heap = heap(512);
    let told = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let letter = |handle: Handle| handle.generation as u8;
    threads(heap, 4, |number, agent| {
        if number != 0 {
            let (mut done, mut refused) = (0u64, 0u64);
            while !over.load(Ordering::Relaxed) {
                let handle = Handle::from_word(told.load(Ordering::Acquire));
                if handle.index == 0 {
                    continue;
                }
                let mut piece = [letter(handle); LENGTH as usize];
                let result = match number {
                    1 => agent.operation(|o| bytes::read(Table::of(o), handle, 0, &mut piece)),
                    2 => agent.operation(|o| bytes::write(o, handle, 0, &piece)),
                    _ => agent.operation(|o| {
                        let sum = bytes::sum(Table::of(o), handle, 0, u64::from(LENGTH))?;
                        assert_eq!(sum, u64::from(letter(handle)) * u64::from(LENGTH), "a sum of two regions");
                        Ok(())
                    }),
                };
                match result {
                    Ok(()) => done += 1,
                    Err(Error::StaleHandle { .. }) => {
                        refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{error:?}"),
                }
                assert!(piece.iter().all(|&byte| byte == letter(handle)), "a read of two regions");
            }
            println!("agent {number}: {done} done, {refused} refused");
            return;
        }
        let _over = Over(&over);
        let mut other = 0;
        for round in 0..100_000 {
            let handle = run(agent, |operation| {
                let handle = bytes::create(operation, LENGTH)?;
                bytes::write(operation, handle, 0, &[letter(handle); LENGTH as usize])?;
                Ok(handle)
            });
            told.store(handle.to_word(), Ordering::Release);
            for _ in 0..round % 4 {
                let mut piece = [0; LENGTH as usize];
                run(agent, |o| bytes::read(Table::of(o), handle, 0, &mut piece));
                other += piece.iter().filter(|&&byte| byte != letter(handle)).count();
            }
            let _ = run(agent, |o| release(o, handle, Type::Bytes));
        }
        assert_eq!(other, 0, "bytes of another region");
    });
    audit(agent(heap));
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
