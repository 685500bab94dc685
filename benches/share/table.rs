//! Figures for people.

use crate::profile::Profile;
use serde_json::Value;
use std::fmt::Write;

/// Above the lines.
pub const HEADER: &str = "\
functions  stock: mid-end + back end      gated: net  allocations     full: net  code bytes  stores      look  \
(instructions retired)";

/// Above the lines of [`counts`].
pub const COUNTS_HEADER: &str = "\
functions  stock: code       full   frames       full   loads       full  stores       full";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// Mid-end, passes and back end of one side.
fn whole(side: &Value) -> f64 {
    number(&side["optimize"]) + number(&side["back_end"])
}

/// By how many percent `new` is more than `old`.
fn more(new: f64, old: f64) -> f64 {
    100.0 * (new / old.max(1.0) - 1.0)
}

/// One input.
pub fn line(figures: &Value) -> String {
    let (stock, gated, full) = (&figures["stock"], &figures["gated"], &figures["full"]);
    let side = |side: &Value, what: &str| more(number(&side[what]), number(&stock[what]));
    format!(
        "{:>9} {:>11.1} M + {:>9.1} M {:>+13.2} % {:>+11} {:>+11.2} % {:>+9.2} % {:>+6.2} % {:>6.2} %  {}",
        figures["functions"],
        number(&stock["optimize"]) / 1e6,
        number(&stock["back_end"]) / 1e6,
        more(whole(gated), whole(stock)),
        number(&gated["allocations"]) - number(&stock["allocations"]),
        more(whole(full), whole(stock)),
        side(full, "code_bytes"),
        side(full, "stores"),
        100.0 * number(&figures["look"]) / whole(stock).max(1.0),
        figures["input"].as_str().unwrap_or_default(),
    )
}

/// What becomes of one input: what stock makes, and by how much that is more with the passes.
pub fn counts(input: &str, counts: &Value) -> String {
    let pair = |what: &str| {
        let (stock, full) = (
            number(&counts["stock"][what]),
            number(&counts["full"][what]),
        );
        format!("{stock:>9} {:>+8.2} %", more(full, stock))
    };
    format!(
        "{:>9} {:>4}{}{}{}{}  {input}",
        counts["functions"],
        "",
        pair("code_bytes"),
        pair("frame_bytes"),
        pair("loads"),
        pair("stores"),
    )
}

/// What the functions of the passes cost, and those of upstream that they call.
pub fn stages(profile: &Profile, figures: &Value) -> String {
    let stock = whole(&figures["stock"]).max(1.0);
    let mut text = String::new();
    let mut functions = profile.functions("cranelift_memopt::");
    functions.extend(profile.functions("alias_analysis"));
    for (name, cost) in functions.into_iter().take(60) {
        let share = 100.0 * cost as f64 / stock;
        let _ = writeln!(text, "{share:>8.2} %  {name}");
    }
    text
}
