use super::*;

#[test]
fn writes_a_mask_and_an_overlay_for_each_image() {
    let fixture = Fixture::new();
    fixture.write_image("source/a.png");
    fixture.write_image("source/b.png");
    let output = fixture.path("output");
    let result = unet_edge(
        &["run", "@", "--source", "@", "--output", "@"],
        &[&fixture.package(), &fixture.path("source"), &output],
    );
    check_exit(&result, 0);
    assert_eq!(stdout(&result), "");
    assert!(stderr(&result).contains("2/2") && stderr(&result).contains("b.png"), "{}", stderr(&result));
    for name in ["a", "b"] {
        let mask = image::open(output.join(format!("masks/{name}.png"))).unwrap();
        let mask = mask.as_luma8().expect("gray label values");
        assert_eq!(mask.dimensions(), (16, 16));
        assert_eq!((mask.get_pixel(7, 3).0, mask.get_pixel(8, 3).0), ([226], [29]));
        let overlay = image::open(output.join(format!("overlays/{name}.png"))).unwrap();
        let overlay = overlay.as_rgb8().unwrap();
        // 115 / 255 of red and the rest of gray 200; the rest of gray 10.
        assert_eq!((overlay.get_pixel(7, 3).0, overlay.get_pixel(8, 3).0), ([225, 110, 110], [5, 5, 5]));
    }
    assert_eq!(std::fs::read_dir(output.join("masks")).unwrap().count(), 2);
}

#[test]
fn a_broken_image_is_skipped() {
    let fixture = Fixture::new();
    fixture.write_image("source/a.png");
    std::fs::write(fixture.path("source/b.png"), b"no picture").unwrap();
    fixture.write_image("source/c.png");
    let whole = std::fs::read(fixture.path("source/a.png")).unwrap();
    std::fs::write(fixture.path("source/d.png"), &whole[..whole.len() / 2]).unwrap();
    let output = fixture.path("output");
    let result = unet_edge(
        &["run", "@", "--source", "@", "--output", "@"],
        &[&fixture.package(), &fixture.path("source"), &output],
    );
    check_failure(&result, 1, &["2 of 4 images could not be read"]);
    let messages = stderr(&result);
    for name in ["b.png: skipped: ", "d.png: skipped: "] {
        assert!(messages.contains(name), "{messages}");
    }
    let mut written: Vec<_> = std::fs::read_dir(output.join("masks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(written, ["a.png", "c.png"]);
}

#[test]
fn arguments_beside_a_configuration_are_refused_with_what_to_leave_out() {
    let fixture = Fixture::new();
    let config = fixture.path("unet-edge.toml");
    let output = unet_edge(&["run", "@", "--config", "@"], &[&fixture.package(), &config]);
    check_failure(&output, 2, &["--config FILE takes the place", "leave out [PACKAGE]", "unet-edge run --config FILE"]);
}

#[test]
fn images_with_the_same_stem_do_not_overwrite_each_other() {
    let fixture = Fixture::new();
    fixture.write_image("source/a.png");
    fixture.write_image("source/a.bmp");
    let output = fixture.path("output");
    let result = unet_edge(
        &["run", "@", "--source", "@", "--output", "@"],
        &[&fixture.package(), &fixture.path("source"), &output],
    );
    check_exit(&result, 0);
    assert!(output.join("masks/a.png.png").is_file() && output.join("masks/a.bmp.png").is_file());
}

#[test]
fn missing_sources_and_outputs_exit_with_2_and_4() {
    let fixture = Fixture::new();
    let package = fixture.package();
    let arguments = ["run", "@", "--source", "@", "--output", "@"];
    let absent = unet_edge(&arguments, &[&package, &fixture.path("absent"), &fixture.path("output")]);
    check_failure(&absent, 2, &["absent"]);
    std::fs::create_dir(fixture.path("empty")).unwrap();
    let empty = unet_edge(&arguments, &[&package, &fixture.path("empty"), &fixture.path("output")]);
    check_failure(&empty, 2, &["empty"]);
    fixture.write_image("source/a.png");
    // A file in place of the output folder.
    let blocked = unet_edge(&arguments, &[&package, &fixture.path("source"), &package]);
    check_failure(&blocked, 4, &["failed to write", "tiny.unet is a file, expected a folder"]);
    // The folder of the images in place of the output folder.
    let mixed = unet_edge(&arguments, &[&package, &fixture.path("source"), &fixture.path("source")]);
    check_failure(&mixed, 2, &["source is the folder of the input images; choose another"]);
    assert!(!fixture.path("source/masks").exists());
}
