//! Pipes: what is written is read, once and in order; what is on loan comes back.
mod common;

use std::collections::VecDeque;

use coheap::pipe::{self, ATOMIC, Lease, Outcome, Read, SMALLEST, Source, Until};
use coheap::{Handle, Type, acquire, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Result};
use common::{Random, agent, audit, controls, heap, leave, run, take};

const ROOM: u32 = body::TRANSFER_LENGTH;

fn pipe(agent: Agent, capacity: u32) -> Handle {
    run(agent, |o| pipe::create(o, capacity))
}

/// How many bytes were written, or `None`: it is full.
fn write(agent: Agent, handle: Handle, bytes: &[u8]) -> Result<Option<u32>> {
    let (outcome, _) = agent.operation(|o| pipe::write(o, handle, Source::Slice(bytes), false))?;
    Ok(match outcome {
        Outcome::Done(length) => Some(length),
        Outcome::Wait(_) => None,
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Got {
    Bytes(Vec<u8>),
    Long(u32),
    Nothing,
    End,
}

fn read_until(agent: Agent, handle: Handle, room: u32, until: Option<&[u8]>) -> Result<Got> {
    let until = until.map(|bytes| Until::new(bytes).expect("a delimiter"));
    let (outcome, _) = agent.operation(|o| pipe::read(o, handle, (agent.transfer(), room), until, &mut None, false))?;
    Ok(match outcome {
        Outcome::Done(Read::Bytes(length)) => Got::Bytes(take(agent, length)),
        Outcome::Done(Read::Long(length)) => Got::Long(length),
        Outcome::Done(Read::End) => Got::End,
        Outcome::Wait(_) => Got::Nothing,
    })
}

fn read(agent: Agent, handle: Handle, room: u32) -> Got {
    read_until(agent, handle, room, None).expect("a read")
}

fn lease(agent: Agent, handle: Handle, most: u32, until: Option<&[u8]>) -> Option<(Lease, Vec<u8>)> {
    let until = until.map(|bytes| Until::new(bytes).expect("a delimiter"));
    let (outcome, _) = run(agent, |o| pipe::lease(o, handle, most, until, &mut None, false));
    let Outcome::Done(Some(lease)) = outcome else { return None };
    let mut bytes = Vec::new();
    while bytes.len() < lease.length as usize {
        let length = (lease.length - bytes.len() as u32).min(ROOM);
        run(agent, |o| pipe::lease_bytes(o, handle, lease, bytes.len() as u32, (agent.transfer(), length)));
        bytes.extend(take(agent, length));
    }
    Some((lease, bytes))
}

fn commit(agent: Agent, handle: Handle, lease: Lease) {
    let _ = run(agent, |o| pipe::commit(o, handle, lease));
}

fn give_up(agent: Agent, handle: Handle, lease: Lease) {
    let _ = run(agent, |o| pipe::give_up(o, handle, lease));
}

#[test]
fn pipe_hands_bytes_on_in_order_and_says_when_they_end() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    assert_eq!(read(agent, handle, 10), Got::Nothing);
    assert_eq!(write(agent, handle, b"hello "), Ok(Some(6)));
    assert_eq!(write(agent, handle, b""), Ok(Some(0)));
    assert_eq!(write(agent, handle, b"world"), Ok(Some(5)));
    assert_eq!(run(agent, |o| pipe::available(o, handle)), 11);
    assert_eq!(read(agent, handle, 8), Got::Bytes(b"hello wo".to_vec()));
    let _ = run(agent, |o| pipe::close(o, handle));
    let _ = run(agent, |o| pipe::close(o, handle));
    assert_eq!(write(agent, handle, b"!"), Err(Error::PipeClosed { index: handle.index }));
    audit(agent);
    assert_eq!(read(agent, handle, 8), Got::Bytes(b"rld".to_vec()));
    assert_eq!(read(agent, handle, 8), Got::End);
    assert_eq!(read(agent, handle, 8), Got::End);
    assert_eq!(audit(agent).live_blocks, 3, "what small writes took stays in their places");
    leave(agent);
}

#[test]
fn pipe_of_no_such_capacity_is_refused() {
    let agent = agent(heap(64));
    for capacity in [0, SMALLEST - 1, pipe::LARGEST + 1, u32::MAX] {
        assert!(matches!(agent.operation(|o| pipe::create(o, capacity)), Err(Error::OutOfRange { .. })));
    }
    let handle = pipe(agent, SMALLEST);
    assert!(matches!(read_until(agent, handle, 0, None), Err(Error::OutOfRange { .. })));
    assert_eq!(Until::new(b""), None);
    assert_eq!(Until::new(b"123456789"), None);
    audit(agent);
}

#[test]
fn pipe_that_is_full_takes_no_more_until_it_is_read() {
    let agent = agent(heap(64));
    let handle = pipe(agent, 10_000);
    assert_eq!(write(agent, handle, &[1; 9_999]), Ok(Some(9_999)));
    // One byte of room is room for a write that is one in any case.
    assert_eq!(write(agent, handle, &[2; 5_000]), Ok(Some(ATOMIC)));
    assert_eq!(write(agent, handle, &[3]), Ok(None));
    assert_eq!(read(agent, handle, 9_999), Got::Bytes(vec![1; 9_999]));
    assert_eq!(write(agent, handle, &[3; 50_000]), Ok(Some(10_000 - ATOMIC)));
    let _ = run(agent, |o| pipe::close(o, handle));
    assert_eq!(read(agent, handle, ROOM), Got::Bytes([vec![2; 4096], vec![3; 5904]].concat()));
    assert_eq!(read(agent, handle, ROOM), Got::End);
    audit(agent);
}

#[test]
fn pipe_that_is_full_of_small_writes_can_be_closed_and_is_read_whole() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    let mut written = 0u32;
    while write(agent, handle, &[written as u8]).expect("a write").is_some() {
        written += 1;
    }
    assert_eq!(written, 127, "a place for each 32 bytes, but one");
    let _ = run(agent, |o| pipe::close(o, handle));
    audit(agent);
    let expected: Vec<u8> = (0..written).map(|byte| byte as u8).collect();
    assert_eq!(read(agent, handle, ROOM), Got::Bytes(expected));
    assert_eq!(read(agent, handle, ROOM), Got::End);
}

#[test]
fn pipe_that_was_aborted_refuses_all_and_says_why() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    write(agent, handle, b"lost").expect("room");
    let (held, _) = lease(agent, handle, 2, None).expect("bytes");
    assert_eq!(run(agent, |o| pipe::reason(o, handle, agent.transfer(), ROOM)), None);
    for why in ["it went wrong, and nobody knows why that was so", "later"] {
        let form = coheap::string::Form::Latin1;
        let given = coheap::string::Given::new(
            coheap::Table { memory: agent.memory(), control: agent.control() },
            form,
            coheap::string::Source::Slice(why.as_bytes()),
        );
        let _ = run(agent, |o| pipe::abort(o, handle, given?));
    }
    let refused = Error::PipeAborted { index: handle.index };
    assert_eq!(write(agent, handle, b"more"), Err(refused));
    assert_eq!(read_until(agent, handle, 10, None), Err(refused));
    let taken = run(agent, |o| pipe::reason(o, handle, agent.transfer(), ROOM)).expect("a reason");
    assert_eq!(take(agent, taken.block.expect("a string").1), b"it went wrong, and nobody knows why that was so");
    commit(agent, handle, held);
    audit(agent);
    let _ = run(agent, |o| release(o, handle, Type::Pipe));
    assert_eq!(audit(agent).live_blocks, 0);
}

#[test]
fn read_until_a_delimiter_takes_whole_tokens() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    let until = |room, until| read_until(agent, handle, room, Some(until));
    write(agent, handle, b"one two th").expect("room");
    assert_eq!(until(ROOM, b" "), Ok(Got::Bytes(b"one two ".to_vec())));
    assert_eq!(until(ROOM, b" "), Ok(Got::Nothing));
    write(agent, handle, b"ree").expect("room");
    assert_eq!(until(ROOM, b" "), Ok(Got::Nothing));
    write(agent, handle, b"\r").expect("room");
    write(agent, handle, b"\nfour\r").expect("room");
    // A delimiter that two writes brought.
    assert_eq!(until(3, b"\r\n"), Ok(Got::Long(7)));
    assert_eq!(until(ROOM, b"\r\n"), Ok(Got::Bytes(b"three\r\n".to_vec())));
    let _ = run(agent, |o| pipe::close(o, handle));
    // The rest has no delimiter, and none will come.
    assert_eq!(until(3, b"\r\n"), Ok(Got::Long(5)));
    assert_eq!(until(5, b"\r\n"), Ok(Got::Bytes(b"four\r".to_vec())));
    assert_eq!(until(ROOM, b"\r\n"), Ok(Got::End));
    audit(agent);
}

#[test]
fn token_that_is_longer_than_the_pipe_is_an_error_and_nothing_is_lost() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    let mut written = 0;
    while let Some(length) = write(agent, handle, &[b'x'; 1000]).expect("a write") {
        written += length;
    }
    let error = Error::TokenTooLong { length: written, capacity: SMALLEST, writes: written / 1000 };
    assert_eq!(read_until(agent, handle, ROOM, Some(b"\n")), Err(error));
    assert_eq!(read(agent, handle, ROOM), Got::Bytes(vec![b'x'; written as usize]));
    for _ in 0..127 {
        write(agent, handle, b"y").expect("room");
    }
    let error = Error::TokenTooLong { length: 127, capacity: SMALLEST, writes: 127 };
    assert_eq!(read_until(agent, handle, ROOM, Some(b"\n")), Err(error), "no place is left");
    audit(agent);
}

#[test]
fn scan_for_a_delimiter_goes_on_where_the_last_one_ended() {
    let agent = agent(heap(64));
    let handle = pipe(agent, 1 << 20);
    let mut scanned = None;
    let mut scan = |expected| {
        let until = Until::new(b"ab");
        let (outcome, _) = run(agent, |o| pipe::read(o, handle, (agent.transfer(), ROOM), until, &mut scanned, true));
        match (outcome, expected) {
            (Outcome::Wait(Some(_)), None) => assert!(scanned.is_some()),
            (Outcome::Done(found), Some(wanted)) => assert_eq!(found, wanted),
            (found, _) => panic!("{found:?}"),
        }
        scanned.unwrap_or(0)
    };
    write(agent, handle, &[b'a'; 30_000]).expect("room");
    assert_eq!(scan(None), 30_000);
    write(agent, handle, b"a").expect("room");
    assert_eq!(scan(None), 30_001);
    write(agent, handle, b"bab").expect("room");
    scan(Some(Read::Long(30_002)));
    let (lease, bytes) = lease(agent, handle, 30_002, Some(b"ab")).expect("a token");
    assert_eq!((bytes.len(), &bytes[29_999..]), (30_002, &b"aab"[..]));
    commit(agent, handle, lease);
    scan(Some(Read::Bytes(2)));
    audit(agent);
}

#[test]
fn bytes_on_loan_come_back_in_order_unless_they_are_committed() {
    let heap = heap(64);
    let [first, second] = [(); 2].map(|()| agent(heap));
    let handle = pipe(first, SMALLEST);
    run(second, |o| acquire(o, handle, Some(Type::Pipe)));
    write(first, handle, b"0123456789").expect("room");
    let (one, bytes) = lease(first, handle, 3, None).expect("bytes");
    assert_eq!((one.position, bytes), (0, b"012".to_vec()));
    let (two, bytes) = lease(second, handle, 3, None).expect("bytes");
    assert_eq!((two.position, bytes), (3, b"345".to_vec()));
    let (three, _) = lease(second, handle, 2, None).expect("bytes");
    let _ = run(first, |o| pipe::close(o, handle));
    audit(first);
    commit(second, handle, two);
    give_up(second, handle, three);
    give_up(first, handle, one);
    assert_eq!(
        first.operation(|o| pipe::commit(o, handle, one)).err(),
        Some(Error::LeaseLost { offset: coheap_alloc::Amount::new(0) })
    );
    // A part of what came back, then the rest of it as a loan, which gives the rest back again.
    assert_eq!(read(second, handle, 2), Got::Bytes(b"01".to_vec()));
    let (rest, bytes) = lease(second, handle, 100, None).expect("bytes");
    assert_eq!((rest.position, bytes), (2, b"2".to_vec()));
    let (part, bytes) = lease(second, handle, 1, None).expect("bytes");
    assert_eq!((part.position, bytes), (6, b"6".to_vec()));
    commit(second, handle, part);
    assert_eq!(read(second, handle, 100), Got::Bytes(b"7".to_vec()));
    assert_eq!(read(second, handle, 100), Got::Bytes(b"89".to_vec()));
    // What others have may come back; what this agent has itself does not hold it up.
    assert_eq!(read(first, handle, 100), Got::Nothing);
    assert_eq!(read(second, handle, 100), Got::End);
    leave(second);
    assert_eq!(read(first, handle, 100), Got::Bytes(b"2".to_vec()));
    assert_eq!(read(first, handle, 100), Got::End);
    assert_eq!(audit(first).live_blocks, 2, "the pipe, and the place of the one write");
}

#[test]
fn loans_are_limited_and_none_is_lost() {
    let agent = agent(heap(64));
    let handle = pipe(agent, SMALLEST);
    write(agent, handle, &[7; 100]).expect("room");
    let held: Vec<_> = std::iter::from_fn(|| lease(agent, handle, 1, None)).collect();
    assert_eq!(held.len(), 31);
    audit(agent);
    commit(agent, handle, held[3].0);
    assert!(lease(agent, handle, 1, None).is_some());
    let _ = run(agent, |o| release(o, handle, Type::Pipe));
    assert_eq!(audit(agent).live_blocks, 0);
}

/// A pipe as a queue.
#[derive(Default)]
struct Model {
    bytes: VecDeque<u8>,
    loans: Vec<(Lease, Vec<u8>)>,
    /// By position, each with its bytes.
    returned: Vec<(u64, Vec<u8>)>,
    position: u64,
}

impl Model {
    fn take(&mut self, count: usize) -> Vec<u8> {
        self.position += count as u64;
        self.bytes.drain(..count).collect()
    }
}

#[test]
fn pipe_does_what_a_queue_does() {
    controls();
    let mut random = Random::new("pipe_does_what_a_queue_does");
    let (agent, mut done) = (agent(heap(256)), [0u32; 6]);
    for round in 0..40 {
        let capacity = [SMALLEST, 5_000, 65_536, 1 << 20][round % 4];
        let handle = pipe(agent, capacity);
        let mut model = Model::default();
        let mut next = 0u8;
        for step in 0..2_000 {
            let size = [1, 5, 200, 4_096, 60_000][random.below(5) as usize];
            let count = 1 + random.below(size) as u32;
            match random.below(10) {
                0..=3 => {
                    let bytes: Vec<u8> = (0..count).map(|index| next.wrapping_add(index as u8)).collect();
                    if let Some(length) = write(agent, handle, &bytes).expect("a write") {
                        assert!(
                            length == count || (count > ATOMIC && length >= ATOMIC.min(count)),
                            "{length} of {count}"
                        );
                        next = next.wrapping_add(length as u8);
                        model.bytes.extend(&bytes[..length as usize]);
                        done[0] += 1;
                    } else {
                        assert!(model.bytes.len() as u32 >= capacity.min(127), "{} bytes", model.bytes.len());
                        done[1] += 1;
                    }
                }
                4..=6 => {
                    let room = count.min(ROOM);
                    let expected = if model.returned.is_empty() {
                        let count = model.bytes.len().min(room as usize);
                        if count == 0 { Got::Nothing } else { Got::Bytes(model.take(count)) }
                    } else {
                        let (position, bytes) = &mut model.returned[0];
                        let count = bytes.len().min(room as usize);
                        *position += count as u64;
                        let taken: Vec<u8> = bytes.drain(..count).collect();
                        if bytes.is_empty() {
                            model.returned.remove(0);
                        }
                        Got::Bytes(taken)
                    };
                    assert_eq!(read(agent, handle, room), expected);
                    done[2] += 1;
                }
                7 => {
                    if let Some((held, bytes)) = lease(agent, handle, count, None) {
                        let expected = if model.returned.is_empty() {
                            let count = model.bytes.len().min(count as usize);
                            assert_eq!(held.position, model.position);
                            model.take(count)
                        } else {
                            let (position, rest) = &mut model.returned[0];
                            assert_eq!(held.position, *position);
                            let count = rest.len().min(count as usize);
                            // The rest of what came back is away until the loan ends; here it ends at once.
                            if count < rest.len() {
                                let part: Vec<u8> = rest.drain(..count).collect();
                                *position += count as u64;
                                assert_eq!(bytes, part);
                                commit(agent, handle, held);
                                continue;
                            }
                            model.returned.remove(0).1
                        };
                        assert_eq!(bytes, expected);
                        model.loans.push((held, expected));
                        done[3] += 1;
                    } else {
                        assert!(model.bytes.is_empty() && model.returned.is_empty() || model.loans.len() == 31);
                    }
                }
                _ if !model.loans.is_empty() => {
                    let chosen = random.below(model.loans.len() as u64) as usize;
                    let (held, bytes) = model.loans.swap_remove(chosen);
                    if random.below(2) == 0 {
                        commit(agent, handle, held);
                        done[4] += 1;
                    } else {
                        give_up(agent, handle, held);
                        model.returned.push((held.position, bytes));
                        model.returned.sort_by_key(|&(position, _)| position);
                        done[5] += 1;
                    }
                }
                _ => {}
            }
            if step % 500 == 499 {
                audit(agent);
            }
        }
        let _ = run(agent, |o| release(o, handle, Type::Pipe));
        // What is left of it goes as others are made.
        for _ in 0..pipe::MOST_PLACES {
            let cell = run(agent, |o| coheap::cell::create(o, 0.0));
            let _ = run(agent, |o| release(o, cell, Type::Cell));
        }
        assert_eq!(audit(agent).live_blocks, 0, "the loans went with the pipe");
    }
    assert!(done.iter().all(|&count| count > 500), "{done:?}");
    println!("pipe_does_what_a_queue_does: cases={}", done.iter().sum::<u32>());
}
