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
        loop {
            let edits = unused_params::edits(&self.editor.context().func, &uses);
            let removed = self.editor.apply(&edits)?;
            if !removed.any {
                return Ok(touched);
            }
            let more;
            (more, uses) = self.unused_code()?;
            touched = touched.and(removed).and(more);
        }
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
