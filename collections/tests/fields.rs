//! HTTP fields.
#![cfg(feature = "std")]
#![allow(clippy::disallowed_types, reason = "the switches of a test are no shared words of a heap")]
mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use coheap::fields::{self, LARGEST, Lines, MOST, Name, OVERHEAD, Text};
use coheap::name::{self, Shape};
use coheap::{Handle, Table, Type, acquire, bytes, cell, park, release};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Result};
use common::{Random, Watchdog, agent, audit, heap, run, threads};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

type Line = Result<(Name, Text)>;

/// Hands `use_texts` the pieces in the heap: at the end of the transfer buffer, or in a region of their own.
fn with_texts<R>(agent: Agent, pieces: &[&[u8]], use_texts: impl FnOnce(&[Text]) -> R) -> R {
    let memory = agent.memory();
    let padded = |piece: &&[u8]| (piece.len() as u32).next_multiple_of(8);
    let size: u32 = pieces.iter().map(padded).sum();
    let region = (size > KEPT).then(|| run(agent, |o| bytes::create(o, size)));
    let mut at = match region {
        Some(region) => run(agent, |_| bytes::all(table(agent), region).map(|(at, _)| at)),
        None => agent.transfer() + body::TRANSFER_LENGTH - size,
    };
    let place = |piece: &&[u8]| {
        memory.copy_in(at, piece);
        at += padded(piece);
        Text { memory, at: at - padded(piece), length: piece.len() as u32 }
    };
    let texts: Vec<_> = pieces.iter().map(place).collect();
    let answer = use_texts(&texts);
    if let Some(region) = region {
        let _ = run(agent, |o| release(o, region, Type::Bytes));
    }
    answer
}

/// Bytes at the end of the transfer buffer for texts.
const KEPT: u32 = 8192;

fn with_lines<R>(agent: Agent, pairs: &[(&[u8], &[u8])], use_lines: impl FnOnce(std::vec::IntoIter<Line>) -> R) -> R {
    let pieces: Vec<_> = pairs.iter().flat_map(|&(name, value)| [name, value]).collect();
    with_texts(agent, &pieces, |texts| {
        let line = |pair: &[Text]| Ok((Name::new(pair[0])?, pair[1]));
        use_lines(texts.chunks(2).map(line).collect::<Vec<_>>().into_iter())
    })
}

fn create(agent: Agent, pairs: &[(&[u8], &[u8])]) -> Handle {
    with_lines(agent, pairs, |lines| run(agent, |o| fields::create(o, lines)))
}

fn set(agent: Agent, handle: Handle, name: &[u8], values: &[&[u8]]) -> Result<()> {
    let pieces: Vec<_> = [name].iter().chain(values).copied().collect();
    with_texts(agent, &pieces, |texts| {
        agent.operation(|o| fields::set(o, handle, Name::new(texts[0])?, texts[1..].iter().copied()))
    })
}

fn append_all(agent: Agent, handle: Handle, pairs: &[(&[u8], &[u8])]) -> Result<()> {
    with_lines(agent, pairs, |lines| agent.operation(|o| fields::append(o, handle, lines)))
}

fn append(agent: Agent, handle: Handle, name: &[u8], value: &[u8]) -> Result<()> {
    append_all(agent, handle, &[(name, value)])
}

fn delete(agent: Agent, handle: Handle, name: &[u8]) -> Result<()> {
    with_texts(agent, &[name], |texts| agent.operation(|o| fields::delete(o, handle, Name::new(texts[0])?)))
}

fn get_to(agent: Agent, handle: Handle, name: &[u8], room: u32) -> Result<(Option<u32>, u32)> {
    with_texts(agent, &[name], |texts| {
        let name = Name::wanted(texts[0]);
        agent.operation(|_| fields::get(table(agent), handle, name, agent.transfer(), room))
    })
}

fn table(agent: Agent) -> Table {
    Table { memory: agent.memory(), control: agent.control() }
}

/// The joined values, by way of the transfer buffer.
fn try_get(agent: Agent, handle: Handle, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let room = body::TRANSFER_LENGTH - KEPT;
    let (got, _) = get_to(agent, handle, name, room)?;
    let Some(length) = got else { return Ok(None) };
    assert!(length <= room, "a value that fits");
    let mut value = vec![0; length as usize];
    agent.memory().copy_out(agent.transfer(), &mut value);
    Ok(Some(value))
}

fn get(agent: Agent, handle: Handle, name: &[u8]) -> Option<Vec<u8>> {
    try_get(agent, handle, name).expect("the fields are there")
}

fn has(agent: Agent, handle: Handle, name: &[u8]) -> bool {
    with_texts(agent, &[name], |texts| run(agent, |_| fields::has(table(agent), handle, Name::wanted(texts[0]))))
}

/// All lines, in pieces that fit the transfer buffer; only while nobody changes the fields.
fn entries(agent: Agent, handle: Handle) -> Pairs {
    let mut copy = Vec::new();
    loop {
        let size = run(agent, |_| {
            let copied = fields::lines(table(agent), handle, copy.len() as u32, agent.transfer(), 4096)?;
            let mut piece = vec![0; (copied.size as usize - copy.len()).min(4096)];
            agent.memory().copy_out(agent.transfer(), &mut piece);
            copy.extend(piece);
            Ok(copied.size as usize)
        });
        if copy.len() == size {
            return Lines::new(&copy).expect("lines").map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        }
    }
}

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// What the fields must do, on a plain list.
#[derive(Clone, Default)]
struct Model(Pairs);

impl Model {
    fn same(a: &[u8], b: &[u8]) -> bool {
        a.eq_ignore_ascii_case(b)
    }

    fn append(&mut self, name: &[u8], value: &[u8]) {
        let known = self.0.iter().find(|(known, _)| Self::same(known, name)).map(|(known, _)| known.clone());
        self.0.push((known.unwrap_or_else(|| name.to_vec()), value.to_vec()));
    }

    fn set(&mut self, name: &[u8], values: &[&[u8]]) {
        let first = self.0.iter().position(|(known, _)| Self::same(known, name));
        let at = first.unwrap_or(self.0.len());
        let name = first.map_or(name, |at| &self.0[at].0).to_vec();
        self.0.retain(|(known, _)| !Self::same(known, &name));
        for (offset, value) in values.iter().enumerate() {
            self.0.insert(at + offset, (name.clone(), value.to_vec()));
        }
    }

    fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
        let values: Vec<_> = self.0.iter().filter(|(known, _)| Self::same(known, name)).map(|(_, v)| &v[..]).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }
}

fn random_case(random: &mut Random, name: &str) -> Vec<u8> {
    name.bytes().map(|byte| if random.below(4) == 0 { byte.to_ascii_uppercase() } else { byte }).collect()
}

#[test]
fn fields_under_a_million_random_steps_match_a_plain_list() {
    let mut random = Random::new("fields_under_a_million_random_steps_match_a_plain_list");
    let agent = agent(heap(512));
    let before = audit(agent);
    // Names of all lengths around whole words, two that differ in a sign that the casing bit also tells apart, and so on.
    let names =
        ["a", "b", "accept", "x-trace-", "x-trace-i", "content-type", "a^", "a~", "a_", "a-long-name-of-24-bytes", "x"];
    let mut all: Vec<(Handle, Model)> = vec![(create(agent, &[]), Model::default())];
    for step in 0..1_000_000u32 {
        let picked = random.below(all.len() as u64) as usize;
        let count = all.len();
        let (handle, model) = &mut all[picked];
        let handle = *handle;
        let name = names[random.below(names.len() as u64) as usize];
        let name = random_case(&mut random, name);
        let length = if random.below(200) == 0 { random.below(2000) } else { random.below(24) };
        let value: Vec<u8> = (0..length).map(|_| b"ab \t\x80\xFF~!"[random.below(8) as usize]).collect();
        match random.below(16) {
            0..4 => {
                set(agent, handle, &name, &[&value]).expect("set");
                model.set(&name, &[&value]);
            }
            4 => {
                let values = [&value[..], b"", &value[..value.len() / 2]];
                let values = &values[..random.below(4) as usize];
                set(agent, handle, &name, values).expect("set");
                model.set(&name, values);
            }
            5 | 6 if model.0.len() < 40 => {
                append(agent, handle, &name, &value).expect("append");
                model.append(&name, &value);
            }
            5..8 => {
                delete(agent, handle, &name).expect("delete");
                model.set(&name, &[]);
            }
            8 if count < 8 => {
                let copy = run(agent, |o| fields::duplicate(o, handle));
                let model = model.clone();
                all.push((copy, model));
            }
            9 if count > 1 => {
                let _ = run(agent, |o| release(o, handle, Type::Fields));
                all.swap_remove(picked);
            }
            10 => {
                let pairs: Vec<_> = model.0.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                let made = create(agent, &pairs);
                assert_eq!(entries(agent, made), model.0);
                let _ = run(agent, |o| release(o, made, Type::Fields));
            }
            11 => assert_eq!(entries(agent, handle), model.0, "step {step}"),
            12 => assert_eq!(has(agent, handle, &name), model.get(&name).is_some()),
            _ => assert_eq!(get(agent, handle, &name), model.get(&name), "step {step}, {name:?}"),
        }
        if step % 100_000 == 0 {
            audit(agent);
        }
    }
    for (handle, model) in all {
        assert_eq!(entries(agent, handle), model.0);
        let _ = run(agent, |o| release(o, handle, Type::Fields));
    }
    let after = audit(agent);
    assert_eq!((before.live_bytes, before.live_blocks), (after.live_bytes, after.live_blocks));
}

#[test]
fn fields_do_what_wasi_http_says() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"Foo", b"1"), (b"bar", b""), (b"FOO", b"2")]);
    // Any casing finds, the first casing is kept, and so is the order.
    assert_eq!(get(agent, headers, b"fOO"), Some(b"1, 2".to_vec()));
    append(agent, headers, b"foo", b"3").expect("append");
    assert_eq!(entries(agent, headers), owned(&[("Foo", "1"), ("bar", ""), ("Foo", "2"), ("Foo", "3")]));
    // set replaces all values, in place; set to no values removes.
    set(agent, headers, b"FOO", &[b"4", b"5"]).expect("set");
    assert_eq!(entries(agent, headers), owned(&[("Foo", "4"), ("Foo", "5"), ("bar", "")]));
    set(agent, headers, b"foo", &[]).expect("set");
    assert!(!has(agent, headers, b"foo"));
    // An empty value is a value.
    assert!(has(agent, headers, b"Bar"));
    assert_eq!(get(agent, headers, b"bar"), Some(Vec::new()));
    // Reading a bad name finds nothing, changing one is refused.
    for byte in 0..=255u8 {
        let name = [b'a', byte, b'a'];
        let good = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let refused = Err(Error::InvalidField { character: byte.into(), offset: 1 });
        assert!(!has(agent, headers, &name));
        assert_eq!(get(agent, headers, &name), None);
        assert_eq!(append(agent, headers, &name, b"v"), if good { Ok(()) } else { refused }, "{byte:#x}");
        assert_eq!(set(agent, headers, &name, &[b"v"]), if good { Ok(()) } else { refused });
        assert_eq!(delete(agent, headers, &name), if good { Ok(()) } else { refused });
        // At every place of a word.
        for place in 0..17 {
            let mut value = [b'v'; 17];
            value[place as usize] = byte;
            let good = byte == b'\t' || (byte >= b' ' && byte != 0x7F);
            let refused = Err(Error::InvalidField { character: byte.into(), offset: place });
            assert_eq!(set(agent, headers, b"v", &[&value]), if good { Ok(()) } else { refused }, "{byte:#x} {place}");
        }
    }
    let empty = Err(Error::InvalidField { character: 0, offset: 0 });
    assert_eq!(set(agent, headers, b"", &[b"v"]), empty);
    assert_eq!(append(agent, headers, b"", b"v"), empty);
    assert_eq!(delete(agent, headers, b""), empty);
    assert_eq!(get(agent, headers, b""), None);
    // A list with one bad line makes nothing.
    let before = audit(agent);
    let refused =
        with_lines(agent, &[(b"good", b"v"), (b"bad", b"\n")], |lines| agent.operation(|o| fields::create(o, lines)));
    assert_eq!(refused, Err(Error::InvalidField { character: 10, offset: 0 }));
    assert_eq!(audit(agent).live_blocks, before.live_blocks);
}

#[test]
fn fields_frozen_refuse_changes_and_their_clones_do_not() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"a", b"1")]);
    assert!(!run(agent, |_| fields::is_frozen(table(agent), headers)));
    for _ in 0..2 {
        run(agent, |o| fields::freeze(o, headers));
        assert!(run(agent, |_| fields::is_frozen(table(agent), headers)));
    }
    let refused = Err(Error::Immutable { index: headers.index });
    assert_eq!(set(agent, headers, b"a", &[b"2"]), refused);
    assert_eq!(append(agent, headers, b"b", b"2"), refused);
    assert_eq!(delete(agent, headers, b"a"), refused);
    assert_eq!(delete(agent, headers, b"not there"), Err(Error::InvalidField { character: 32, offset: 3 }));
    assert_eq!(delete(agent, headers, b"not-there"), refused);
    let copy = run(agent, |o| fields::duplicate(o, headers));
    set(agent, copy, b"A", &[b"2"]).expect("a clone can be changed");
    assert_eq!(get(agent, copy, b"a"), Some(b"2".to_vec()));
    assert_eq!(get(agent, headers, b"a"), Some(b"1".to_vec()));
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert_eq!(get(agent, copy, b"a"), Some(b"2".to_vec()));
    // Those without a line, too.
    let empty = create(agent, &[]);
    run(agent, |o| fields::freeze(o, empty));
    assert!(append(agent, empty, b"a", b"1").is_err());
    assert_eq!(entries(agent, run(agent, |o| fields::duplicate(o, empty))), vec![]);
    audit(agent);
}

#[test]
fn fields_too_large_are_refused_and_unchanged() {
    let agent = agent(heap(512));
    let headers = create(agent, &[]);
    let largest = vec![b'v'; (LARGEST - OVERHEAD - 1) as usize];
    set(agent, headers, b"n", &[&largest]).expect("as large as fields may be");
    let refused = Err(Error::fields_too_large(u64::from(LARGEST) + 33, u64::from(LARGEST)));
    assert_eq!(append(agent, headers, b"m", b""), refused);
    let beyond = vec![b'v'; LARGEST as usize];
    assert!(matches!(set(agent, headers, b"n", &[&beyond]), Err(Error::FieldsTooLarge { .. })));
    assert!(matches!(set(agent, headers, &vec![b'n'; 1 << 20], &[b""]), Err(Error::FieldsTooLarge { .. })));
    assert_eq!(entries(agent, headers), [(b"n".to_vec(), largest)]);
    delete(agent, headers, b"N").expect("delete");
    let lines: Vec<_> = (0..MOST).map(|_| (&b"n"[..], &b""[..])).collect();
    append_all(agent, headers, &lines).expect("as many as there may be");
    assert_eq!(entries(agent, headers).len(), MOST as usize);
    assert!(matches!(append(agent, headers, b"n", b""), Err(Error::FieldsTooLarge { .. })));
    // Too large for the transfer buffer: the length is answered, the caller copies the lines.
    let got = get_to(agent, headers, b"n", 16).expect("there");
    assert_eq!(got.0, Some((MOST - 1) * 2));
    audit(agent);
}

#[test]
fn fields_without_memory_stay_as_they_were() {
    let agent = agent(heap(40));
    let headers = create(agent, &[(b"a", b"1")]);
    let mut taken = Vec::new();
    while let Ok(handle) = agent.operation(|o| bytes::create(o, 65_536)) {
        taken.push(handle);
    }
    let value = vec![b'v'; 7000];
    assert!(matches!(set(agent, headers, b"a", &[&value]), Err(Error::OutOfMemory { .. })));
    assert_eq!(entries(agent, headers), owned(&[("a", "1")]));
    // Removing the last line needs none.
    delete(agent, headers, b"a").expect("delete");
    for handle in taken {
        let _ = run(agent, |o| release(o, handle, Type::Bytes));
    }
    set(agent, headers, b"a", &[&value]).expect("there is room again");
    audit(agent);
}

#[test]
fn fields_of_a_name_are_the_same_for_all() {
    let agent = agent(heap(256));
    let headers = run(agent, |o| name::open(o, b"headers", Shape::Fields));
    append(agent, headers, b"a", b"1").expect("append");
    assert_eq!(run(agent, |o| name::open(o, b"headers", Shape::Fields)), headers);
    let wrong = agent.operation(|o| name::open(o, b"headers", Shape::Cell(0.0)));
    assert_eq!(wrong, Err(Error::WrongType { expected: 1, found: 3 }));
    assert!(matches!(agent.operation(|_| cell::get(table(agent), headers)), Err(Error::WrongType { .. })));
    assert!(run(agent, |o| name::remove(o, b"headers")).0);
    // Without its name they live until their last reference.
    assert_eq!(try_get(agent, headers, b"a"), Ok(Some(b"1".to_vec())));
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert_eq!(try_get(agent, headers, b"a"), Err(headers.stale()));
    assert_eq!(append(agent, headers, b"a", b"1"), Err(headers.stale()));
    let number = run(agent, |o| cell::create(o, 1.0));
    assert_eq!(set(agent, number, b"a", &[b"1"]), Err(Error::WrongType { expected: 3, found: 1 }));
    audit(agent);
}

#[test]
fn fields_known_by_their_sequence_are_not_read_again() {
    let agent = agent(heap(256));
    let headers = create(agent, &[(b"a", b"1")]);
    let sequence = || get_to(agent, headers, b"a", 64).expect("there").1;
    let is_same = |sequence| agent.operation(|_| Ok(fields::is_same(table(agent), headers, sequence))).expect("a look");
    let first = sequence();
    assert!(is_same(first));
    set(agent, headers, b"b", &[b"1"]).expect("set");
    assert!(!is_same(first));
    let second = sequence();
    assert!(is_same(second));
    delete(agent, headers, b"a").expect("delete");
    assert!(!is_same(second));
    let last = sequence();
    let _ = run(agent, |o| release(o, headers, Type::Fields));
    assert!(!is_same(last), "the fields are gone");
}

/// Each agent appends lines of its own and removes every other one again: nobody's change is lost.
#[test]
fn fields_changed_by_four_agents_lose_no_change() {
    let _watchdog = Watchdog::new("fields_changed_by_four_agents_lose_no_change");
    let heap = heap(512);
    let first = agent(heap);
    let headers = create(first, &[]);
    const ROUNDS: u32 = 10_000;
    threads(heap, 4, |number, agent| {
        agent.turn_begin().expect("online");
        for round in 0..ROUNDS {
            let name = format!("agent-{number}-{}", round % 3);
            match round % 6 {
                3..6 => delete(agent, headers, name.as_bytes()).expect("delete"),
                _ => append(agent, headers, name.as_bytes(), round.to_string().as_bytes()).expect("append"),
            }
            set(agent, headers, format!("count-{number}").as_bytes(), &[round.to_string().as_bytes()]).expect("set");
            let mine = get(agent, headers, name.as_bytes());
            assert_eq!(mine.is_some(), round % 6 < 3, "round {round}: {mine:?}");
        }
        agent.turn_end();
    });
    let mut found = entries(first, headers);
    found.sort();
    let mut expected = Pairs::new();
    for number in 0..4 {
        expected.push((format!("count-{number}").into_bytes(), (ROUNDS - 1).to_string().into_bytes()));
        for round in ROUNDS / 6 * 6..ROUNDS {
            let name = format!("agent-{number}-{}", round % 3).into_bytes();
            match round % 6 {
                3..6 => expected.retain(|(known, _)| *known != name),
                _ => expected.push((name, round.to_string().into_bytes())),
            }
        }
    }
    expected.sort();
    assert_eq!(found, expected);
    audit(first);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A writer changes one value between two letters and two lengths; each old block is reused at once. Who reads sees one
/// letter and its length.
#[test]
fn fields_changed_under_readers_never_mix() {
    let _watchdog = Watchdog::new("fields_changed_under_readers_never_mix");
    common::controls();
    let heap = heap(512);
    let first = agent(heap);
    // A slab has seven such blocks: a freed one is used again soon, and copying takes a while.
    const LONG: usize = 7168;
    const SHORT: usize = 7000;
    let headers = create(first, &[(b"before", b"x"), (b"flips", &[b'a'; LONG]), (b"after", b"y")]);
    let over = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    let same = |value: &[u8]| {
        let letter = value[0];
        assert!(value.iter().all(|&byte| byte == letter), "a mix");
        assert_eq!(value.len(), if letter == b'a' { LONG } else { SHORT }, "a stale length");
    };
    threads(heap, 3, |number, agent| {
        let _over = Over(&over);
        agent.turn_begin().expect("online");
        if number == 0 {
            for round in 0..6_000u32 {
                let value = if round % 2 == 0 { &[b'b'; SHORT][..] } else { &[b'a'; LONG] };
                set(agent, headers, b"flips", &[value]).expect("set");
                // Churn: the freed block is somebody else's at once.
                for _ in 0..8 {
                    let other = create(agent, &[(b"other", &[b'z'; LONG])]);
                    let other = run(agent, |o| release(o, other, Type::Fields));
                    assert_eq!(other.address(), 0);
                }
            }
        } else {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                if number == 1 {
                    same(&get(agent, headers, b"Flips").expect("there"));
                } else {
                    let mut copy = [0; 8192];
                    let copied = run(agent, |_| {
                        let copied = fields::lines(table(agent), headers, 0, agent.transfer(), 8192)?;
                        agent.memory().copy_out(agent.transfer(), &mut copy[..copied.size as usize]);
                        Ok(copied.size as usize)
                    });
                    let lines: Vec<_> = Lines::new(&copy[..copied]).expect("lines").collect();
                    assert_eq!((lines.len(), lines[0].1, lines[2].1), (3, &b"x"[..], &b"y"[..]));
                    same(lines[1].1);
                }
                done += 1;
            }
            reads.fetch_add(done, Ordering::Relaxed);
        }
        agent.turn_end();
    });
    println!("{} reads", reads.load(Ordering::Relaxed));
    audit(first);
}

/// Fields are frozen and released under agents that change and read them: after the freeze nothing changes, and with
/// the release all memory is free again.
#[test]
fn fields_frozen_and_released_beside_writers_stay_whole() {
    let _watchdog = Watchdog::new("fields_frozen_and_released_beside_writers_stay_whole");
    let heap = heap(512);
    let first = agent(heap);
    let before = audit(first).live_bytes;
    for round in 0..500u32 {
        let headers = create(first, &[(b"a", b"0")]);
        run(first, |o| park(o, headers));
        threads(heap, 3, |number, agent| {
            agent.turn_begin().expect("online");
            if number == 0 {
                for _ in 0..round * 20 {
                    std::hint::spin_loop();
                }
                run(agent, |o| acquire(o, headers, None));
                run(agent, |o| fields::freeze(o, headers));
                let frozen = entries(agent, headers);
                for _ in 0..50 {
                    assert_eq!(entries(agent, headers), frozen);
                }
                let _ = run(agent, |o| release(o, headers, Type::Fields));
            } else {
                // Until the release: frozen fields refuse changes, and are still read.
                for count in 0u64.. {
                    let changed = if count % 2 == 0 {
                        set(agent, headers, b"a", &[&vec![b'v'; (count % 9000) as usize]])
                    } else {
                        append(agent, headers, b"b", b"1").and_then(|()| delete(agent, headers, b"b"))
                    };
                    match changed {
                        Ok(()) | Err(Error::Immutable { .. }) => {}
                        Err(Error::StaleHandle { .. }) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                    match try_get(agent, headers, b"a") {
                        Ok(value) => assert!(value.is_some()),
                        // The next change sees it too, and lets go of what this agent holds.
                        Err(Error::StaleHandle { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
            agent.turn_end();
        });
        assert_eq!(audit(first).live_bytes, before, "round {round}");
    }
}
