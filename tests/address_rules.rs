//! `may_step` in `src/memopt/inst/isle.rs` says, before the rules of `isle/address.isle` are
//! asked, that none can match. So it has to know every shape that a rule matches.

use std::collections::BTreeSet;

/// What `may_step` lets through: the term, and whether it wants a constant in it.
const KNOWN: &[(&str, bool)] = &[
    ("iadd", true),
    ("isub", true),
    ("shared_load", false),
    ("stack_addr", false),
];

/// The pattern of each rule for `step`, as text.
fn patterns(rules: &str) -> Vec<String> {
    let lines = rules
        .lines()
        .map(|line| line.split(';').next().unwrap_or(""));
    let text: String = lines.collect::<Vec<_>>().join(" ");
    let rules = text.split("(rule ").skip(1);
    let of_step = rules.filter_map(|rule| Some(rule.split_once("(step ")?.1.to_owned()));
    of_step.map(|rest| argument(&rest)).collect()
}

/// The first expression of `text`.
fn argument(text: &str) -> String {
    let mut depth = 0;
    let end = text.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth < 0 || (depth == 0 && matches!(c, ')' | ' '))
    });
    let end = end.map_or(text.len(), |(at, c)| {
        at + usize::from(c == ')' && depth == 0)
    });
    text[..end].trim().to_owned()
}

#[test]
fn no_rule_for_addresses_is_forgotten() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/isle/address.isle");
    let rules = std::fs::read_to_string(path).expect("the rules");
    let patterns = patterns(&rules);
    assert!(patterns.len() > KNOWN.len(), "{patterns:?}");
    let mut met = BTreeSet::new();
    for pattern in patterns.iter().filter(|pattern| *pattern != "_") {
        let term = pattern.trim_start_matches('(').split([' ', ')']).next();
        let known = KNOWN.iter().find(|(name, _)| Some(*name) == term);
        let (name, wants_constant) =
            known.unwrap_or_else(|| panic!("`may_step` does not know `{pattern}`"));
        assert!(
            !wants_constant || pattern.contains("(iconst "),
            "`may_step` asks for a constant in `{pattern}`"
        );
        met.insert(*name);
    }
    assert_eq!(met.len(), KNOWN.len(), "{met:?}");
}

#[test]
fn a_new_rule_is_seen() {
    let rules = "(rule 1 (step (iadd x (iconst k))) (Step.Offset x k)) ; (step (no))\n\
                 (rule 0 (step _) (Step.Root))(rule 2 (step (imul x y)) (Step.Root))";
    assert_eq!(patterns(rules), ["(iadd x (iconst k))", "_", "(imul x y)"]);
}
