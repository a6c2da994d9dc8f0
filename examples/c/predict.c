/*
 * Predicts inputs with an .stf artifact through the C API, on a desktop.
 *
 *   predict MODEL.stf INPUTS [NUM_SAMPLES [SEED]]
 *
 * NUM_SAMPLES may be `adaptive`: as many as the artifact's rule needs.
 * INPUTS holds raw bytes (pixels), one input after another. One line an input: its number, class,
 * confidence, uncertainties in nats, and with --bits as fifth argument every result as IEEE bits.
 */
#include "stf_bnn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole file in memory at a multiple of 16: *start is the aligned address in the returned block. */
static void *read_file(const char *path, unsigned char **start, size_t *length) {
    FILE *file = fopen(path, "rb");
    unsigned char *block = NULL;
    long size;
    if (file == NULL) return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        block = malloc((size_t)size + STF_ARTIFACT_ALIGNMENT);
        if (block != NULL) {
            *start = block + (STF_ARTIFACT_ALIGNMENT - (uintptr_t)block % STF_ARTIFACT_ALIGNMENT);
            *length = fread(*start, 1, (size_t)size, file);
        }
    }
    fclose(file);
    return block;
}

static int fail(const char *what, stf_status status) {
    fprintf(stderr, "%s: %s\n", what, stf_status_text(status));
    return 1;
}

static uint32_t bits(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static void print_bits(size_t index, const stf_prediction *p) {
    size_t i;
    printf("%lu %" PRIu32 " %u", (unsigned long)index, p->class_index, (unsigned)p->samples);
    for (i = 0; i < p->outputs; i++) printf(" %08" PRIx32, bits(p->mean[i]));
    for (i = 0; i < p->outputs; i++) printf(" %08" PRIx32, bits(p->spread[i]));
    printf(" %08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", bits(p->confidence),
           bits(p->predictive_entropy), bits(p->expected_entropy), bits(p->mutual_information));
}

static int predict_all(const stf_model *model, const stf_config *config, const unsigned char *inputs,
                       size_t length, int as_bits) {
    stf_predictor predictor;
    stf_prediction p;
    stf_model_info info;
    stf_status status;
    unsigned char *workspace;
    size_t need, size, index;
    if ((status = stf_workspace_size(model, config, &need)) != STF_STATUS_OK) return fail("settings", status);
    if ((status = stf_model_describe(model, &info)) != STF_STATUS_OK) return fail("model", status);
    if ((workspace = malloc(need)) == NULL) return fail("memory", STF_STATUS_TOO_LARGE);
    status = stf_predictor_init(&predictor, model, config, workspace, need);
    size = (size_t)info.input_height * info.input_width * info.input_channels;
    for (index = 0; status == STF_STATUS_OK && (index + 1) * size <= length; index++) {
        status = stf_predict_u8(&predictor, inputs + index * size, size, &p);
        if (status != STF_STATUS_OK) break;
        if (as_bits) {
            print_bits(index, &p);
        } else {
            printf("%lu: class %" PRIu32 " (%.1f %%), total %.4f = aleatoric %.4f + epistemic %.4f nats\n",
                   (unsigned long)index, p.class_index, 100.0 * (double)p.confidence,
                   (double)p.predictive_entropy, (double)p.expected_entropy,
                   (double)p.mutual_information);
        }
    }
    free(workspace);
    return status == STF_STATUS_OK ? 0 : fail("prediction", status);
}

int main(int argc, char **argv) {
    unsigned char *model_bytes, *inputs;
    void *model_block, *inputs_block;
    size_t model_length, inputs_length;
    stf_model model;
    stf_config config;
    stf_status status;
    char why[200];
    int result;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.stf INPUTS [NUM_SAMPLES [SEED [--bits]]]\n", argv[0]);
        return 2;
    }
    model_block = read_file(argv[1], &model_bytes, &model_length);
    inputs_block = read_file(argv[2], &inputs, &inputs_length);
    if (model_block == NULL || inputs_block == NULL) {
        fprintf(stderr, "%s: cannot be read\n", model_block == NULL ? argv[1] : argv[2]);
        free(model_block);
        free(inputs_block);
        return 1;
    }
    stf_config_init(&config);
    if (argc > 3 && strcmp(argv[3], "adaptive") == 0) {
        config.adaptive = 1;
    } else if (argc > 3) {
        config.num_samples = (uint16_t)strtoul(argv[3], NULL, 10);
    }
    if (argc > 4) config.seed = strtoul(argv[4], NULL, 10);
    status = stf_model_load(&model, model_bytes, model_length);
    if (status == STF_STATUS_OK) {
        result = predict_all(&model, &config, inputs, inputs_length,
                             argc > 5 && strcmp(argv[5], "--bits") == 0);
    } else {
        stf_model_explain(model_bytes, model_length, why, sizeof why);
        fprintf(stderr, "%s: %s: %s\n", argv[1], stf_status_text(status), why);
        result = 1;
    }
    free(inputs_block);
    free(model_block);
    return result;
}
