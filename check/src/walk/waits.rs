//! Neither function may loop while the other one waits.

use super::product::{Edge, Step};
use super::walker::Walk;
use crate::side::Side;
use crate::verdict::Reason;
use std::collections::BTreeSet;

impl Walk<'_> {
    /// Does a run of one function never go on while the other one does?
    pub(super) fn nobody_waits_for_ever(&mut self) -> Step<()> {
        for side in Side::BOTH {
            let edges = std::mem::take(&mut self.waits[side as usize]);
            if let Some(node) = cycle(self.nodes.len(), &edges) {
                self.spot = self.nodes[node as usize].stops.map(Some);
                return Err(Reason::OneSideLoops(side).into());
            }
        }
        Ok(())
    }
}

/// A node on a cycle of `edges`, if there is one.
fn cycle(nodes: usize, edges: &BTreeSet<Edge>) -> Option<u32> {
    let mut into = vec![0u32; nodes];
    for (_, to) in edges {
        into[*to as usize] += 1;
    }
    let mut work: Vec<u32> = (0..nodes as u32)
        .filter(|node| into[*node as usize] == 0)
        .collect();
    while let Some(node) = work.pop() {
        for (_, to) in edges.range((node, 0)..=(node, u32::MAX)) {
            into[*to as usize] -= 1;
            if into[*to as usize] == 0 {
                work.push(*to);
            }
        }
    }
    (0..nodes as u32).find(|node| into[*node as usize] > 0)
}
