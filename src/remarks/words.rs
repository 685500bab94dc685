//! What things are called.

use super::{Blame, Remark, Subject};
use crate::ir::{Block, Function, Inst, Opcode, SourceLoc};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A remark without its words.
pub fn about(func: &Function, subject: Subject) -> Remark {
    let (text, block, location) = match subject {
        Subject::Inst(inst) => (text(func, inst), block_of(func, inst), func.srcloc(inst)),
        Subject::Slot(slot) => (
            func.sized_stack_slots[slot].to_string(),
            None,
            SourceLoc::default(),
        ),
        Subject::Block(block) => (block.to_string(), Some(block), SourceLoc::default()),
        Subject::Function => (String::new(), None, SourceLoc::default()),
    };
    Remark {
        outcome: super::Outcome::Done,
        pass: "",
        subject,
        block,
        location,
        text,
        what: String::new(),
        reason: String::new(),
        blame: Vec::new(),
        advice: None,
    }
}

/// An instruction that is to blame.
pub fn blame(func: &Function, inst: Inst) -> Blame {
    Blame {
        inst,
        block: block_of(func, inst),
        location: func.srcloc(inst),
        text: text(func, inst),
    }
}

/// The instruction as CLIF.
fn text(func: &Function, inst: Inst) -> String {
    func.dfg.display_inst(inst).to_string()
}

fn block_of(func: &Function, inst: Inst) -> Option<Block> {
    func.layout.inst_block(inst)
}

/// The word for an instruction, by its text: `store`, `load`, `icmp`.
pub fn kind_of(text: &str) -> &str {
    // What follows a semicolon is a comment.
    let code = text.split(';').next().unwrap_or(text);
    let operation = match code.split_once(" = ") {
        Some((_, operation)) => operation,
        None => code,
    };
    let end = operation.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    &operation[..end.unwrap_or(operation.len())]
}

/// An instruction with its number: `the call of %host at inst9`, `the store inst7`.
pub fn inst(func: &Function, inst: Inst) -> String {
    let opcode = func.dfg.insts[inst].opcode();
    match callee(func, inst) {
        Some(callee) => format!("the call of {callee} at {inst}"),
        None if opcode.is_call() => format!("the call at {inst}"),
        None => format!("the {opcode} at {inst}"),
    }
}

/// Who is called directly, by the name that the policy knows.
pub fn callee(func: &Function, inst: Inst) -> Option<String> {
    let info = func.dfg.insts[inst].analyze_call(&func.dfg.value_lists, &func.dfg.exception_tables);
    match info {
        crate::ir::instructions::CallInfo::Direct(callee, _)
        | crate::ir::instructions::CallInfo::DirectWithSig(callee, ..) => {
            let name = &func.dfg.ext_funcs[callee].name;
            Some(name.display(Some(&func.params)).to_string())
        }
        _ => None,
    }
}

/// The memory that an access is to: its region, by the name that it was given.
pub fn memory(func: &Function, inst: Inst) -> String {
    let flags = func.dfg.insts[inst].memflags_data(&func.dfg);
    let region = flags.and_then(|flags| flags.alias_region());
    match region {
        Some(region) => {
            let data = &func.dfg.alias_regions[region];
            match data.description.is_empty() {
                true => format!("{region}"),
                false => format!("{region} (\"{}\")", data.description),
            }
        }
        None if func.dfg.insts[inst].opcode().can_store() => "what it writes".to_string(),
        None => "what it reads".to_string(),
    }
}

/// The user id of the region of an access, by which policies know it.
pub fn region(func: &Function, access: Option<Inst>) -> Option<u32> {
    let flags = func.dfg.insts[access?].memflags_data(&func.dfg)?;
    let region = flags.alias_region()?;
    Some(func.dfg.alias_regions[region].user_id)
}

/// Has the access no region, so that it may be to any memory?
pub fn is_untagged(func: &Function, inst: Inst) -> bool {
    let data = &func.dfg.insts[inst];
    let flags = data.memflags_data(&func.dfg);
    !data.opcode().is_call() && flags.is_some_and(|flags| flags.alias_region().is_none())
}

/// Is it a return, a tail call or a trap that ends the function?
pub fn ends(opcode: Opcode) -> bool {
    opcode.is_return() || (opcode.is_terminator() && !opcode.is_branch())
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
