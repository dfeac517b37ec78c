//! Images and masks side by side in one folder, not split.

use super::{Contents, Format, image_folders};
use crate::listing::Listing;
use crate::pairing::{pair, part};

pub(super) static FORMAT: Format = Format {
    name: "one_folder",
    description: "images and masks in one folder, random split by --val-ratio and --split-seed",
    patterns: &[
        "DATA/{train,val[,test]}/* or DATA/* with image and mask in one folder, as NAME.jpg with NAME_mask.png or NAME.jpg with NAME.png",
    ],
    read,
};

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let root = image_folders(listing).find(|folder| folder.depth == 0);
    Ok(root.map(|root| {
        let (images, masks) = part(&root.images);
        Contents::unsplit(pair(&images, &masks))
    }))
}
