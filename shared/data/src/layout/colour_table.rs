//! Colour masks with a table of the classes: CamVid's `label_colors.txt` (`64 128 64  Animal`) and `class_dict.csv`
//! (`Animal,64,128,64`).
//!
//! The class "Void" is ignored. Images and masks are in folders as without a table.

use std::path::PathBuf;

use unet_shared::label::LabelValue;

use super::{Contents, Format, classes, read_text, splits, two_folders};
use crate::dataset_file::{ClassSpec, DatasetFile};
use crate::listing::Listing;

pub(super) static FORMAT: Format = Format {
    name: "colour_table",
    description: "folders of images and colour masks with a table of the classes",
    patterns: &["DATA/label_colors.txt or DATA/class_dict.csv with folders of images and colour masks (CamVid)"],
    read,
};

const NAMES: [&str; 4] = ["label_colors.txt", "label_colours.txt", "class_dict.csv", "labels_class_dict.csv"];

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let others = listing.folders.iter().flat_map(|folder| &folder.others);
    let is_table = |path: &&PathBuf| path.file_name().is_some_and(|name| NAMES.iter().any(|table| name == *table));
    let Some(table) = others.into_iter().find(is_table) else { return Ok(None) };
    let contents = match (splits::FORMAT.read)(listing)? {
        Some(contents) => Some(contents),
        None => (two_folders::FORMAT.read)(listing)?,
    };
    let Some(mut contents) = contents else { return Ok(None) };
    let labels = contents.parts.iter().flat_map(|(_, pairing)| &pairing.samples).filter_map(|s| s.label.as_ref());
    // Masks of ids have no colours to look up.
    if !classes::are_colours(labels) {
        return Ok(None);
    }
    let mut file = DatasetFile { ignore: Some(Vec::new()), ..DatasetFile::default() };
    for (index, line) in read_text(listing, table)?.lines().enumerate() {
        let fields: Vec<&str> =
            line.split(|c: char| c.is_whitespace() || c == ',').filter(|field| !field.is_empty()).collect();
        let numbers: Vec<u8> = fields.iter().filter_map(|field| field.parse().ok()).collect();
        let name = fields.iter().filter(|field| field.parse::<u8>().is_err()).copied().collect::<Vec<_>>().join(" ");
        let Ok(rgb) = <[u8; 3]>::try_from(numbers) else {
            // The header of a CSV file has no number.
            if fields.is_empty() || index == 0 && fields.iter().all(|field| field.parse::<u8>().is_err()) {
                continue;
            }
            let table = listing.show(table);
            return Err(format!("{table}: expected a name, red, green and blue in each line, found {line:?}"));
        };
        let value = LabelValue::Rgb(rgb);
        if name.eq_ignore_ascii_case("void") {
            file.ignore.get_or_insert_default().push(value);
        } else {
            file.classes.push(ClassSpec { color: Some(value), ..classes::class(&name, value) });
        }
    }
    contents.classes = Some(file);
    contents.read.push(table.clone());
    Ok(Some(contents))
}

#[cfg(test)]
mod tests {
    use crate::layout::testing::{Folder, assert_equal_to_plain, labels_of};
    use image::{Rgb, RgbImage};

    #[test]
    fn names_belong_to_colours_and_void_is_ignored() {
        for (table, text) in [
            ("label_colors.txt", "64 128 64\tAnimal\n0 0 0\t\tVoid\n192 0 128\tArchway\n"),
            ("class_dict.csv", "name,r,g,b\nAnimal,64,128,64\nVoid,0,0,0\nArchway,192,0,128\n"),
        ] {
            let (folder, plain) = (Folder::new(), Folder::new());
            for name in ["0016E5_07959", "0016E5_07961"] {
                let mask = RgbImage::from_fn(4, 4, |x, _| match x {
                    0 => Rgb([0, 0, 0]),
                    1 => Rgb([64, 128, 64]),
                    _ => Rgb([192, 0, 128]),
                });
                folder.image(&format!("images/{name}.png"));
                mask.save(folder.path(&format!("labels/{name}_L.png"))).unwrap();
                plain.image(&format!("images/{name}.png"));
                mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
            }
            folder.text(table, text);
            plain.text("dataset.toml", "ignore = '#000000'\n[[class]]\nname='Animal'\ncolor='#408040'\n[[class]]\nname='Archway'\ncolor='#c00080'");
            let dataset = folder.open();
            assert_eq!(dataset.layout.name(), "colour_table");
            assert_equal_to_plain(&dataset, &plain.open());
            assert_eq!(labels_of(&dataset), labels_of(&plain.open()));
            folder.text(table, "a b\n1 2 z\n");
            let message = folder.try_open().unwrap_err().to_string();
            assert!(
                message.contains("expected a name, red, green and blue in each line, found \"1 2 z\""),
                "{message}"
            );
        }
    }
}
