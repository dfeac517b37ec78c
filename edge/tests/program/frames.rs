//! `unet-edge run` on frames as cameras and programs write them: range, chroma, streams of JPEG, what needs ffmpeg.

use image::codecs::jpeg::JpegEncoder;
use serde_json::Value;
use tiff::encoder::{TiffEncoder, colortype::Gray8};

use super::*;

fn run(fixture: &Fixture, source: &Path) -> Output {
    unet_edge(&["run", "@", "--source", "@"], &[&fixture.package(), source])
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn digests(output: &Output) -> Vec<String> {
    check_exit(output, 0);
    lines(output).iter().map(|line| line["mask_sha256"].as_str().unwrap().to_owned()).collect()
}

/// A stream of one frame, whose luma is that of `Fixture::write_image`.
fn y4m(words: &str, chroma: usize) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W16 H16 F10:1 {words}\nFRAME\n").into_bytes();
    bytes.extend((0..256).map(|at| if at % 16 < 8 { 200 } else { 10 }));
    bytes.resize(bytes.len() + chroma, 128);
    bytes
}

#[test]
fn a_stream_of_full_range_equals_the_image() {
    let fixture = Fixture::new();
    fixture.write_image("a.png");
    let expected = digests(&run(&fixture, &fixture.path("a.png")));
    let path = fixture.path("a.y4m");
    for (words, chroma, described) in [
        ("C422 XCOLORRANGE=FULL", 256, "i422 16x16, range full (stated), matrix bt601 (assumed)"),
        ("C444 XCOLORRANGE=FULL", 512, "i444 16x16, range full (stated), matrix bt601 (assumed)"),
        ("C420jpeg XCOLORRANGE=FULL", 128, "i420 16x16, range full (stated), matrix bt601 (assumed)"),
        ("Cmono", 0, "gray8 16x16, range full (assumed)"),
    ] {
        std::fs::write(&path, y4m(words, chroma)).unwrap();
        let output = run(&fixture, &path);
        assert_eq!(digests(&output), expected, "{words}");
        assert!(stderr(&output).contains(described), "{}", stderr(&output));
    }
    std::fs::write(&path, y4m("C422 XCOLORRANGE=LIMITED", 256)).unwrap();
    assert!(stderr(&run(&fixture, &path)).contains("i422 16x16, range limited (stated), matrix bt601 (assumed)"));
    std::fs::write(&path, y4m("C420p10 XCOLORRANGE=LIMITED", 256)).unwrap();
    check_failure(&run(&fixture, &path), 2, &["C420p10", "-pix_fmt yuv444p"]);
}

#[test]
fn images_one_after_another_are_frames() {
    let fixture = Fixture::new();
    let mut bytes = Vec::new();
    for value in [10, 200, 10] {
        let image = image::GrayImage::from_pixel(16, 16, image::Luma([value]));
        JpegEncoder::new_with_quality(&mut bytes, 100).encode_image(&image).unwrap();
    }
    let path = fixture.path("clip.mjpeg");
    std::fs::write(&path, &bytes).unwrap();
    let output = run(&fixture, &path);
    let found = digests(&output);
    assert!(found.len() == 3 && found[0] == found[2] && found[0] != found[1], "{found:?}");
    assert!(stderr(&output).contains("clip.mjpeg: mjpeg, jpeg 16x16"), "{}", stderr(&output));
    // The same file under the name of an image.
    let path = fixture.path("clip.jpg");
    std::fs::write(&path, &bytes).unwrap();
    let output = run(&fixture, &path);
    assert_eq!(digests(&output), found[..1]);
    assert!(stderr(&output).contains("holds 3 JPEG images, of which the first is read"), "{}", stderr(&output));
}

/// A TIFF file with one page per pair of values, left half and right half.
fn write_stack(path: &Path, pages: &[[u8; 2]]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = TiffEncoder::new(std::fs::File::create(path).unwrap()).unwrap();
    for [left, right] in pages {
        let samples: Vec<u8> = (0..256).map(|at| if at % 16 < 8 { *left } else { *right }).collect();
        encoder.write_image::<Gray8>(16, 16, &samples).unwrap();
    }
}

#[test]
fn pages_of_a_stack_are_frames() {
    let fixture = Fixture::new();
    let pages = [[200, 10], [10, 200], [10, 10]];
    write_stack(&fixture.path("scan/s.tif"), &pages);
    for (index, [left, right]) in pages.into_iter().enumerate() {
        write_png(&fixture.path(&format!("files/{index}.png")), |x, _| if x < 8 { left } else { right });
    }
    let expected = digests(&run(&fixture, &fixture.path("files")));
    for source in ["scan", "scan/s.tif"] {
        let output = run(&fixture, &fixture.path(source));
        assert_eq!(digests(&output), expected);
        assert!(stderr(&output).contains(": 3 images, 3 of them pages of 1 TIFF stack"), "{}", stderr(&output));
    }
    let arguments = ["run", "@", "--source", "@", "--output", "@"];
    let output = unet_edge(&arguments, &[&fixture.package(), &fixture.path("scan/s.tif"), &fixture.path("seen")]);
    check_exit(&output, 0);
    assert!(stderr(&output).contains("3/3 ") && stderr(&output).contains("s.tif, page 3: "), "{}", stderr(&output));
    for page in 1..4 {
        assert!(fixture.path(&format!("seen/masks/s_page{page:04}.png")).is_file());
    }
    // As labels, too.
    for (kind, [left, right]) in [("images", [200, 10]), ("masks", [226, 29])] {
        write_stack(&fixture.path(&format!("pages/val/{kind}/s.tif")), &[[left, right]; 2]);
        for name in ["a", "b"] {
            write_png(
                &fixture.path(&format!("separate/val/{kind}/{name}.png")),
                |x, _| if x < 8 { left } else { right },
            );
        }
    }
    for data in ["pages", "separate"] {
        let output = unet_edge(&["evaluate", "@", "@"], &[&fixture.package(), &fixture.path(data)]);
        check_exit(&output, 0);
        let said = stdout(&output);
        assert!(said.contains("mean IoU 1.0000") && said.contains(", 2 images"), "{data}: {said}");
    }
    // Pages of different sizes are an image with smaller copies.
    let mut encoder = TiffEncoder::new(std::fs::File::create(fixture.path("scan/s.tif")).unwrap()).unwrap();
    [16, 8]
        .iter()
        .for_each(|&side| encoder.write_image::<Gray8>(side, side, &vec![9; (side * side) as usize]).unwrap());
    let output = run(&fixture, &fixture.path("scan"));
    assert_eq!(digests(&output).len(), 1);
    assert!(stderr(&output).contains("2 pages of different sizes: only the first is read"), "{}", stderr(&output));
}

#[test]
fn an_unreadable_image_counts_once() {
    let fixture = Fixture::new();
    for name in ["a", "c"] {
        fixture.write_image(&format!("source/{name}.png"));
    }
    std::fs::write(fixture.path("source/b.png"), "text").unwrap();
    let output = run(&fixture, &fixture.path("source"));
    let drops = &lines(&output)[1]["drops"];
    assert_eq!((drops["source"].as_u64(), drops["failed"].as_u64()), (Some(0), Some(1)), "{drops}");
    let (told, path) = (stderr(&output), fixture.path("source/b.png"));
    assert!(told.contains("2 of 3 frames processed"), "{told}");
    assert!(told.contains(&format!("warning: {}: expected a PNG", path.display())), "{told}");
}

#[test]
fn network_streams_answer_with_what_to_configure() {
    let fixture = Fixture::new();
    for source in ["rtsp://10.0.0.2/stream", "http://10.0.0.2/video", "clip.mp4"] {
        let output = unet_edge(&["run", "@", "--source", source], &[&fixture.package()]);
        let input = format!("input = {source:?}");
        check_failure(&output, 2, &["[source]", "command = [\"ffmpeg\", ", "preset = \"ffmpeg\"", &input]);
    }
}

#[test]
fn conditions_that_cannot_hold_are_told() {
    let fixture = Fixture::new();
    fixture.write_image("a.png");
    let config = fixture.path("unet-edge.toml");
    let rule = |name: &str, condition: &str| {
        format!("[[rule]]\nname = {name:?}\nclass = \"bright\"\ncondition = {condition:?}\n")
    };
    let [never, always, large] =
        [("a", "area_percent > 150"), ("b", "regions >= 0"), ("c", "largest_area > 99999")].map(|(n, c)| rule(n, c));
    let (package, image) = (fixture.package(), fixture.path("a.png"));
    let text = format!("package = {package:?}\n[source]\nkind = \"files\"\npath = {image:?}\n{never}{always}{large}");
    std::fs::write(&config, text).unwrap();
    let output = unet_edge(&["run", "--config", "@"], &[&config]);
    check_exit(&output, 0);
    let told = stderr(&output);
    for part in [
        ":8: rule \"a\": condition = \"area_percent > 150\" can never hold: area_percent is 0 to 100",
        ":12: rule \"b\": condition = \"regions >= 0\" always holds",
        ":16: rule \"c\": condition = \"largest_area > 99999\" can never hold",
    ] {
        assert_eq!(told.matches(part).count(), 1, "{part} in {told}");
    }
}
