use unet_shared::preprocess::Placement;

use super::*;
use crate::postprocess::{Postprocess, RegionsSpec};

fn rule(condition: &str, for_frames: u32, release: f64, release_frames: u32) -> Rule {
    let condition = condition.parse().unwrap();
    Rule { name: "crack".to_owned(), class: 1, condition, for_frames, release, release_frames }
}

/// The state after each mask of 10 x 1 pixels, one digit per pixel.
fn run(rule: Rule, masks: &[&str]) -> Vec<bool> {
    let mut rules = Rules::new(vec![rule]);
    let mut postprocess = Postprocess::new(10, 1, &RegionsSpec::default());
    let mut active = false;
    let step = |mask: &&str| {
        let ids: Vec<u8> = mask.bytes().map(|digit| digit - b'0').collect();
        let placement = Placement { x: 0, y: 0, width: 10, height: 1 };
        let (shares, regions) = postprocess.run(&ids, placement).unwrap();
        match rules.step(shares, regions) {
            [] => {}
            [change] => {
                assert_eq!((change.rule, change.active), (0, !active));
                active = change.active;
            }
            more => panic!("{more:?}"),
        }
        assert_eq!(rules.states()[0].active, active);
        active
    };
    masks.iter().map(step).collect()
}

/// Masks of 10 pixels with runs of class 1 of the given lengths.
fn areas(pixels: &[usize]) -> Vec<&'static str> {
    pixels.iter().map(|&count| &"11111111110000000000"[10 - count..20 - count]).collect()
}

#[test]
fn frames_must_be_consecutive() {
    let rule = rule("area_percent > 20", 3, 20.0, 1);
    let found = run(rule, &areas(&[3, 3, 2, 3, 3, 3, 2, 3]));
    assert_eq!(found, [false, false, false, false, false, true, false, false]);
}

#[test]
fn deactivation_has_its_own_threshold_and_count() {
    // On above 40 % at once; off after two frames at 20 % or less.
    let rule = rule("area_percent > 40", 1, 20.0, 2);
    let found = run(rule, &areas(&[4, 5, 3, 2, 3, 2, 2, 4, 5]));
    assert_eq!(found, [false, true, true, true, true, true, false, false, true]);
}

#[test]
fn conditions_may_be_upper_bounds() {
    let rule = rule("area_percent < 30", 1, 50.0, 1);
    assert_eq!(run(rule, &areas(&[3, 2, 4, 5, 4])), [false, true, true, false, false]);
}

#[test]
fn regions_are_counted_and_measured() {
    let masks = ["1010100000", "1110000000", "1100100000", "1111011000"];
    assert_eq!(run(rule("regions >= 2", 1, 2.0, 1), &masks), [true, false, true, true]);
    assert_eq!(run(rule("largest_area > 2", 1, 2.0, 1), &masks), [false, true, false, true]);
    assert_eq!(run(rule("largest_area <= 2", 1, 2.0, 1), &masks), [true, false, true, false]);
}

#[test]
fn a_reset_returns_the_active_rules() {
    let mut rules = Rules::new(vec![rule("area_percent > 20", 1, 20.0, 1), rule("area_percent > 90", 1, 90.0, 1)]);
    let mut postprocess = Postprocess::new(2, 1, &RegionsSpec::default());
    let (shares, regions) = postprocess.run(&[1, 0], Placement { x: 0, y: 0, width: 2, height: 1 }).unwrap();
    assert_eq!(rules.step(shares, regions), [Change { rule: 0, active: true, value: 50.0 }]);
    assert_eq!(rules.reset(), [Change { rule: 0, active: false, value: 50.0 }]);
    assert_eq!(rules.reset(), []);
}

#[test]
fn conditions_that_never_or_always_hold_are_known() {
    let constant = |text: &str| {
        let condition: Condition = text.parse().unwrap();
        condition.is_constant(condition.measure.max(64))
    };
    for (text, expected) in [
        ("area_percent > 150", Some(false)),
        ("area_percent > 100", Some(false)),
        ("area_percent >= 100", None),
        ("area_percent < 0", Some(false)),
        ("area_percent <= 0", None),
        ("area_percent >= 0", Some(true)),
        ("area_percent > -0.1", Some(true)),
        ("area_percent <= 100", Some(true)),
        ("area_percent < 100", None),
        ("regions < 1", None),
        ("largest_area > 63", None),
        ("largest_area > 64", Some(false)),
        ("regions < 65", Some(true)),
    ] {
        assert_eq!(constant(text), expected, "{text}");
    }
}

#[test]
fn conditions_are_parsed_and_displayed() {
    let condition: Condition = " area_percent>=0.5 ".parse().unwrap();
    let expected = Condition { measure: Measure::AreaPercent, comparison: Comparison::AtLeast, threshold: 0.5 };
    assert_eq!((condition, condition.to_string()), (expected, "area_percent >= 0.5".to_owned()));
    let error = |text: &str| text.parse::<Condition>().unwrap_err().to_string();
    assert_eq!(error("area > 1"), "expected area_percent, regions or largest_area, found \"area\"");
    assert_eq!(error("regions > many"), "expected a number after the comparison, found \"many\"");
    assert_eq!(error("regions < inf"), "expected a number after the comparison, found \"inf\"");
    assert_eq!(error("regions = 1"), "expected >, >=, < or <=, found \"= 1\"");
    assert_eq!(error("regions => 1"), "expected >, >=, < or <=, found \"=> 1\"");
    assert!(error("regions 1").starts_with("expected a measure, then >, >=, < or <=, and a number"));
}

#[test]
fn replaced_rules_keep_their_state_at_their_place() {
    let rule = |name: &str, class| Rule {
        name: name.to_owned(),
        class,
        condition: "area_percent >= 0".parse().unwrap(),
        for_frames: 1,
        release: 0.0,
        release_frames: 1,
    };
    let mut rules = Rules::new(vec![rule("a", 0), rule("b", 0), rule("c", 0)]);
    let mut postprocess = Postprocess::new(2, 2, &RegionsSpec::default());
    let placement = Placement { x: 0, y: 0, width: 2, height: 2 };
    let (shares, regions) = postprocess.run(&[0; 4], placement).unwrap();
    assert_eq!(rules.step(shares, regions).len(), 3);
    let strict = Rule { condition: "area_percent >= 50".parse().unwrap(), ..rule("a", 0) };
    let changes = rules.replace(vec![strict, rule("b", 1), rule("d", 0), rule("e", 0)]);
    let inactive = |rule| Change { rule, active: false, value: 100.0 };
    assert_eq!(changes, [inactive(1), inactive(2)]);
    assert_eq!(rules.states().iter().map(|state| state.active).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(rules.replace(Vec::new()), [inactive(0)]);
}
