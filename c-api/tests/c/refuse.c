/*
 * Every wrong call gives a status: run with a valid artifact as the only argument.
 * The number of the first failing line is the message.
 */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char block[1 << 20];

/* The public key of RFC 8032's first test. */
static const unsigned char key[32] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
                                      0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
                                      0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static int models(unsigned char *file, size_t length) {
    stf_model model;
    stf_model_info info;
    const char *name;
    size_t name_length;
    char why[8];
    memset(&model, 0, sizeof model);
    EXPECT(stf_model_describe(&model, &info), STF_STATUS_NOT_INITIALISED);
    EXPECT(stf_model_load(NULL, file, length), STF_STATUS_NULL_POINTER);
    EXPECT(stf_model_load(&model, NULL, length), STF_STATUS_NULL_POINTER);
    EXPECT(stf_model_load(&model, NULL, 0), STF_STATUS_NULL_POINTER);
    EXPECT(stf_model_load((stf_model *)((char *)&model + 1), file, length), STF_STATUS_MISALIGNED);
    EXPECT(stf_model_load(&model, file + 1, length - 1), STF_STATUS_MISALIGNED);
    EXPECT(stf_model_load(&model, file, (size_t)-1), STF_STATUS_BAD_LENGTH);
    EXPECT(stf_model_load(&model, file, 0), STF_STATUS_ARTIFACT_LENGTH);
    EXPECT(stf_model_load(&model, file, length - 1), STF_STATUS_ARTIFACT_LENGTH);
    file[length - 1] ^= 1;
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_CHECKSUM);
    EXPECT(stf_model_describe(&model, &info), STF_STATUS_NOT_INITIALISED);
    EXPECT(stf_model_explain(file, length, why, sizeof why), STF_STATUS_OK);
    if (strcmp(why, "checksu") != 0) return 2;
    EXPECT(stf_model_explain(file, length, why, 0), STF_STATUS_BAD_LENGTH);
    EXPECT(stf_model_explain(file, length, NULL, 8), STF_STATUS_NULL_POINTER);
    EXPECT(stf_model_explain(file, length, (char *)file + 8, 8), STF_STATUS_OVERLAP);
    EXPECT(stf_model_load((stf_model *)(void *)(block + 64), block, sizeof block), STF_STATUS_OVERLAP);
    EXPECT(stf_model_load_signed((stf_model *)(void *)(block + 64), block, sizeof block, key, 0),
           STF_STATUS_OVERLAP);
    file[length - 1] ^= 1;
    file[0] ^= 1;
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_NOT_AN_ARTIFACT);
    file[0] ^= 1;
    file[4] ^= 1;
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_VERSION);
    file[4] ^= 1;
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_OK);
    EXPECT(stf_model_describe(&model, &info), STF_STATUS_OK);
    EXPECT(stf_model_describe(&model, NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_model_describe(NULL, &info), STF_STATUS_NULL_POINTER);
    EXPECT(stf_class_name(&model, 99, &name, &name_length), STF_STATUS_OUT_OF_RANGE);
    EXPECT(stf_class_name(&model, 0, NULL, &name_length), STF_STATUS_NULL_POINTER);
    return 0;
}

/* The set of `prediction` into four words anywhere. */
#define SET(words, size, coverage)                                                                 \
    stf_prediction_set(&model, &prediction, STF_SET_LAC, 0, 0, 0, (uint32_t *)(uintptr_t)(words), 4, \
                       (size), (coverage))

static int predictors(unsigned char *file, size_t length) {
    stf_model model;
    stf_predictor predictor;
    stf_config config;
    stf_prediction prediction;
    stf_model_info info;
    size_t need, size;
    uint64_t counter;
    float *numbers;
    unsigned char *workspace = block, *input;
    uint64_t words[2];
    size_t set_size;
    double coverage;
    memset(&predictor, 0, sizeof predictor);
    EXPECT(stf_model_load(&model, file, length), STF_STATUS_OK);
    EXPECT(stf_model_describe(&model, &info), STF_STATUS_OK);
    size = (size_t)info.input_height * info.input_width * info.input_channels;
    EXPECT(stf_config_init(NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_config_init(&config), STF_STATUS_OK);
    EXPECT(stf_workspace_size(&model, &config, &need), STF_STATUS_OK);
    EXPECT(stf_workspace_size(&model, NULL, &need), STF_STATUS_NULL_POINTER);
    EXPECT(stf_workspace_size(&model, &config, NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predictor_set_counter(&predictor, 1), STF_STATUS_NOT_INITIALISED);
    config.num_samples = 1025;
    EXPECT(stf_workspace_size(&model, &config, &need), STF_STATUS_CONFIG);
    config.num_samples = 8;
    config.tile = 0;
    EXPECT(stf_workspace_size(&model, &config, &need), STF_STATUS_CONFIG);
    config.tile = 1;
    config.adaptive = 1; /* this artifact has no rule */
    EXPECT(stf_workspace_size(&model, &config, &need), STF_STATUS_CONFIG);
    config.adaptive = 0;
    if (need + 4 * size + 64 > sizeof block) return 3;
    input = block + need + 16 - need % 16;
    memset(input, 7, 4 * size);
    EXPECT(stf_predictor_init(NULL, &model, &config, workspace, need), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predictor_init(&predictor, NULL, &config, workspace, need), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predictor_init(&predictor, &model, NULL, workspace, need), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predictor_init(&predictor, &model, &config, NULL, need), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predictor_init(&predictor, &model, &config, workspace, need - 1),
           STF_STATUS_WORKSPACE_TOO_SMALL);
    EXPECT(stf_predictor_init(&predictor, &model, &config, workspace, (size_t)-1 / 2 + 9),
           STF_STATUS_OVERLAP);
    EXPECT(stf_predictor_init(&predictor, &model, &config, file, length), STF_STATUS_OVERLAP);
    EXPECT(stf_predictor_init(&predictor, &model, &config, (uint8_t *)&predictor, sizeof predictor),
           STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, input, size, &prediction), STF_STATUS_NOT_INITIALISED);
    EXPECT(stf_predictor_init(&predictor, &model, &config, workspace, need), STF_STATUS_OK);
    EXPECT(stf_predict_u8(&predictor, input, size - 1, &prediction), STF_STATUS_INPUT_LENGTH);
    EXPECT(stf_predict_u8(&predictor, input, size + 1, &prediction), STF_STATUS_INPUT_LENGTH);
    EXPECT(stf_predict_u8(&predictor, NULL, size, &prediction), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predict_u8(&predictor, input, size, NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predict_u8(NULL, input, size, &prediction), STF_STATUS_NULL_POINTER);
    EXPECT(stf_predict_u8(&predictor, workspace, size, &prediction), STF_STATUS_OVERLAP);
    EXPECT(stf_predict_f32(&predictor, (const float *)(const void *)(input + 1), size, &prediction),
           STF_STATUS_MISALIGNED);
    numbers = (float *)(void *)input;
    numbers[size - 1] = (float)(1e300 * 1e300);
    EXPECT(stf_predict_f32(&predictor, numbers, size, &prediction), STF_STATUS_INPUT_NOT_FINITE);
    EXPECT(stf_predictor_counter(&predictor, &counter), STF_STATUS_OK);
    if (counter != 0) return 4;
    EXPECT(stf_predict_i8(&predictor, (const int8_t *)input, size, &prediction), STF_STATUS_OK);
    EXPECT(stf_predictor_counter(&predictor, &counter), STF_STATUS_OK);
    if (counter != 1 || prediction.outputs != info.outputs) return 5;
    /* Results over what a prediction reads or works in. */
    EXPECT(stf_predict_u8(&predictor, input, size, (stf_prediction *)(void *)&predictor),
           STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, input, size, (stf_prediction *)(void *)&model), STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, input, size, (stf_prediction *)(void *)file), STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, input, size, (stf_prediction *)(void *)workspace), STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, input, size, (stf_prediction *)(void *)input), STF_STATUS_OVERLAP);
    EXPECT(stf_predict_u8(&predictor, (const uint8_t *)&predictor, size, &prediction), STF_STATUS_OVERLAP);
    EXPECT(stf_predictor_counter(&predictor, &counter), STF_STATUS_OK);
    if (counter != 1) return 10;
    EXPECT(SET(prediction.mean, &set_size, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(&prediction, &set_size, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(&model, &set_size, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(file, &set_size, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(words, (size_t *)(void *)words, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(words, &set_size, (double *)(void *)(words + 1)), STF_STATUS_OVERLAP);
    EXPECT(SET(words, (size_t *)(void *)&coverage, &coverage), STF_STATUS_OVERLAP);
    EXPECT(SET(words, &set_size, &coverage), STF_STATUS_NO_FACTS);
    /* Loading the model again without success ends its predictors. */
    EXPECT(stf_model_load(&model, file, 3), STF_STATUS_ARTIFACT_LENGTH);
    EXPECT(stf_predict_u8(&predictor, input, size, &prediction), STF_STATUS_NOT_INITIALISED);
    return 0;
}

static int calibrations(void) {
    const float p[3] = {0.5f, 0.25f, 0.25f};
    stf_calibration a, b;
    stf_metrics metrics;
    stf_bin bin;
    memset(&a, 0, sizeof a);
    EXPECT(stf_calibration_read(&a, &metrics), STF_STATUS_NOT_INITIALISED);
    EXPECT(stf_calibration_init(NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_calibration_init(&a), STF_STATUS_OK);
    EXPECT(stf_calibration_init(&b), STF_STATUS_OK);
    EXPECT(stf_calibration_push(&a, p, 3, 3), STF_STATUS_OUT_OF_RANGE);
    EXPECT(stf_calibration_push(&a, NULL, 3, 0), STF_STATUS_NULL_POINTER);
    EXPECT(stf_calibration_push(&a, p, 3, 0), STF_STATUS_OK);
    EXPECT(stf_calibration_push(&b, p, 3, 1), STF_STATUS_OK);
    EXPECT(stf_calibration_merge(&a, &a), STF_STATUS_OVERLAP);
    EXPECT(stf_calibration_merge(&a, NULL), STF_STATUS_NULL_POINTER);
    EXPECT(stf_calibration_merge(&a, &b), STF_STATUS_OK);
    EXPECT(stf_calibration_read(&a, &metrics), STF_STATUS_OK);
    if (metrics.count != 2 || metrics.correct != 1 || metrics.accuracy != 0.5) return 6;
    EXPECT(stf_calibration_bin(&a, 7, &bin), STF_STATUS_OK);
    if (bin.count != 2 || bin.correct != 1 || bin.confidence != 1.0) return 7;
    EXPECT(stf_calibration_bin(&a, STF_CALIBRATION_BINS, &bin), STF_STATUS_OUT_OF_RANGE);
    return 0;
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    unsigned char *memory = malloc(1 << 20), *start = memory;
    size_t length;
    int result;
    if (file == NULL || memory == NULL) return 8;
    while ((uintptr_t)start % STF_ARTIFACT_ALIGNMENT != 0) start++;
    length = fread(start, 1, (1 << 20) - STF_ARTIFACT_ALIGNMENT, file);
    fclose(file);
    result = models(start, length);
    if (result == 0) result = predictors(start, length);
    if (result == 0) result = calibrations();
    if (result == 0 && stf_version() >> 16 > 1000) result = 9;
    free(memory);
    return result;
}
