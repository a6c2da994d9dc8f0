/*
 * The C API on a Cortex-M: predicts the inputs of the generated test_data.h and prints every result as
 * IEEE bits through semihosting. Built and run by `cargo xtask firmware-test` where arm-none-eabi-gcc is
 * installed (C_FIRMWARE=1 firmware/setup.sh).
 */
#include "stf_bnn.h"
#include "test_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char workspace[WORKSPACE_CAPACITY];

static void print(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    printf(" %08" PRIx32, word);
}

static void print_bits(size_t index, const stf_prediction *p) {
    size_t i;
    printf("%lu %" PRIu32 " %u", (unsigned long)index, p->class_index, (unsigned)p->samples);
    for (i = 0; i < p->outputs; i++) print(p->mean[i]);
    for (i = 0; i < p->outputs; i++) print(p->spread[i]);
    print(p->confidence);
    print(p->predictive_entropy);
    print(p->expected_entropy);
    print(p->mutual_information);
    printf("\n");
}

static void require(stf_status status, const char *what) {
    if (status == STF_STATUS_OK) return;
    printf("%s: %s\n", what, stf_status_text(status));
    exit(1);
}

int main(void) {
    static stf_model model;
    static stf_predictor predictor;
    stf_config config;
    stf_model_info info;
    stf_prediction prediction;
    size_t need, size, index;
    require(stf_model_load(&model, model_data, sizeof model_data), "model");
    require(stf_model_describe(&model, &info), "model");
    require(stf_config_init(&config), "settings");
    require(stf_workspace_size(&model, &config, &need), "settings");
    require(stf_predictor_init(&predictor, &model, &config, workspace, sizeof workspace), "predictor");
    size = (size_t)info.input_height * info.input_width * info.input_channels;
    for (index = 0; (index + 1) * size <= sizeof input_data; index++) {
        require(stf_predict_u8(&predictor, input_data + index * size, size, &prediction), "prediction");
        print_bits(index, &prediction);
    }
    return 0;
}
