//! Predictors: settings, workspace, predictions.

use crate::guard::{addresses, disjoint, guard, place, reference, slice, slice_mut};
use crate::status::StfStatus;
use crate::storage::{self, PredictorValue, StfModel, StfPredictor};
use stf_bnn::{Config, Draws, Input, Predictor, Samples};

/// Settings of a predictor; `stf_config_init` fills in the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfConfig {
    /// Seed of the noise.
    pub seed: u64,
    /// Draws of the first layer that a prediction averages, 1 to 1024; 0 is one pass of the posterior
    /// mean, without noise.
    pub num_samples: u16,
    /// Draws that run side by side, each with an arena of its own; at least 1. Changes no result.
    pub tile: u16,
    /// Not 0: the same draws for every input, drawn once into the workspace; 0: new ones for every
    /// prediction, by its counter.
    pub fixed_draws: u8,
    /// Not 0: draws come in pairs with opposite noise.
    pub antithetic: u8,
    /// Not 0: the first layer's mean accumulators are kept for all draws. Changes no result.
    pub cache_mean: u8,
    /// Not 0: as many draws as the artifact's rule needs to settle the class, instead of `num_samples`.
    pub adaptive: u8,
}

/// Result of a prediction. Its pointers lead into the workspace: they hold until the predictor's next
/// prediction.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StfPrediction {
    /// Mean over the draws: class probabilities, or the values of a regression; `outputs` of them. Of a
    /// Gaussian regression the means of all targets, then their aleatoric variances.
    pub mean: *const f32,
    /// Standard deviation over the draws; `outputs` of them.
    pub spread: *const f32,
    /// Number of classes or values.
    pub outputs: usize,
    /// Passes that were averaged.
    pub samples: u16,
    /// Passes through the network that it took: `samples`, and one more if a mean pass came first and did
    /// not settle the class.
    pub passes: u16,
    /// 1 if the class and its uncertainties are set, 0 for other networks, which leave them 0.
    pub is_classification: u8,
    /// Must be ignored.
    pub reserved: u8,
    /// Class of the greatest mean probability.
    pub class_index: u32,
    /// Its probability.
    pub confidence: f32,
    /// Total uncertainty, nats.
    pub predictive_entropy: f32,
    /// Aleatoric uncertainty, nats.
    pub expected_entropy: f32,
    /// Epistemic uncertainty, nats.
    pub mutual_information: f32,
    /// Mean squared difference of an autoencoder's reconstruction from its input; NaN of other networks.
    pub reconstruction_error: f32,
    /// Number of targets of a Gaussian regression, else 0.
    pub targets: usize,
}

impl StfConfig {
    fn config(&self) -> Result<Config, StfStatus> {
        Ok(Config {
            samples: match self.num_samples {
                _ if self.adaptive != 0 => Samples::Adaptive,
                0 => Samples::Mean,
                samples => Samples::MonteCarlo(samples),
            },
            seed: self.seed,
            draws: if self.fixed_draws == 0 { Draws::Fresh } else { Draws::Fixed },
            antithetic: self.antithetic != 0,
            tile: self.tile,
            cache_mean: self.cache_mean != 0,
            kernels: None,
        })
    }
}

/// Fills in the defaults: 8 new antithetic draws a prediction, one after another, seed 0.
///
/// # Safety
/// `config` leads to an `stf_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_config_init(config: *mut StfConfig) -> StfStatus {
    guard(|| {
        // SAFETY: leads to an object of its type, by this function's contract.
        let place = unsafe { place(config)? };
        let Config { samples, seed, draws, antithetic, tile, cache_mean, kernels: _ } = Config::default();
        place.write(StfConfig {
            seed,
            num_samples: match samples {
                Samples::Mean | Samples::Adaptive => 0,
                Samples::MonteCarlo(samples) => samples,
            },
            tile,
            fixed_draws: (draws == Draws::Fixed).into(),
            antithetic: antithetic.into(),
            cache_mean: cache_mean.into(),
            adaptive: (samples == Samples::Adaptive).into(),
        });
        Ok(())
    })
}

/// Bytes of workspace that a predictor with these settings needs: exact, at any alignment.
///
/// # Safety
/// `model` leads to an `stf_model`, `config` to an `stf_config`, `bytes` to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_workspace_size(
    model: *const StfModel,
    config: *const StfConfig,
    bytes: *mut usize,
) -> StfStatus {
    guard(|| {
        // SAFETY: all three lead to objects of their types, by this function's contract.
        let (value, config, bytes) = unsafe { (storage::get(model)?, reference(config)?, place(bytes)?) };
        bytes.write(value.model.workspace_bytes(&config.config()?)?);
        Ok(())
    })
}

/// Couples a model with settings and a workspace of at least `stf_workspace_size` bytes, at any
/// alignment.
///
/// `model`, its artifact and the workspace must stay where they are as long as the predictor is used,
/// and the workspace belongs to it alone. If `model` is loaded again with another artifact, the predictor is not
/// initialised any more.
///
/// After any failure `predictor` holds nothing, not even what it held before: it is not initialised.
///
/// # Safety
/// `predictor` leads to an `stf_predictor`, `model` to an `stf_model`, `config` to an `stf_config`,
/// `workspace` to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predictor_init(
    predictor: *mut StfPredictor,
    model: *const StfModel,
    config: *const StfConfig,
    workspace: *mut u8,
    length: usize,
) -> StfStatus {
    guard(|| {
        // SAFETY: `predictor` leads to an object of ours alone, by this function's contract.
        unsafe { storage::clear(predictor)? };
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, config) = unsafe { (storage::get(model)?, reference(config)?.config()?) };
        let range = addresses(workspace.cast_const(), length);
        disjoint(&range, &value.bytes)?;
        disjoint(&range, &addresses(model, 1))?;
        disjoint(&range, &addresses(predictor.cast_const(), 1))?;
        // SAFETY: `length` bytes of the predictor's alone, by this function's contract; they share
        // nothing with the artifact or the objects, by the checks above.
        let memory: &'static mut [u8] = unsafe { slice_mut(workspace, length)? };
        let inner = Predictor::new(&value.model, config, memory)?;
        // SAFETY: as for `clear`.
        unsafe {
            let (artifact, stamp) = (value.bytes.clone(), value.stamp);
            let value = PredictorValue { predictor: inner, model, artifact, stamp, workspace: range };
            storage::put(predictor, value)
        }
    })
}

/// Sets which prediction comes next: new draws depend on seed and counter, and on nothing else. A
/// predictor starts at 0, and each successful prediction adds 1.
///
/// # Safety
/// `predictor` leads to an `stf_predictor`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predictor_set_counter(predictor: *mut StfPredictor, counter: u64) -> StfStatus {
    guard(|| {
        // SAFETY: leads to an object of its type, by this function's contract.
        unsafe { storage::get_mut(predictor)? }.predictor.set_counter(counter);
        Ok(())
    })
}

/// Says which prediction comes next.
///
/// # Safety
/// `predictor` leads to an `stf_predictor`, `counter` to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predictor_counter(
    predictor: *const StfPredictor,
    counter: *mut u64,
) -> StfStatus {
    guard(|| {
        // SAFETY: both lead to objects of their types, by this function's contract.
        let (value, counter) = unsafe { (storage::get(predictor)?, place(counter)?) };
        counter.write(value.predictor.counter());
        Ok(())
    })
}

/// Reads the whole artifact again before the next prediction and then before every `predictions`-th one;
/// 0, as at the start, for never. If it changed since it was loaded, predictions give
/// `STF_STATUS_CHECKSUM`.
///
/// # Safety
/// `predictor` leads to an `stf_predictor`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predictor_recheck_every(
    predictor: *mut StfPredictor,
    predictions: u32,
) -> StfStatus {
    guard(|| {
        // SAFETY: leads to an object of its type, by this function's contract.
        unsafe { storage::get_mut(predictor)? }.predictor.recheck_every(predictions);
        Ok(())
    })
}

/// Predicts one input of raw bytes (pixels: 0 to 255), in the order that the artifact names: row, column,
/// channel, or one plane of rows and columns after another for each channel. The artifact says how they become
/// network values. `prediction` shares no byte with the input, the artifact, the workspace or the objects.
///
/// # Safety
/// `predictor` leads to an `stf_predictor` whose model and workspace are still there, `input` to
/// `length` values, `prediction` to an `stf_prediction`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predict_u8(
    predictor: *mut StfPredictor,
    input: *const u8,
    length: usize,
    prediction: *mut StfPrediction,
) -> StfStatus {
    // SAFETY: the same contract.
    guard(|| unsafe { predict(predictor, input, length, prediction, Input::U8) })
}

/// Predicts one input of raw values in the units of the bytes of `stf_predict_u8`.
///
/// # Safety
/// As `stf_predict_u8`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predict_f32(
    predictor: *mut StfPredictor,
    input: *const f32,
    length: usize,
    prediction: *mut StfPrediction,
) -> StfStatus {
    // SAFETY: the same contract.
    guard(|| unsafe { predict(predictor, input, length, prediction, Input::F32) })
}

/// Predicts one input that is quantized already, always in the order row, column, channel.
///
/// # Safety
/// As `stf_predict_u8`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stf_predict_i8(
    predictor: *mut StfPredictor,
    input: *const i8,
    length: usize,
    prediction: *mut StfPrediction,
) -> StfStatus {
    // SAFETY: the same contract.
    guard(|| unsafe { predict(predictor, input, length, prediction, Input::Quantized) })
}

/// # Safety
/// As [`stf_predict_u8`].
unsafe fn predict<'a, T: 'a>(
    predictor: *mut StfPredictor,
    input: *const T,
    length: usize,
    prediction: *mut StfPrediction,
    wrap: fn(&'a [T]) -> Input<'a>,
) -> Result<(), StfStatus> {
    // SAFETY: leads to an object of its type that is ours alone, by the caller's contract.
    let value = unsafe { storage::get_mut(predictor)? };
    // SAFETY: the model was there at `stf_predictor_init`, and is still, by the caller's contract; if
    // it was loaded again without success its tag is gone, which this finds.
    let model = unsafe { storage::get(value.model)? };
    // Loaded again with another artifact: the predictor was not made for it.
    if model.bytes != value.artifact || model.stamp != value.stamp {
        return Err(StfStatus::NotInitialised);
    }
    let from = addresses(input, length);
    disjoint(&value.workspace, &from)?;
    let [object, model] = [addresses(predictor.cast_const(), 1), addresses(value.model, 1)];
    disjoint(&object, &from)?;
    let to = addresses(prediction.cast_const(), 1);
    for other in [&value.workspace, &value.artifact, &from, &object, &model] {
        disjoint(&to, other)?;
    }
    // SAFETY: `length` values that share nothing with workspace and predictor, by the contract and the checks.
    let input = unsafe { slice(input, length)? };
    // SAFETY: leads to an object of its type that shares nothing with what a prediction reads or writes, by the
    // contract and the checks.
    let place = unsafe { place(prediction)? };
    let found = value.predictor.predict(wrap(input))?;
    let mut result = StfPrediction {
        mean: found.mean.as_ptr(),
        spread: found.spread.as_ptr(),
        outputs: found.mean.len(),
        samples: found.samples,
        passes: found.passes,
        is_classification: 0,
        reserved: 0,
        class_index: 0,
        confidence: 0.0,
        predictive_entropy: 0.0,
        expected_entropy: 0.0,
        mutual_information: 0.0,
        reconstruction_error: found.reconstruction_error.unwrap_or(f32::NAN),
        targets: found.targets,
    };
    if let Some(c) = found.classification {
        result.is_classification = 1;
        result.class_index = c.class.into();
        result.confidence = c.confidence;
        result.predictive_entropy = c.predictive_entropy;
        result.expected_entropy = c.expected_entropy;
        result.mutual_information = c.mutual_information;
    }
    place.write(result);
    Ok(())
}
