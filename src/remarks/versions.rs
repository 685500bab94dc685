//! Memory versions in words.

use super::walkers::{Found, Next, Versions};
use super::{Version, words};
use crate::ir::{Block, Inst};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the walkers of the passes say about an access.
pub fn version(versions: Versions) -> Version {
    let Versions { inst, found, next } = versions;
    let mut insts = Vec::new();
    let found = self::found(&found, &mut insts);
    let text = match next {
        None => format!("finds {found}"),
        Some(next) => format!("over {found}; {}", self::next(&next, &mut insts)),
    };
    insts.sort_unstable();
    insts.dedup();
    Version { inst, text, insts }
}

fn found(found: &Found, insts: &mut Vec<Inst>) -> String {
    match found {
        Found::Entry => "what the function began with".to_string(),
        Found::Store(inst) => {
            insts.push(*inst);
            inst.to_string()
        }
        Found::Clobber(inst) => {
            insts.push(*inst);
            format!("what {inst} may have left")
        }
        Found::Join(block, inputs) if inputs.is_empty() => format!("what meets at {block}"),
        Found::Join(block, inputs) => {
            let inputs = inputs
                .iter()
                .map(|(pred, found)| input(*pred, found, insts));
            let inputs: Vec<_> = inputs.collect();
            format!("what meets at {block}: {}", inputs.join(", "))
        }
        Found::Unknown => "what is not known".to_string(),
    }
}

/// What comes into a join from one predecessor.
fn input(pred: Block, found: &Option<Found>, insts: &mut Vec<Inst>) -> String {
    match found {
        Some(found) => format!("from {pred} {}", self::found(found, insts)),
        None => format!("from {pred} the same"),
    }
}

fn next(next: &Next, insts: &mut Vec<Inst>) -> String {
    match next {
        Next::Unobserved(kills) if kills.is_empty() => "nobody sees it".to_string(),
        Next::Unobserved(kills) => {
            insts.extend(kills);
            let verb = if kills.len() == 1 {
                "overwrites"
            } else {
                "overwrite"
            };
            format!("nobody sees it before {} {verb} it", words::list(kills))
        }
        Next::SeenBy(inst) => {
            insts.push(*inst);
            format!("next {inst} may see it")
        }
        Next::Published(inst) => {
            insts.push(*inst);
            format!("nobody sees it before {inst} gives its address away")
        }
        Next::SeenOnSomePath => "next somebody may see it, who depends on the path".to_string(),
        Next::AddressChanges => "what is next depends on the loop round".to_string(),
        Next::Unknown => "what is next is not known".to_string(),
    }
}
