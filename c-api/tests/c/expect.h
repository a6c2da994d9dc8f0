/* A call that must give a status: the number of the first failing line is the message. */
#pragma once

#include "stf_bnn.h"

#include <stdio.h>

#define EXPECT(call, expected)                                                                       \
    do {                                                                                             \
        stf_status found_ = (call);                                                                  \
        if (found_ != (expected)) {                                                                  \
            fprintf(stderr, "line %d: found status %d (%s), expected %d\n", __LINE__, (int)found_,   \
                    stf_status_text(found_), (int)(expected));                                       \
            return 1;                                                                                \
        }                                                                                            \
    } while (0)
