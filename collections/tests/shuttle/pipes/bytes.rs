//! Bytes of several who write, read and close at once: each is read once, in order, and none behind the end.

use coheap::pipe::{self, Outcome, Read, Source, Until};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::{Got, Piping, WORD, each, reads, sorted};
use crate::explore::SCHEDULES;

/// Two write two times, two read parts of it: each byte is read once, and no reader meets a writer's bytes out of order.
fn writers_and_readers(world: Piping) {
    world.heap.memory().share();
    let room = thread_rng().gen_range(1..5u32);
    let writers = [(1, [[1, 2], [3, 4]]), (2, [[11, 12], [13, 14]])].map(|(agent, pairs)| {
        thread::spawn(move || {
            for pair in pairs {
                assert!(world.write(agent, &pair));
            }
        })
    });
    let reader = thread::spawn(move || reads(world, 3, 3, room));
    let mut all = reads(world, 0, 3, room);
    for writer in writers {
        writer.join().unwrap();
    }
    let other = reader.join().unwrap();
    for seen in [&all, &other] {
        for first in [true, false] {
            assert!(seen.iter().filter(|&&byte| (byte < 10) == first).is_sorted(), "out of order: {seen:?}");
        }
    }
    all.extend(other);
    assert_eq!(world.drain(&mut all), Got::Nothing);
    assert_eq!(sorted(all), [1, 2, 3, 4, 11, 12, 13, 14], "each byte once");
}

/// Two write, one closes, one reads: what was written is read, and nothing comes behind the end.
fn closing_beside_writers(world: Piping) {
    world.heap.memory().share();
    let writers = [1, 2].map(|agent| {
        thread::spawn(move || {
            let written = [1, 2].map(|count| world.write(agent, &[agent as u8 * 10 + count]));
            assert!(written[0] || !written[1], "the pipe was closed already");
            written.iter().filter(|&&written| written).count()
        })
    });
    let reader = thread::spawn(move || {
        let mut read = 0;
        for _ in 0..3 {
            match world.read(3, 1) {
                Got::Bytes(bytes) => read += bytes.len(),
                Got::End => return (read, true),
                Got::Nothing => {}
            }
        }
        (read, false)
    });
    let _ = world.close(0);
    let written: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    let (read, ended) = reader.join().unwrap();
    let mut rest = Vec::new();
    assert_eq!(world.drain(&mut rest), Got::End);
    assert!(!ended || rest.is_empty(), "bytes behind the end");
    assert_eq!(read + rest.len(), written, "what was written is read");
}

/// The last write that has room ends the token: no reader is told that there is none.
fn token_of_the_last_write(world: Piping) {
    world.heap.memory().share();
    let writer = thread::spawn(move || {
        let end = [b'.'; WORD as usize];
        let written = world.agent(1).operation(|o| pipe::write(o, world.pipe, Source::Slice(&end), false));
        assert_eq!(written.expect("it works").0, Outcome::Done(WORD));
    });
    let readers = [2, 3].map(|agent| {
        thread::spawn(move || {
            let (agent, mut scanned) = (world.agent(agent), None);
            let until = Until::new(&[b'.'; WORD as usize]);
            for _ in 0..2 {
                let to = (agent.transfer(), WORD);
                let found = agent.operation(|o| pipe::read(o, world.pipe, to, until, &mut scanned, false));
                let found = found.expect("no token that is too long").0;
                let whole = 127 * WORD;
                assert!(matches!(found, Outcome::Wait(_)) || found == Outcome::Done(Read::Long(whole)), "{found:?}");
            }
        })
    });
    writer.join().unwrap();
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn pipe_under_every_schedule_tried_hands_on_each_byte_once() {
    each(SCHEDULES / 2, |_| {}, writers_and_readers);
}

#[test]
fn pipe_under_every_schedule_tried_is_closed_behind_all_that_was_written() {
    each(SCHEDULES / 2, |_| {}, closing_beside_writers);
}

#[test]
fn pipe_under_every_schedule_tried_finds_the_end_of_a_token() {
    let prepare = |world: Piping| (0..126).for_each(|_| assert!(world.write_some(0)));
    each(SCHEDULES / 16, prepare, token_of_the_last_write);
}
