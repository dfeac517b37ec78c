//! `models` lists what each network with a name costs.

use crate::{expect, parse};

#[test]
fn each_named_network_and_a_given_one_are_listed_with_their_costs() {
    let arguments = ["models", "--size", "64x32", "--classes", "3", "--frames", "2", "--json"];
    let (out, _) = expect(0, &[&arguments[..], &["--base", "4", "--depth", "1"]].concat());
    let costs = parse(&out);
    let models = costs["models"].as_array().unwrap();
    let names: Vec<Option<&str>> = models.iter().map(|model| model["model"].as_str()).collect();
    assert_eq!(names, [Some("nano"), Some("small"), Some("base"), Some("large"), None]);
    // Encoder 3-4-4, bottleneck 4-8-8, up 8-4, decoder 8-4-4, all 3x3, and the head 4-3.
    let (full, half) = (9 * (12 + 16 + 32 + 32 + 16) + 12, 9 * (32 + 64));
    assert_eq!(models[4]["multiply_accumulates"].as_u64(), Some(64 * 32 * full + 32 * 16 * half));
    assert!(models.iter().all(|model| model["memory_bytes"].as_u64() > Some(0) && model["frame"]["frames"] == 2));
    assert_eq!((&models[1]["config"]["blocks"], &models[4]["config"]["base"]), (&"separable".into(), &4.into()));
    let (_, err) = expect(2, &["models", "--size", "65x32"]);
    assert!(err.contains("--size: expected width and height to be multiples of "), "{err}");
}
