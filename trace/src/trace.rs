//! Observation traces: what the outside can see of a run.

use crate::layout::{HOME_BYTES, HOMES};
use cranelift_codegen::ir::{DebugTag, TrapCode};
use cranelift_memopt::CalleeName;
use std::fmt;

/// Where a frame waits for a call to come back, or for a point to pass. Who walks
/// the stack sees it: backtraces and debuggers are made of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// The source location of the instruction.
    pub loc: u32,
    /// Its debug tags.
    pub tags: Vec<DebugTag>,
}

/// A debug tag is a number, so that equality is total; it only does not say so.
impl Eq for Site {}

/// The memory that somebody sees at some moment. What is hidden from them is 0.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The homes; `None` for those that the observer does not look at.
    pub homes: [Option<[u8; HOME_BYTES]>; HOMES],
    /// The read-only memory, unless the observer does not look at it.
    pub read_only: Option<[u8; HOME_BYTES]>,
    /// Where each frame is, the outermost first; `None` if it says nothing.
    pub stack: Vec<Option<Site>>,
    /// Stack slots, by address.
    pub slots: Vec<(u64, Vec<u8>)>,
    /// The objects of the heap, by address.
    pub heap: Vec<(u64, Vec<u8>)>,
}

/// Something that the outside takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host is called.
    Host {
        /// The name of the function.
        name: CalleeName,
        /// Its arguments.
        args: Vec<u128>,
        /// What it may look at.
        memory: Snapshot,
    },
    /// A fence, an atomic access, a debug or sequence point, a switch of stacks.
    Point {
        /// The name of the opcode.
        what: &'static str,
        /// Its operands.
        args: Vec<u128>,
        /// All memory.
        memory: Snapshot,
    },
    /// A garbage collector visits one cell of a frame.
    Collect {
        /// The address of the cell.
        address: u64,
        /// What it finds there.
        bytes: Vec<u8>,
    },
    /// A load from memory that the world writes at any time.
    AsynchronousLoad {
        /// The address.
        address: u64,
        /// How many bytes.
        bytes: usize,
    },
    /// A store to memory that the world reads at any time.
    AsynchronousStore {
        /// The address.
        address: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The outermost function returns.
    Return(Vec<u128>, Box<Snapshot>),
    /// A trap, in the program or in the host.
    Trap(TrapCode, Box<Snapshot>),
    /// An exception that nobody catches: its tag and payload.
    Exception(u32, u64, Box<Snapshot>),
    /// Nobody has come back from a switch of stacks, the last event.
    Gone,
    /// The run was cut: out of fuel, too deep, or at a point behind which
    /// memory holds anything.
    Cut,
    /// The program did what CLIF does not define. The run means nothing.
    Undefined(String),
    /// A load that can move, and does not trap, found nothing at its address, or may not look
    /// there. It promises that it can be executed wherever its address is known, so that the
    /// inputs are none for this program, though it may not come to the load before it is moved.
    BrokenPromise(String),
    /// An instruction that the machine does not know. The run means nothing.
    Unsupported(String),
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What happened until then.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: End,
}

impl Trace {
    /// Does the run say anything about the program?
    pub fn is_meaningful(&self) -> bool {
        !matches!(
            self.end,
            End::Undefined(_) | End::BrokenPromise(_) | End::Unsupported(_)
        )
    }

    /// Does it do what `other` does, up to a load that [can move](End::BrokenPromise) and may not
    /// be executed with these inputs?
    pub fn breaks_promise_of(&self, other: &Trace) -> bool {
        matches!(self.end, End::BrokenPromise(_)) && other.events.starts_with(&self.events)
    }

    /// The first difference between this trace and `other`, in words; `None`
    /// if an observer cannot tell them apart. If this one was cut, they are
    /// compared as far as it goes.
    pub fn difference(&self, other: &Trace) -> Option<String> {
        let both = self.events.iter().zip(&other.events);
        for (at, (mine, theirs)) in both.enumerate() {
            if mine != theirs {
                return Some(format!("event {at}:{}", two(mine, theirs)));
            }
        }
        if self.end == End::Cut {
            let ended_early = other.events.len() < self.events.len() && other.end != End::Cut;
            return ended_early.then(|| format!("ends early: {:?}", other.end));
        }
        if self.events.len() != other.events.len() {
            let (n, m) = (self.events.len(), other.events.len());
            return Some(format!(
                "{n} events, then {:?}\n  {m} events, then {:?}",
                self.end, other.end
            ));
        }
        (self.end != other.end).then(|| format!("end:{}", two(&self.end, &other.end)))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (home, bytes) in self.homes.iter().enumerate() {
            match bytes {
                Some(bytes) => {
                    write!(f, " {home}:")?;
                    words(f, bytes)?;
                }
                None => write!(f, " {home}:hidden")?,
            }
        }
        if let Some(bytes) = &self.read_only {
            f.write_str(" read-only:")?;
            words(f, bytes)?;
        }
        for (at, site) in self.stack.iter().enumerate() {
            if let Some(site) = site {
                write!(f, " frame {at} at {:x} {:?}", site.loc, site.tags)?;
            }
        }
        for (address, bytes) in &self.slots {
            write!(f, " slot {address:#x}:")?;
            words(f, bytes)?;
        }
        for (address, bytes) in &self.heap {
            write!(f, " heap {address:#x}:")?;
            words(f, bytes)?;
        }
        f.write_str(" ]")
    }
}

/// Two things that differ, with `..` for the words that do not.
fn two(mine: &impl fmt::Debug, theirs: &impl fmt::Debug) -> String {
    let (mine, theirs) = (format!("{mine:?}"), format!("{theirs:?}"));
    let words = |text: &str| -> Vec<String> {
        text.split_inclusive([' ', '_'])
            .map(str::to_string)
            .collect()
    };
    let (a, b) = (words(&mine), words(&theirs));
    if a.len() != b.len() {
        return format!("\n  {mine}\n  {theirs}");
    }
    let abridge = |one: &[String], other: &[String]| -> String {
        let pairs = one.iter().zip(other);
        let keep = |word: &String| word.len() < 16 || !word.ends_with('_');
        pairs
            .map(|(word, other)| {
                if word != other || keep(word) {
                    word
                } else {
                    "._"
                }
            })
            .collect()
    };
    format!("\n  {}\n  {}", abridge(&a, &b), abridge(&b, &a))
}

/// Bytes as little-endian words.
fn words(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (at, word) in bytes.chunks(8).enumerate() {
        if at > 0 {
            f.write_str("_")?;
        }
        for byte in word.iter().rev() {
            write!(f, "{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Setting, Verdict, compare, host_isa};
    use crate::filetests;

    /// A load behind a guard that always traps, which may go above it or not.
    fn verdicts(flags: &str) -> Vec<bool> {
        let text = format!(
            "function %f(i64, i32) -> i64 {{
                region0 = 1 \"memory\"
            block0(v0: i64, v1: i32):
                v2 = iconst.i32 0
                brif v1, block1, block2
            block1:
                trapz v2, user1
                v3 = load.i64 {flags} region0 v0
                return v3
            block2:
                v4 = load.i64 {flags} region0 v0
                return v4
            }}"
        );
        let module = filetests::module(&text).expect("CLIF");
        let seeds = 0..40;
        let verdicts = seeds.map(|seed| {
            let inputs = filetests::inputs(&module, seed, 4);
            match compare(&module, &inputs, &*host_isa(), &Setting::plain()) {
                Verdict::Equal { discarded, .. } => {
                    discarded.iter().any(|why| why.contains("BrokenPromise"))
                }
                Verdict::Wrong(failure) => panic!("{flags}: {failure:?}"),
            }
        });
        verdicts.collect()
    }

    #[test]
    fn an_input_without_what_a_load_that_can_move_looks_at_is_none() {
        assert!(verdicts("notrap aligned can_move").contains(&true));
        assert!(!verdicts("notrap aligned").contains(&true));
    }

    #[test]
    fn a_promise_is_broken_where_the_rest_is_as_before() {
        let trace = |events: &[Event], end| Trace {
            events: events.to_vec(),
            end,
        };
        let promise = || End::BrokenPromise(String::new());
        let events = [Event::AsynchronousLoad {
            address: 0,
            bytes: 8,
        }];
        let before = trace(&events, End::Cut);
        assert!(trace(&[], promise()).breaks_promise_of(&before));
        assert!(trace(&events, promise()).breaks_promise_of(&before));
        let other = trace(&[], End::Cut);
        assert!(!trace(&events, promise()).breaks_promise_of(&other));
        assert!(!trace(&[], End::Undefined(String::new())).breaks_promise_of(&before));
    }
}
