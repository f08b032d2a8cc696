//! Death at every shared write of every operation on pipes: the same agent recovers, and the bytes are there or gone, on loan
//! to who knows of it, once, and nothing else is lost.
#![cfg(feature = "fault-points")]
mod common;

use coheap::name::{self, Shape};
use coheap::pipe::{self, Lease, Outcome, Read, SMALLEST, Source, Until};
use coheap::recovery::settle;
use coheap::string::Given;
use coheap::{Handle, Table, Type, acquire, release, wait};
use coheap_alloc::layout::{body, slot};
use coheap_alloc::sync::fault::{arm, disarm};
use coheap_alloc::{Agent, Error, Operation, Result};
use common::faults::dies;
use common::{Watchdog, agent, heap, run};

/// Where the note of an operation stands in its slot.
const NOTE: u32 = slot::RECORD + 48;
static LARGE: [u8; 20_000] = [b'l'; 20_000];
static REASON: [u8; 200] = [b'r'; 200];

/// A pipe, who works with it, and what that agent knows to have on loan.
struct World {
    agent: Agent,
    other: Agent,
    /// One that died in a read, and is not recovered yet.
    dead: Option<Agent>,
    handle: Handle,
    leases: Vec<Lease>,
}

/// What there is, for whom: bytes to be read, bytes that the agent knows to have on loan, bytes on loan that nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    free: Vec<u8>,
    held: Vec<u8>,
    unheard: Vec<u8>,
    /// Closed, aborted, or gone.
    end: &'static str,
}

type Step = fn(&Operation, &World) -> Result<()>;

struct Case {
    what: &'static str,
    prepare: fn(&mut World),
    step: Step,
    /// Several things that end one by one.
    mixed: bool,
}

fn write(operation: &Operation, world: &World, bytes: &[u8]) -> Result<()> {
    pipe::write(operation, world.handle, Source::Slice(bytes), false).map(drop)
}

fn until(bytes: &[u8]) -> Option<Until> {
    (!bytes.is_empty()).then(|| Until::new(bytes).expect("a delimiter"))
}

fn read(operation: &Operation, world: &World, room: u32, end: &[u8]) -> Result<()> {
    let to = (operation.agent().transfer(), room);
    pipe::read(operation, world.handle, to, until(end), &mut None, true).map(drop)
}

fn lease(operation: &Operation, world: &World, most: u32, end: &[u8]) -> Result<Option<Lease>> {
    match pipe::lease(operation, world.handle, most, until(end), &mut None, true)?.0 {
        Outcome::Done(lease) => Ok(lease),
        Outcome::Wait(_) => Ok(None),
    }
}

fn text(world: &mut World) {
    for bytes in ["one, ", "two, ", "three, ", "four"] {
        run(world.agent, |o| write(o, world, bytes.as_bytes()));
    }
}

/// Two loans of three bytes.
fn lent(world: &mut World) {
    text(world);
    for _ in 0..2 {
        let lease = run(world.agent, |o| lease(o, world, 3, b"")).expect("bytes");
        world.leases.push(lease);
    }
}

/// Both came back.
fn returned(world: &mut World) {
    lent(world);
    for lease in core::mem::take(&mut world.leases) {
        let _ = run(world.agent, |o| pipe::give_up(o, world.handle, lease));
    }
}

/// The first of them is on loan again, and the hint that it came back is over.
fn hinted(world: &mut World) {
    returned(world);
    let lease = run(world.agent, |o| lease(o, world, 2, b"")).expect("bytes");
    world.leases.push(lease);
}

/// All that came back is on loan again.
fn hinted_all(world: &mut World) {
    hinted(world);
    let lease = run(world.agent, |o| lease(o, world, 3, b"")).expect("bytes");
    world.leases.push(lease);
}

/// The mark of a former loan stands in the head.
fn committed(world: &mut World) {
    text(world);
    let lease = run(world.agent, |o| lease(o, world, 6, b"")).expect("bytes");
    let _ = run(world.agent, |o| pipe::commit(o, world.handle, lease));
}

/// What a read that died has read.
static GONE: [u8; 100] = [b'g'; 100];

/// A read died behind its exchange: its block is in a place that the next write needs.
fn left(world: &mut World) {
    for at in 0.. {
        let dead = agent(heap_of(world.agent));
        run(dead, |o| acquire(o, world.handle, Some(Type::Pipe)));
        run(world.agent, |o| write(o, world, &GONE));
        assert!(dies(at, || run(dead, |o| read(o, world, 1000, b""))), "a death behind the exchange");
        if run(world.agent, |o| pipe::available(o, world.handle)) == 0 {
            world.dead = Some(dead);
            break;
        }
        dead.recover(&settle).expect("the record is settled");
        common::leave(dead);
        run(world.agent, |o| read(o, world, 1000, b""));
    }
    // All places up to that one, which the next write needs; a read would empty it, too.
    loop {
        run(world.agent, |o| write(o, world, b"x"));
        let (next, left) = run(world.other, |o| Ok(places(o, world)));
        if next == left {
            break;
        }
        run(world.agent, |o| read(o, world, 10, b""));
    }
}

/// The place of the next write, and the place whose block is before the head.
fn places(operation: &Operation, world: &World) -> (u64, u64) {
    let memory = operation.memory();
    let entry = Table::of(operation).entry(world.handle.index).expect("an entry");
    let head = memory.load64(entry + coheap::object::VALUE) as u32;
    let count = memory.load64(head + 128) >> 32;
    let places = head + 192 + 32 * 32;
    let next = memory.load64(head + 64) & 0xFFFF;
    let is_left = |place: &u64| {
        let word = memory.load64(places + *place as u32 * 8);
        // Small blocks stay, and are no trace of a death.
        *place != next % count
            && word & 3 == 0
            && memory.load64(word as u32 + 8) as u32 & 0x3F_FFFF == GONE.len() as u32
    };
    ((memory.load64(head) & 0xFFFF) % count, (0..count).find(is_left).expect("the place that was left"))
}

fn aborted(world: &mut World) {
    lent(world);
    run(world.agent, |o| abort(o, world));
}

fn abort(operation: &Operation, world: &World) -> Result<()> {
    pipe::abort(operation, world.handle, Given::text(&REASON)).map(drop)
}

fn first(world: &World) -> Lease {
    world.leases[0]
}

/// The last reference of all.
fn alone(world: &mut World) {
    lent(world);
    let _ = run(world.other, |o| release(o, world.handle, Type::Pipe));
}

fn released(operation: &Operation, world: &World) -> Result<()> {
    release(operation, world.handle, Type::Pipe).map(drop)
}

const fn case(what: &'static str, prepare: fn(&mut World), step: Step) -> Case {
    Case { what, prepare, step, mixed: false }
}

static CASES: [Case; 35] = [
    case("create", text, |o, _| pipe::create(o, SMALLEST).map(drop)),
    case("open by name", text, |o, _| name::open(o, b"new", Shape::Pipe(SMALLEST)).map(drop)),
    case("write", text, |o, w| write(o, w, b"five")),
    case("write much", text, |o, w| write(o, w, &LARGE)),
    case("write to a place that was left", left, |o, w| write(o, w, b"five")),
    case("read up to a place that was left", left, |o, w| read(o, w, 100, b"")),
    case("read tokens up to a place that was left", left, |o, w| read(o, w, 100, b",")),
    case("close at a place that was left", left, |o, w| pipe::close(o, w.handle).map(drop)),
    case(
        "write to a closed pipe",
        |w| {
            text(w);
            let _ = run(w.agent, |o| pipe::close(o, w.handle));
        },
        |o, w| {
            let refused = write(o, w, b"five");
            if matches!(refused, Err(Error::PipeClosed { .. })) { Ok(()) } else { refused }
        },
    ),
    case("read all", text, |o, w| read(o, w, 100, b"")),
    case("read a write", text, |o, w| read(o, w, 5, b"")),
    case("read a part", text, |o, w| read(o, w, 3, b"")),
    case("read a write and a part", text, |o, w| read(o, w, 7, b"")),
    case("read tokens", text, |o, w| read(o, w, 100, b", ")),
    case("read a token that is longer", text, |o, w| read(o, w, 3, b", ")),
    case("read and wait", |_| {}, |o, w| read(o, w, 3, b"")),
    case("read what a loan took before", committed, |o, w| read(o, w, 100, b"")),
    case("read what came back", returned, |o, w| read(o, w, 100, b"")),
    case("read a part of what came back", returned, |o, w| read(o, w, 2, b"")),
    case("read under a hint that is over", hinted, |o, w| read(o, w, 2, b"")),
    case("read behind hints that are over", hinted_all, |o, w| read(o, w, 2, b"")),
    case("lease", text, |o, w| lease(o, w, 7, b"").map(drop)),
    case("lease all", text, |o, w| lease(o, w, 1000, b"").map(drop)),
    case("lease a token that is longer", text, |o, w| lease(o, w, 3, b", ").map(drop)),
    case("lease behind a loan", lent, |o, w| lease(o, w, 7, b"").map(drop)),
    case("lease under the mark of a former loan", committed, |o, w| lease(o, w, 7, b"").map(drop)),
    case("lease what came back", returned, |o, w| lease(o, w, 100, b"").map(drop)),
    case("lease a part of what came back", hinted, |o, w| lease(o, w, 2, b"").map(drop)),
    case("bytes of a loan", lent, |o, w| pipe::lease_bytes(o, w.handle, first(w), 1, (o.agent().transfer(), 2))),
    case("commit", lent, |o, w| pipe::commit(o, w.handle, first(w)).map(drop)),
    case("commit a part", hinted, |o, w| pipe::commit(o, w.handle, first(w)).map(drop)),
    case("give up", lent, |o, w| pipe::give_up(o, w.handle, first(w)).map(drop)),
    case("abort", lent, abort),
    Case { what: "release with loans", prepare: lent, step: released, mixed: true },
    Case { what: "release the last reference", prepare: alone, step: released, mixed: true },
];

static ENDED: [Case; 2] = [
    case("abort again", aborted, abort),
    Case {
        what: "release an aborted pipe",
        prepare: |w| {
            aborted(w);
            let _ = run(w.other, |o| release(o, w.handle, Type::Pipe));
        },
        step: released,
        mixed: true,
    },
];

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(&ENDED)
}

fn heap_of(agent: Agent) -> coheap_alloc::Heap {
    coheap_alloc::Heap::open(agent.memory(), agent.control()).expect("the heap")
}

fn prepared(case: &Case) -> World {
    let heap = heap(64);
    let [agent, other] = [(); 2].map(|()| agent(heap));
    let handle = run(agent, |o| pipe::create(o, SMALLEST));
    run(other, |o| acquire(o, handle, Some(Type::Pipe)));
    let mut world = World { agent, other, dead: None, handle, leases: Vec::new() };
    (case.prepare)(&mut world);
    // Somebody waits, so that there is somebody to wake.
    let table = Table { memory: agent.memory(), control: agent.control() };
    let _ = wait::announce(agent.memory(), table.entry(handle.index).expect("an entry"));
    world
}

fn step(case: &Case, world: &World) {
    run(world.agent, |o| (case.step)(o, world));
}

/// Writes of a whole run of a step.
fn writes(case: &Case) -> usize {
    let world = prepared(case);
    arm(u64::MAX);
    step(case, &world);
    disarm() as usize
}

fn drain(world: &World, into: &mut Vec<u8>) -> &'static str {
    let agent = world.other;
    loop {
        let to = (agent.transfer(), body::TRANSFER_LENGTH);
        match agent.operation(|o| pipe::read(o, world.handle, to, None, &mut None, false)) {
            Ok((Outcome::Done(Read::Bytes(length)), _)) => {
                let mut bytes = vec![0; length as usize];
                agent.memory().copy_out(agent.transfer(), &mut bytes);
                into.extend(bytes);
            }
            Ok((Outcome::Wait(_), _)) => return "open",
            Ok((Outcome::Done(_), _)) => return "closed",
            Err(Error::PipeAborted { .. }) => {
                let why = run(agent, |o| pipe::reason(o, world.handle, agent.transfer(), body::TRANSFER_LENGTH));
                assert_eq!(why.expect("a reason").block.expect("a text").1 as usize, REASON.len());
                return "aborted";
            }
            Err(Error::StaleHandle { .. }) => return "gone",
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn audit(agent: Agent) -> std::result::Result<coheap_alloc::Figures, String> {
    agent.audit(&mut coheap::Objects).map_err(|error| format!("{error:?}"))
}

/// Looks, and goes on with everything until nothing is left.
fn look(world: World) -> std::result::Result<Seen, String> {
    let World { agent, other, dead, handle, .. } = world;
    if let Some(dead) = dead {
        dead.recover(&settle).expect("the record is settled");
    }
    audit(agent)?;
    let mut seen = Seen { free: Vec::new(), held: Vec::new(), unheard: Vec::new(), end: "" };
    for &lease in &world.leases {
        let to = (agent.transfer(), lease.length);
        if agent.operation(|o| pipe::lease_bytes(o, handle, lease, 0, to)).is_ok() {
            let mut bytes = vec![0; lease.length as usize];
            agent.memory().copy_out(agent.transfer(), &mut bytes);
            seen.held.extend(bytes);
        }
    }
    seen.end = drain(&world, &mut seen.free);
    match agent.operation(|o| write(o, &world, b"more")) {
        Ok(()) => {
            let mut more = Vec::new();
            drain(&world, &mut more);
            if more != b"more" {
                return Err(format!("it does not go on: {more:?}"));
            }
        }
        Err(Error::PipeClosed { .. }) if seen.end != "open" || !seen.held.is_empty() => {}
        Err(Error::PipeAborted { .. }) if seen.end == "aborted" => {}
        Err(Error::StaleHandle { .. }) if seen.end == "gone" => {}
        Err(error) => return Err(format!("{error:?} when it is {}", seen.end)),
    }
    audit(agent)?;
    let _ = other.operation(|o| name::remove(o, b"new"));
    common::leave(agent);
    drain(&world, &mut seen.unheard);
    if seen.unheard.starts_with(&seen.held) {
        seen.unheard.drain(..seen.held.len());
    }
    if let Some(dead) = dead {
        common::leave(dead);
    }
    common::leave(other);
    let last = self::agent(heap_of(other));
    // An ended pipe is taken apart as objects are made.
    for _ in 0..20 {
        let made = run(last, |o| coheap::cell::create(o, 1.0));
        let _ = run(last, |o| release(o, made, Type::Cell));
    }
    match audit(last)?.live_blocks {
        0 => Ok(seen),
        left => Err(format!("{left} blocks are left")),
    }
}

/// What there may be after a death: what was there before, or after the whole step.
struct States {
    before: Seen,
    after: Seen,
    mixed: bool,
}

impl States {
    fn of(case: &Case) -> Self {
        let before = look(prepared(case)).expect("it is whole");
        let world = prepared(case);
        step(case, &world);
        let after = look(world).expect("it is whole");
        Self { before, after, mixed: case.mixed }
    }

    /// `told`: the operation was over but for its last writes.
    fn check(&self, seen: &Seen, told: bool) -> std::result::Result<(), String> {
        let sorted = |seen: &Seen| {
            let mut all = [seen.free.clone(), seen.held.clone()].concat();
            all.sort_unstable();
            all
        };
        // What was lent again in part has a rest of which its holder knows.
        let is_known = seen.unheard.len() <= self.before.unheard.len() || told;
        let fits = *seen == self.before
            || *seen == self.after
            || self.mixed && (seen.end != "open" || sorted(seen) == sorted(&self.before));
        if fits && is_known { Ok(()) } else { Err(format!("{seen:?}\n  {:?}\n  {:?}", self.before, self.after)) }
    }
}

/// Whether the record of the agent, which has died, has no note.
fn is_told(world: &World) -> bool {
    world.agent.memory().own64(world.agent.slot() + NOTE) == 0
}

fn controls() {
    #[cfg(feature = "controls")]
    {
        coheap_alloc::controls::set_from_environment();
        coheap::controls::set_from_environment();
    }
}

#[test]
fn pipe_cut_short_at_every_write_has_each_byte_once() {
    let _watchdog = Watchdog::new("pipe_cut_short_at_every_write_has_each_byte_once");
    controls();
    let mut points = 0;
    for case in cases() {
        let states = States::of(case);
        for at in 0.. {
            let world = prepared(case);
            if !dies(at, || step(case, &world)) {
                points += at;
                println!("{}: {at} writes", case.what);
                break;
            }
            let told = is_told(&world);
            world.agent.recover(&settle).expect("the record is settled");
            if let Err(why) = look(world).and_then(|seen| states.check(&seen, told)) {
                panic!("{}, death at write {at}: {why}", case.what);
            }
        }
    }
    println!("cases pipe_cut_short_at_every_write_has_each_byte_once {points}");
    assert!(points > 800);
}

#[test]
fn pipe_whose_recovery_is_cut_short_is_finished_by_the_next() {
    let _watchdog = Watchdog::new("pipe_whose_recovery_is_cut_short_is_finished_by_the_next");
    controls();
    let mut points = 0;
    for case in cases() {
        let states = States::of(case);
        // Some points of the operation, of its recovery some others each time.
        let distance = writes(case) / 15 + 1;
        for at in (0..).step_by(distance) {
            let mut died = false;
            for again in (at % 7..).step_by(7) {
                let world = prepared(case);
                died = dies(at, || step(case, &world));
                if !died {
                    break;
                }
                let told = is_told(&world);
                let twice = dies(again, || world.agent.recover(&settle).expect("the record is settled"));
                world.agent.recover(&settle).expect("the record is settled");
                if let Err(why) = look(world).and_then(|seen| states.check(&seen, told)) {
                    panic!("{}, deaths at {at} and in recovery at {again}: {why}", case.what);
                }
                points += 1;
                if !twice {
                    break;
                }
            }
            if !died {
                break;
            }
        }
    }
    println!("cases pipe_whose_recovery_is_cut_short_is_finished_by_the_next {points}");
    assert!(points > 2_000);
}

#[test]
fn write_of_an_agent_that_died_is_available() {
    let mut there = 0;
    for at in 0.. {
        let world = prepared(&CASES[2]);
        let before = run(world.other, |o| pipe::available(o, world.handle));
        if !dies(at, || step(&CASES[2], &world)) {
            break;
        }
        let available = run(world.other, |o| pipe::available(o, world.handle));
        let mut read = Vec::new();
        drain(&world, &mut read);
        assert_eq!(read.len() as u64, available, "death at write {at}");
        there += u32::from(available > before);
    }
    assert!(there > 0);
}
