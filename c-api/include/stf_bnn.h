/*
 * stf-bnn: int8 networks whose first layer is Bayesian, in the caller's memory.
 *
 * Made by cbindgen from c-api/src: do not edit (STF_UPDATE_HEADER=1 cargo test -p stf-bnn-c --test header).
 *
 * No function allocates, with one exception: on an operating system stf_workspace_size and
 * stf_predictor_init copy the environment variable STF_KERNELS for a moment, if it is set.
 *
 * There are no globals: different objects may be used from different threads at once; one predictor
 * or one calibration by one thread at a time. A model that is loaded may be shared. Every pointer is
 * checked for NULL and alignment; what the library cannot check is that a pointer leads to as much
 * memory as its length says, and that memory stays where it is as long as the comments ask for.
 */

#ifndef STF_BNN_H
#define STF_BNN_H

#include <stddef.h>
#include <stdint.h>

/*
 Confidence bins of the calibration error: bin `i` is `(i/15, (i+1)/15]`.
 */
#define STF_CALIBRATION_BINS 15

/*
 Alignment, in bytes, that `stf_model_load` asks of an artifact.
 */
#define STF_ARTIFACT_ALIGNMENT 16

/*
 Set of the classes that are likely enough by themselves: one minus the class's probability is the score.
 */
#define STF_SET_LAC 0

/*
 The score is the mass of the likelier classes.
 */
#define STF_SET_APS 1

/*
 The same, with a penalty for many classes.
 */
#define STF_SET_RAPS 2

/*
 Result of a call. 0 is success; every other value leaves outputs untouched unless its function
 says otherwise.
 */
enum stf_status
#ifdef __cplusplus
  : int32_t
#endif // __cplusplus
 {
  /*
   Success.
   */
  STF_STATUS_OK = 0,
  /*
   A pointer is NULL.
   */
  STF_STATUS_NULL_POINTER = 1,
  /*
   A pointer is not aligned: artifacts at 16 bytes, everything else as its C type.
   */
  STF_STATUS_MISALIGNED = 2,
  /*
   An object is not initialised: it was not made by its `stf_..._load` or `stf_..._init`, or the last such
   call failed.
   */
  STF_STATUS_NOT_INITIALISED = 3,
  /*
   Two memory ranges overlap that must not, such as the workspace and the input.
   */
  STF_STATUS_OVERLAP = 4,
  /*
   A length is longer than memory can be.
   */
  STF_STATUS_BAD_LENGTH = 5,
  /*
   The bytes are no artifact: wrong magic.
   */
  STF_STATUS_NOT_AN_ARTIFACT = 10,
  /*
   The artifact has a format version that this library does not read.
   */
  STF_STATUS_VERSION = 11,
  /*
   The artifact is truncated, or longer than it says.
   */
  STF_STATUS_ARTIFACT_LENGTH = 12,
  /*
   The artifact was damaged since it was written.
   */
  STF_STATUS_CHECKSUM = 13,
  /*
   The artifact is inconsistent; `stf_model_explain` says where.
   */
  STF_STATUS_ARTIFACT_INVALID = 14,
  /*
   A signed artifact is asked for, and this one has no signature.
   */
  STF_STATUS_UNSIGNED = 15,
  /*
   The signature is not that of the public key for this artifact.
   */
  STF_STATUS_BAD_SIGNATURE = 16,
  /*
   The 32 bytes are no public key that can be trusted.
   */
  STF_STATUS_BAD_PUBLIC_KEY = 17,
  /*
   The artifact is older than the least release that is accepted.
   */
  STF_STATUS_OLD_RELEASE = 18,
  /*
   A setting is out of range.
   */
  STF_STATUS_CONFIG = 20,
  /*
   The workspace is shorter than `stf_workspace_size` says.
   */
  STF_STATUS_WORKSPACE_TOO_SMALL = 21,
  /*
   The workspace would not fit this machine's memory.
   */
  STF_STATUS_TOO_LARGE = 22,
  /*
   The input has another number of values than the network's.
   */
  STF_STATUS_INPUT_LENGTH = 30,
  /*
   An input value is NaN or infinite.
   */
  STF_STATUS_INPUT_NOT_FINITE = 31,
  /*
   A label, class or index is out of range.
   */
  STF_STATUS_OUT_OF_RANGE = 32,
  /*
   The artifact carries no such thresholds: it was not calibrated for them.
   */
  STF_STATUS_NO_FACTS = 33,
  /*
   A fault inside the library; please report it.
   */
  STF_STATUS_INTERNAL = 40,
};
#ifndef __cplusplus
typedef int32_t stf_status;
#endif // __cplusplus

/*
 Running calibration figures. Made by `stf_calibration_init`; nothing to release. Its content is
 private.
 */
typedef struct stf_calibration {
  uint64_t _private[56];
} stf_calibration;

/*
 Figures of the predictions counted so far.
 */
typedef struct stf_metrics {
  /*
   Predictions counted.
   */
  uint64_t count;
  /*
   Right ones.
   */
  uint64_t correct;
  /*
   Share of right ones, 0 to 1.
   */
  double accuracy;
  /*
   Mean negative log-likelihood, nats.
   */
  double nll;
  /*
   Mean Brier score, summed over classes: 0 to 2.
   */
  double brier;
  /*
   Expected calibration error.
   */
  double ece;
} stf_metrics;

/*
 One confidence bin.
 */
typedef struct stf_bin {
  /*
   Predictions in it.
   */
  uint64_t count;
  /*
   Right ones.
   */
  uint64_t correct;
  /*
   Sum of their confidences.
   */
  double confidence;
} stf_bin;

/*
 A checked artifact. Made by `stf_model_load`; nothing to release. Must not be copied or moved
 while a predictor uses it. Its content is private.
 */
typedef struct stf_model {
  uint64_t _private[96];
} stf_model;

/*
 What a model is.
 */
typedef struct stf_model_info {
  /*
   Name of the network, UTF-8, **not** ended by a zero byte; lives as long as the artifact.
   */
  const char *name;
  /*
   Length of the name in bytes.
   */
  size_t name_length;
  /*
   Multiply-accumulates of one pass.
   */
  uint64_t macs;
  /*
   Bytes of weights, biases and multipliers.
   */
  uint64_t weight_bytes;
  /*
   Bytes of activations of one draw.
   */
  uint32_t arena_bytes;
  /*
   Rows of an input.
   */
  uint32_t input_height;
  /*
   Columns of an input.
   */
  uint32_t input_width;
  /*
   Channels of an input. The order of values is the one that the artifact names: row, column, channel, or
   (NCHW) one plane of rows and columns after another for each channel.
   */
  uint32_t input_channels;
  /*
   Number of classes or output values.
   */
  uint32_t outputs;
  /*
   1 for a classification, 0 for a regression or an autoencoder.
   */
  uint8_t is_classification;
  /*
   1 if the first layer is Bayesian, 0 for a plain network, all of whose draws are equal.
   */
  uint8_t is_bayesian;
} stf_model_info;

/*
 Settings of a predictor; `stf_config_init` fills in the defaults.
 */
typedef struct stf_config {
  /*
   Seed of the noise.
   */
  uint64_t seed;
  /*
   Draws of the first layer that a prediction averages, 1 to 1024; 0 is one pass of the posterior
   mean, without noise.
   */
  uint16_t num_samples;
  /*
   Draws that run side by side, each with an arena of its own; at least 1. Changes no result.
   */
  uint16_t tile;
  /*
   Not 0: the same draws for every input, drawn once into the workspace; 0: new ones for every
   prediction, by its counter.
   */
  uint8_t fixed_draws;
  /*
   Not 0: draws come in pairs with opposite noise.
   */
  uint8_t antithetic;
  /*
   Not 0: the first layer's mean accumulators are kept for all draws. Changes no result.
   */
  uint8_t cache_mean;
  /*
   Not 0: as many draws as the artifact's rule needs to settle the class, instead of `num_samples`.
   */
  uint8_t adaptive;
} stf_config;

/*
 A model ready to predict. Made by `stf_predictor_init`; nothing to release. Its content is private.
 */
typedef struct stf_predictor {
  uint64_t _private[112];
} stf_predictor;

/*
 Result of a prediction. Its pointers lead into the workspace: they hold until the predictor's next
 prediction.
 */
typedef struct stf_prediction {
  /*
   Mean over the draws: class probabilities, or the values of a regression; `outputs` of them. Of a
   Gaussian regression the means of all targets, then their aleatoric variances.
   */
  const float *mean;
  /*
   Standard deviation over the draws; `outputs` of them.
   */
  const float *spread;
  /*
   Number of classes or values.
   */
  size_t outputs;
  /*
   Passes that were averaged.
   */
  uint16_t samples;
  /*
   Passes through the network that it took: `samples`, and one more if a mean pass came first and did
   not settle the class.
   */
  uint16_t passes;
  /*
   1 if the class and its uncertainties are set, 0 for other networks, which leave them 0.
   */
  uint8_t is_classification;
  /*
   Must be ignored.
   */
  uint8_t reserved;
  /*
   Class of the greatest mean probability.
   */
  uint32_t class_index;
  /*
   Its probability.
   */
  float confidence;
  /*
   Total uncertainty, nats.
   */
  float predictive_entropy;
  /*
   Aleatoric uncertainty, nats.
   */
  float expected_entropy;
  /*
   Epistemic uncertainty, nats.
   */
  float mutual_information;
  /*
   Mean squared difference of an autoencoder's reconstruction from its input; NaN of other networks.
   */
  float reconstruction_error;
  /*
   Number of targets of a Gaussian regression, else 0.
   */
  size_t targets;
} stf_prediction;

/*
 Distribution of a target, in its units.
 */
typedef struct stf_gaussian {
  /*
   Mean.
   */
  float mean;
  /*
   Standard deviation: the root of the sum of both variances.
   */
  float sigma;
  /*
   Variance that the input leaves open.
   */
  float aleatoric_variance;
  /*
   Variance that the network does not know better.
   */
  float epistemic_variance;
} stf_gaussian;

/*
 Where a target lies, in its units.
 */
typedef struct stf_interval {
  /*
   Lower end.
   */
  float low;
  /*
   Upper end.
   */
  float high;
  /*
   Promised share of intervals that hold their target, 0 to 1.
   */
  double coverage;
} stf_interval;

/*
 A drift monitor. Made by `stf_drift_init`; nothing to release. May be copied to be kept. Its content
 is private.
 */
typedef struct stf_drift {
  uint64_t _private[40];
} stf_drift;

/*
 What the drift monitor says after a prediction.
 */
typedef struct stf_drift_report {
  /*
   Upper bound of the probability of such a score or a greater one while nothing changed.
   */
  float p_value;
  /*
   Evidence of a change now.
   */
  float evidence;
  /*
   Greatest evidence so far.
   */
  float peak;
  /*
   Predictions since the start.
   */
  uint32_t count;
  /*
   1 if the evidence ever reached the alarm's level, else 0.
   */
  uint32_t alarm;
} stf_drift_report;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Starts with no prediction counted.

 # Safety
 `calibration` leads to an `stf_calibration`.
 */
stf_status stf_calibration_init(struct stf_calibration *calibration);

/*
 Counts one prediction, given by its class probabilities and the right class.

 # Safety
 `calibration` leads to an `stf_calibration`, `probabilities` to `count` values.
 */
stf_status stf_calibration_push(struct stf_calibration *calibration,
                                const float *probabilities,
                                size_t count,
                                size_t label);

/*
 Adds the predictions that `other` counted. The two must be different objects.

 # Safety
 Both lead to an `stf_calibration`.
 */
stf_status stf_calibration_merge(struct stf_calibration *calibration,
                                 const struct stf_calibration *other);

/*
 Reads the figures.

 # Safety
 `calibration` leads to an `stf_calibration`, `metrics` to an `stf_metrics`.
 */
stf_status stf_calibration_read(const struct stf_calibration *calibration,
                                struct stf_metrics *metrics);

/*
 Reads one bin, 0 to 14.

 # Safety
 `calibration` leads to an `stf_calibration`, `bin` to an `stf_bin`.
 */
stf_status stf_calibration_bin(const struct stf_calibration *calibration,
                               size_t index,
                               struct stf_bin *bin);

/*
 Checks every byte of an artifact and keeps a view of it in `model`.

 This is unsigned loading: it proves that the artifact is intact, not who wrote it.

 `bytes` is the whole file at an address that is a multiple of 16, and must stay unchanged as long
 as `model` is used; `model` itself is not inside it. After success no later call can fail because of the
 artifact. After any failure `model` holds nothing, not even what it held before: it is not initialised.

 # Safety
 `model` leads to an `stf_model`, `bytes` to `length` bytes.
 */
stf_status stf_model_load(struct stf_model *model,
                          const uint8_t *bytes,
                          size_t length);

/*
 As `stf_model_load`, for an artifact that must be signed by the holder of the secret half of
 `public_key` (32 bytes, Ed25519) and whose release number must be at least `min_release`.

 The device keeps the greatest release it has accepted (`stf_model_release`) and passes it here, so
 that it cannot be talked back to an old artifact. After any failure `model` holds nothing, as after
 `stf_model_load`.

 # Safety
 `model` leads to an `stf_model`, `bytes` to `length` bytes, `public_key` to 32 bytes.
 */
stf_status stf_model_load_signed(struct stf_model *model,
                                 const uint8_t *bytes,
                                 size_t length,
                                 const uint8_t *public_key,
                                 uint32_t min_release);

/*
 Reads the whole artifact again: `STF_STATUS_CHECKSUM` if it changed since it was loaded. It finds damage
 (flash that wears out), not an attacker.

 # Safety
 `model` leads to an `stf_model` whose artifact is still there.
 */
stf_status stf_model_recheck(const struct stf_model *model);

/*
 Release number of a signed artifact; 0 for an unsigned one.

 # Safety
 `model` leads to an `stf_model`, `release` to a `uint32_t`.
 */
stf_status stf_model_release(const struct stf_model *model, uint32_t *release);

/*
 Says in words what is wrong with an artifact, and where: writes a text ended by a zero byte into
 `text`, cut to `capacity` bytes (at least 1). Writes "no error" if nothing is wrong.

 # Safety
 `bytes` leads to `length` bytes, `text` to `capacity` bytes.
 */
stf_status stf_model_explain(const uint8_t *bytes, size_t length, char *text, size_t capacity);

/*
 Describes a model.

 # Safety
 `model` leads to an `stf_model`, `info` to an `stf_model_info`.
 */
stf_status stf_model_describe(const struct stf_model *model, struct stf_model_info *info);

/*
 Name of a class, UTF-8, **not** ended by a zero byte; lives as long as the artifact. Out of range
 if there is no such class, or the classes have no names.

 # Safety
 `model` leads to an `stf_model`, `name` to a pointer, `name_length` to a `size_t`.
 */
stf_status stf_class_name(const struct stf_model *model,
                          size_t class_index,
                          const char **name,
                          size_t *name_length);

/*
 Fills in the defaults: 8 new antithetic draws a prediction, one after another, seed 0.

 # Safety
 `config` leads to an `stf_config`.
 */
stf_status stf_config_init(struct stf_config *config);

/*
 Bytes of workspace that a predictor with these settings needs: exact, at any alignment.

 # Safety
 `model` leads to an `stf_model`, `config` to an `stf_config`, `bytes` to a `size_t`.
 */
stf_status stf_workspace_size(const struct stf_model *model,
                              const struct stf_config *config,
                              size_t *bytes);

/*
 Couples a model with settings and a workspace of at least `stf_workspace_size` bytes, at any
 alignment.

 `model`, its artifact and the workspace must stay where they are as long as the predictor is used,
 and the workspace belongs to it alone. If `model` is loaded again with another artifact, the predictor is not
 initialised any more.

 After any failure `predictor` holds nothing, not even what it held before: it is not initialised.

 # Safety
 `predictor` leads to an `stf_predictor`, `model` to an `stf_model`, `config` to an `stf_config`,
 `workspace` to `length` bytes.
 */
stf_status stf_predictor_init(struct stf_predictor *predictor,
                              const struct stf_model *model,
                              const struct stf_config *config,
                              uint8_t *workspace,
                              size_t length);

/*
 Sets which prediction comes next: new draws depend on seed and counter, and on nothing else. A
 predictor starts at 0, and each successful prediction adds 1.

 # Safety
 `predictor` leads to an `stf_predictor`.
 */
stf_status stf_predictor_set_counter(struct stf_predictor *predictor, uint64_t counter);

/*
 Says which prediction comes next.

 # Safety
 `predictor` leads to an `stf_predictor`, `counter` to a `uint64_t`.
 */
stf_status stf_predictor_counter(const struct stf_predictor *predictor, uint64_t *counter);

/*
 Reads the whole artifact again before the next prediction and then before every `predictions`-th one;
 0, as at the start, for never. If it changed since it was loaded, predictions give
 `STF_STATUS_CHECKSUM`.

 # Safety
 `predictor` leads to an `stf_predictor`.
 */
stf_status stf_predictor_recheck_every(struct stf_predictor *predictor,
                                       uint32_t predictions);

/*
 Predicts one input of raw bytes (pixels: 0 to 255), in the order that the artifact names: row, column,
 channel, or one plane of rows and columns after another for each channel. The artifact says how they become
 network values. `prediction` shares no byte with the input, the artifact, the workspace or the objects.

 # Safety
 `predictor` leads to an `stf_predictor` whose model and workspace are still there, `input` to
 `length` values, `prediction` to an `stf_prediction`.
 */
stf_status stf_predict_u8(struct stf_predictor *predictor,
                          const uint8_t *input,
                          size_t length,
                          struct stf_prediction *prediction);

/*
 Predicts one input of raw values in the units of the bytes of `stf_predict_u8`.

 # Safety
 As `stf_predict_u8`.
 */
stf_status stf_predict_f32(struct stf_predictor *predictor,
                           const float *input,
                           size_t length,
                           struct stf_prediction *prediction);

/*
 Predicts one input that is quantized already, always in the order row, column, channel.

 # Safety
 As `stf_predict_u8`.
 */
stf_status stf_predict_i8(struct stf_predictor *predictor,
                          const int8_t *input,
                          size_t length,
                          struct stf_prediction *prediction);

/*
 Distribution of a target of a Gaussian regression. Out of range: there is no such target.

 # Safety
 `prediction` leads to a result whose workspace is still there, `gaussian` to an `stf_gaussian`.
 */
stf_status stf_prediction_gaussian(const struct stf_prediction *prediction,
                                   size_t target,
                                   struct stf_gaussian *gaussian);

/*
 Prediction interval of a target of a Gaussian regression. Level 0 has the greatest coverage. Out of range:
 there is no such level or target; no facts: the artifact carries no factors.

 # Safety
 `model` leads to an `stf_model`, `prediction` to a result whose workspace is still there, `interval` to an
 `stf_interval`.
 */
stf_status stf_prediction_interval(const struct stf_model *model,
                                   const struct stf_prediction *prediction,
                                   size_t level,
                                   size_t target,
                                   struct stf_interval *interval);

/*
 Conformal p-value of an autoencoder's reconstruction error: how often a normal input has such an error or a
 greater one. Raise an alarm where it is at most `alpha`: a normal input does with that probability at
 most. Out of range: the prediction has no reconstruction error; no facts: the artifact carries no
 reference.

 # Safety
 `model` leads to an `stf_model`, `prediction` to a result, `p_value` to a `float`.
 */
stf_status stf_anomaly_p_value(const struct stf_model *model,
                               const struct stf_prediction *prediction,
                               float *p_value);

/*
 Text of a status, in English; of a number that is no status, a text that says so. Never NULL;
 lives as long as the program.
 */
const char *stf_status_text(int32_t status);

/*
 Version of the library, `major << 16 | minor << 8 | patch`.
 */
uint32_t stf_version(void);

/*
 Version of the library as text. Lives as long as the program.
 */
const char *stf_version_text(void);

/*
 Writes the set of a prediction: bit `c % 32` of `words[c / 32]` is class `c`. `words` has at least
 `outputs / 32` words, rounded up. `method` is `STF_SET_LAC`, `STF_SET_APS` or `STF_SET_RAPS`. Level 0 has the greatest coverage;
 `coverage` gets the promised one, `size` the number of classes. `seed` and `counter` are those of the
 prediction; they matter only where the artifact's sets are randomized. `words`, `size` and `coverage` share no
 byte with each other or with what is read.

 Out of range: no such method or level, another number of classes, too few words; no facts: the artifact
 carries no thresholds.

 # Safety
 `model` leads to an `stf_model`, `prediction` to a result whose workspace is still there, `words` to
 `word_count` words, `size` to a `size_t`, `coverage` to a `double`.
 */
stf_status stf_prediction_set(const struct stf_model *model,
                              const struct stf_prediction *prediction,
                              int32_t method,
                              size_t level,
                              uint64_t seed,
                              uint64_t counter,
                              uint32_t *words,
                              size_t word_count,
                              size_t *size,
                              double *coverage);

/*
 Whether to answer with a prediction: `accepted` gets 1 or 0. No facts: the artifact carries no rule.

 # Safety
 `model` leads to an `stf_model`, `prediction` to a result, `accepted` to an `int`.
 */
stf_status stf_prediction_accepted(const struct stf_model *model,
                                   const struct stf_prediction *prediction,
                                   int32_t *accepted);

/*
 Starts a drift monitor. The model must stay where it is while the monitor is used. No facts: the
 artifact carries no reference. After any failure `drift` holds nothing, not even what it held before: it is
 not initialised.

 # Safety
 `drift` leads to an `stf_drift`, `model` to an `stf_model`.
 */
stf_status stf_drift_init(struct stf_drift *drift,
                          const struct stf_model *model);

/*
 Shows a prediction to the drift monitor.

 # Safety
 `drift` leads to an `stf_drift` whose artifact is still there, `prediction` to a result, `report` to an
 `stf_drift_report`.
 */
stf_status stf_drift_push(struct stf_drift *drift,
                          const struct stf_prediction *prediction,
                          struct stf_drift_report *report);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* STF_BNN_H */
