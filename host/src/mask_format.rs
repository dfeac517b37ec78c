//! How predicted masks are saved: PNG with the label values of the data, PNG with a palette, or COCO's JSON.

use serde::Serialize;
use unet_data::run_lengths::RunLengths;
use unet_shared::mask::IGNORE_INDEX;

/// A format for predicted masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MaskFormat {
    /// PNG with the label values of the training data
    #[default]
    Png,
    /// PNG with class ids and a palette of the classes' colours
    Palette,
    /// One JSON file in COCO's format, with run lengths for each class of each image
    Coco,
}

/// The colour of ignored pixels in a palette: that of PASCAL VOC.
const VOID: [u8; 3] = [224, 224, 192];

/// A PNG whose values are class ids, with the classes' colours as its palette.
///
/// # Errors
/// If the encoder fails.
pub fn palette_png(mask: &[u8], width: u32, height: u32, palette: &[[u8; 3]]) -> Result<Vec<u8>, png::EncodingError> {
    let mut colours = palette.to_vec();
    if mask.contains(&IGNORE_INDEX) {
        colours.resize(usize::from(IGNORE_INDEX), [0; 3]);
        colours.push(VOID);
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colours.as_flattened());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(mask)?;
    writer.finish()?;
    Ok(bytes)
}

/// Masks of many images in COCO's format. The category of a class is its id plus one, since COCO's ids begin with 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CocoFile {
    images: Vec<CocoImage>,
    annotations: Vec<CocoAnnotation>,
    categories: Vec<CocoCategory>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CocoImage {
    id: usize,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct CocoAnnotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    segmentation: CocoSegmentation,
    area: u64,
    bbox: [usize; 4],
    iscrowd: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CocoSegmentation {
    /// Height and width.
    size: [usize; 2],
    counts: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CocoCategory {
    id: usize,
    name: String,
}

impl CocoFile {
    /// A file without images.
    pub fn new(classes: &[String]) -> Self {
        let category = |(index, name): (usize, &String)| CocoCategory { id: index + 1, name: name.clone() };
        Self { images: vec![], annotations: vec![], categories: classes.iter().enumerate().map(category).collect() }
    }

    /// Adds the mask of an image: class ids, `width * height`. Ignored pixels have no annotation.
    pub fn add(&mut self, file_name: String, mask: &[u8], width: usize, height: usize) {
        let image_id = self.images.len() + 1;
        self.images.push(CocoImage { id: image_id, file_name, width, height });
        for class in 0..self.categories.len().min(usize::from(IGNORE_INDEX)) {
            let runs = RunLengths::of(mask, width, height, class as u8);
            if let Some(bbox) = runs.bounds() {
                self.annotations.push(CocoAnnotation {
                    id: self.annotations.len() + 1,
                    image_id,
                    category_id: class + 1,
                    segmentation: CocoSegmentation { size: [height, width], counts: runs.to_text() },
                    area: runs.area(),
                    bbox,
                    iscrowd: 0,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_palette_keeps_ids_and_colours() {
        let palette = [[1, 2, 3], [40, 50, 60]];
        let bytes = palette_png(&[0, 1, 1, 255], 2, 2, &palette).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        assert_eq!(reader.info().color_type, png::ColorType::Indexed);
        let stored = reader.info().palette.clone().unwrap();
        assert_eq!((&stored[..6], &stored[765..]), (&[1, 2, 3, 40, 50, 60][..], &VOID[..]));
        let mut ids = vec![0; 4];
        reader.next_frame(&mut ids).unwrap();
        assert_eq!(ids, [0, 1, 1, 255]);
        let rgb = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(rgb.as_raw()[3..6], [40, 50, 60]);
    }

    /// What is written is read as a dataset with the same masks.
    #[test]
    fn coco_is_read_back_to_the_same_masks() {
        let folder = tempfile::tempdir().unwrap();
        let masks = [("a.png", vec![0, 1, 1, 2, 0, 255]), ("b.png", vec![1; 6])];
        let mut file = CocoFile::new(&["floor", "bar", "disc"].map(str::to_owned));
        for (name, mask) in &masks {
            file.add((*name).to_owned(), mask, 3, 2);
            image::GrayImage::new(3, 2).save(folder.path().join(name)).unwrap();
        }
        let json = serde_json::to_value(&file).unwrap();
        // Columns 02, 10, 1 and ignored: class 1 is set in the upper pixels of the second and third.
        let expected = serde_json::json!({"id": 2, "image_id": 1, "category_id": 2, "area": 2, "bbox": [1, 0, 2, 1],
            "iscrowd": 0, "segmentation": {"size": [2, 3], "counts": "21100"}});
        assert_eq!(json["annotations"][1], expected);
        std::fs::write(folder.path().join("masks.json"), json.to_string()).unwrap();
        let dataset = unet_data::Dataset::open(folder.path(), &Default::default()).unwrap();
        for sample in dataset.samples() {
            let label = sample.label.as_ref().unwrap().decode().unwrap();
            let (_, mask) = masks.iter().find(|(name, _)| sample.image.ends_with(name)).unwrap();
            // The reader puts its background before the classes; the ignored pixel has no annotation.
            let expected = mask.iter().map(|&id| id.wrapping_add(1)).collect();
            assert_eq!(label.samples, unet_data::decode::OwnedSamples::Gray8(expected));
        }
    }
}
