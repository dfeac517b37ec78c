//! Label Studio: the JSON export of a project, alone or with "Brush labels to PNG", and the images that its tasks name.
//!
//! A mask is called `task-12-annotation-34-by-5-tag-Car-0.png`, after the task, the annotation, the annotator, the tool, the
//! label and a count, so the JSON is needed to find its image. Without masks everything is drawn from the JSON: brush masks,
//! polygons, rectangles and ellipses. Labels become classes in sorted order, after the background; later regions cover earlier
//! ones. Brush strokes have soft edges, and every nonzero value is inside, as in Label Studio's own conversion to COCO.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unet_shared::image::SIDE_MAX;

use super::{Contents, Format, ImageIndex, classes, encoded_mask, name_apart};
use crate::annotation::{Annotation, PartMask};
use crate::counted::{counted, one_or_many};
use crate::drawing::{Drawing, DrawingSize, Outline, Shape};
use crate::listing::Listing;
use crate::pairing::{Pairing, stem};
use crate::sample::{Sample, Split};

mod brush;
mod export;

use export::{Region, Task, TaskAnnotation};

/// Masks and the JSON that names their images.
pub(super) static MASKS: Format = Format {
    name: "label_studio_masks",
    description: "brush masks of Label Studio with its JSON export",
    patterns: &["DATA/**/task-1-annotation-2-by-3-tag-CLASS-0.png with the JSON export and the images (Label Studio)"],
    read: read_masks,
};

/// The JSON alone.
pub(super) static FORMAT: Format = Format {
    name: "label_studio",
    description: "a JSON export of Label Studio",
    patterns: &["DATA/*.json with the images that its tasks name (Label Studio's JSON or JSON-MIN)"],
    read: read_json,
};

/// What the name of a mask says.
struct MaskName {
    task: u64,
    annotation: u64,
    /// Tool, label and count.
    region: String,
}

impl MaskName {
    fn parse(path: &Path) -> Option<Self> {
        let stem = stem(path);
        let (task, rest) = stem.strip_prefix("task-")?.split_once("-annotation-")?;
        let (annotation, rest) = rest.split_once("-by-")?;
        // Label Studio keeps only letters, digits, `@` and `.` of the annotator's name.
        let (_, region) = rest.split_once('-')?;
        Some(Self { task: task.parse().ok()?, annotation: annotation.parse().ok()?, region: region.to_owned() })
    }

    /// The label, of a name that begins with that of the tool and ends with a count.
    fn label(&self) -> &str {
        let label = self.region.split_once('-').map_or(self.region.as_str(), |(_, label)| label);
        label.rsplit_once('-').map_or(label, |(label, _)| label)
    }

    fn count(&self) -> u64 {
        self.region.rsplit_once('-').and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
    }
}

/// The masks of each task and annotation.
type Masks = BTreeMap<(u64, u64), Vec<(MaskName, PathBuf)>>;

fn read_masks(listing: &Listing) -> Result<Option<Contents>, String> {
    let mut masks = Masks::new();
    for path in listing.folders.iter().flat_map(|folder| &folder.images) {
        if let Some(name) = MaskName::parse(path) {
            masks.entry((name.task, name.annotation)).or_default().push((name, path.clone()));
        }
    }
    let mut others = listing.folders.iter().flat_map(|folder| &folder.others);
    let array =
        others.find(|path| path.extension().is_some_and(|found| found == "npy") && MaskName::parse(path).is_some());
    if let Some(array) = array {
        return Err(format!(
            "{} is a mask of Label Studio as a NumPy array: expected its export \"Brush labels to PNG\" or \"JSON\"",
            listing.show(array)
        ));
    }
    let Some((_, first)) = masks.values().flatten().next() else { return Ok(None) };
    let tasks = export::read(listing)?;
    if tasks.is_empty() {
        return Err(format!(
            "{} and other masks of Label Studio name a task but no image: expected the \"JSON\" export of the project in the \
             same folder, which names the image of each task",
            listing.show(first)
        ));
    }
    contents(listing, tasks, Some(masks)).map(Some)
}

fn read_json(listing: &Listing) -> Result<Option<Contents>, String> {
    let tasks = export::read(listing)?;
    if tasks.is_empty() { Ok(None) } else { contents(listing, tasks, None).map(Some) }
}

/// Counts of what was left out, for the notes.
#[derive(Default)]
struct Tally {
    unfinished: usize,
    chosen: usize,
    other_masks: usize,
    empty: usize,
    without_area: usize,
    without_label: usize,
    missing: usize,
    first_missing: Option<String>,
    by_ending: usize,
}

fn contents(listing: &Listing, tasks: Vec<Task>, mut masks: Option<Masks>) -> Result<Contents, String> {
    let mut tally = Tally::default();
    let files: BTreeSet<PathBuf> = tasks.iter().map(|task| task.file.clone()).collect();
    let mut contents = Contents { read: files.into_iter().collect(), ..Contents::default() };
    let (count, index) = (tasks.len(), ImageIndex::of(listing));
    // The parts of each image, with their labels.
    let mut images: Vec<(Option<Split>, PathBuf, PathBuf, Label)> = Vec::new();
    for Task { id, file, split, images: named, annotations } in tasks {
        let refused = |problem: String| format!("Label Studio {}, task {id}: {problem}", listing.show(&file));
        let several = annotations.len() > 1;
        let Some(annotation) = choose(annotations).map_err(refused)? else {
            tally.unfinished += 1;
            contents.companions.extend(find(&index, &named).map(|(image, _)| image.clone()));
            continue;
        };
        tally.chosen += usize::from(several);
        let [name] = named.as_slice() else {
            return Err(refused(format!("expected the name of one image, found {named:?}")));
        };
        let found = find(&index, &named);
        let own = match &mut masks {
            Some(masks) => {
                let own = annotation.id.and_then(|annotation| masks.remove(&(id, annotation))).unwrap_or_default();
                let others: Vec<(u64, u64)> = masks.keys().filter(|(task, _)| *task == id).copied().collect();
                for other in others {
                    let left = masks.remove(&other).unwrap_or_default();
                    tally.other_masks += left.len();
                    contents.companions.extend(left.into_iter().map(|(_, path)| path));
                }
                Some(own)
            }
            None => None,
        };
        let Some((image, by_ending)) = found else {
            tally.missing += 1;
            tally.first_missing.get_or_insert_with(|| format!("{name} of task {id}"));
            contents.companions.extend(own.into_iter().flatten().map(|(_, path)| path));
            continue;
        };
        tally.by_ending += usize::from(by_ending);
        let label = match own {
            Some(own) => label_of_masks(listing, annotation, own, &mut tally),
            None => label_of_regions(annotation, &mut tally),
        };
        let label = label.map_err(refused)?;
        tally.empty += usize::from(label.is_empty());
        images.push((split, image.clone(), file, label));
    }
    if let Some((name, path)) = masks.iter().flat_map(BTreeMap::values).flatten().next() {
        return Err(format!("{}: expected task {} in the JSON export, found none", listing.show(path), name.task));
    }
    if images.is_empty() && tally.missing > 0 {
        return Err(format!(
            "the images of {} of Label Studio are missing (first: {}); copy them into the folder",
            counted(tally.missing, "task"),
            tally.first_missing.unwrap_or_default()
        ));
    }
    let labels: BTreeSet<String> = images.iter().flat_map(|(_, _, _, label)| label.names()).cloned().collect();
    let labels: Vec<String> = labels.into_iter().collect();
    contents.classes = Some(classes::drawn(&labels).map_err(|error| format!("Label Studio: {error}"))?);
    let value = |name: &String| classes::drawn_value(labels.binary_search(name).unwrap_or_default());
    let soft = images.iter().any(|(_, _, _, label)| label.has_brushes());
    let mut parts: BTreeMap<Option<Split>, Pairing> = BTreeMap::new();
    for (split, image, file, label) in images {
        let label = label.into_annotation(file, &image, &value);
        let sample = Sample { name: stem(&image), image, page: None, label: Some(label) };
        parts.entry(split).or_default().samples.push(sample);
    }
    for part in parts.values_mut() {
        part.samples.sort_by(|a, b| a.image.cmp(&b.image));
        if let Some(pair) = part.samples.windows(2).find(|pair| pair[0].image == pair[1].image) {
            return Err(format!("Label Studio: expected one task for {}, found two", listing.show(&pair[0].image)));
        }
        name_apart(listing, &mut part.samples);
    }
    contents.parts.extend(parts);
    contents.notes = tally.notes(count, soft);
    Ok(contents)
}

impl Tally {
    fn notes(self, tasks: usize, soft: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: usize, text: String| {
            if count > 0 {
                notes.push(text);
            }
        };
        let tasks_of = |count: usize| format!("{count} of {}", counted(tasks, "task"));
        note(
            usize::from(soft),
            "every nonzero value of a brush mask is inside, as in Label Studio's own conversions".to_owned(),
        );
        note(
            self.by_ending,
            format!(
                "{} found without the 8 characters that Label Studio puts before their names",
                are(self.by_ending, "image")
            ),
        );
        note(self.unfinished, format!("{} have no finished annotation and are left out", tasks_of(self.unfinished)));
        note(
            self.chosen,
            format!(
                "where a task has several annotations, the ground truth, or the only one not skipped, is read ({})",
                tasks_of(self.chosen)
            ),
        );
        note(self.other_masks, format!("{} of annotations that are not read", are(self.other_masks, "mask")));
        note(self.empty, format!("{} have an annotation without regions and are all background", tasks_of(self.empty)));
        note(self.without_area, without(self.without_area, "area (points, lines)"));
        note(self.without_label, without(self.without_label, "label"));
        let first = self.first_missing.unwrap_or_default();
        note(self.missing, format!("the images of {} are missing (first: {first})", tasks_of(self.missing)));
        notes
    }
}

fn are(count: usize, noun: &str) -> String {
    format!("{} {}", counted(count, noun), one_or_many(count, "is", "are"))
}

fn without(regions: usize, what: &str) -> String {
    let (has, is) = if regions == 1 { ("has", "is") } else { ("have", "are") };
    format!("{} {has} no {what} and {is} not drawn", counted(regions, "region"))
}

/// The annotation to read: the only one that was not skipped, or the only one that is the ground truth.
fn choose(annotations: Vec<TaskAnnotation>) -> Result<Option<TaskAnnotation>, String> {
    let mut finished: Vec<TaskAnnotation> = annotations.into_iter().filter(|found| !found.was_cancelled).collect();
    if finished.iter().filter(|found| found.ground_truth).count() == 1 {
        finished.retain(|found| found.ground_truth);
    }
    if finished.len() > 1 {
        let ids: Vec<String> = finished.iter().filter_map(|found| found.id).map(|id| id.to_string()).collect();
        return Err(format!(
            "expected one annotation, found {}; mark one as ground truth, or delete the others, and export again",
            if ids.is_empty() { finished.len().to_string() } else { ids.join(", ") }
        ));
    }
    Ok(finished.pop())
}

/// The image of a task, and whether its name was found only without the prefix of an upload.
fn find<'a>(index: &ImageIndex<'a>, named: &[String]) -> Option<(&'a PathBuf, bool)> {
    let name = named.first()?;
    let whole = index.at_end(Path::new(name)).map(|image| (image, false));
    whole.or_else(|| {
        let file = Path::new(name).file_name()?.to_str()?;
        let (prefix, original) = file.split_once('-')?;
        let is_prefix = prefix.len() == 8 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
        index.at_end(Path::new(original)).filter(|_| is_prefix).map(|image| (image, true))
    })
}

/// A label with the names of its classes.
enum Label {
    Masks(Vec<(String, PathBuf)>),
    Shapes { size: Option<(usize, usize)>, shapes: Vec<(String, Outline)>, brushes: bool },
}

impl Label {
    fn is_empty(&self) -> bool {
        match self {
            Self::Masks(masks) => masks.is_empty(),
            Self::Shapes { shapes, .. } => shapes.is_empty(),
        }
    }

    fn has_brushes(&self) -> bool {
        matches!(self, Self::Masks(masks) if !masks.is_empty()) || matches!(self, Self::Shapes { brushes: true, .. })
    }

    fn names(&self) -> Vec<&String> {
        match self {
            Self::Masks(masks) => masks.iter().map(|(name, _)| name).collect(),
            Self::Shapes { shapes, .. } => shapes.iter().map(|(name, _)| name).collect(),
        }
    }

    fn into_annotation(self, file: PathBuf, image: &Path, value: &dyn Fn(&String) -> u8) -> Annotation {
        let (size, shapes) = match self {
            Self::Masks(masks) if !masks.is_empty() => {
                let part = |(name, path)| PartMask { value: value(&name), path, soft: true };
                return Annotation::Masks(masks.into_iter().map(part).collect());
            }
            Self::Masks(_) => (None, Vec::new()),
            Self::Shapes { size, shapes, .. } => (size, shapes),
        };
        let size = size
            .map_or_else(|| DrawingSize::Image(image.to_owned()), |(width, height)| DrawingSize::Stated(width, height));
        let shape = |(name, outline)| Shape { value: value(&name), outline };
        Annotation::Drawing(Arc::new(Drawing { file, size, shapes: shapes.into_iter().map(shape).collect() }))
    }
}

/// The label of a region; `None` if it has no label.
fn label_of(region: &Region) -> Result<Option<&String>, String> {
    match region.value.labels() {
        [] => Ok(None),
        [label] => Ok(Some(label)),
        labels => Err(format!("expected one label for a region, found {}", labels.join(", "))),
    }
}

/// The masks of an annotation, in the order of its regions; in that of labels and counts if the JSON lists no region.
fn label_of_masks(
    listing: &Listing,
    annotation: TaskAnnotation,
    mut masks: Vec<(MaskName, PathBuf)>,
    tally: &mut Tally,
) -> Result<Label, String> {
    let regions: Vec<&Region> = annotation.regions.iter().filter(|region| region.value.is_drawn()).collect();
    if regions.is_empty() {
        masks.sort_by(|(a, _), (b, _)| (a.label(), a.count()).cmp(&(b.label(), b.count())));
        return Ok(Label::Masks(masks.into_iter().map(|(name, path)| (name.label().to_owned(), path)).collect()));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for region in &regions {
        if region.value.rle.is_none() {
            if region.value.labels().is_empty() || !has_area(region) {
                tally.without_area += usize::from(!has_area(region));
                continue;
            }
            return Err(
                "a polygon, rectangle or other shape has no mask among the PNG files; move them away, and all shapes \
                        are drawn from the JSON"
                    .to_owned(),
            );
        }
        let Some(label) = label_of(region)? else {
            tally.without_label += usize::from(!is_labelled_elsewhere(region, &annotation.regions));
            continue;
        };
        let name = format!("{}-{label}", region.from_name);
        let count = counts.entry(name.clone()).or_default();
        let name = format!("{name}-{count}").replace(['/', '\\'], "-");
        *count += 1;
        let at = masks.iter().position(|(mask, _)| mask.region == name).ok_or_else(|| {
            format!(
                "expected the mask ...-{name}.png, found none; export PNG and JSON at the same time, or move the masks away"
            )
        })?;
        found.push((label.clone(), masks.swap_remove(at).1));
    }
    if let Some((_, path)) = masks.first() {
        return Err(format!(
            "the JSON has no region for {}; export PNG and JSON at the same time, or move the masks away",
            listing.show(path)
        ));
    }
    Ok(Label::Masks(found))
}

/// Whether another result of the same region has its label: tools without labels write two.
fn is_labelled_elsewhere(region: &Region, all: &[Region]) -> bool {
    region.id.is_some() && all.iter().any(|other| other.id == region.id && !other.value.labels().is_empty())
}

fn has_area(region: &Region) -> bool {
    let value = &region.value;
    value.rle.is_some()
        || value.bitmask.is_some()
        || value.points.as_ref().is_some_and(|points| points.len() > 2)
        || value.height.is_some()
        || value.radius_x.is_some()
}

/// The regions of an annotation as shapes.
fn label_of_regions(annotation: TaskAnnotation, tally: &mut Tally) -> Result<Label, String> {
    let (mut size, mut shapes, mut brushes) = (None, Vec::new(), false);
    for region in annotation.regions.iter().filter(|region| region.value.is_drawn()) {
        let Some(label) = label_of(region)? else {
            tally.without_label += usize::from(!is_labelled_elsewhere(region, &annotation.regions));
            continue;
        };
        if !has_area(region) {
            tally.without_area += 1;
            continue;
        }
        let refused = |problem: String| format!("region {}: {problem}", region.id.as_deref().unwrap_or(label));
        let stated = region.original_width.zip(region.original_height);
        let (width, height) =
            stated.ok_or_else(|| refused("expected original_width and original_height, found none".to_owned()))?;
        if [width, height].iter().any(|&side| side == 0 || side > SIDE_MAX) {
            return Err(refused(format!("expected sides of 1 to {SIDE_MAX} pixels, found {width}x{height}")));
        }
        if *size.get_or_insert((width, height)) != (width, height) {
            return Err(refused(format!("expected one size for all regions, found {width}x{height} as well")));
        }
        if let Some(rotation) = region.image_rotation.filter(|&rotation| rotation != 0.0) {
            return Err(refused(format!("expected an image that is not rotated, found {rotation} degrees")));
        }
        brushes |= region.value.rle.is_some();
        shapes.push((label.clone(), outline(region, width, height).map_err(refused)?));
    }
    Ok(Label::Shapes { size, shapes, brushes })
}

/// The pixels of a region with area.
fn outline(region: &Region, width: usize, height: usize) -> Result<Outline, String> {
    let value = &region.value;
    if let Some(rle) = &value.rle {
        return brush::decode(rle, width, height).map(Outline::Runs);
    }
    if let Some(bitmask) = &value.bitmask {
        return encoded_mask::decode(bitmask).map(Outline::Runs);
    }
    let point = |[x, y]: [f64; 2]| [x * width as f64 / 100.0, y * height as f64 / 100.0];
    if let Some(points) = &value.points {
        return Ok(Outline::Polygons(vec![points.iter().copied().map(point).collect()]));
    }
    if let Some(rotation) = value.rotation.filter(|&rotation| rotation != 0.0) {
        return Err(format!("expected a shape that is not rotated, found {rotation} degrees; draw it as a polygon"));
    }
    let number = |found: Option<f64>, name: &str| found.ok_or_else(|| format!("expected {name}, found none"));
    let (x, y) = (number(value.x, "x")?, number(value.y, "y")?);
    if value.radius_x.is_some() {
        let radii = [number(value.radius_x, "radiusX")?, number(value.radius_y, "radiusY")?];
        return Ok(Outline::Ellipse { centre: point([x, y]), radii: point(radii) });
    }
    let (right, bottom) = (x + number(value.width, "width")?, y + number(value.height, "height")?);
    Ok(Outline::Polygons(vec![[[x, y], [right, y], [right, bottom], [x, bottom]].map(point).to_vec()]))
}

#[cfg(test)]
mod tests;
