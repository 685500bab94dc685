//! What accesses say about themselves: `readonly`, `can_move`, `aligned`.
//!
//! These are promises of whoever made the original. The proof rests on them, for the
//! result as well, so that a result that promised more than the original could justify
//! its own next change.

use super::opcodes::access;
use super::verdict::Reason;
use cranelift_codegen::FxHashMap;
use cranelift_codegen::ir::{AliasRegion, Function, Inst, MemFlagsData};

/// `readonly`, `can_move` and `aligned`.
type Claims = [bool; 3];

/// What an access is to those that may be copies of it: does it store, its region, its
/// offset.
type Key = (bool, Option<AliasRegion>, i32);

/// Does every access of the result promise only what an access of the original promises:
/// the one of its number, or one of the same kind, region and offset? That a store may move the
/// proof makes no use of.
///
/// Cost: O(instructions).
pub fn compare(original: &Function, result: &Function) -> Result<(), Reason> {
    let mut known: FxHashMap<Key, Vec<Claims>> = FxHashMap::default();
    for (_, key, claims) in accesses(original) {
        let all = known.entry(key).or_default();
        if !all.contains(&claims) {
            all.push(claims);
        }
    }
    let is_justified = |(inst, key, claims): (Inst, Key, Claims)| {
        let is_weaker = |other: Claims| claims.iter().zip(other).all(|(mine, his)| !mine || his);
        let is_old = (inst.as_u32() as usize) < original.dfg.num_insts();
        let same = is_old.then(|| said(original, inst));
        let same = same.flatten();
        claims == [false; 3]
            || same.is_some_and(|(other, claims)| other == key && is_weaker(claims))
            || known
                .get(&key)
                .is_some_and(|all| all.iter().any(|other| is_weaker(*other)))
    };
    match accesses(result).all(is_justified) {
        true => Ok(()),
        false => Err(Reason::Tables("memory flags")),
    }
}

/// Every load and store in the layout.
fn accesses(func: &Function) -> impl Iterator<Item = (Inst, Key, Claims)> {
    let insts = func.layout.blocks();
    let insts = insts.flat_map(|block| func.layout.block_insts(block));
    insts.filter_map(|inst| {
        let (key, claims) = said(func, inst)?;
        Some((inst, key, claims))
    })
}

fn said(func: &Function, inst: Inst) -> Option<(Key, Claims)> {
    let access = access(func, inst)?;
    let key = (access.writes, access.flags.alias_region(), access.offset);
    let [readonly, can_move, aligned] = of(access.flags);
    Some((key, [readonly, can_move && !access.writes, aligned]))
}

fn of(flags: MemFlagsData) -> Claims {
    [flags.readonly(), flags.can_move(), flags.aligned()]
}
