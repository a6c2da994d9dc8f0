// C++ can include the header, and links against the library.
#include "stf_bnn.h"

int main() {
    stf_config config;
    stf_gaussian gaussian = {};
    stf_interval interval = {};
    if (gaussian.mean + interval.low != 0.0f) return 2;
    return stf_config_init(&config) == STF_STATUS_OK && config.num_samples == 8 ? 0 : 1;
}
