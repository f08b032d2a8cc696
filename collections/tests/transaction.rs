//! Many additions as one step, with a loan or without.
mod common;

use coheap::map::{self, Additions, Key, MOST_ADDITIONS};
use coheap::pipe::{self, Lease, Outcome, Read, SMALLEST, Source};
use coheap::string::Given;
use coheap::typed::{self, Str, Until};
use coheap::{Handle, Table};
use coheap_alloc::layout::slot;
use coheap_alloc::{Agent, Error, Operation, Result};
use common::additions::{Words, add_many};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

const LONG: &[u8] = b"a key that needs a block of its own";

fn number(agent: Agent, map: Handle, word: &[u8]) -> Option<f64> {
    let table = Table { memory: agent.memory(), control: agent.control() };
    let key = Key::given(table, Given::text(word)).expect("a key");
    let taken = run(agent, |_| map::get(table, map, &key, 0, 0))?;
    Some(f64::from_bits(taken.word))
}

fn write(agent: Agent, pipe: Handle, bytes: &[u8]) {
    let (outcome, _) = run(agent, |o| pipe::write(o, pipe, Source::Slice(bytes), false));
    assert_eq!(outcome, Outcome::Done(bytes.len() as u32));
}

fn lease(operation: &Operation, pipe: Handle) -> Result<Lease> {
    match pipe::lease(operation, pipe, 64, None, &mut None, false)?.0 {
        Outcome::Done(Some(lease)) => Ok(lease),
        other => panic!("no loan: {other:?}"),
    }
}

#[test]
fn all_is_added_where_it_was_and_where_nothing_was() {
    let agent = agent(heap(64));
    let map = run(agent, map::create);
    run(agent, |o| add_many(o, map, &[(b"a", 1.0), (LONG, 2.0), (b"a", 4.0), (b"b", 0.5)]));
    assert_eq!(
        [number(agent, map, b"a"), number(agent, map, LONG), number(agent, map, b"b")],
        [Some(5.0), Some(2.0), Some(0.5)]
    );
    run(agent, |o| add_many(o, map, &[(LONG, 1.0), (b"a", -5.0), (LONG, 1.0), (LONG, 1.0), (b"c", f64::NAN)]));
    assert_eq!([number(agent, map, b"a"), number(agent, map, LONG)], [Some(0.0), Some(5.0)]);
    assert!(number(agent, map, b"c").is_some_and(f64::is_nan));
    let table = Table { memory: agent.memory(), control: agent.control() };
    assert_eq!(run(agent, |_| map::size(table, map)), 4);
    run(agent, |o| add_many(o, map, &[]));
    audit(agent);
}

#[test]
fn key_that_is_no_number_takes_all_back() {
    let agent = agent(heap(64));
    let (map, pipe) = (run(agent, map::create), run(agent, |o| pipe::create(o, SMALLEST)));
    write(agent, pipe, b"bytes");
    let table = Table { memory: agent.memory(), control: agent.control() };
    let word = Key::given(table, Given::text(b"word")).expect("a key");
    run(agent, |o| map::set(o, map, &word, Given::text(b"no number")));
    run(agent, |o| add_many(o, map, &[(b"a", 1.0), (b"b", 2.0)]));
    let loan = run(agent, |o| lease(o, pipe));
    // Hash order decides which come before: with many keys some do.
    let words: Vec<(Vec<u8>, f64)> = (0..200).map(|index| (format!("new {index}").into_bytes(), 1.0)).collect();
    let mut words: Vec<(&[u8], f64)> = words.iter().map(|(word, delta)| (&word[..], *delta)).collect();
    words.extend([(&b"a"[..], 1.0), (b"word", 1.0), (b"b", 1.0)]);
    let refused = agent.operation(|o| {
        let words = Words { table, words: &words };
        map::add_many(o, map, &words, Some((pipe, loan))).map(drop)
    });
    assert!(matches!(refused, Err(Error::NotANumber { .. })), "{refused:?}");
    assert_eq!(
        [number(agent, map, b"a"), number(agent, map, b"b"), number(agent, map, b"new 7")],
        [Some(1.0), Some(2.0), None]
    );
    assert_eq!(run(agent, |_| map::size(table, map)), 3);
    audit(agent);
    // The loan is the agent's still.
    run(agent, |o| pipe::give_up(o, pipe, loan).map(drop));
    let to = (agent.transfer(), 8);
    assert_eq!(run(agent, |o| pipe::read(o, pipe, to, None, &mut None, false)).0, Outcome::Done(Read::Bytes(5)));
}

#[test]
fn loan_is_committed_with_what_is_added() {
    let agent = agent(heap(64));
    let (map, pipe) = (run(agent, map::create), run(agent, |o| pipe::create(o, SMALLEST)));
    write(agent, pipe, b"bytes");
    let loan = run(agent, |o| lease(o, pipe));
    let table = Table { memory: agent.memory(), control: agent.control() };
    let words = Words { table, words: &[(b"bytes", 5.0)] };
    run(agent, |o| map::add_many(o, map, &words, Some((pipe, loan))).map(drop));
    assert_eq!(number(agent, map, b"bytes"), Some(5.0));
    let again = agent.operation(|o| map::add_many(o, map, &words, Some((pipe, loan))).map(drop));
    assert!(matches!(again, Err(Error::LeaseLost { .. })), "{again:?}");
    assert_eq!(number(agent, map, b"bytes"), Some(5.0), "nothing is added without its loan");
    run(agent, |o| pipe::close(o, pipe).map(drop));
    let to = (agent.transfer(), 8);
    assert_eq!(run(agent, |o| pipe::read(o, pipe, to, None, &mut None, false)).0, Outcome::Done(Read::End));
    // A loan and nothing to add.
    let other = run(agent, |o| pipe::create(o, SMALLEST));
    write(agent, other, b"more");
    let loan = run(agent, |o| lease(o, other));
    run(agent, |o| map::add_many(o, map, &Words { table, words: &[] }, Some((other, loan))).map(drop));
    assert!(matches!(agent.operation(|o| pipe::commit(o, other, loan)), Err(Error::LeaseLost { .. })));
    audit(agent);
}

/// More than there may be.
struct Countless;

impl Additions for Countless {
    fn count(&self) -> u32 {
        MOST_ADDITIONS + 1
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        Ok((f(&Key::number(f64::from(position)), 1.0)?, position + 1))
    }
}

/// So many.
struct Many(u32);

impl Additions for Many {
    fn count(&self) -> u32 {
        self.0
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        Countless.with(position, f)
    }
}

#[test]
fn as_many_as_there_may_be_are_added_and_more_are_refused() {
    let agent = agent(heap(1024));
    let map = run(agent, map::create);
    let refused = agent.operation(|o| map::add_many(o, map, &Countless, None).map(drop));
    assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");
    for _ in 0..2 {
        run(agent, |o| map::add_many(o, map, &Many(MOST_ADDITIONS), None).map(drop));
    }
    let table = Table { memory: agent.memory(), control: agent.control() };
    assert_eq!(run(agent, |_| map::size(table, map)), u64::from(MOST_ADDITIONS));
    for key in [0, 1, 777, MOST_ADDITIONS - 1] {
        let key = Key::number(f64::from(key));
        let taken = run(agent, |_| map::get(table, map, &key, 0, 0)).expect("it is there");
        assert_eq!(taken.word, 2.0f64.to_bits());
    }
    audit(agent);
}

#[test]
fn memory_that_is_short_leaves_the_map_as_it_was() {
    let heap = heap(24);
    let agent = agent(heap);
    let map = run(agent, map::create);
    run(agent, |o| add_many(o, map, &[(b"a", 1.0)]));
    let refused = agent.operation(|o| map::add_many(o, map, &Many(MOST_ADDITIONS), None).map(drop));
    assert!(matches!(refused, Err(Error::OutOfMemory { .. })), "{refused:?}");
    let table = Table { memory: agent.memory(), control: agent.control() };
    assert_eq!(run(agent, |_| map::size(table, map)), 1);
    run(agent, |o| add_many(o, map, &[(b"a", 1.0)]));
    assert_eq!(number(agent, map, b"a"), Some(2.0));
    audit(agent);
}

const ROUNDS: usize = 3000;

/// Keys of which each transaction adds the same to two: whoever reads the first and then the second must not find less there.
#[test]
fn readers_never_see_a_part() {
    common::controls();
    let _watchdog = Watchdog::new("readers_never_see_a_part");
    let heap = heap(256);
    let host = agent(heap);
    let map = run(host, map::create);
    let keys: Vec<Vec<u8>> = (0..40).map(|index| format!("key {index}").into_bytes()).collect();
    let table = Table { memory: host.memory(), control: host.control() };
    let working = std::sync::Mutex::new(2);
    let seen = threads(heap, 4, |thread, agent| {
        let mut random = Random::from(thread as u64 + 1);
        let mut seen = (0u32, 0u32);
        for round in 0.. {
            let at = random.below(20) as usize;
            let (first, second) = (&keys[at][..], &keys[at + 20][..]);
            if thread < 2 {
                if round == ROUNDS {
                    *working.lock().expect("nobody panics") -= 1;
                    break;
                }
                // The others make it longer.
                let mut words = vec![(first, 1.0), (second, 1.0)];
                words.extend(keys.iter().map(|key| (&key[..], 0.0)));
                run(agent, |o| add_many(o, map, &words));
            } else {
                let [before, after] = [first, second].map(|word| number(agent, map, word).unwrap_or(0.0));
                assert!(before <= after, "{before} and then {after}");
                seen = (seen.0 + 1, seen.1 + u32::from(before < after));
                if *working.lock().expect("nobody panics") == 0 {
                    break;
                }
            }
        }
        seen
    });
    let sum_of = |part: fn(&(u32, u32)) -> u32| seen.iter().map(part).sum::<u32>();
    println!("{} looks, {} of them around a decision", sum_of(|seen| seen.0), sum_of(|seen| seen.1));
    println!("cases readers_never_see_a_part {}", sum_of(|seen| seen.0));
    let sum: f64 = keys.iter().filter_map(|key| number(host, map, key)).sum();
    assert_eq!(sum, 2.0 * 2.0 * ROUNDS as f64);
    run(host, |_| map::size(table, map));
    audit(host);
}

/// Transactions, and every other change of the same keys, at once: what was added and set is what is there.
#[test]
fn changes_beside_transactions_are_not_lost() {
    common::controls();
    let _watchdog = Watchdog::new("changes_beside_transactions_are_not_lost");
    let heap = heap(256);
    let host = agent(heap);
    let map = run(host, map::create);
    let keys: Vec<Vec<u8>> = (0..12).map(|index| format!("key {index}").into_bytes()).collect();
    let working = std::sync::Mutex::new(3);
    let removed = threads(heap, 4, |thread, agent| {
        let mut random = Random::from(thread as u64 + 1);
        let table = Table { memory: agent.memory(), control: agent.control() };
        let words: Vec<_> = keys.iter().map(|key| (&key[..], 1.0)).collect();
        let key = |random: &mut Random| {
            let word = &keys[random.below(12) as usize][..];
            Key::given(table, Given::text(word)).expect("a key")
        };
        if thread < 3 {
            for _ in 0..ROUNDS {
                if thread < 2 {
                    run(agent, |o| add_many(o, map, &words));
                } else {
                    let key = key(&mut random);
                    run(agent, |o| map::add(o, map, &key, 1.0));
                }
            }
            *working.lock().expect("nobody panics") -= 1;
            return 0.0;
        }
        // Takes keys away with what they have, as long as the others add.
        let mut removed = 0.0;
        while *working.lock().expect("nobody panics") > 0 {
            let key = key(&mut random);
            let Some(taken) = run(agent, |_| map::get(table, map, &key, 0, 0)) else { continue };
            let had = f64::from_bits(taken.word);
            let gone = run(agent, |o| map::compare_and_set(o, map, &key, Some(Given::number(had)), None));
            removed += if gone { had } else { 0.0 };
        }
        removed
    });
    let left: f64 = keys.iter().filter_map(|key| number(host, map, key)).sum();
    println!("{} taken away, {left} left", removed[3]);
    println!("cases changes_beside_transactions_are_not_lost {}", 3 * ROUNDS);
    assert_eq!(left + removed[3], (2 * 12 + 1) as f64 * ROUNDS as f64);
    assert!(removed[3] > 0.0);
    let table = Table { memory: host.memory(), control: host.control() };
    let there = keys.iter().filter(|key| number(host, map, key).is_some()).count();
    assert_eq!(run(host, |_| map::size(table, map)), there as u64);
    audit(host);
}

/// How many transactions an agent has begun, those included that were aborted.
fn attempts(agent: Agent) -> u64 {
    agent.memory().load64(agent.slot() + slot::TRANSACTION) >> 3
}

#[test]
fn long_transactions_of_the_same_keys_get_their_turn() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 3;
    let _watchdog = Watchdog::new("long_transactions_of_the_same_keys_get_their_turn");
    let heap = heap(1024);
    let host = agent(heap);
    let map = run(host, map::create);
    let begun = threads(heap, THREADS as usize, |_, agent| {
        let before = attempts(agent);
        for _ in 0..TIMES {
            run(agent, |o| map::add_many(o, map, &Many(20_000), None).map(drop));
        }
        attempts(agent) - before
    });
    let begun: u64 = begun.iter().sum();
    println!("{begun} attempts at {} transactions", THREADS * TIMES);
    println!("cases long_transactions_of_the_same_keys_get_their_turn {begun}");
    // Each of them waits longer each time: thousands of attempts are what it takes when none does.
    assert!(begun <= 16 * THREADS * TIMES, "{begun} attempts");
    let table = Table { memory: host.memory(), control: host.control() };
    let taken = run(host, |_| map::get(table, map, &Key::number(7.0), 0, 0)).expect("it is there");
    assert_eq!(f64::from_bits(taken.word), (THREADS * TIMES) as f64);
    audit(host);
}

/// A word that says that its entry has joined the next transaction of the very agent, by a record that there is not, or not yet.
#[test]
fn word_that_is_made_up_is_refused() {
    for number in [0u64, 1, 3_000, 65_535] {
        let agent = agent(heap(16));
        let map = run(agent, map::create);
        run(agent, |o| map::set(o, map, &Key::number(0.0), Given::number(5.0)));
        let table = Table { memory: agent.memory(), control: agent.control() };
        let found = map::locate(table, map, &Key::number(0.0), 0, 0).expect("a map").expect("it is there");
        let next = attempts(agent) + 1;
        let word = 0xFFFEu64 << 48 | 3 << 44 | u64::from(agent.index()) << 32 | (next & 0xFFFF) << 16 | number;
        agent.memory().store64(found.place.entry + 8, word);
        let refused = agent.operation(|o| map::add_many(o, map, &Many(1), None).map(drop));
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "record {number}: {refused:?}");
        let read = agent.operation(|_| map::get(table, map, &Key::number(0.0), 0, 0));
        assert!(matches!(read, Err(Error::Corrupt { .. })), "record {number}: {read:?}");
    }
}

/// Additions that are themselves changes of the heap, which they must not be.
struct Nested(Handle, Agent);

impl Additions for Nested {
    fn count(&self) -> u32 {
        1
    }

    fn with<R>(&self, _: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let inner = self.1.operation(|o| map::add_many(o, self.0, &Many(1), None).map(drop));
        let is_under_way = self.1.memory().load64(self.1.slot() + slot::TRANSACTION) & 7 == 1;
        assert!(!is_under_way || matches!(inner, Err(Error::Busy { .. })), "{inner:?}");
        Ok((f(&Key::number(9.0), 1.0)?, 1))
    }
}

#[test]
fn transaction_in_a_transaction_is_refused() {
    let agent = agent(heap(64));
    let map = run(agent, map::create);
    run(agent, |o| map::add_many(o, map, &Nested(map, agent), None).map(drop));
    let table = Table { memory: agent.memory(), control: agent.control() };
    let taken = run(agent, |_| map::get(table, map, &Key::number(9.0), 0, 0)).expect("it is there");
    assert_eq!(f64::from_bits(taken.word), 1.0);
    audit(agent);
}

#[test]
fn typed_face_counts_words_and_commits_their_lease() -> Result<()> {
    let heap = typed::Heap::in_process(64 << 20)?;
    let agent = heap.attach()?;
    let (words, body) = (agent.map::<Str, f64>("words")?, agent.pipe("body", 65_536)?);
    body.write(b"the cat and the dog ", None)?;
    body.close()?;
    while let Some(lease) = body.lease(8, Until::new(b" "), None)? {
        let text = String::from_utf8_lossy(&lease).into_owned();
        let counts: Vec<(&str, f64)> = text.split_whitespace().map(|word| (word, 1.0)).collect();
        words.add_many(&counts, Some(lease))?;
    }
    assert_eq!(words.get("the")?, Some(2.0));
    assert_eq!(words.len()?, 4);
    // A lease of another agent, even of the same heap.
    let other = heap.attach()?;
    let pipe = other.pipe("other", 4096)?;
    pipe.write(b"bytes", None)?;
    let lease = pipe.lease(5, None, None)?;
    assert!(matches!(words.add_many(&[("the", 1.0)], lease), Err(Error::LeaseLost { .. })));
    assert_eq!(words.get("the")?, Some(2.0));
    Ok(())
}
