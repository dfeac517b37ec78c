//! What tract has inferred of each tensor of a file.

use std::collections::HashMap;

use tract_onnx::prelude::*;

use crate::inference::backend::Element;

/// One tensor.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    /// All dimensions.
    pub shape: Vec<usize>,
    /// The element type.
    pub element: Element,
    /// Where it is in tract's graph.
    pub outlet: OutletId,
}

/// The tensors of a file by name; those of other element types or of open size are left out.
pub(super) struct Facts(HashMap<String, Fact>);

impl Facts {
    /// Of a typed graph with one input, called `input`.
    pub(super) fn of(typed: &TypedModel, input: &str) -> TractResult<Self> {
        let mut facts = HashMap::new();
        let input_outlet = typed.input_outlets()?.first().copied();
        let named = typed.outlet_labels.iter().map(|(outlet, name)| (*outlet, name.as_str()));
        for (outlet, name) in named.chain(input_outlet.map(|outlet| (outlet, input))) {
            let fact = typed.outlet_fact(outlet)?;
            let element = match fact.datum_type.unquantized() {
                DatumType::U8 => Element::U8,
                DatumType::I8 => Element::I8,
                DatumType::F32 => Element::F32,
                DatumType::I64 => Element::I64,
                _ => continue,
            };
            if let Some(shape) = fact.shape.as_concrete() {
                facts.insert(name.to_owned(), Fact { shape: shape.to_vec(), element, outlet });
            }
        }
        Ok(Facts(facts))
    }

    /// Of tensors that no graph of tract's has.
    #[cfg(test)]
    pub(super) fn of_shapes<'n>(tensors: impl IntoIterator<Item = (&'n str, [usize; 4], Element)>) -> Self {
        let fact = |shape: [usize; 4], element| Fact { shape: shape.to_vec(), element, outlet: OutletId::new(0, 0) };
        Facts(tensors.into_iter().map(|(name, shape, element)| (name.to_owned(), fact(shape, element))).collect())
    }

    /// Knows a tensor by its own name too where tract has kept only that of an alias; pairs of alias and tensor.
    pub(super) fn name_aliases<'n>(&mut self, aliases: impl Iterator<Item = (&'n str, &'n str)>) {
        for (alias, name) in aliases {
            if let Some(fact) = self.0.get(alias)
                && !self.0.contains_key(name)
            {
                self.0.insert(name.to_owned(), fact.clone());
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Fact> {
        self.0.get(name)
    }
}
