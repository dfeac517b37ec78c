//! TIFF files of several pages: slices of a stack, or an image with smaller versions of itself.
//!
//! Images and masks with the same number of pages are stacks, and each page is a sample. If only one of the two has several,
//! the page of the other's size counts. Anything else is refused, since a page that is left out would be missed in silence.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::annotation::Annotation;
use super::counted::counted;
use super::decode::{TiffPage, image_size, main_page, tiff_pages};
use super::sample::Sample;

/// The pages of a file that are not smaller versions of others; a file of another format has one.
fn pages(path: &Path) -> Vec<TiffPage> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if !matches!(extension.as_deref(), Some("tif" | "tiff")) {
        return Vec::new();
    }
    let mut pages = tiff_pages(path);
    pages.retain(|page| !page.reduced);
    pages
}

fn are_slices(pages: &[TiffPage]) -> bool {
    pages.len() > 1 && pages.iter().all(|page| page.size == pages[0].size)
}

/// A sample for each page of the stacks among `samples`; what was assumed is added to `notes`.
pub(crate) fn expand(
    samples: Vec<Sample>,
    notes: &mut Vec<String>,
    show: &dyn Fn(&Path) -> String,
) -> Result<Vec<Sample>, String> {
    let mut expanded = Vec::with_capacity(samples.len());
    let (mut stacks, mut slices) = (0, 0);
    for sample in samples {
        let image_pages = pages(&sample.image);
        let label_path = match &sample.label {
            Some(Annotation::File(path)) => Some(path.clone()),
            _ => None,
        };
        let label_pages = label_path.as_deref().map(pages).unwrap_or_default();
        let (images, labels) = (image_pages.len().max(1), label_pages.len().max(1));
        if images == labels && are_slices(&image_pages) && are_slices(&label_pages) {
            (stacks, slices) = (stacks + 1, slices + images);
            expanded.extend(image_pages.iter().zip(&label_pages).map(|(image, label)| {
                let path = label_path.clone().unwrap_or_default();
                Sample { label: Some(Annotation::Page { path, page: label.index }), ..slice(&sample, image) }
            }));
            continue;
        }
        let mut sample = sample;
        let label =
            label_path.as_deref().map_or_else(String::new, |path| format!(", and its mask {} {labels}", show(path)));
        let counts = format!("{} has {images} pages{label}", show(&sample.image));
        let smaller = |path: &Path, page: &TiffPage| {
            format!("{}: page {} is read; earlier pages are reduced copies", show(path), page.index + 1)
        };
        if images > 1 || image_pages.first().is_some_and(|page| page.index > 0) {
            let size = label_path.as_deref().filter(|_| labels == 1).and_then(|path| image_size(path, None).ok());
            let page = only_of_size(&image_pages, size, &counts)?;
            notes.push(if images == 1 {
                smaller(&sample.image, page)
            } else {
                format!("{counts}: page {} is read, which has the mask's size", page.index + 1)
            });
            sample.page = Some(page.index);
        }
        if labels > 1 || label_pages.first().is_some_and(|page| page.index > 0) {
            let size = image_size(&sample.image, None).ok().filter(|_| images == 1);
            let page = only_of_size(&label_pages, size, &counts)?;
            notes.push(if labels == 1 {
                smaller(label_path.as_deref().unwrap_or(Path::new("")), page)
            } else {
                format!("{counts}: page {} of the mask is read, which has the image's size", page.index + 1)
            });
            let path = label_path.unwrap_or_default();
            sample.label = Some(Annotation::Page { path, page: page.index });
        }
        expanded.push(sample);
    }
    if stacks > 0 {
        let verb = if stacks == 1 { "is" } else { "are" };
        notes.push(format!("{} {verb} read as {slices} slices", counted(stacks, "TIFF stack")));
    }
    Ok(expanded)
}

fn only_of_size<'a>(pages: &'a [TiffPage], size: Option<(usize, usize)>, counts: &str) -> Result<&'a TiffPage, String> {
    if let [only] = pages {
        return Ok(only);
    }
    let mut of_size = pages.iter().filter(|page| Some(page.size) == size);
    match (of_size.next(), of_size.next()) {
        (Some(page), None) => Ok(page),
        _ => Err(format!(
            "{counts}: expected as many pages of one size in both, or a single page of the other's size; save each slice as a file"
        )),
    }
}

/// The sample of one page.
fn slice(sample: &Sample, page: &TiffPage) -> Sample {
    Sample { name: sample.name.clone() + &ending(page.index), page: Some(page.index), ..sample.clone() }
}

/// The suffix that a slice adds to its stack's name.
fn ending(page: usize) -> String {
    format!("_page{:04}", page + 1)
}

/// The name of the stack that a sample is a slice of.
pub(crate) fn stack_name(sample: &Sample) -> Option<&str> {
    sample.name.strip_suffix(&ending(sample.page?))
}

/// How many images there are, and how many of them are pages of stacks.
pub fn counted_pages(images: &[Sample]) -> String {
    let slices: Vec<&Sample> = images.iter().filter(|sample| stack_name(sample).is_some()).collect();
    let stacks: BTreeSet<&Path> = slices.iter().map(|slice| slice.image.as_path()).collect();
    let pages = match slices.len() {
        0 => String::new(),
        pages => format!(", {pages} of them pages of {}", counted(stacks.len(), "TIFF stack")),
    };
    counted(images.len(), "image") + &pages
}

/// Images to predict, with a sample for each page of a stack; each has a name of its own. Of a file with pages of different
/// sizes the largest is taken, which `notes` says.
pub fn expand_images(samples: Vec<Sample>, notes: &mut Vec<String>) -> Vec<Sample> {
    let mut expanded = Vec::with_capacity(samples.len());
    for sample in samples {
        let pages = pages(&sample.image);
        if are_slices(&pages) {
            expanded.extend(pages.iter().map(|page| slice(&sample, page)));
            continue;
        }
        let page = main_page(&pages).filter(|&index| index > 0);
        if pages.len() > 1 {
            let (image, count) = (sample.image.display(), pages.len());
            let read = page.map_or_else(|| "the first".to_owned(), |page| format!("page {}, the largest,", page + 1));
            notes.push(format!("{image} has {count} pages of different sizes: only {read} is read"));
        }
        expanded.push(Sample { page, ..sample });
    }
    // `s_page0001.png` beside the stack `s.tif`.
    let mut names: HashMap<String, usize> = HashMap::new();
    expanded.iter().for_each(|sample| *names.entry(sample.name.clone()).or_default() += 1);
    for sample in expanded.iter_mut().filter(|sample| names.get(&sample.name).is_some_and(|&samples| samples > 1)) {
        if let (Some(file), Some(page), Some(_)) = (sample.image.file_name(), sample.page, stack_name(sample)) {
            sample.name = file.to_string_lossy().into_owned() + &ending(page);
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::OwnedSamples;
    use crate::layout::testing::{Folder, assert_equal_to_plain, gray};
    use image::{GrayImage, Luma};
    use std::io::Cursor;
    use tiff::encoder::{TiffEncoder, colortype::Gray8};
    use unet_shared::samples::SampleReading;

    /// A TIFF file of several gray pages.
    fn stack(pages: &[GrayImage]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        for page in pages {
            encoder.write_image::<Gray8>(page.width(), page.height(), page).unwrap();
        }
        bytes.into_inner()
    }

    fn page(seed: u8) -> GrayImage {
        GrayImage::from_fn(4, 4, |x, y| Luma([seed * 40 + (x * 3 + y) as u8]))
    }

    #[test]
    fn pages_of_stacks_are_samples() {
        let (folder, plain) = (Folder::new(), Folder::new());
        let (images, masks): (Vec<GrayImage>, Vec<GrayImage>) =
            (0..3).map(|k| (page(k), gray(k, &[(0, 0, 1)]))).unzip();
        std::fs::write(folder.path("images/s.tif"), stack(&images)).unwrap();
        std::fs::write(folder.path("masks/s.tif"), stack(&masks)).unwrap();
        for (k, (image, mask)) in images.iter().zip(&masks).enumerate() {
            image.save(plain.path(&format!("images/s_page{:04}.png", k + 1))).unwrap();
            mask.save(plain.path(&format!("masks/s_page{:04}.png", k + 1))).unwrap();
        }
        let dataset = folder.open();
        assert_eq!((dataset.notes.len(), dataset.notes[0].as_str()), (2, "1 TIFF stack is read as 3 slices"));
        assert!(dataset.notes[1].starts_with("there is only one stack"), "{:?}", dataset.notes);
        // The slices as files are split on their own.
        let mut as_files = plain.open();
        let mut slices: Vec<Sample> = as_files.samples().cloned().collect();
        slices.sort_by(|a, b| a.name.cmp(&b.name));
        as_files.val = slices.split_off(2);
        as_files.train = slices;
        assert_equal_to_plain(&dataset, &as_files);
        let all: Vec<Sample> = dataset.samples().cloned().collect();
        let labels = crate::collect_labels(&all, None).unwrap();
        let digest = crate::dataset_digest(&dataset, &labels, &SampleReading::PLAIN).unwrap();
        std::fs::write(folder.path("images/s.tif"), stack(&[page(0), page(1), page(3)])).unwrap();
        assert_ne!(crate::dataset_digest(&folder.open(), &labels, &SampleReading::PLAIN).unwrap(), digest);
        let list = crate::image_list::list_images(&folder.path("images")).unwrap();
        let images = expand_images(list.samples, &mut Vec::new());
        assert_eq!(images.len(), 3);
        assert_eq!(counted_pages(&images), "3 images, 3 of them pages of 1 TIFF stack");
        assert_eq!(images[2].decode_image(&SampleReading::PLAIN).unwrap().data[0], 120);
        page(0).save(folder.path("images/s_page0002.png")).unwrap();
        let list = crate::image_list::list_images(&folder.path("images")).unwrap();
        let images = expand_images(list.samples, &mut Vec::new());
        let names: Vec<&str> = images.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(names, ["s_page0001", "s.tif_page0002", "s_page0003", "s_page0002"]);
    }

    #[test]
    fn other_pages_are_reported_or_refused() {
        let folder = Folder::new();
        let large = GrayImage::new(8, 8);
        std::fs::write(folder.path("images/s.tif"), stack(&[large, page(1)])).unwrap();
        gray(1, &[(0, 0, 0)]).save(folder.path("masks/s.png")).unwrap();
        let dataset = folder.open();
        assert_eq!(dataset.notes.len(), 1, "{:?}", dataset.notes);
        assert!(dataset.notes[0].ends_with("page 2 is read, which has the mask's size"), "{:?}", dataset.notes);
        assert_eq!(dataset.train[0].decode_image(&SampleReading::PLAIN).unwrap().data[0], 40);
        std::fs::write(folder.path("images/s.tif"), stack(&[page(0), page(1)])).unwrap();
        let message = folder.try_open().unwrap_err().to_string();
        assert!(
            message.contains("images/s.tif has 2 pages, and its mask masks/s.png 1: expected as many"),
            "{message}"
        );
        std::fs::remove_file(folder.path("masks/s.png")).unwrap();
        std::fs::write(folder.path("masks/s.tif"), stack(&[gray(0, &[]), gray(1, &[]), gray(2, &[])])).unwrap();
        assert!(folder.try_open().unwrap_err().to_string().contains("its mask masks/s.tif 3"));
        page(0).save(folder.path("images/s.tif")).unwrap();
        std::fs::write(folder.path("masks/s.tif"), stack(&[GrayImage::new(2, 2), gray(1, &[])])).unwrap();
        let label = folder.open().train[0].label.as_ref().unwrap().decode().unwrap();
        assert_eq!(label.samples, OwnedSamples::Gray8(vec![1; 16]));
    }

    #[test]
    fn of_pages_of_different_sizes_the_largest_is_predicted() {
        let folder = Folder::new();
        let large = GrayImage::from_pixel(8, 8, Luma([7]));
        for (pages, told, page) in [
            ([large.clone(), page(0)], "different sizes: only the first is read", None),
            ([page(0), large], "different sizes: only page 2, the largest, is read", Some(1)),
        ] {
            std::fs::write(folder.path("images/s.tif"), stack(&pages)).unwrap();
            let list = crate::image_list::list_images(&folder.path("images")).unwrap();
            let mut notes = Vec::new();
            let images = expand_images(list.samples, &mut notes);
            assert!(images.len() == 1 && notes.len() == 1 && notes[0].ends_with(told), "{notes:?}");
            let image = images[0].decode_image(&SampleReading::PLAIN).unwrap();
            assert_eq!((images[0].page, images[0].image_size().unwrap()), (page, (8, 8)));
            assert_eq!((image.width, image.height, image.data), (8, 8, vec![7; 64]));
        }
    }

    #[test]
    fn cut_files_and_loops_have_an_end() {
        let folder = Folder::new();
        let whole = stack(&[page(0), page(1)]);
        let path = folder.path("a.tif");
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(tiff_pages(&path).len() <= 2);
        }
        let mut looped = whole.clone();
        let first: [u8; 4] = looped[4..8].try_into().unwrap();
        let directory = u32::from_le_bytes(first) as usize;
        let next = directory + 2 + usize::from(looped[directory]) * 12;
        looped[next..next + 4].copy_from_slice(&first);
        std::fs::write(&path, &looped).unwrap();
        assert_eq!(tiff_pages(&path).len(), 1);
    }
}
