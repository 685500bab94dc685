//! The wing's part of a run: its edits, and the clean-up behind them.

use super::Run;
use crate::CodegenResult;
use crate::Context;
use crate::memopt::edit::{Edit, Touched};
use crate::memopt::paths::{empty_blocks, unused_params};
use crate::memopt::search::Stage;

impl Run<'_> {
    /// Makes the edits of a stage of the wing, and removes what they have left behind.
    pub(super) fn make_on_paths(&mut self, stage: Stage, edits: &[Edit]) -> CodegenResult<Touched> {
        let mut touched = self.editor.apply(edits)?;
        if stage == Stage::Sinking && touched.any {
            touched = touched.and(self.follow_sunk_stores()?);
        }
        self.clean_up(touched)
    }

    /// Removes what a pass of the wing has left behind.
    fn clean_up(&mut self, mut touched: Touched) -> CodegenResult<Touched> {
        if touched.any {
            touched = touched.and(self.unused_values()?);
            let bypassed = self.bypass_empty_blocks()?;
            if bypassed.any {
                touched = touched.and(bypassed).and(self.unused_values()?);
            }
        }
        Ok(touched)
    }

    /// Removes what nobody uses, parameters included.
    fn unused_values(&mut self) -> CodegenResult<Touched> {
        let (mut touched, mut uses) = self.unused_code()?;
        // Mostly the first search finds all. Another finds those that used each other
        // through code that is gone.
        while self.editor.has_room() {
            let func = &self.editor.context().func;
            let loads = self.options.unused_loads;
            let edits = unused_params::edits(func, self.policy, loads, &mut uses);
            if edits.is_empty() {
                break;
            }
            touched = touched.and(self.editor.apply(&edits)?);
        }
        Ok(touched)
    }

    fn bypass_empty_blocks(&mut self) -> CodegenResult<Touched> {
        let Context {
            func, cfg, domtree, ..
        } = self.editor.context();
        let edits = empty_blocks::edits(func, cfg, domtree);
        self.editor.apply(&edits)
    }

    /// Lets what feeds stores that have moved follow them.
    fn follow_sunk_stores(&mut self) -> CodegenResult<Touched> {
        self.has_sunk = true;
        match self.search(Stage::SinkingValues, true) {
            Some((_, edits)) => self.editor.apply(&edits),
            None => Ok(Touched::default()),
        }
    }
}
