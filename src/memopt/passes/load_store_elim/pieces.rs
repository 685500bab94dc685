//! What is known of bytes from several accesses together, or from a part of a wider load.
//!
//! ```text
//! store 1.i8, v0                     store 1.i8, v0
//! store 2.i8, v0+1                   store 2.i8, v0+1
//! v1 = load.i16 v0           ==>     v1 = 0x201
//! v2 = load.i64x2 v3                 v2 = load.i64x2 v3
//! v4 = load.i64 v3+8         ==>     v4 = extractlane v2, 1
//! store v4, v3+8             ==>
//! ```
//!
//! The bytes are cut where a store has written some of them, and of each piece it is asked where
//! it comes from. Together they are a constant, or consecutive bits of one value, or two halves
//! that are values of their own: of which an extension, a shift and an `or` make an integer, where the load
//! would wait for two stores. To put others together takes more than a load.
//!
//! Soundness: that of [`Clobbers::source_of_part`](crate::memopt::memory::clobber::Clobbers),
//! for each piece. A load that covers the piece has found what the piece is, if both come from
//! one source and it dominates the access: nothing has written the piece since then.
//!
//! Cost: one query for each piece, of which there are at most [`MAX_PIECES`], and one for each
//! of at most [`MAX_WIDE`] loads; only of accesses that share bytes with others without being of
//! the same ones.

use super::Pass;
use crate::ir::{Endianness, Inst, Value};
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::{Change, Reason};
use crate::memopt::inst::bits::{self, Bits};
use crate::memopt::inst::coercion::{Half, Load};
use crate::memopt::inst::isle;
use crate::memopt::inst::location::{Address, Location};
use crate::memopt::memory::clobber::Source;
use crate::memopt::memory::insts::{Access, EventIndex};
use smallvec::SmallVec;

/// Pieces into which the bytes of one access are cut: a word has eight bytes. What is given up
/// is one whose bytes were written twice.
const MAX_PIECES: usize = 8;

/// Bytes of an access that are looked at in pieces: what [`bits::find`] follows.
const MAX_BYTES: u32 = 8;

/// Loads of one root, the latest first, that are asked about each piece. What is given up is a
/// part of an earlier one.
const MAX_WIDE: usize = 4;

/// Some of the bytes of an access.
struct Piece {
    /// How many bytes in front of them.
    at: u32,
    /// How many.
    len: u32,
    /// What they are, in the order of the access.
    bits: Bits,
    /// The access that says so.
    by: EventIndex,
}

/// What asks.
#[derive(Clone, Copy)]
struct Asking<'m> {
    event: EventIndex,
    node: Node,
    access: &'m Access,
    bytes: u32,
    /// May `readonly` loads answer?
    readonly: bool,
}

impl Asking<'_> {
    fn order(&self) -> Endianness {
        self.access.endianness
    }
}

/// What all pieces are together, and the accesses that say so.
struct Known {
    bits: Bits,
    by: SmallVec<[Inst; 2]>,
}

impl<'p> Pass<'_, 'p, '_, '_> {
    /// Remembers a load of which later ones may be a part.
    pub(super) fn note_wide(&mut self, event: EventIndex, access: &Access) {
        if self.clobbers.is_parted(event) && access.location.bytes.is_some_and(|it| it > 1) {
            let root = access.location.address.root;
            self.wide.entry(root).or_default().push(event);
        }
    }

    /// Replaces the load by what its bytes are known to be in pieces; `false` if they are not.
    pub(super) fn load_of_pieces(&mut self, node: Node, event: EventIndex) -> bool {
        let Some(load) = self.asking(node, event, true) else {
            return false;
        };
        let known = match load.bytes <= MAX_BYTES {
            true => self.known(load),
            false => None,
        };
        let (Some(how), Some(known)) = (load.access.load, known) else {
            return self.load_of_halves(load);
        };
        let Known { bits, by } = known;
        let reason = Reason::KnownInParts(by);
        let inst = self.inst(event);
        match bits {
            Bits::Constant(bits) => {
                let Some(bits) = extended(bits, how) else {
                    return false;
                };
                let change = Change::ReplaceLoadByConstant(inst, bits);
                self.edits.push(change.because(reason));
            }
            Bits::Of(value, low) => {
                let memory = self.facts.memory;
                let from = self.facts.type_of(value);
                // The bits are those of the value, whatever the order of the bytes was.
                let order = Endianness::Little;
                let dfg = &memory.func.dfg;
                let Some(recipe) = isle::coerce(dfg, memory.policy, from, order, low, &how) else {
                    return false;
                };
                self.replace(inst, value, recipe, reason);
            }
        }
        true
    }

    /// Replaces the load of an integer by its halves, if each is known and one is no constant, and
    /// that is no dearer: it takes one instruction, or the halves are stored in the same block, so that the
    /// load has to wait until both stores have reached the cache.
    fn load_of_halves(&mut self, load: Asking<'p>) -> bool {
        let bytes = load.bytes / 2;
        let Some(Load::Plain { ty }) = load.access.load else {
            return false;
        };
        if !ty.is_int() || bytes == 0 {
            return false;
        }
        let mut by = SmallVec::new();
        let mut waits = true;
        let found = [0, bytes].map(|at| self.half(load, at, bytes, &mut by, &mut waits));
        let [Some(first), Some(second)] = found else {
            return false;
        };
        let halves = match load.order() {
            Endianness::Little => [first, second],
            Endianness::Big => [second, first],
        };
        let is_constant = |half: &Half| matches!(half, Half::Constant(_));
        let is_cheap = load.bytes > MAX_BYTES || halves[1] == Half::Constant(0);
        if halves.iter().all(is_constant) || !(is_cheap || waits) {
            return false;
        }
        let change = Change::ReplaceLoadByHalves(self.inst(load.event), halves);
        self.edits.push(change.because(Reason::KnownInParts(by)));
        true
    }

    /// What the `bytes` bytes at `at` are: what one access has stored or loaded, or a constant. `waits`
    /// stays if stores of the same block say so.
    fn half(
        &mut self,
        load: Asking<'p>,
        at: u32,
        bytes: u32,
        by: &mut SmallVec<[Inst; 2]>,
        waits: &mut bool,
    ) -> Option<Half> {
        let mut pieces = SmallVec::new();
        self.collect(load, at, bytes, &mut pieces)?;
        let memory = self.facts.memory;
        *waits &= pieces.iter().all(|piece| {
            let is_store = memory
                .access(piece.by)
                .is_some_and(|it| it.stored.is_some());
            is_store && memory.node(piece.by) == load.node
        });
        by.extend(pieces.iter().map(|piece| self.inst(piece.by)));
        let half = Asking { bytes, ..load };
        let [piece] = &pieces[..] else {
            let parts = pieces.iter().map(|it| Piece {
                at: it.at - at,
                ..*it
            });
            let parts: SmallVec<[Piece; 4]> = parts.collect();
            return match together(half, &parts)? {
                Bits::Constant(bits) => Some(Half::Constant(bits)),
                Bits::Of(..) => None,
            };
        };
        if let Bits::Constant(bits) = piece.bits {
            return Some(Half::Constant(bits));
        }
        let access = self.facts.memory.access(piece.by)?;
        let value = match access.stored {
            Some(stored) => stored,
            None => self.facts.memory.func.dfg.first_result(self.inst(piece.by)),
        };
        let ty = self.facts.type_of(value);
        let is_whole = ty.is_int() && ty.bytes() == bytes && access.location.bytes == Some(bytes);
        is_whole.then(|| Half::Value(self.facts.canonical(value)))
    }

    /// Why memory holds what the store `event` writes, if its bytes are known in pieces.
    pub(super) fn is_there_in_pieces(&mut self, node: Node, event: EventIndex) -> Option<Reason> {
        let store = self.asking(node, event, false)?;
        if store.access.trap.is_some() || store.bytes > MAX_BYTES {
            return None;
        }
        let width = 8 * store.access.location.bytes?;
        let wanted = self.bits(store.access.stored?, 0, width);
        let Known { bits, by } = self.known(store)?;
        (bits == wanted).then_some(Reason::KnownInParts(by))
    }

    /// Something to ask about, if pieces could answer.
    fn asking(&self, node: Node, event: EventIndex, readonly: bool) -> Option<Asking<'p>> {
        let access = self.facts.memory.access(event)?;
        let bytes = access.location.bytes?;
        let asks = bytes <= 2 * MAX_BYTES && self.clobbers.is_parted(event);
        asks.then_some(Asking {
            event,
            node,
            access,
            bytes,
            readonly,
        })
    }

    /// What the bytes of an access are just before it.
    fn known(&mut self, asking: Asking<'p>) -> Option<Known> {
        let mut pieces = SmallVec::new();
        self.collect(asking, 0, asking.bytes, &mut pieces)?;
        let bits = together(asking, &pieces)?;
        if let Bits::Of(value, low) = bits {
            let width = self.facts.type_of(value).bits();
            (low + 8 * asking.bytes <= width).then_some(())?;
        }
        let mut by: SmallVec<[Inst; 2]> = SmallVec::new();
        for piece in &pieces {
            let inst = self.inst(piece.by);
            if !by.contains(&inst) {
                by.push(inst);
            }
        }
        Some(Known { bits, by })
    }

    /// Adds what the `len` bytes `at` bytes into the access are.
    fn collect(
        &mut self,
        asking: Asking<'p>,
        at: u32,
        len: u32,
        pieces: &mut SmallVec<[Piece; 4]>,
    ) -> Option<()> {
        if pieces.len() == MAX_PIECES {
            return None;
        }
        let part = part_of(&asking.access.location, at, len)?;
        let source = self.clobbers.source_of_part(asking.event, part);
        let (source, part) = self.before_copies(source, part);
        let answer = match source {
            Source::Unknown(_) => return None,
            Source::Store(store) => self.seen(asking, store, &part),
            Source::Event(event) => match self.filled(event, &part) {
                Some(bits) => Some((Bits::Constant(bits), event)),
                None => self.loaded(asking, source, &part),
            },
            Source::Entry | Source::Join(_) => self.loaded(asking, source, &part),
        };
        if let Some((bits, by)) = answer {
            pieces.push(Piece { at, len, bits, by });
            return Some(());
        }
        let Source::Event(event) = source else {
            return None;
        };
        let (start, end) = self.cut(event, &part, len)?;
        for (from, to) in [(0, start), (start, end), (end, len)] {
            if from < to {
                self.collect(asking, at + from, to - from, pieces)?;
            }
        }
        Some(())
    }

    /// Which of the `len` bytes of `part` the store `event` writes, if it writes some of them and
    /// not all.
    fn cut(&self, event: EventIndex, part: &Location, len: u32) -> Option<(u32, u32)> {
        let memory = self.facts.memory;
        let location = match memory.transfer(event) {
            Some(transfer) => transfer.writes.as_ref()?,
            None => {
                let store = memory.access(event).filter(|it| it.stored.is_some())?;
                &store.location
            }
        };
        let bytes = i64::from(location.bytes?);
        if location.address.root != part.address.root {
            return None;
        }
        let start = part.distance(location, memory.pointer_bits)?;
        let clamp = |at: i64| at.clamp(0, len.into()) as u32;
        let (start, end) = (clamp(start), clamp(start.saturating_add(bytes)));
        (start < end && end - start < len).then_some((start, end))
    }

    /// What a load before has found in `part`, if it came from `source` then as it does now.
    fn loaded(
        &mut self,
        asking: Asking<'p>,
        source: Source,
        part: &Location,
    ) -> Option<(Bits, EventIndex)> {
        let memory = self.facts.memory;
        let loads = self.wide.get(&part.address.root)?;
        let loads: SmallVec<[EventIndex; MAX_WIDE]> =
            loads.iter().rev().copied().take(MAX_WIDE).collect();
        loads.into_iter().find_map(|event| {
            let load = memory.access(event)?;
            let node = memory.node(event);
            let usable = load.load.is_some()
                && (asking.readonly || !load.readonly)
                && self.facts.dominance.dominates(node, asking.node);
            if !usable {
                return None;
            }
            let seen = self.seen(asking, event, part)?;
            (self.clobbers.source_of_part(event, *part) == source).then_some(seen)
        })
    }

    /// What `part` is of the value that an access of all of it has stored or loaded.
    fn seen(
        &self,
        asking: Asking<'p>,
        event: EventIndex,
        part: &Location,
    ) -> Option<(Bits, EventIndex)> {
        let memory = self.facts.memory;
        let access = memory.access(event)?;
        let value = match access.stored {
            Some(stored) => stored,
            None => memory.func.dfg.first_result(self.inst(event)),
        };
        let (bytes, len) = (access.location.bytes?, part.bytes?);
        let at = access.location.distance(part, memory.pointer_bits)?;
        let at = u32::try_from(at).ok().filter(|at| at + len <= bytes)?;
        let one_order = bytes == 1 || asking.bytes == 1 || access.endianness == asking.order();
        let is_big = bytes > 1 && access.endianness == Endianness::Big;
        let big_lanes = is_big && self.facts.type_of(value).is_vector();
        if !one_order || big_lanes {
            return None;
        }
        let low = if is_big { bytes - at - len } else { at };
        Some((self.bits(value, 8 * low, 8 * len), event))
    }

    /// Where some bits of a value come from, by the one name of what they are of.
    fn bits(&self, value: Value, low: u32, width: u32) -> Bits {
        let value = self.facts.canonical(value);
        match bits::find(&self.facts.memory.func.dfg, value, low, width) {
            Bits::Of(value, low) => Bits::Of(self.facts.canonical(value), low),
            Bits::Constant(bits) => Bits::Constant(bits),
        }
    }
}

/// What pieces are together: a constant, or consecutive bits of one value.
fn together(asking: Asking<'_>, pieces: &[Piece]) -> Option<Bits> {
    let position = |piece: &Piece| match asking.order() {
        Endianness::Little => 8 * piece.at,
        Endianness::Big => 8 * (asking.bytes - piece.at - piece.len),
    };
    let mut all: Option<Bits> = None;
    for piece in pieces {
        let at = position(piece);
        all = Some(match (all, piece.bits) {
            (None, Bits::Constant(bits)) => Bits::Constant(bits << at),
            (Some(Bits::Constant(others)), Bits::Constant(bits)) => {
                Bits::Constant(others | bits << at)
            }
            (known, Bits::Of(value, low)) => {
                let here = Bits::Of(value, low.checked_sub(at)?);
                known.is_none_or(|known| known == here).then_some(here)?
            }
            (Some(Bits::Of(..)), Bits::Constant(_)) => return None,
        });
    }
    all
}

/// The `len` bytes `at` bytes into a location.
fn part_of(location: &Location, at: u32, len: u32) -> Option<Location> {
    let offset = location.address.offset?.checked_add(at.into())?;
    let address = Address {
        offset: Some(offset),
        ..location.address
    };
    Some(Location {
        address,
        bytes: Some(len),
    })
}

/// The bits of what a load gives that finds these in memory, if that is a scalar.
fn extended(bits: u64, load: Load) -> Option<u64> {
    match load {
        Load::Plain { ty } => (!ty.is_vector()).then_some(bits),
        Load::Zero { .. } => Some(bits),
        Load::Sign { narrow, wide } => {
            let unused = 64 - narrow.bits();
            let signed = ((bits << unused) as i64) >> unused;
            Some(signed as u64 & (u64::MAX >> (64 - wide.bits())))
        }
    }
}
