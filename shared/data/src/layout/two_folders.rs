//! One folder of images and one of masks, not split.

use super::{Contents, Format, image_folders, one_of, pair_trees, refuse_rivals};
use crate::listing::{Kind, Listing};
use crate::pairing::pair;

pub(super) static FORMAT: Format = Format {
    name: "two_folders",
    description: "one folder of images and one of masks, random split by --val-ratio and --split-seed",
    patterns: &["DATA/images/* with DATA/masks/* (random split by --val-ratio and --split-seed)"],
    read,
};

/// Images may also be in the root itself.
fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let of_kind = |kind| one_of(listing, image_folders(listing).filter(|folder| folder.kind == Some(kind)));
    // Without masks, which folder of images is meant does not matter yet.
    let Some(masks) = of_kind(Kind::Masks)? else { return Ok(None) };
    let images = of_kind(Kind::Images)?.or_else(|| image_folders(listing).find(|folder| folder.depth == 0));
    let Some(images) = images else { return Ok(None) };
    refuse_rivals(listing, images, masks)?;
    // Folders below the root are not nested images.
    let pairing =
        if images.depth == 0 { pair(&images.images, &masks.images) } else { pair_trees(listing, images, masks) };
    Ok(Some(Contents::unsplit(pairing)))
}
