//! A folder for each split.

use super::{Contents, Format, image_folders, one_of, pair_trees, refuse_rivals};
use crate::listing::{Kind, Listing};
use crate::pairing::{pair, part};
use crate::sample::Split;

pub(super) static FORMAT: Format = Format {
    name: "splits",
    description: "a folder for each split",
    patterns: &[
        "DATA/{train,val[,test]}/{images,masks}/*",
        "DATA/images/{train,val[,test]}/* with DATA/masks/{train,val[,test]}/*",
    ],
    read,
};

fn read(listing: &Listing) -> Result<Option<Contents>, String> {
    let pick = |split: Split, kind: Option<Kind>| {
        let found = image_folders(listing).filter(|f| f.depth > 0 && f.split == Some(split) && f.kind == kind);
        one_of(listing, found)
    };
    let mut parts = Vec::new();
    for split in Split::ALL {
        let masks = pick(split, Some(Kind::Masks))?;
        let images = match pick(split, Some(Kind::Images))? {
            Some(images) => Some(images),
            None => pick(split, None)?,
        };
        match (images, masks) {
            (Some(images), Some(masks)) => {
                refuse_rivals(listing, images, masks)?;
                parts.push((Some(split), pair_trees(listing, images, masks)));
            }
            (Some(folder), None) if folder.kind.is_none() => {
                let (images, masks) = part(&folder.images);
                if !masks.is_empty() {
                    parts.push((Some(split), pair(&images, &masks)));
                }
            }
            _ => {}
        }
    }
    Ok((!parts.is_empty()).then_some(Contents { parts, ..Contents::default() }))
}
