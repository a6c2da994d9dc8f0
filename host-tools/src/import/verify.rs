//! Holds an imported graph against another reading of the file: `tract` runs the file itself on the same
//! example.

use super::{Imported, Softmax};
use crate::error::{Error, Result};
use crate::train::Executor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_onnx::prelude::*;

/// Largest difference of the outputs, as a share of the largest output.
const TOLERANCE: f32 = 1e-3;

impl Imported {
    /// Runs one example, `[height, width, channels]` as the file expects it, through the graph and through
    /// `tract`. Returns the largest difference, as a share of the largest output.
    ///
    /// # Errors
    /// If the two differ by more than 1e-3, or `tract` cannot run the file: then nothing says that the
    /// import is right.
    pub fn verify(&self, example: &[f32]) -> Result<f32> {
        let ours = self.outputs(example)?;
        let theirs = guarded(|| self.tract(example).map_err(|error| format!("{error:#}")));
        let theirs = theirs.map_err(|reason| {
            let reason = reason.lines().next().unwrap_or_default().to_string();
            Error::invalid("check of the import by tract", reason, "a file that tract can run")
        })?;
        let size = theirs.iter().fold(f32::MIN_POSITIVE, |max, y| max.max(y.abs()));
        let worst = ours.iter().zip(&theirs).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        let share = worst / size;
        if ours.len() == theirs.len() && share <= TOLERANCE {
            return Ok(share);
        }
        Err(Error::invalid(
            "check of the import by tract",
            format!(
                "outputs that differ by {share:.1e} of the largest ({} and {} values)",
                ours.len(),
                theirs.len()
            ),
            format!("at most {TOLERANCE:.0e}"),
        ))
    }

    /// Outputs of the graph, with the file's normalisation and softmax.
    fn outputs(&self, example: &[f32]) -> Result<Vec<f32>> {
        let mut input = example.to_vec();
        if let Some(normalisation) = &self.normalisation {
            let channels = normalisation.scale.iter().zip(&normalisation.shift).cycle();
            input.iter_mut().zip(channels).for_each(|(x, (scale, shift))| *x = *x * scale + shift);
        }
        let mut executor = Executor::new(&self.graph, 1)?;
        let mut outputs = executor.infer(&self.params, &input, 1)?.to_vec();
        if self.check.softmax != Softmax::None {
            let max = outputs.iter().fold(f32::NEG_INFINITY, |max, &y| max.max(y));
            let sum: f32 = outputs.iter().map(|y| (y - max).exp()).sum();
            for y in &mut outputs {
                *y = if self.check.softmax == Softmax::Log {
                    *y - max - sum.ln()
                } else {
                    (*y - max).exp() / sum
                };
            }
        }
        Ok(outputs)
    }

    fn tract(&self, example: &[f32]) -> TractResult<Vec<f32>> {
        let dims = self.check.input.dims();
        let values: Vec<f32> =
            self.check.input.onnx_order().into_iter().map(|index| example[index]).collect();
        let tensor = Tensor::from_shape(&dims, &values)?;
        let model = tract_onnx::onnx()
            .with_ignore_output_shapes(true)
            .with_ignore_value_info(true)
            .model_for_read(&mut &*self.check.bytes)?
            .with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), dims))?
            .into_typed()?
            .into_runnable()?;
        let outputs = model.run(tvec!(tensor.into_tvalue()))?;
        Ok(outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    }
}

/// Runs code of others that may panic on what it did not expect; the panic is an error, said nowhere else.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(hook);
    result.unwrap_or_else(|_| Err("a panic".into()))
}
