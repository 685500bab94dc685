//! A copy becomes loads and stores.

use super::Editor;
use crate::ir::{InstBuilder, MemFlagsData, Value};
use crate::memopt::edit::Expanded;
use smallvec::SmallVec;

impl Editor<'_> {
    /// Makes loads and stores of the call, and its result the destination; `false` if there are
    /// too many flags.
    pub(super) fn expand_copy(&mut self, expanded: &Expanded) -> bool {
        let Expanded { call, words, fill } = expanded;
        let flags = MemFlagsData::new().with_notrap();
        let func = &mut self.ctx.func;
        if func.dfg.mem_flags.insert(flags).is_err() {
            self.stats.limits_hit += 1;
            return false;
        }
        // What another copy has returned is its destination by now.
        let args = func.dfg.inst_args(*call);
        let [to, from] = [args[0], args[1]].map(|arg| func.dfg.resolve_aliases(arg));
        let mut cursor = self.cursor_at(*call);
        let values: SmallVec<[Value; 8]> = words
            .iter()
            .map(|(offset, ty)| match fill {
                Some(byte) => {
                    let bits = u64::from_ne_bytes([*byte; 8]) >> (64 - ty.bits());
                    cursor.ins().iconst(*ty, bits as i64)
                }
                None => cursor.ins().load(*ty, flags, from, *offset),
            })
            .collect();
        for ((offset, _), value) in words.iter().zip(values) {
            cursor.ins().store(flags, value, to, *offset);
        }
        self.remove_copy(*call);
        true
    }
}
