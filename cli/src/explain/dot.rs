//! Graphs for Graphviz.

use crate::explain::graph::Graph;
use crate::explain::sheet::Sheet;
use std::fmt::Write as _;

/// One digraph, with a cluster for each side of each function.
pub fn graphs(sheets: &[Sheet]) -> String {
    let mut text = "digraph memopt {\n    node [shape=box, fontname=monospace];\n".to_owned();
    for (number, sheet) in sheets.iter().enumerate() {
        for (graph, side) in sheet.graphs.iter().zip(["before", "after"]) {
            cluster(
                &mut text,
                graph,
                &format!("f{number}_{side}"),
                &format!("{}, {side}", sheet.label),
            );
        }
    }
    text.push_str("}\n");
    text
}

fn cluster(text: &mut String, graph: &Graph, id: &str, label: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "    subgraph cluster_{id} {{\n        label={};",
        quoted(label)
    );
    for node in &graph.nodes {
        let mut lines = format!("{}:\\l", escaped(&node.name));
        for inst in &node.insts {
            let (_, inst) = inst.split_once('\t').unwrap_or(("", inst));
            lines += &format!("    {}\\l", escaped(inst));
        }
        let style = if node.cold { ", style=dashed" } else { "" };
        let _ = writeln!(
            text,
            "        {id}_{} [label=\"{lines}\"{style}];",
            node.name
        );
    }
    for edge in &graph.edges {
        let name = |node: usize| format!("{id}_{}", graph.nodes[node].name);
        let back = if edge.back { " [constraint=false]" } else { "" };
        let _ = writeln!(
            text,
            "        {} -> {}{back};",
            name(edge.from),
            name(edge.to)
        );
    }
    text.push_str("    }\n");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}
