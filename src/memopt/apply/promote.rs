//! A field becomes a value.

use super::Editor;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::immediates::{Ieee16, Ieee32, Ieee64};
use crate::ir::{Function, InstBuilder, Type, Value, types};
use crate::memopt::edit::{Constant, Content, FieldStep, Promoted, Promotion};
use crate::memopt::inst::{coercion, insertion};
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What contents are called while the edit is made.
pub(super) struct Names {
    /// Constants, in front of all other instructions.
    constants: Vec<(Content, Value)>,
    params: Vec<Value>,
    /// By the position of the access.
    stored: Vec<Option<Value>>,
}

impl Names {
    /// The value of a content that comes before it is asked for.
    pub(super) fn of(&self, content: Content) -> Option<Value> {
        match content {
            Content::Unwritten | Content::Constant(_) => {
                let mut constants = self.constants.iter();
                let found = constants.find(|(it, _)| *it == content);
                found.map(|(_, value)| *value)
            }
            Content::Param(param) => self.params.get(param as usize).copied(),
            Content::Store(access) => self.stored.get(access as usize).copied().flatten(),
        }
    }
}

impl Editor<'_> {
    /// Makes a value of a field; `false` if a conversion cannot be written down.
    pub(super) fn promote(&mut self, promotion: &Promotion) -> bool {
        self.promoted(promotion).is_some()
    }

    /// The same, and what its contents are called; `None` if a conversion cannot be written down.
    pub(super) fn promoted(&mut self, promotion: &Promotion) -> Option<Names> {
        // A `bitcast` carries flags, of which there can be too many.
        if promotion.converts() && !coercion::has_flags(&mut self.ctx.func) {
            self.stats.limits_hit += 1;
            return None;
        }
        let ty = promotion.ty;
        let constants = self.constants(promotion);
        let blocks = promotion.params.iter();
        let params = blocks.map(|block| self.ctx.func.dfg.append_block_param(*block, ty));
        let mut names = Names {
            constants,
            params: params.collect(),
            stored: vec![None; promotion.accesses.len()],
        };
        for (at, access) in promotion.accesses.iter().enumerate() {
            names.stored[at] = self.step(access, ty, &names);
        }
        self.pass_contents(promotion, &names);
        Some(names)
    }

    /// Makes each constant that is asked for, once. There are few.
    fn constants(&mut self, promotion: &Promotion) -> Vec<(Content, Value)> {
        let mut constants: Vec<(Content, Value)> = Vec::new();
        for content in promotion.asked() {
            let bits = match content {
                Content::Unwritten => 0,
                Content::Constant(Constant(bits)) => bits,
                Content::Param(_) | Content::Store(_) => continue,
            };
            if constants.iter().any(|(it, _)| *it == content) {
                continue;
            }
            if let Some(value) = constant_at_entry(&mut self.ctx.func, promotion.ty, bits) {
                constants.push((content, value));
            }
        }
        constants
    }

    /// Replaces one access; what it has stored.
    fn step(&mut self, access: &Promoted, ty: Type, names: &Names) -> Option<Value> {
        let before = || names.of(access.before);
        match &access.step {
            FieldStep::Load(recipe) => {
                let value = before()?;
                let value = coercion::build(&mut self.cursor_at(access.inst), recipe, value);
                self.alias_and_remove(access.inst, value);
                None
            }
            FieldStep::Store(value, recipe) => {
                let value = self.ctx.func.dfg.resolve_aliases(*value);
                let value = coercion::build(&mut self.cursor_at(access.inst), recipe, value);
                self.ctx.func.layout.remove_inst(access.inst);
                Some(value)
            }
            FieldStep::StorePart {
                value,
                recipe,
                part,
                shift,
            } => {
                let whole = self.ctx.func.dfg.resolve_aliases(before()?);
                let value = self.ctx.func.dfg.resolve_aliases(*value);
                let mut cursor = self.cursor_at(access.inst);
                let value = coercion::build(&mut cursor, recipe, value);
                let value = insertion::insert(&mut cursor, (whole, ty), (value, *part), *shift);
                self.ctx.func.layout.remove_inst(access.inst);
                Some(value)
            }
        }
    }

    /// Gives each edge into a block with a new parameter its argument.
    ///
    /// Cost: O(destinations · log arguments) for each branch that has any.
    fn pass_contents(&mut self, promotion: &Promotion, names: &Names) {
        for of_pred in promotion.args.chunk_by(|a, b| a.0 == b.0) {
            let func = &mut self.ctx.func.stencil;
            let dfg = &mut func.dfg;
            let Some(branch) = func.layout.last_inst(of_pred[0].0) else {
                continue;
            };
            let values = of_pred.iter().map(|(_, _, content)| {
                let value = names.of(*content)?;
                Some(dfg.resolve_aliases(value))
            });
            let values: SmallVec<[Option<Value>; 8]> = values.collect();
            let calls = dfg.insts[branch]
                .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
            for call in calls {
                let block = call.block(&dfg.value_lists);
                let at = of_pred.binary_search_by_key(&block, |(_, join, _)| *join);
                if let Ok(at) = at
                    && let Some(value) = values[at]
                {
                    call.append_argument(value, &mut dfg.value_lists);
                }
            }
        }
    }
}

/// A constant of type `ty`, in front of all other instructions. Of types of more than 64 bits, and
/// of vectors, there is zero alone.
fn constant_at_entry(func: &mut Function, ty: Type, bits: u64) -> Option<Value> {
    let entry = func.layout.entry_block()?;
    let constant = (ty.is_vector() || ty == types::F128).then(|| {
        func.dfg
            .constants
            .insert(vec![0; ty.bytes() as usize].into())
    });
    let mut cursor = FuncCursor::new(func).at_first_insertion_point(entry);
    Some(match (ty, constant) {
        (types::F128, Some(constant)) => cursor.ins().f128const(constant),
        (_, Some(constant)) => cursor.ins().vconst(ty, constant),
        (types::F16, None) => cursor.ins().f16const(Ieee16::with_bits(bits as u16)),
        (types::F32, None) => cursor.ins().f32const(Ieee32::with_bits(bits as u32)),
        (types::F64, None) => cursor.ins().f64const(Ieee64::with_bits(bits)),
        (types::I128, None) => {
            let half = cursor.ins().iconst(types::I64, 0);
            cursor.ins().uextend(types::I128, half)
        }
        (_, None) => cursor.ins().iconst(ty, bits as i64),
    })
}
